/**
 * RFC 6962 section 2.1 written down a second time, as the RFC words it: recursion over lists of leaves, with no thought
 * of speed and no code in common with the package. What both say alike is not one mistake made twice.
 */
import { createHash } from 'node:crypto';

const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash('sha256').update(Buffer.concat(parts)).digest();

/** k: the largest power of two smaller than n. */
const k = (n: number): number => 2 ** Math.floor(Math.log2(n - 1));

/** MTH(D[n]). */
export function mth(d: readonly Uint8Array[]): Buffer {
  const n = d.length;
  const [only] = d;
  if (only === undefined) return sha256();
  if (n === 1) return sha256(Buffer.from([0x00]), only);
  return sha256(Buffer.from([0x01]), mth(d.slice(0, k(n))), mth(d.slice(k(n))));
}

/** PATH(m, D[n]). */
export function path(m: number, d: readonly Uint8Array[]): Buffer[] {
  const n = d.length;
  if (n === 1) return [];
  const split = k(n);
  return m < split
    ? [...path(m, d.slice(0, split)), mth(d.slice(split))]
    : [...path(m - split, d.slice(split)), mth(d.slice(0, split))];
}

/** PROOF(m, D[n]). */
export function proof(m: number, d: readonly Uint8Array[]): Buffer[] {
  return subproof(m, d, true);
}

function subproof(m: number, d: readonly Uint8Array[], b: boolean): Buffer[] {
  const n = d.length;
  if (m === n) return b ? [] : [mth(d)];
  const split = k(n);
  return m <= split
    ? [...subproof(m, d.slice(0, split), b), mth(d.slice(split))]
    : [...subproof(m - split, d.slice(split), false), mth(d.slice(0, split))];
}
