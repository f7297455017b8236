/**
 * Publishing what people signed offline: proposals, their signatures, and the moment they come into force.
 *
 * Keeps true: role, snapshot and everything they need are written in one transaction, after the whole repository was
 * rehearsed with the device's own check; a proposal that cannot come into force yet says why and waits.
 */
import type { KeyHolder } from '@airlock/protocol';
import { fail, ok, type Failure, type Result } from '@airlock/trust';
import { type ImageRepository, viewOf } from '../core/files.ts';
import {
  countHeld,
  countSignatures,
  type Counted,
  type Presented,
  readPresented,
} from '../core/proposals.ts';
import { endOf, proposalEtag } from '../core/proposal-life.ts';
import { rehearseAll, withChanges } from '../core/publication.ts';
import { lostBySigner, missingFileName, missingMessage, onlyTakesBack } from '../core/restoration.ts';
import { imageOwner, lifeSeconds } from '../core/versions.ts';
import { type ProposalRow, Raced, type RoleFile, type StoreParts } from '../ports/store.ts';
import { missingIn } from './claims.ts';
import type { Actor } from './audit.ts';
import type { Context } from './context.ts';
import { recordPublished, recordSigning, type Signing } from './publishing-acts.ts';
import { loadImage, policyOf } from './repositories.ts';
import { checkAcceptable, checkNeeds, checkNumber, checkTogether } from './proposal-checks.ts';
import { checkReserved, endByTargets, endOverdue, endProposal } from './reservations.ts';
import { keyHoldersOf } from './key-holders.ts';
import { takeStatements } from './statements.ts';

/** Where a role stands after an act. */
export interface RoleStatus {
  readonly product: string;
  readonly role: string;
  readonly state: 'open' | 'blocked' | 'published';
  readonly version: number;
  readonly file: string;
  readonly signedBy: readonly string[];
  /** Keys that may sign and did not. */
  readonly missing: readonly KeyHolder[];
  readonly threshold: number;
  readonly problem?: Failure;
  readonly etag: string;
  readonly proposedBy: string;
  readonly proposed: number;
  /** When it ends by itself. */
  readonly until: number;
}

export interface ProposalRequest {
  readonly product: string;
  readonly role: string;
  readonly file: string;
  /** The version that the signer's machine verified last. */
  readonly previous?: number;
  readonly ifMatch?: string;
  /** DSSE envelopes: one for each new signature of a function's role. */
  readonly statements?: readonly string[];
  readonly by: Actor;
}

/** Takes a role file with at least one valid signature; publishes when it is enough. See the error table for codes. */
export async function putProposal(context: Context, request: ProposalRequest): Promise<Result<RoleStatus>> {
  const { product, role, file } = request;
  return await context.locks.run(imageOwner(product), async () => {
    const now = context.clock.now();
    await endOverdue(context, product);
    const published = await loadImage(context.store, product);
    if (published === undefined) return fail('API_NOT_FOUND', `there is no product ${product}`, 'product');
    const presented = readPresented(product, role, file);
    if (!presented.ok) return presented;
    const held = await checkNotMissing(context, published, request, presented.value);
    if (!held.ok) return held;
    const open = await context.store.proposal(product, role);
    const fits = await checkNumber(context, published, presented.value, open, request);
    if (!fits.ok) return fits;
    if (fits.value !== undefined) return ok(publishedStatus(published, fits.value, request.by.name, now));
    const free = await checkReserved(context, product, presented.value);
    if (!free.ok) return free;
    const needs = await checkNeeds(context, product, presented.value);
    if (!needs.ok) return needs;
    const same = open !== undefined && signedSha256(product, open) === presented.value.signedSha256;
    const proposals = await context.store.proposals(product);
    const delegators = delegatorsOf(role, published, [...proposals, presented.value]);
    if (!delegators.ok) return delegators;
    const counted = countSignatures(presented.value, same ? open.file : undefined, delegators.value);
    if (!counted.ok) return counted;
    const { signedBy } = counted.value;
    const taken = await takeStatements(context, {
      product,
      presented: presented.value,
      published,
      delegators: delegators.value,
      signedBy,
      statements: request.statements ?? [],
    });
    if (!taken.ok) return taken;
    const acceptable = await checkAcceptable(context, published, presented.value, proposals);
    if (!acceptable.ok) return acceptable;
    const before = same ? countHeld(open.file, role, delegators.value) : undefined;
    const known = before?.ok === true ? before.value.signedBy : [];
    const row: ProposalRow = {
      product,
      role,
      version: presented.value.version,
      revision: (open?.revision ?? 0) + 1,
      file: counted.value.file,
      proposedBy: same ? open.proposedBy : request.by.name,
      proposed: same ? open.proposed : now,
    };
    // A withdrawal that claims could not hold back must not take along what they do.
    const others = held.value === 'alone' ? [] : proposals.filter((other) => other.role !== role);
    const keyIds = signedBy.filter((keyId) => !known.includes(keyId));
    const { signedSha256: signed } = presented.value;
    const signing = { product, row, signedSha256: signed, keyIds, statements: taken.value };
    const replaced = same ? undefined : open;
    const how = { signing, by: request.by, others, replaced, open: proposals };
    return await storeAndPublish(context, published, row, how);
  });
}

function signedSha256(product: string, row: ProposalRow): string | undefined {
  const presented = readPresented(product, row.role, row.file);
  return presented.ok ? presented.value.signedSha256 : undefined;
}

/**
 * A product that lost files publishes nothing; a signer's machine that knows of a newer one is told to show it.
 * A withdrawal is held back by a proof only, never by what devices claim; it then goes `alone`.
 */
async function checkNotMissing(
  context: Context,
  published: ImageRepository,
  request: ProposalRequest,
  presented: Presented,
): Promise<Result<'alone' | 'together'>> {
  const { product, role, previous } = request;
  const rows = await missingIn(context.store, product);
  const versions = versionsOf(published);
  if (previous !== undefined && lostBySigner(role, previous, versions)) {
    // A number is no proof, and it holds nobody else back: only the file itself does (recovery.ts).
    const known = versions.get(role) ?? 0;
    const here = known === 0 ? `no ${role} is here` : `${role} ${known} is the newest here`;
    const file = missingFileName({ role, version: previous }, known);
    const message = `${here}, version ${previous} was verified by the sender: hand back ${file} (PUT /api/v1/products/${product}/missing/${role}); nothing was stored`;
    return fail('API_RESTORED', message, 'previous');
  }
  if (rows.length === 0) return ok('together');
  const inForce = published.roles.get(role);
  const now = inForce === undefined ? undefined : readPresented(product, role, inForce.file);
  const takesBack = now?.ok === true && onlyTakesBack(presented, now.value);
  if (takesBack && rows.every(({ evidence }) => evidence === 'device')) return ok('alone');
  return fail('API_RESTORED', missingMessage(product, rows, versions));
}

export function versionsOf(repository: ImageRepository): Map<string, number> {
  const { root, roles } = repository;
  return new Map([root, ...roles.values()].map(({ role, version }) => [role, version]));
}

/** Files that may delegate to a role: the one in force, then the proposed next one. */
function delegatorsOf(
  role: string,
  published: ImageRepository,
  proposals: readonly RoleFile[],
): Result<readonly string[]> {
  const by = role === 'root' || role === 'targets' ? 'root' : 'targets';
  const inForce = by === 'root' ? published.root : published.roles.get('targets');
  const next = proposals.find((row) => row.role === by);
  const files = [inForce, next].flatMap((row) => (row === undefined ? [] : [row.file]));
  if (files.length > 0) return ok(files);
  return fail('API_NOT_PUBLISHED', `${published.product} has no targets yet that name ${role}`, 'role');
}

interface How {
  readonly signing: Signing;
  readonly by: Actor;
  /** The proposal of the same role that this one takes the place of. */
  readonly replaced: ProposalRow | undefined;
  /** Every proposal that was open. */
  readonly open: readonly ProposalRow[];
}

async function storeAndPublish(
  context: Context,
  published: ImageRepository,
  row: ProposalRow,
  { others, ...how }: How & { readonly others: readonly ProposalRow[] },
): Promise<Result<RoleStatus>> {
  const outcome = await attempt(context, published, row, others);
  await commit(context, published, row, how, outcome);
  const at = { repository: outcome.after ?? published, changes: [...others, row] };
  return ok(statusOf(row, at, outcome));
}

/** Where a proposal stands after it was tried. */
export function statusOf(
  row: ProposalRow,
  { repository, changes }: { readonly repository: ImageRepository; readonly changes: readonly RoleFile[] },
  { after, problem }: Pick<Outcome, 'after' | 'problem'>,
): RoleStatus {
  const counted = countIn(row, repository, changes);
  const state = after !== undefined ? 'published' : counted.enough ? 'blocked' : 'open';
  const delegators = delegatorsOf(row.role, repository, changes);
  const signers = delegators.ok ? keyHoldersOf(row.role, delegators.value, repository.policy) : [];
  return {
    ...row,
    state,
    signedBy: counted.signedBy,
    missing: signers.filter(({ keyId }) => !counted.signedBy.includes(keyId)),
    threshold: counted.threshold,
    ...(problem === undefined || state !== 'blocked' ? {} : { problem }),
    etag: proposalEtag(row),
    until: endOf(row),
  };
}

interface Outcome {
  /** The repository with everything that comes into force; undefined when nothing does. */
  readonly after?: ImageRepository;
  readonly changes: readonly RoleFile[];
  readonly problem?: Failure;
}

/**
 * Tries all that are open together, then the one role alone. Together first: a root with new online keys, published
 * before the function that goes with it, would have the new snapshot remember the number that it should forget.
 */
export async function attempt(
  context: Context,
  published: ImageRepository,
  row: ProposalRow,
  others: readonly ProposalRow[],
): Promise<Outcome> {
  const at = { now: context.clock.now(), keyring: context.keyring };
  let problem: Failure | undefined;
  const sets = others.length === 0 ? [[row]] : [[...others, row], [row]];
  for (const changes of sets) {
    const enough = changes.filter((change) => countIn(change, published, changes).enough);
    if (!enough.includes(row)) continue;
    const files = enough.map(({ role, version, file }) => ({ role, version, file }));
    const targets = files.find(({ role }) => role === 'targets');
    const policy = targets && (await policyOf(context.store, row.product, targets.file));
    const after = withChanges(policy === undefined ? published : { ...published, policy }, files, at);
    if (!after.ok) {
      problem = after.error;
      continue;
    }
    const rehearsed = rehearseAll(published, after.value, files, at);
    const whole = rehearsed.ok ? await checkTogether(context, after.value) : rehearsed;
    if (whole.ok) return { after: after.value, changes: files };
    problem = whole.error;
  }
  return { changes: [], ...(problem === undefined ? {} : { problem }) };
}

export function countIn(row: RoleFile, published: ImageRepository, changes: readonly RoleFile[]): Counted {
  const none: Counted = { file: row.file, signedBy: [], threshold: 1, enough: false };
  const delegators = delegatorsOf(row.role, published, changes);
  if (!delegators.ok) return none;
  const counted = countHeld(row.file, row.role, delegators.value);
  return counted.ok ? counted.value : none;
}

/** One transaction: the proposal, or everything that comes into force. */
async function commit(
  context: Context,
  published: ImageRepository,
  row: ProposalRow,
  { signing, by, replaced, open }: How,
  outcome: Outcome,
): Promise<void> {
  const { product } = row;
  const now = context.clock.now();
  await context.store.transaction(async (store) => {
    await store.addNumber(product, row.role, row.version, signing.signedSha256);
    await recordSigning(store, by, now, signing);
    await store.removeReservation(product, row.role);
    // A change voids the signatures of what it takes the place of.
    if (replaced !== undefined) await endProposal(store, replaced);
    if (outcome.after === undefined) {
      await raise(store, published);
      return await store.putProposal(row);
    }
    for (const change of outcome.changes) await store.removeProposal(product, change.role);
    await endByTargets(store, { by, now, published, open, changes: outcome.changes });
    await recordPublished(store, by, now, published, outcome.changes);
    await writeAfter(store, published, outcome.after, outcome.changes, now);
  });
}

/** Throws `Raced` when anything of the product was proposed or published since `before` was read. */
export async function raise(
  store: StoreParts,
  before: Pick<ImageRepository, 'product' | 'revision'>,
): Promise<void> {
  if (!(await store.raiseRevision(before.product, before.revision))) throw new Raced();
}

/** Writes changed roles and the new snapshot; throws `Raced` when another process published meanwhile. */
export async function writeAfter(
  store: StoreParts,
  before: ImageRepository,
  after: ImageRepository,
  changes: readonly RoleFile[],
  now: number,
): Promise<void> {
  const owner = imageOwner(before.product);
  await raise(store, before);
  for (const change of changes) await store.addRole(owner, change, now);
  if (after.snapshot === undefined) return;
  await store.addRole(owner, after.snapshot, now);
  await store.setExpiry(owner, now + lifeSeconds.imageSnapshot);
}

function publishedStatus(
  published: ImageRepository,
  file: RoleFile,
  caller: string,
  now: number,
): RoleStatus {
  const counted = countIn(file, published, []);
  const { signatures } = viewOf(file.file);
  return {
    product: published.product,
    ...file,
    state: 'published',
    signedBy: signatures.map(({ keyId }) => keyId),
    missing: [],
    threshold: counted.threshold,
    etag: `"${file.version}.0"`,
    proposedBy: caller,
    proposed: now,
    until: now,
  };
}
