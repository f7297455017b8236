/**
 * Digest: the length and SHA-256 of an image that passes by in pieces, and the judgement against what is signed.
 *
 * Keeps true: memory does not grow with the image; an image that is longer than it should be is noticed at the first
 * byte too many, not at the end. Does no I/O: pieces are handed in.
 * Leaves to others: where the bytes come from and go to.
 */
import { createHash } from 'node:crypto';

/** What signed metadata says of an image. */
export interface ImageIs {
  readonly len: number;
  /** SHA-256, 64 lower-case hex digits. */
  readonly hash: string;
}

export interface ImageDigest {
  /** Takes the next piece; it is not kept. */
  add(piece: Uint8Array): void;
  /** Bytes taken so far. */
  readonly len: number;
  /** Ends the digest; a second call is a programmer error and throws. */
  finish(): ImageIs;
}

export function imageDigest(): ImageDigest {
  const hash = createHash('sha256');
  let len = 0;
  return {
    add(piece) {
      hash.update(piece);
      len += piece.length;
    },
    get len() {
      return len;
    },
    finish: () => ({ len, hash: hash.digest('hex') }),
  };
}

/** undefined when the bytes are the image; otherwise one sentence that says what differs, and in which field. */
export function difference(
  found: ImageIs,
  expected: ImageIs,
): { readonly field: 'len' | 'hash'; readonly message: string } | undefined {
  if (found.len !== expected.len) {
    return { field: 'len', message: `${found.len} bytes instead of ${expected.len}` };
  }
  if (found.hash !== expected.hash) {
    return { field: 'hash', message: `SHA-256 ${found.hash} instead of ${expected.hash}` };
  }
  return undefined;
}
