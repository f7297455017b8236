/**
 * One signer at a time for each role: a number is reserved before it is signed, and an open proposal is ended by its
 * time, by its replacement, or by a change of who may sign it.
 *
 * Keeps true: a number is given to one content only, before a signature exists; what ended takes its number with it.
 * Convenience for honest people, no defence: a signer's machine keeps its own numbers, and a hostile server can only
 * keep people from signing. Leaves to others: what may be proposed (proposal-checks.ts).
 */
import { type ReservationPut, wireLimits } from '@airlock/protocol';
import {
  fail,
  formatInstant,
  ok,
  parsePolicy,
  type Result,
  sha256Hex,
  type UtcSeconds,
} from '@airlock/trust';
import { type ImageRepository, viewOf } from '../core/files.ts';
import { endedByTargets, isOver } from '../core/proposal-life.ts';
import { countsNoMore, type Presented } from '../core/proposals.ts';
import { imageOwner } from '../core/versions.ts';
import {
  type ProposalRow,
  Raced,
  type ReservationRow,
  type RoleFile,
  type StoreParts,
} from '../ports/store.ts';
import { type Actor, itself, record } from './audit.ts';
import type { Context } from './context.ts';
import { missingIn } from './claims.ts';
import { loadImage } from './repositories.ts';
import { keyHolder } from './key-holders.ts';

export interface Reserving extends ReservationPut {
  readonly product: string;
  readonly role: string;
  readonly by: Actor;
}

/**
 * Reserves a number of a function for a key. Errors: API_NOT_FOUND; API_RESERVED while another key has one, or a
 * proposal is open; API_VERSION_USED, naming the next number; API_PRECONDITION when the signer's machine is behind;
 * API_RESTORED.
 */
export async function reserve(context: Context, asked: Reserving): Promise<Result<ReservationRow>> {
  const { product, role } = asked;
  return await context.locks.run(imageOwner(product), async () => {
    await endOverdue(context, product);
    const published = await loadImage(context.store, product);
    const delegation = published === undefined ? undefined : delegationOf(published, role);
    if (published === undefined || delegation === undefined) {
      return fail('API_NOT_FOUND', `${product} has no function ${role}`, 'role');
    }
    if (!delegation.keys.some(({ keyId }) => keyId === asked.keyId)) {
      return fail('OTA_BAD_SIGNATURE', `key ${asked.keyId.slice(0, 16)} is none of ${role}`, 'keyId');
    }
    if ((await missingIn(context.store, product)).length > 0) {
      return fail('API_RESTORED', `${product} misses files that existed; hand them back first`, 'product');
    }
    const free = await checkFree(context, published, asked);
    if (!free.ok) return free;
    const now = context.clock.now();
    const { version, signedSha256, keyId } = asked;
    const row = { product, role, version, signedSha256, keyId, until: free.value };
    await context.store.transaction(async (store) => {
      if (!(await store.raiseRevision(product, published.revision))) throw new Raced();
      await store.addNumber(product, role, version, signedSha256);
      await store.putReservation(row);
      await record(store, asked.by, now, {
        act: 'proposal.reserve',
        function: role,
        subject: { product, role, version },
        after: { signedSha256, keyId },
      });
    });
    return ok(row);
  });
}

function delegationOf({ roles }: ImageRepository, role: string) {
  const targets = roles.get('targets');
  const view = targets === undefined ? undefined : viewOf(targets.file);
  return view?.kind === 'targets' ? view.functions.find(({ name }) => name === role) : undefined;
}

/** Answers until when. Asking again extends nothing, or one program could keep every colleague out without a pause. */
async function checkFree(
  { store, clock }: Context,
  published: ImageRepository,
  asked: Reserving,
): Promise<Result<UtcSeconds>> {
  const { product, role, version, previous, signedSha256, keyId } = asked;
  const now = clock.now();
  const file = published.roles.get(role);
  const inForce = file === undefined || countsNoMore(published, file) ? 0 : file.version;
  if (inForce !== 0 && inForce !== previous) {
    const message = `${role} ${inForce} is in force, the signer's machine saw ${previous}: look again`;
    return fail('API_PRECONDITION', message, 'previous');
  }
  const open = await store.proposal(product, role);
  if (open !== undefined) {
    return fail('API_RESERVED', `${role} ${open.version} is proposed already: sign that one`, 'role');
  }
  const last = await store.reservation(product, role);
  const held = last !== undefined && last.until > now ? last : undefined;
  if (held !== undefined && held.keyId !== keyId) {
    return fail('API_RESERVED', heldWords(published, held), 'role');
  }
  const used = await store.usedNumber(product, role, version);
  const mine = used?.signedSha256 === signedSha256 && !used.voided;
  if (version > inForce && (used === undefined || mine)) {
    return ok(held?.until ?? now + wireLimits.reservationSecondsMax);
  }
  const next = await nextFree(store, product, role, Math.max(version, inForce) + 1);
  const message = `${role} ${version} was used before; the next number is ${next}`;
  return fail('API_VERSION_USED', message, 'version');
}

async function nextFree(store: StoreParts, product: string, role: string, from: number): Promise<number> {
  let version = from;
  while ((await store.usedNumber(product, role, version)) !== undefined) version += 1;
  return version;
}

function heldWords({ policy }: ImageRepository, { role, version, keyId, until }: ReservationRow): string {
  const parsed = policy === undefined ? undefined : parsePolicy(Buffer.from(policy.text));
  const { name, holder } = keyHolder(keyId, parsed?.ok === true ? parsed.value.holders : []);
  const who = name === undefined ? `key ${keyId.slice(0, 16)}` : `${name} <${holder ?? ''}>`;
  return `${who} is signing ${role} ${version} at this moment, until ${formatInstant(until)} at the latest; then look again`;
}

/** Whoever reserved a number is let finish. Error: API_RESERVED. */
export async function checkReserved(
  { store, clock }: Context,
  product: string,
  { role, signedSha256, view }: Presented,
): Promise<Result<true>> {
  const held = await store.reservation(product, role);
  if (held === undefined || held.until <= clock.now() || held.signedSha256 === signedSha256) return ok(true);
  if (view.signatures.some(({ keyId }) => keyId === held.keyId)) return ok(true);
  const message = `${role} ${held.version} is being signed by another key, until ${formatInstant(held.until)} at the latest`;
  return fail('API_RESERVED', message, 'role');
}

/** Takes a proposal away with its signatures. A root's number is taken again: they have no gaps (TUF 5.3.5). */
export async function endProposal(
  store: StoreParts,
  { product, role, version }: Pick<ProposalRow, 'product' | 'role' | 'version'>,
): Promise<void> {
  await store.removeProposal(product, role);
  if (role !== 'root') await store.voidNumber(product, role, version);
}

/** Ends what was not signed in time. */
export async function endOverdue(context: Context, product: string): Promise<void> {
  const now = context.clock.now();
  const over = (await context.store.proposals(product)).filter((row) => isOver(row, now));
  if (over.length === 0) return;
  await context.store.transaction(async (store) => {
    for (const row of over) await endRecorded(store, { by: itself, now, act: 'proposal.expire' }, row);
    const held = await store.product(product);
    if (held === undefined || !(await store.raiseRevision(product, held.revision))) throw new Raced();
  });
}

/** The same for every product; an error of one keeps no other from it. */
export async function endAllOverdue(context: Context, report: (error: unknown) => void): Promise<void> {
  for (const { product } of await context.store.products()) {
    try {
      await context.locks.run(imageOwner(product), () => endOverdue(context, product));
    } catch (error) {
      // Lost to another writer: the next turn looks again.
      if (!(error instanceof Raced)) report(error);
    }
  }
}

/** Ends what was signed under keys or thresholds that the new `targets` changes. */
export async function endByTargets(
  store: StoreParts,
  at: {
    readonly by: Actor;
    readonly now: UtcSeconds;
    readonly published: ImageRepository;
    readonly open: readonly ProposalRow[];
    readonly changes: readonly RoleFile[];
  },
): Promise<void> {
  const { published, open, changes, by, now } = at;
  const ended = endedByTargets(published.roles.get('targets'), changes, open);
  for (const row of ended) await endRecorded(store, { by, now, act: 'proposal.void' }, row);
}

async function endRecorded(
  store: StoreParts,
  how: { readonly by: Actor; readonly now: UtcSeconds; readonly act: 'proposal.expire' | 'proposal.void' },
  row: ProposalRow,
): Promise<void> {
  const { product, role, version, file, proposed } = row;
  await endProposal(store, row);
  await record(store, how.by, how.now, {
    act: how.act,
    subject: { product, role, version },
    before: { sha256: sha256Hex(Buffer.from(file)), proposed: formatInstant(proposed) },
  });
}
