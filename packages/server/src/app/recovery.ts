/**
 * The way back after a restore: files that a signer's machine hands back, and suspicions that a person dismisses.
 *
 * Keeps true: what is handed back is judged like anything published, by signatures alone; as long as one file is
 * still missing nothing of the product comes into force but roots, one by one. See core/restoration.ts.
 */
import { fail, ok, type Result, type RoleView } from '@airlock/trust';
import type { CheckInRequest } from '@airlock/protocol';
import type { ImageRepository } from '../core/files.ts';
import { countHeld, countSignatures, readPresented } from '../core/proposals.ts';
import { rehearse, withChanges } from '../core/publication.ts';
import { lostImageRoles, missingFileName, noteMissing, stillMissing } from '../core/restoration.ts';
import { imageOwner } from '../core/versions.ts';
import type { MissingRow, ProposalRow, RoleFile } from '../ports/store.ts';
import type { Context } from './context.ts';
import { versionsOf, writeAfter } from './publishing.ts';
import { loadImage, policyOf } from './repositories.ts';

/** Notes what a device's check-in shows to be lost. Writes only when it tells something new. */
export async function noteDeviceClaims(
  context: Context,
  request: CheckInRequest,
  from: { readonly product: string; readonly device: string },
  published: ReadonlyMap<string, number>,
): Promise<void> {
  const lost = lostImageRoles(request, published);
  if (lost.length === 0) return;
  const held = await context.store.missing(from.product);
  for (const { role, version } of lost) {
    const since = context.clock.now();
    const row = noteMissing(held, { role, version, evidence: 'device', device: from.device, since });
    if (row !== undefined) await context.store.putMissing(from.product, row);
  }
}

export interface HandBack {
  /** Files that are still missing; empty: the product publishes again. */
  readonly missing: readonly MissingRow[];
}

/**
 * Takes a fully signed role file that this server lost. Errors: API_NOT_FOUND when nothing is missing; those of
 * `readPresented` and `countSignatures`; OTA_BAD_SIGNATURE when the threshold is not reached; API_MISSING_FILE;
 * API_VERSION_USED when it is not newer than what is here; what devices would say to the whole.
 */
export async function handBack(
  context: Context,
  request: {
    readonly product: string;
    readonly role: string;
    readonly file: string;
    readonly caller: string;
  },
): Promise<Result<HandBack>> {
  const { product, role } = request;
  return await context.locks.run(imageOwner(product), async () => {
    const rows = await context.store.missing(product);
    const before = await loadImage(context.store, product);
    if (before === undefined || rows.length === 0) {
      return fail('API_NOT_FOUND', `no file of ${product} is missing`, 'product');
    }
    const presented = readPresented(product, role, request.file);
    if (!presented.ok) return presented;
    const { version } = presented.value;
    const known = versionsOf(before).get(role) ?? 0;
    if (role === 'root' ? version !== known + 1 : version <= known) {
      return fail(
        'API_VERSION_USED',
        `${role} ${known} is here already, version ${version} does not follow`,
        'file',
      );
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
    const row: ProposalRow = {
      product,
      role,
      version,
      revision: 1,
      file: counted.value.file,
      proposedBy: request.caller,
      proposed: context.clock.now(),
    };
    return await settle(context, before, { row, signedSha256: presented.value.signedSha256, waiting, rows });
  });
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
      await store.addNumber(product, row.role, row.version, signedSha256);
      // A root alone may come into force: the next one is judged by it.
      if (row.role === 'root') await store.addRole(imageOwner(product), row, now);
      else await store.putProposal(row);
    });
    return ok({ missing });
  }
  const targets = changes.find(({ role }) => role === 'targets');
  const policy = targets && (await policyOf(context.store, product, targets.file));
  const at = { now, keyring: context.keyring };
  const after = withChanges(policy === undefined ? before : { ...before, policy }, changes, at);
  if (!after.ok) return after;
  const rehearsed = after.value.snapshot === undefined ? ok(true) : rehearse(before, after.value, at);
  if (!rehearsed.ok) return rehearsed;
  await context.store.transaction(async (store) => {
    await store.addNumber(product, row.role, row.version, signedSha256);
    for (const change of changes) await store.removeProposal(product, change.role);
    for (const { role } of rows) await store.removeMissing(product, role);
    await writeAfter(store, before, after.value, changes, now);
  });
  return ok({ missing: [] });
}

function isComplete(row: ProposalRow, before: ImageRepository, all: readonly ProposalRow[]): boolean {
  const by = row.role === 'root' || row.role === 'targets' ? 'root' : 'targets';
  const inForce = by === 'root' ? before.root : before.roles.get('targets');
  const delegators = [inForce, all.find(({ role }) => role === by)].flatMap((it) => it?.file ?? []);
  const counted = countHeld(row.file, row.role, delegators);
  return counted.ok && counted.value.enough;
}

/** A person's word that a device lied. A signer's evidence cannot be dismissed. */
export async function dismiss(context: Context, product: string, role: string): Promise<Result<true>> {
  const row = (await context.store.missing(product)).find((held) => held.role === role);
  if (row === undefined) return fail('API_NOT_FOUND', `no file of ${role} is missing`, 'role');
  if (row.evidence === 'signer') {
    const message = `a signer's machine verified ${missingFileName(row)}: it must be handed back`;
    return fail('API_CONFLICT', message, 'role');
  }
  await context.store.removeMissing(product, role);
  return ok(true);
}
