/**
 * Sealed blocks: a JSON value with its checksum, in a block of fixed size - how the agent writes everything that it
 * rewrites in place (record copies, boot-file copies, log cells).
 *
 * Form: 64 hex digits (SHA-256 of the JSON), a newline, canonical JSON, zeros to the end of the block. Keeps true:
 * a block that was torn, rotted or never written opens as undefined, never as a wrong value. The checksum is against
 * accidents; who may write the medium may forge it.
 */
import { canonicalBytes, sha256Hex } from '@airlock/trust';

const checksumDigits = 64;
const headerBytes = checksumDigits + 1;

/** A block of `blockBytes`, or undefined when the value does not fit. Throws TypeError for what JSON cannot say. */
export function sealBlock(value: unknown, blockBytes: number): Uint8Array | undefined {
  const json = canonicalBytes(value);
  if (headerBytes + json.length > blockBytes) return undefined;
  const block = new Uint8Array(blockBytes);
  block.set(new TextEncoder().encode(`${sha256Hex(json)}\n`), 0);
  block.set(json, headerBytes);
  return block;
}

/** The value in a block; undefined when the block is damaged. The value is still to be parsed. */
export function openBlock(block: Uint8Array): unknown {
  if (block[checksumDigits] !== 0x0a) return undefined;
  const end = block.indexOf(0, headerBytes);
  const json = block.subarray(headerBytes, end < 0 ? block.length : end);
  const checksum = new TextDecoder('latin1').decode(block.subarray(0, checksumDigits));
  if (sha256Hex(json) !== checksum) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
