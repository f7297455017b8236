/**
 * The remaining ports of the server: clock, randomness, blobs, online keys.
 */
import type { KeysAndThreshold, Signer, UtcSeconds } from '@airlock/trust';
import type { Readable } from 'node:stream';

export interface Clock {
  now(): UtcSeconds;
}

export interface Blob {
  readonly length: number;
  /** Bytes `[start, end)`. */
  read(start: number, end: number): Readable;
}

/**
 * Image bytes by SHA-256. Immutable: once there, a blob is never replaced. `put` has flushed bytes and name to the
 * medium, and read the bytes back, when it resolves; a put that fails or is cut leaves nothing under the name.
 */
export interface BlobStore {
  /** Answers the length, or what was wrong: another hash, more than `bytesMax`. */
  put(sha256: string, bytes: AsyncIterable<Uint8Array>, bytesMax: number): Promise<BlobPut>;
  open(sha256: string): Promise<Blob | undefined>;
}

export type BlobPut =
  | { readonly kind: 'stored'; readonly length: number; readonly created: boolean }
  | { readonly kind: 'wrong-hash'; readonly sha256: string }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'no-space' };

/** The online keys, opened at start. Never answers a private key. */
export interface Keyring {
  /** As many signers as the threshold asks for, of the role's keys; undefined when too few are here. */
  signers(role: KeysAndThreshold): readonly Signer[] | undefined;
}
