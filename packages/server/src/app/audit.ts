/**
 * The audit log as the server writes and shows it: an entry with each act, checkpoints, and proofs.
 *
 * Keeps true: an act and its entry are one transaction, so that neither is there without the other (21 CFR 11.10(e));
 * people and tools stand in entries by a random pseudonym, kept apart, so that a person can be forgotten; before and
 * after are what was stored. Leaves to others: the tree (core/audit-tree.ts, audit), which act writes what.
 */
import { randomBytes } from 'node:crypto';
import {
  type AuditAct,
  type AuditEntry,
  type AuditFacts,
  appendLeaf,
  consistencyPlan,
  encodeEntry,
  foldHashes,
  type Hash,
  hashLeaf,
  inclusionPlan,
  type NodeAt,
  type ProofPlan,
  rootPlan,
  signCheckpoint,
} from '@airlock/audit';
import { functionFor } from '@airlock/protocol';
import { fail, ok, type Result, type Signer, type UtcSeconds } from '@airlock/trust';
import { nodeOver, sourceOf, storedNodes } from '../core/audit-tree.ts';
import type { AuditHead, AuditStore } from '../ports/audit-store.ts';
import type { Context } from './context.ts';

/** Who does something, and under which permission it was let in; none: at the server's own machine. */
export interface Actor {
  readonly name: string;
  readonly permission?: string;
  /** Functions that the person stands in, as `product/function`. */
  readonly functions?: readonly string[];
  /** Why, as the caller said with the request; an act that has a reason of its own keeps that. */
  readonly reason?: string;
}

/** The server, when it acts by itself. No person or tool has an empty name. */
export const itself: Actor = { name: '' };

/** One act in the words of the log. */
export interface Act {
  readonly act: AuditAct;
  readonly subject: AuditFacts;
  readonly function?: string;
  readonly before?: AuditFacts | undefined;
  readonly after?: AuditFacts | undefined;
  readonly reason?: string;
}

/** Clocks are corrected in small steps; a larger step back is shown, not hidden. */
const clockStepSecondsMax = 300;
const pseudonymBytes = 16;

/**
 * Appends an entry; called inside the transaction of the act. Answers where it stands. Throws `Raced` when another
 * process appended meanwhile.
 */
export async function record(store: AuditStore, by: Actor, now: UtcSeconds, act: Act): Promise<number> {
  const head = await store.auditHead();
  if (head === undefined) throw new Error('the audit log has not begun');
  const step = head.time - now;
  const entry: AuditEntry = {
    schema: 'airlock-audit-entry/1',
    time: step > 0 && step <= clockStepSecondsMax ? head.time : now,
    act: act.act,
    actor: by === itself ? 'server' : await pseudonymOf(store, by.name),
    ...optional('function', act.function ?? functionOf(by, act.subject)),
    ...optional('permission', by.permission),
    subject: act.subject,
    before: act.before ?? null,
    after: act.after ?? null,
    reason: act.reason ?? by.reason ?? '',
  };
  return await append(store, head, entry);
}

function optional<const K extends string>(key: K, value: string | undefined): Partial<Record<K, string>> {
  const entry: Partial<Record<K, string>> = {};
  if (value !== undefined) entry[key] = value;
  return entry;
}

/** The function that the actor stands in for the product that the act is about; none for acts of no product. */
function functionOf({ functions = [] }: Actor, { product }: AuditFacts): string | undefined {
  return typeof product === 'string' ? functionFor(functions, product) : undefined;
}

async function append(store: AuditStore, head: AuditHead, entry: AuditEntry): Promise<number> {
  const leaf = encodeEntry(entry);
  const appended = appendLeaf({ size: head.size, roots: head.edge }, hashLeaf(leaf));
  const { size, roots } = appended.edge;
  await store.appendAudit({
    leaf: Buffer.from(leaf).toString(),
    head: { origin: head.origin, size, edge: roots, time: entry.time },
    nodes: storedNodes(appended),
  });
  return head.size;
}

/** The pseudonym of a name, made when it is first needed. Random: nobody can find the name by trying names. */
export async function pseudonymOf(store: AuditStore, name: string): Promise<string> {
  const known = await store.pseudonym(name);
  if (known !== undefined) return known;
  const pseudonym = `p-${randomBytes(pseudonymBytes).toString('hex')}`;
  await store.addPseudonym(name, pseudonym);
  return pseudonym;
}

/** Begins the log, if it has not begun. Its name follows from its first key and stays when keys change. */
export async function startLog(
  store: AuditStore,
  key: Signer['publicKey'],
  now: UtcSeconds,
): Promise<string> {
  const held = await store.auditHead();
  if (held !== undefined) return held.origin;
  const origin = `airlock-audit/${key.keyId.slice(0, 32)}`;
  await store.startAudit(origin, now);
  await append(
    store,
    { origin, size: 0, edge: [], time: now },
    {
      schema: 'airlock-audit-entry/1',
      time: now,
      act: 'log.start',
      actor: 'server',
      subject: { origin },
      before: null,
      after: { keyId: key.keyId },
      reason: '',
    },
  );
  return origin;
}

/** The newest checkpoint, signed now: two of one size are the same bytes. */
export async function checkpoint({ store, auditSigners }: Context): Promise<string> {
  const { origin, size, edge } = await headOf(store);
  return signCheckpoint({ origin, size, root: foldHashes(edge) }, auditSigners());
}

async function headOf(store: AuditStore): Promise<AuditHead> {
  const head = await store.auditHead();
  if (head === undefined) throw new Error('the audit log has not begun');
  return head;
}

/** The root of the first `size` entries. Throws RangeError for more than there are. */
export async function rootAt(store: AuditStore, size: number): Promise<Hash> {
  return await fold(store, rootPlan(size));
}

/** Errors: API_NOT_FOUND when the log has no such entry or size. */
export async function inclusion(context: Context, index: number, size: number): Promise<Result<Hash[]>> {
  const head = await headOf(context.store);
  if (index < size && size <= head.size) return ok(await proof(context.store, inclusionPlan(index, size)));
  return fail('API_NOT_FOUND', `the log has ${head.size} entries: index < size <= ${head.size}`, 'size');
}

export async function consistency(context: Context, first: number, size: number): Promise<Result<Hash[]>> {
  const head = await headOf(context.store);
  if (first <= size && size <= head.size) return ok(await proof(context.store, consistencyPlan(first, size)));
  return fail('API_NOT_FOUND', `the log has ${head.size} entries: first <= size <= ${head.size}`, 'size');
}

async function proof(store: AuditStore, plan: ProofPlan): Promise<Hash[]> {
  const hashes: Hash[] = [];
  for (const nodes of plan) hashes.push(await fold(store, nodes));
  return hashes;
}

async function fold(store: AuditStore, nodes: readonly NodeAt[]): Promise<Hash> {
  const hashes: Hash[] = [];
  for (const node of nodes) hashes.push(await hashOf(store, node));
  return foldHashes(hashes);
}

async function hashOf(store: AuditStore, node: NodeAt): Promise<Hash> {
  const { level, from, count } = sourceOf(node);
  const hashes =
    level === 0
      ? (await store.auditLeaves(from, count)).map((leaf) => hashLeaf(Buffer.from(leaf)))
      : await store.auditNodes(level, from, count);
  if (hashes.length !== count) throw new RangeError('the audit log lacks nodes: it is damaged, or shorter');
  return nodeOver(hashes);
}
