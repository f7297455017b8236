/** Routes of proposals, missing files, the TUF layout for signers' machines, and the director's root. */
import {
  DirectorRootPost,
  DirectorView,
  MissingFile,
  Name,
  ProposalList,
  ProposalPut,
  ProposalView,
  RoleFileText,
  RoleName,
  StatementTexts,
  strict,
} from '@airlock/protocol';
import { formatInstant } from '@airlock/trust';
import { Type } from 'typebox';
import { directorName, directorRootVersion, postDirectorRoot } from '../../app/director.ts';
import { missingView } from '../../app/products.ts';
import { listProposals, removeProposal } from '../../app/proposals.ts';
import { putProposal, type RoleStatus } from '../../app/publishing.ts';
import { dismiss, missingIn, suspicionsIn } from '../../app/claims.ts';
import { handBack } from '../../app/recovery.ts';
import { directorFile, imageFile } from '../../app/tuf-layout.ts';
import { sendFailure } from './failure.ts';
import { ifMatchOf, type People, refusals } from './people.ts';

const ProductParams = Type.Object({ product: Name }, strict);
const RoleParams = Type.Object({ product: Name, role: RoleName }, strict);
const HandBackPut = Type.Object({ file: RoleFileText, statements: Type.Optional(StatementTexts) }, strict);
const MissingList = Type.Object({ missing: Type.Array(MissingFile) }, strict);

export function proposalView(status: RoleStatus): ProposalView {
  const { product, role, state, version, file, threshold, etag, proposedBy, problem } = status;
  return {
    product,
    role,
    state,
    version,
    file,
    signedBy: [...status.signedBy],
    missing: [...status.missing],
    threshold,
    ...(problem === undefined ? {} : { problem }),
    etag,
    proposedBy,
    proposed: formatInstant(status.proposed),
    until: formatInstant(status.until),
  };
}

export function addPublishingRoutes(people: People): void {
  const { app, context, actorOf } = people;
  app.get(
    '/api/v1/products/:product/proposals',
    {
      schema: { params: ProductParams, response: { 200: ProposalList, ...refusals } },
    },
    async (request, reply) => {
      const list = await listProposals(context, request.params.product);
      if (!list.ok) return sendFailure(reply, list.error);
      return reply.send({ proposals: list.value.map(proposalView) });
    },
  );
  app.put(
    '/api/v1/products/:product/proposals/:role',
    {
      schema: { params: RoleParams, body: ProposalPut, response: { 200: ProposalView, ...refusals } },
    },
    async (request, reply) => {
      const by = actorOf(request);
      const asked = { ...request.params, ...request.body, ...ifMatchOf(request), by };
      const status = await putProposal(context, asked);
      if (!status.ok) return sendFailure(reply, status.error);
      return reply.header('etag', status.value.etag).send(proposalView(status.value));
    },
  );
  app.delete(
    '/api/v1/products/:product/proposals/:role',
    {
      schema: { params: RoleParams, response: { 204: Type.Null(), ...refusals } },
    },
    async (request, reply) => {
      const by = actorOf(request);
      const removed = await removeProposal(context, { ...request.params, ...ifMatchOf(request), by });
      return removed.ok ? reply.code(204).send(null) : sendFailure(reply, removed.error);
    },
  );
  addRecoveryRoutes(people);
  addLayoutRoutes(people);
}

function addRecoveryRoutes({ app, context, actorOf }: People): void {
  app.put(
    '/api/v1/products/:product/missing/:role',
    {
      schema: { params: RoleParams, body: HandBackPut, response: { 200: MissingList, ...refusals } },
    },
    async (request, reply) => {
      const asked = { ...request.params, ...request.body, by: actorOf(request) };
      const answer = await handBack(context, asked);
      if (!answer.ok) return sendFailure(reply, answer.error);
      const { missing, versions } = answer.value;
      return reply.send({ missing: missing.map((row) => missingView(row, versions.get(row.role))) });
    },
  );
  app.delete(
    '/api/v1/products/:product/missing/:role',
    { schema: { params: RoleParams, response: { 204: Type.Null(), ...refusals } } },
    async (request, reply) => {
      const { product, role } = request.params;
      const done = await dismiss(context, product, role, actorOf(request));
      return done.ok ? reply.code(204).send(null) : sendFailure(reply, done.error);
    },
  );
  app.delete(
    '/api/v1/director/missing',
    { schema: { response: { 204: Type.Null(), ...refusals } } },
    async (request, reply) => {
      const done = await dismiss(context, directorName, 'root', actorOf(request));
      return done.ok ? reply.code(204).send(null) : sendFailure(reply, done.error);
    },
  );
}

function addLayoutRoutes({ app, context, actorOf }: People): void {
  app.get<{ Params: { product: string; '*': string } }>(
    '/api/v1/products/:product/tuf/*',
    async (request, reply) => {
      const file = await imageFile(context, request.params.product, request.params['*']);
      return file.ok ? reply.type('application/json').send(file.value) : sendFailure(reply, file.error);
    },
  );
  app.get<{ Params: { '*': string } }>('/api/v1/director/tuf/*', async (request, reply) => {
    // Only roots are the fleet's; a device's own files are read at /devices.
    const path = request.params['*'];
    const file = await directorFile(context, '', path);
    return file.ok ? reply.type('application/json').send(file.value) : sendFailure(reply, file.error);
  });
  const viewDirector = async (): Promise<DirectorView> => {
    const rootVersion = await directorRootVersion(context);
    const missing = await missingIn(context.store, directorName);
    const suspicions = await suspicionsIn(context.store, directorName);
    return { rootVersion, missing: missing.map((row) => missingView(row, rootVersion)), suspicions };
  };
  app.get('/api/v1/director', { schema: { response: { 200: DirectorView, ...refusals } } }, viewDirector);
  app.post(
    '/api/v1/director/root',
    {
      schema: { body: DirectorRootPost, response: { 200: DirectorView, ...refusals } },
    },
    async (request, reply) => {
      const posted = await postDirectorRoot(context, request.body.root, actorOf(request));
      return posted.ok ? reply.send(await viewDirector()) : sendFailure(reply, posted.error);
    },
  );
}
