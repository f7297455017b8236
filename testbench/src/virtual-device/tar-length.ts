/**
 * Finds where a tar archive ends inside a slot.
 *
 * A slot is longer than its image and holds older bytes behind it; only headers tell where the archive ends. Reads
 * 512 bytes per entry. Knows ustar sizes only (11 octal digits), which is all that `images.ts` writes.
 */
import type { FileHandle } from 'node:fs/promises';

const blockBytes = 512;
const sizeAt = 124;
const sizeDigits = 11;

/** Length in bytes up to the first empty header; undefined when the slot holds no archive that ends within it. */
export async function tarLengthIn(slot: FileHandle): Promise<number | undefined> {
  const { size } = await slot.stat();
  const header = Buffer.alloc(blockBytes);
  let at = 0;
  while (at + blockBytes <= size) {
    await slot.read(header, 0, blockBytes, at);
    if (header.every((byte) => byte === 0)) return at === 0 ? undefined : at;
    if (header.toString('latin1', 257, 262) !== 'ustar') return undefined;
    const length = Number.parseInt(header.toString('latin1', sizeAt, sizeAt + sizeDigits), 8);
    if (!Number.isSafeInteger(length)) return undefined;
    at += blockBytes + Math.ceil(length / blockBytes) * blockBytes;
  }
  return undefined;
}
