/**
 * The way back after a restore: files that a signer's machine hands back. What devices claim is in claims.ts.
 *
 * Keeps true: what is handed back is judged like anything published, by signatures alone; as long as one file is
 * still missing nothing of the product comes into force but roots, one by one. See core/restoration.ts.
 */
import { fail, ok, type Result, type RoleView } from '@airlock/trust';
import type { ImageRepository } from '../core/files.ts';
import { countHeld, countSignatures, type Presented, readPresented } from '../core/proposals.ts';
import { rehearse, withChanges } from '../core/publication.ts';
import { noteMissing, stillMissing } from '../core/restoration.ts';
import { imageOwner } from '../core/versions.ts';
import type { MissingRow, ProposalRow, RoleFile, StoreParts } from '../ports/store.ts';
import { type Actor, record } from './audit.ts';
import { missingIn } from './claims.ts';
import type { Context } from './context.ts';
import { recordPublished } from './publishing-acts.ts';
import { raise, versionsOf, writeAfter } from './publishing.ts';
import { loadImage, policyOf } from './repositories.ts';
import { type TakenStatement, takeStatements } from './statements.ts';

export interface HandBack {
  /** Files that are still missing; empty: the product publishes again. */
  readonly missing: readonly MissingRow[];
  /** What is in force now. */
  readonly versions: ReadonlyMap<string, number>;
}

/**
 * Takes a fully signed role file that this server lost, known to be missing or not: the file is the proof. A root
 * that cannot follow yet proves that those before it are missing. What is in force already changes nothing.
 * Errors: API_NOT_FOUND; those of `readPresented` and `countSignatures`; OTA_BAD_SIGNATURE when the threshold is not
 * reached; API_MISSING_FILE; API_VERSION_USED when it is not newer than what is here; what devices would say.
 */
export async function handBack(
  context: Context,
  request: {
    readonly product: string;
    readonly role: string;
    readonly file: string;
    readonly statements?: readonly string[];
    readonly by: Actor;
  },
): Promise<Result<HandBack>> {
  const { product, role } = request;
  return await context.locks.run(imageOwner(product), async () => {
    const rows = await missingIn(context.store, product);
    const before = await loadImage(context.store, product);
    if (before === undefined) return fail('API_NOT_FOUND', `there is no product ${product}`, 'product');
    const presented = readPresented(product, role, request.file);
    if (!presented.ok) return presented;
    const { version } = presented.value;
    const versions = versionsOf(before);
    const known = versions.get(role) ?? 0;
    if (version <= known) {
      if (isInForce(before, presented.value)) return ok({ missing: rows, versions });
      const message = `${role} ${known} is here already, version ${version} does not follow`;
      return fail('API_VERSION_USED', message, 'file');
    }
    const policy = await checkPolicy(context, product, presented.value);
    if (!policy.ok) return policy;
    const waiting = (await context.store.proposals(product)).filter((row) => row.role !== role);
    const next = waiting.find((row) => row.role === (role === 'targets' ? 'root' : 'targets'));
    const inForce = role === 'root' || role === 'targets' ? before.root : before.roles.get('targets');
    const delegators = [inForce, role === 'root' ? presented.value : next].flatMap((row) => row?.file ?? []);
    const counted = countSignatures(presented.value, undefined, delegators);
    if (!counted.ok) return counted;
    if (!counted.value.enough) {
      const { signedBy, threshold } = counted.value;
      const message = `${role} ${version} has ${signedBy.length} valid signatures of the ${threshold} needed`;
      return fail('OTA_BAD_SIGNATURE', message, 'file');
    }
    if (role === 'root' && version > known + 1) {
      return await proveRoots(context, before, presented.value, { rows, by: request.by });
    }
    const statements = await takeStatements(context, {
      product,
      presented: presented.value,
      published: before,
      delegators,
      signedBy: counted.value.signedBy,
      statements: request.statements ?? [],
      past: rows.some((lost) => lost.role === role) ? 'excused' : 'needed',
    });
    if (!statements.ok) return statements;
    const row: ProposalRow = {
      product,
      role,
      version,
      revision: 1,
      file: counted.value.file,
      proposedBy: request.by.name,
      proposed: context.clock.now(),
    };
    const signedSha256 = presented.value.signedSha256;
    const returned = { row, signedSha256, waiting, rows, statements: statements.value, by: request.by };
    return await settle(context, before, returned);
  });
}

function isInForce(before: ImageRepository, presented: Presented): boolean {
  const { role } = presented;
  const file = role === 'root' ? before.root : before.roles.get(role);
  if (file?.version !== presented.version) return false;
  const held = readPresented(before.product, role, file.file);
  return held.ok && held.value.signedSha256 === presented.signedSha256;
}

/** A root signed by the root in force and by itself, further on than the next: those between existed. */
async function proveRoots(
  context: Context,
  before: ImageRepository,
  presented: Presented,
  { rows, by }: { readonly rows: readonly MissingRow[]; readonly by: Actor },
): Promise<Result<HandBack>> {
  const { product } = before;
  const { role, version } = presented;
  const now = context.clock.now();
  const row = noteMissing(rows, { role, version, evidence: 'signer', since: now });
  if (row !== undefined) {
    await context.store.transaction(async (store) => {
      await store.putMissing(product, row);
      const after = { proves: version, missing: row.version };
      await record(store, by, now, { act: 'recovery.hand-back', subject: { product, role }, after });
    });
  }
  return ok({ missing: await missingIn(context.store, product), versions: versionsOf(before) });
}

async function checkPolicy(
  context: Context,
  product: string,
  presented: { readonly view: RoleView },
): Promise<Result<true>> {
  const { view } = presented;
  if (view.kind !== 'targets') return ok(true);
  if ((await context.store.document(product, view.policy.sha256)) !== undefined) return ok(true);
  return fail(
    'API_MISSING_FILE',
    `upload the policy ${view.policy.sha256} first`,
    'signed.targets.policy.json',
  );
}

interface Returned {
  readonly row: ProposalRow;
  readonly signedSha256: string;
  readonly waiting: readonly ProposalRow[];
  readonly rows: readonly MissingRow[];
  readonly statements: readonly TakenStatement[];
  readonly by: Actor;
}

/** Keeps the file; publishes everything that was handed back once nothing is missing any more. */
async function settle(
  context: Context,
  before: ImageRepository,
  returned: Returned,
): Promise<Result<HandBack>> {
  const { row, signedSha256, waiting, rows } = returned;
  const { product } = row;
  const now = context.clock.now();
  const complete = [...waiting, row].filter((other) => isComplete(other, before, [...waiting, row]));
  const changes: RoleFile[] = complete.map(({ role, version, file }) => ({ role, version, file }));
  const versions = new Map([
    ...versionsOf(before),
    ...changes.map((it): [string, number] => [it.role, it.version]),
  ]);
  const missing = stillMissing(rows, versions);
  if (missing.length > 0) {
    await context.store.transaction(async (store) => {
      await raise(store, before);
      await noteReturn(store, now, before, returned);
      await store.addNumber(product, row.role, row.version, signedSha256);
      // A root alone may come into force: the next one is judged by it.
      if (row.role === 'root') {
        await store.addRole(imageOwner(product), row, now);
        await store.removeClaims(product, row.role, row.version);
      } else await store.putProposal(row);
    });
    return ok({ missing, versions });
  }
  const targets = changes.find(({ role }) => role === 'targets');
  const policy = targets && (await policyOf(context.store, product, targets.file));
  const at = { now, keyring: context.keyring };
  const after = withChanges(policy === undefined ? before : { ...before, policy }, changes, at);
  if (!after.ok) return after;
  const rehearsed = after.value.snapshot === undefined ? ok(true) : rehearse(before, after.value, at);
  if (!rehearsed.ok) return rehearsed;
  await context.store.transaction(async (store) => {
    await noteReturn(store, now, before, returned);
    await recordPublished(store, returned.by, now, before, changes);
    await store.addNumber(product, row.role, row.version, signedSha256);
    for (const change of changes) await store.removeProposal(product, change.role);
    for (const { role } of rows) await store.removeMissing(product, role);
    // They were true: who was dismissed is heard again.
    for (const { role, version } of changes) await store.removeClaims(product, role, version);
    await writeAfter(store, before, after.value, changes, now);
  });
  return ok({ missing: [], versions });
}

/** The entry of what was handed back. Its statements are kept with it: when they were made, this log cannot say. */
async function noteReturn(
  store: StoreParts,
  now: number,
  before: ImageRepository,
  { row, signedSha256, statements, by }: Returned,
): Promise<void> {
  const { product, role, version } = row;
  const known = versionsOf(before).get(role);
  const entry = await record(store, by, now, {
    act: 'recovery.hand-back',
    subject: { product, role, version },
    before: known === undefined ? undefined : { version: known },
    after: { signedSha256, statements: statements.map(({ sha256 }) => sha256) },
  });
  for (const { statement: _, sha256: __, ...rest } of statements)
    await store.addStatement({ ...rest, entry });
}

function isComplete(row: ProposalRow, before: ImageRepository, all: readonly ProposalRow[]): boolean {
  const by = row.role === 'root' || row.role === 'targets' ? 'root' : 'targets';
  const inForce = by === 'root' ? before.root : before.roles.get('targets');
  const delegators = [inForce, all.find(({ role }) => role === by)].flatMap((it) => it?.file ?? []);
  const counted = countHeld(row.file, row.role, delegators);
  return counted.ok && counted.value.enough;
}
