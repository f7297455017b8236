/**
 * The boot file: what a boot loader and the agent tell each other, as bytes.
 *
 * Two copies of at most 512 bytes, 4 KiB apart, each with a checksum and a sequence number: the valid copy with the
 * highest sequence counts. A writer always writes the other copy first, so that one sector write is one atomic step,
 * and then repeats it in the place of the older one, so that the loss of either copy brings nothing old back.
 * A copy is 64 hex digits (SHA-256 of what follows), a newline, canonical JSON, and zeros up to 512 bytes.
 * The codec is exported for boot loaders in TypeScript; how a boot loader chooses and counts is its own.
 */
import type { GroupLetter } from '@airlock/trust';
import { isObject, openBlock, sealBlock } from '../core/sealed.ts';
import type { BootControlState } from '../ports/boot-control.ts';

/** One sector: the unit that a disk writes whole or not at all. */
export const bootCopyBytes = 512;
/** Two copies in different 4 KiB blocks: a torn block never takes both. */
export const bootCopySpacingBytes = 4096;
/** Size of the preallocated file. */
export const bootFileBytes = 2 * bootCopySpacingBytes;
/** Larger than any count of tries or starts that makes sense. */
const leftMax = 1000;

export interface BootFile {
  readonly sequence: number;
  readonly state: BootControlState;
}

/** One copy's bytes. Throws RangeError when the state does not fit: a programmer's error. */
export function encodeBootCopy(file: BootFile): Uint8Array {
  const block = sealBlock(
    { schema: 'airlock-boot/1', sequence: file.sequence, ...file.state },
    bootCopyBytes,
  );
  if (block === undefined) throw new RangeError('boot file: state too long');
  return block;
}

/** Both copies in a whole file, as provisioning writes it. */
export function encodeBootFile(file: BootFile): Uint8Array {
  const bytes = new Uint8Array(bootFileBytes);
  bytes.set(encodeBootCopy(file), 0);
  bytes.set(encodeBootCopy(file), bootCopySpacingBytes);
  return bytes;
}

/** Reads a whole file. undefined when no copy is valid. `copies` says what stands in each place. */
export function decodeBootFile(
  bytes: Uint8Array,
): (BootFile & { readonly copies: readonly [BootFile | undefined, BootFile | undefined] }) | undefined {
  const first = decodeBootCopy(bytes.subarray(0, bootCopyBytes));
  const second = decodeBootCopy(bytes.subarray(bootCopySpacingBytes, bootCopySpacingBytes + bootCopyBytes));
  const newest =
    first === undefined || (second !== undefined && second.sequence > first.sequence) ? second : first;
  return newest === undefined ? undefined : { ...newest, copies: [first, second] };
}

/** Reads one copy; undefined when it is damaged or of an unknown schema. */
export function decodeBootCopy(bytes: Uint8Array): BootFile | undefined {
  return bytes.length === bootCopyBytes ? parseBootFile(openBlock(bytes)) : undefined;
}

function parseBootFile(value: unknown): BootFile | undefined {
  if (!isObject(value) || value['schema'] !== 'airlock-boot/1') return undefined;
  const { sequence, order, trial, left } = value;
  if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || sequence < 1) return undefined;
  if (!Array.isArray(order) || order.length > 2 || new Set(order).size !== order.length) return undefined;
  const groups: GroupLetter[] = [];
  for (const entry of order) {
    if (!isGroup(entry)) return undefined;
    groups.push(entry);
  }
  if (trial !== undefined && !isGroup(trial)) return undefined;
  const counts = parseLeft(left);
  if (counts === undefined) return undefined;
  return { sequence, state: { order: groups, ...(trial === undefined ? {} : { trial }), left: counts } };
}

function parseLeft(value: unknown): Partial<Record<GroupLetter, number>> | undefined {
  if (!isObject(value)) return undefined;
  const left: Partial<Record<GroupLetter, number>> = {};
  for (const [group, count] of Object.entries(value)) {
    if (!isGroup(group)) return undefined;
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > leftMax)
      return undefined;
    left[group] = count;
  }
  return left;
}

function isGroup(value: unknown): value is GroupLetter {
  return value === 'A' || value === 'B';
}
