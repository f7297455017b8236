/**
 * How the audit log's tree is kept: leaves, every eighth level of nodes, and the right edge.
 *
 * Keeps true: any node is computed from at most 128 stored hashes, an append writes one leaf and the edge (and a tile's
 * hash once in 256 appends), so that appending costs the same at a million entries as at ten. Pure: whoever asks for
 * a node fetches what `sourceOf` names and folds it. Leaves to others: hashes and proofs (audit).
 */
import { type Appended, type Hash, hashNode, type NodeAt } from '@airlock/audit';

/** Levels between two that are stored, as in C2SP's tiles. */
const levelsPerTile = 8;

/** The completed nodes of an append that are to be stored; level 0 is the leaf itself. */
export function storedNodes({ completed }: Appended): Appended['completed'] {
  return completed.filter(({ level }) => level > 0 && level % levelsPerTile === 0);
}

/** Which stored hashes a node is made of: `count` of them from `from`, at a stored level (0: hashes of leaves). */
export function sourceOf({ level, index }: NodeAt) {
  const stored = level - (level % levelsPerTile);
  const count = 2 ** (level - stored);
  return { level: stored, from: index * count, count };
}

/** The node over `hashes`, which are a power of two many. */
export function nodeOver(hashes: readonly Hash[]): Hash {
  const [only, second] = hashes;
  if (only === undefined) throw new RangeError('a node without hashes: the audit log is damaged');
  if (second === undefined) return only;
  const middle = hashes.length / 2;
  return hashNode(nodeOver(hashes.slice(0, middle)), nodeOver(hashes.slice(middle)));
}
