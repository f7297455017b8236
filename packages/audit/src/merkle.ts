/**
 * The Merkle tree of RFC 6962: hashes of leaves and nodes, what an append changes, and proofs.
 *
 * Keeps true: a leaf and a node are hashed under different first bytes (0x00 and 0x01, RFC 6962 2.1), so that neither
 * can be shown as the other; an append needs the right edge only, at most one hash for each bit of the size. Positions
 * of nodes are computed here and their hashes are the caller's, so that a store of any kind can hold them. Pure.
 * Leaves to others: what a leaf says (entry.ts), who vouches for a root (checkpoint.ts).
 */
import { createHash } from 'node:crypto';
import { fail, ok, type Result } from '@airlock/trust';
import { auditLimits } from './limits.ts';

/** 32 bytes of SHA-256. */
export type Hash = Uint8Array;

export const hashBytes = 32;
const leafPrefix = Uint8Array.of(0);
const nodePrefix = Uint8Array.of(1);

export function hashLeaf(leaf: Uint8Array): Hash {
  return createHash('sha256').update(leafPrefix).update(leaf).digest();
}

export function hashNode(left: Hash, right: Hash): Hash {
  return createHash('sha256').update(nodePrefix).update(left).update(right).digest();
}

/** The root of the tree without leaves: SHA-256 of nothing. */
export const emptyRoot: Hash = createHash('sha256').digest();

/** A perfect subtree: the leaves `[index * 2^level, (index + 1) * 2^level)`. */
export interface NodeAt {
  readonly level: number;
  readonly index: number;
}

/** The roots of the perfect subtrees that a tree of `size` leaves consists of, the largest first. */
export interface Edge {
  readonly size: number;
  readonly roots: readonly Hash[];
}

export const emptyEdge: Edge = { size: 0, roots: [] };

/** What an append changes: the new edge, and every perfect subtree that became complete with it. */
export interface Appended {
  readonly edge: Edge;
  readonly completed: readonly (NodeAt & { readonly hash: Hash })[];
}

/** Throws RangeError for an edge that is none, or a tree that is full: the store is damaged. */
export function appendLeaf(edge: Edge, leafHash: Hash): Appended {
  checkEdge(edge);
  const roots = [...edge.roots];
  const completed: (NodeAt & { hash: Hash })[] = [{ level: 0, index: edge.size, hash: leafHash }];
  let hash = leafHash;
  let rest = edge.size;
  for (let level = 1; rest % 2 === 1; level += 1) {
    const left = roots.pop();
    if (left === undefined) throw new RangeError('the edge has fewer hashes than its size asks for');
    hash = hashNode(left, hash);
    rest = Math.floor(rest / 2);
    completed.push({ level, index: rest, hash });
  }
  roots.push(hash);
  return { edge: { size: edge.size + 1, roots }, completed };
}

function checkEdge({ size, roots }: Edge): void {
  if (!isTreeSize(size) || size >= auditLimits.treeSizeMax) throw new RangeError(`not a tree size: ${size}`);
  if (roots.length !== onesIn(size)) throw new RangeError(`an edge of ${size} leaves has another length`);
}

function onesIn(size: number): number {
  let ones = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return ones;
}

export function isTreeSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0 && size <= auditLimits.treeSizeMax;
}

/** The root over perfect subtrees that stand side by side, the largest first: also of a part that a proof names. */
export function foldHashes(roots: readonly Hash[]): Hash {
  const last = roots.at(-1);
  if (last === undefined) return emptyRoot;
  return roots.slice(0, -1).reduceRight((right, left) => hashNode(left, right), last);
}

/** The perfect subtrees that make up `[begin, end)`, the largest first; `begin` is where such a part may begin. */
function nodesOf(begin: number, end: number): NodeAt[] {
  const nodes: NodeAt[] = [];
  let at = begin;
  while (at < end) {
    let level = 0;
    while (at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= end) level += 1;
    nodes.push({ level, index: at / 2 ** level });
    at += 2 ** level;
  }
  return nodes;
}

/**
 * Which nodes a proof is made of: one inner list for each hash of the proof, to be folded by `foldHashes`. The caller
 * looks the hashes up.
 */
export type ProofPlan = readonly (readonly NodeAt[])[];

/** The nodes whose fold is the root of the first `size` leaves. */
export function rootPlan(size: number): readonly NodeAt[] {
  return nodesOf(0, size);
}

/** PATH(index, D[size]) of RFC 6962 2.1.1. Throws RangeError for a leaf that is not in the tree. */
export function inclusionPlan(index: number, size: number): ProofPlan {
  if (!isTreeSize(size) || !Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new RangeError(`leaf ${index} is not in a tree of ${size}`);
  }
  const plan: NodeAt[][] = [];
  let begin = 0;
  let end = size;
  while (end - begin > 1) {
    const middle = begin + splitOf(end - begin);
    if (index < middle) {
      plan.push(nodesOf(middle, end));
      end = middle;
    } else {
      plan.push(nodesOf(begin, middle));
      begin = middle;
    }
  }
  return plan.toReversed();
}

/** PROOF(first, D[size]) of RFC 6962 2.1.2; empty for `first` 0 or `size`. Throws RangeError for another order. */
export function consistencyPlan(first: number, size: number): ProofPlan {
  if (!isTreeSize(size) || !isTreeSize(first) || first > size) {
    throw new RangeError(`a tree of ${first} is not within one of ${size}`);
  }
  if (first === 0 || first === size) return [];
  const plan: NodeAt[][] = [];
  let begin = 0;
  let end = size;
  // SUBPROOF: down to the part that ends where the first tree ended.
  while (end !== first) {
    const middle = begin + splitOf(end - begin);
    if (first <= middle) {
      plan.push(nodesOf(middle, end));
      end = middle;
    } else {
      plan.push(nodesOf(begin, middle));
      begin = middle;
    }
  }
  // When the whole first tree is one perfect subtree, the verifier has its root already.
  if (begin > 0) plan.push(nodesOf(begin, end));
  return plan.toReversed();
}

/** The largest power of two below `count`. */
function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}

export interface InclusionProof {
  readonly index: number;
  readonly size: number;
  readonly hashes: readonly Hash[];
}

/** Whether the leaf stands at `index` under `root` (RFC 9162 2.1.3.2). Code: AUDIT_PROOF. */
export function verifyInclusion(leafHash: Hash, proof: InclusionProof, root: Hash): Result<true> {
  const { index, size, hashes } = proof;
  const wrong = checkForm(size, hashes);
  if (!wrong.ok) return wrong;
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    return fail('AUDIT_PROOF', `entry ${index} is not in a log of ${size}`, 'index');
  }
  let from = index;
  let last = size - 1;
  let hash = leafHash;
  for (const other of hashes) {
    if (last === 0) return fail('AUDIT_PROOF', 'the inclusion proof is too long', 'hashes');
    if (from % 2 === 1 || from === last) {
      hash = hashNode(other, hash);
      while (from % 2 === 0 && from !== 0) [from, last] = [from / 2, Math.floor(last / 2)];
    } else hash = hashNode(hash, other);
    [from, last] = [Math.floor(from / 2), Math.floor(last / 2)];
  }
  if (last === 0 && sameHash(hash, root)) return ok(true);
  return fail('AUDIT_PROOF', `entry ${index} is not what the log of ${size} holds there`, 'hashes');
}

export interface TreeHead {
  readonly size: number;
  readonly root: Hash;
}

/**
 * Whether the tree of `next` begins with exactly the tree of `first` (RFC 9162 2.1.4.2).
 * Code: AUDIT_PROOF; whether that is a fork or a bad proof only more proofs can tell.
 */
export function verifyConsistency(first: TreeHead, next: TreeHead, hashes: readonly Hash[]): Result<true> {
  const refuse = (why: string) => fail('AUDIT_PROOF', `log of ${next.size}: ${why}`, 'hashes');
  const wrong = checkForm(next.size, hashes);
  if (!wrong.ok) return wrong;
  if (!isTreeSize(first.size) || first.size > next.size) return refuse(`is shorter than ${first.size}`);
  if (first.size === next.size || first.size === 0) {
    if (hashes.length > 0) return refuse('this consistency proof must be empty');
    const expected = first.size === 0 ? emptyRoot : next.root;
    return sameHash(first.root, expected) ? ok(true) : refuse('has another root at the same size');
  }
  const perfect = onesIn(first.size) === 1;
  const [start, ...path] = perfect ? [first.root, ...hashes] : hashes;
  if (start === undefined) return refuse('the consistency proof is empty');
  let [from, last] = [first.size - 1, next.size - 1];
  while (from % 2 === 1) [from, last] = [Math.floor(from / 2), Math.floor(last / 2)];
  let [old, now] = [start, start];
  for (const other of path) {
    if (last === 0) return refuse('the consistency proof is too long');
    if (from % 2 === 1 || from === last) {
      [old, now] = [hashNode(other, old), hashNode(other, now)];
      while (from % 2 === 0 && from !== 0) [from, last] = [from / 2, Math.floor(last / 2)];
    } else now = hashNode(now, other);
    [from, last] = [Math.floor(from / 2), Math.floor(last / 2)];
  }
  if (last !== 0) return refuse('the consistency proof is too short');
  if (!sameHash(now, next.root)) return refuse('the consistency proof does not end in its root');
  return sameHash(old, first.root) ? ok(true) : refuse(`does not begin with the log of ${first.size}`);
}

function checkForm(size: number, hashes: readonly Hash[]): Result<true> {
  if (!isTreeSize(size)) return fail('AUDIT_PROOF', `${size} is not the size of a log`, 'size');
  if (hashes.length <= auditLimits.proofHashesMax && hashes.every((hash) => hash.length === hashBytes)) {
    return ok(true);
  }
  return fail(
    'AUDIT_PROOF',
    `a proof has at most ${auditLimits.proofHashesMax} hashes of 32 bytes`,
    'hashes',
  );
}

export function sameHash(a: Hash, b: Hash): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
