/**
 * Routes of the audit log: the checkpoint and its proofs for everyone who follows the log, entries for those who may read
 * them, statements beside the roles that they explain.
 */
import {
  AuditEntries,
  ConsistencyView,
  InclusionView,
  Name,
  ReleaseStatements,
  StatementList,
  strict,
  wireLimits,
} from '@airlock/protocol';
import type { Hash } from '@airlock/audit';
import { Type } from 'typebox';
import { checkpoint, consistency, inclusion } from '../../app/audit.ts';
import type { Context } from '../../app/context.ts';
import type { StatementRow } from '../../ports/audit-store.ts';
import { sendFailure } from './failure.ts';
import { type People, refusals } from './people.ts';

const digits = Type.String({ pattern: '^[0-9]{1,15}$' });
const Consistency = Type.Object({ first: digits, size: digits }, strict);
const Inclusion = Type.Object({ index: digits, size: digits }, strict);
const Page = Type.Object({ first: Type.Optional(digits), limit: Type.Optional(digits) }, strict);
const StatementParams = Type.Object(
  { product: Name, role: Name, version: Type.String({ pattern: '^[1-9][0-9]{0,14}$' }) },
  strict,
);

const ReleaseParams = Type.Object(
  { product: Name, version: Type.String({ pattern: '^[1-9][0-9]{0,9}$' }) },
  strict,
);

const hex = (hashes: readonly Hash[]): string[] => hashes.map((hash) => Buffer.from(hash).toString('hex'));

export function addAuditRoutes(people: People): void {
  const { app, context } = people;
  app.get('/api/v1/audit/checkpoint', async (_request, reply) =>
    reply.type('text/plain; charset=utf-8').send(await checkpoint(context)),
  );
  app.get(
    '/api/v1/audit/consistency',
    { schema: { querystring: Consistency, response: { 200: ConsistencyView, ...refusals } } },
    async (request, reply) => {
      const [first, size] = [Number(request.query.first), Number(request.query.size)];
      const proof = await consistency(context, first, size);
      return proof.ok
        ? reply.send({ first, size, hashes: hex(proof.value) })
        : sendFailure(reply, proof.error);
    },
  );
  app.get(
    '/api/v1/audit/inclusion',
    { schema: { querystring: Inclusion, response: { 200: InclusionView, ...refusals } } },
    async (request, reply) => {
      const [index, size] = [Number(request.query.index), Number(request.query.size)];
      const proof = await inclusion(context, index, size);
      return proof.ok
        ? reply.send({ index, size, hashes: hex(proof.value) })
        : sendFailure(reply, proof.error);
    },
  );
  app.get(
    '/api/v1/audit/entries',
    {
      schema: { querystring: Page, response: { 200: AuditEntries, ...refusals } },
    },
    async (request, reply) => {
      const { first = '0', limit = String(wireLimits.pageRowsDefault) } = request.query;
      const count = Math.min(Number(limit), wireLimits.pageRowsMax);
      const entries = await context.store.auditLeaves(Number(first), count);
      return reply.send({ first: Number(first), entries: [...entries] });
    },
  );
  addStatementRoutes(people);
}

/** A statement with the text of its entry. */
async function shown({ store }: Context, row: StatementRow) {
  const [leaf = ''] = await store.auditLeaves(row.entry, 1);
  const { keyId, signedSha256, envelope, entry } = row;
  return { keyId, signedSha256, statement: envelope, entry, leaf };
}

function addStatementRoutes({ app, context }: People): void {
  app.get(
    '/api/v1/products/:product/statements/:role/:version',
    { schema: { params: StatementParams, response: { 200: StatementList, ...refusals } } },
    async (request, reply) => {
      const { product, role } = request.params;
      const version = Number(request.params.version);
      const rows = await context.store.statements(product, role, version);
      const statements = [];
      for (const row of rows) statements.push(await shown(context, row));
      return reply.send({ product, role, version, statements });
    },
  );
  app.get(
    '/api/v1/products/:product/releases/:version/statements',
    { schema: { params: ReleaseParams, response: { 200: ReleaseStatements, ...refusals } } },
    async (request, reply) => {
      const { product, version } = request.params;
      const statements = [];
      for (const row of await context.store.statementsAbout(product, Number(version))) {
        statements.push({ role: row.role, version: row.version, ...(await shown(context, row)) });
      }
      return reply.send({ statements });
    },
  );
}
