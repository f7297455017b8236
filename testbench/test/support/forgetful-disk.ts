/**
 * A planted defect: the volatile disk with a device below it that answers a flush of the record and forgets the bytes.
 *
 * Same exports as the disk it stands in for. While the agent runs it sees its own writes, as it would through a cache;
 * at its end, orderly or not, the record is what it was before. Everything else is kept as it should be: a defect that
 * loses slots as well would be found by the agent's own read-back.
 */
import type { Disk, DiskFile } from '@airlock/agent';
import { diskErrorFrom, nodeDisk as volatileDisk } from '../../src/power-cut/replaced-node-disk.ts';

export { diskErrorFrom };

interface Held {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** What was written to the record in this process, oldest first. */
const held: Held[] = [];

export function nodeDisk(options: { readonly access?: 'write' | 'read' } = {}): Disk {
  const disk = volatileDisk(options);
  return {
    ...methodsOf(disk),
    open: async (path) => {
      const file = await disk.open(path);
      return file !== undefined && path.endsWith('/record') ? forgetful(file) : file;
    },
  };
}

function methodsOf(disk: Disk): Disk {
  return {
    open: async (path) => await disk.open(path),
    create: async (path, sizeBytes) => await disk.create(path, sizeBytes),
    rename: async (from, to) => await disk.rename(from, to),
    remove: async (path) => await disk.remove(path),
    flushFolder: async (path) => await disk.flushFolder(path),
    list: async (path) => await disk.list(path),
  };
}

function forgetful(file: DiskFile): DiskFile {
  return {
    sizeBytes: file.sizeBytes,
    read: async (position, length) => {
      const bytes = (await file.read(position, length)).slice();
      for (const write of held) overlay(bytes, position, write);
      return bytes;
    },
    write: async (position, bytes) => void held.push({ position, bytes: bytes.slice() }),
    flush: async () => undefined,
    readMedium: (position, length) => file.readMedium(position, length),
    close: async () => await file.close(),
  };
}

function overlay(bytes: Uint8Array, position: number, write: Held): void {
  const from = Math.max(position, write.position);
  const to = Math.min(position + bytes.length, write.position + write.bytes.length);
  if (from < to) bytes.set(write.bytes.subarray(from - write.position, to - write.position), from - position);
}
