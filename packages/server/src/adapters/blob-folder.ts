/**
 * Blobs in a folder: `<first two digits>/<sha256>`, written beside and renamed once they are complete and proven.
 *
 * Keeps true: a name stands for exactly the bytes of its hash, flushed, read back, and never replaced; a cut or failed
 * upload leaves nothing but a temporary file, which the next start removes.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { difference, imageDigest, type ImageIs } from '@airlock/image';
import type { BlobPut, BlobStore } from '../ports/platform.ts';
import { flushFolder, hasCode } from './files.ts';

/** Bytes read at once when an image is sent: few turns of the event loop, little memory. */
const pieceBytes = 1024 * 1024;

export async function openBlobFolder(folder: string): Promise<BlobStore> {
  const temporary = path.join(folder, 'incoming');
  await mkdir(temporary, { recursive: true });
  // What a killed upload left; nobody was told that it was stored.
  for (const name of await readdir(temporary)) await rm(path.join(temporary, name), { force: true });
  await flushFolder(path.dirname(folder));
  await flushFolder(folder);
  const pathOf = (sha256: string) => path.join(folder, sha256.slice(0, 2), sha256);
  return {
    async put(sha256, bytes, bytesMax) {
      const incoming = path.join(temporary, randomUUID());
      try {
        const length = await receive(incoming, sha256, bytes, bytesMax);
        if (typeof length !== 'number') return length;
        const final = pathOf(sha256);
        if (await isThere(final)) return { kind: 'stored', length, created: false };
        await mkdir(path.dirname(final), { recursive: true });
        await rename(incoming, final);
        await flushFolder(path.dirname(final));
        await flushFolder(folder);
        return { kind: 'stored', length, created: true };
      } catch (error) {
        if (hasCode(error, 'ENOSPC') || hasCode(error, 'EDQUOT')) return { kind: 'no-space' };
        throw error;
      } finally {
        await rm(incoming, { force: true });
      }
    },
    async open(sha256) {
      const file = pathOf(sha256);
      if (!(await isThere(file))) return undefined;
      const { size } = await stat(file);
      return {
        length: size,
        read: (start, end) => createReadStream(file, { start, end: end - 1, highWaterMark: pieceBytes }),
      };
    },
  };
}

async function isThere(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Writes, hashes, flushes and reads back; answers the length, or what was wrong. */
async function receive(
  file: string,
  sha256: string,
  bytes: AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<number | BlobPut> {
  const handle = await open(file, 'wx', 0o600);
  try {
    const digest = imageDigest();
    for await (const piece of bytes) {
      digest.add(piece);
      if (digest.len > bytesMax) return { kind: 'too-large' };
      await writeAll(handle, piece);
    }
    const sent = digest.finish();
    if (sent.len === 0) return { kind: 'empty' };
    if (sent.hash !== sha256) return { kind: 'wrong-hash', sha256: sent.hash };
    await handle.sync();
    const stored = await readBack(file);
    if (difference(stored, sent) !== undefined) {
      throw new Error('the disk gave back other bytes than were written');
    }
    return sent.len;
  } finally {
    await handle.close();
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let at = 0;
  while (at < bytes.length) at += (await handle.write(bytes, at)).bytesWritten;
}

async function readBack(file: string): Promise<ImageIs> {
  const digest = imageDigest();
  const pieces: AsyncIterable<Uint8Array> = createReadStream(file, { highWaterMark: pieceBytes });
  for await (const piece of pieces) digest.add(piece);
  return digest.finish();
}
