/**
 * Reading what the medium holds, not what the page cache remembers (REQ-OTA-MAN-05).
 *
 * First choice is O_DIRECT, which goes round the cache. Where the file system refuses it, the cache is flushed and
 * dropped (`dd iflag=nocache count=0`, which asks posix_fadvise and needs no privilege) and then read. Where the
 * bytes lie in memory anyway (tmpfs, ramfs, RAM disks) nothing would be proven, and it says so.
 * Memory is constant: two buffers of 1 MiB, one being read while the consumer works on the other.
 * It never writes; it leaves the comparison with a hash to its caller.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open, readlink, statfs } from 'node:fs/promises';
import { DiskError } from '../ports/disk.ts';

interface MediumRead {
  /** For messages only; the bytes come from `handle`'s file, whatever its name is by now. */
  readonly path: string;
  readonly handle: FileHandle;
  readonly position: number;
  readonly length: number;
}

/** One read is this long: long enough that calls cost nothing, short enough for small devices. */
const pieceBytes = 1 << 20;
/** O_DIRECT wants positions and lengths in the medium's blocks: 4096 is a multiple of every block size in use. */
const blockBytes = 4096;
/** JavaScript cannot see a buffer's address; some offset within one page is aligned. */
const alignmentBytesMax = 4096;
/** malloc aligns to 16 bytes, so an aligned address is a multiple of 16 bytes away. */
const alignmentStepBytes = 16;
/** dd drops the cache in milliseconds; a hung one must not hang the agent. */
const dropSecondsMax = 60;

/** statfs types of file systems that keep bytes in memory only. */
const memoryFileSystems: ReadonlySet<number> = new Set([0x01021994 /* tmpfs */, 0x858458f6 /* ramfs */]);

/** Streams a range from the medium. Errors: `OTA_READBACK_UNPROVEN`; or what the system answers. */
export async function* readMedium(read: MediumRead): AsyncGenerator<Uint8Array> {
  await refuseMemory(read);
  const direct = await openDirect(read.handle);
  try {
    if (direct !== undefined) {
      const pair = await takeBuffers(direct);
      if (pair !== undefined) {
        try {
          yield* readOverlapped(direct, read, pair);
          return;
        } finally {
          idlePairs.push(pair);
        }
      }
    }
  } finally {
    await direct?.close();
  }
  yield* readDropped(read);
}

/** Flushes, drops the cache and reads: for file systems without O_DIRECT. */
export async function* readDropped(read: MediumRead): AsyncGenerator<Uint8Array> {
  await read.handle.sync();
  await dropCache(read);
  yield* readOverlapped(read.handle, read, [newBuffer(), newBuffer()]);
}

async function refuseMemory({ path, handle }: MediumRead): Promise<void> {
  const name = `/proc/self/fd/${handle.fd}`;
  const facts = await handle.stat({ bigint: true });
  if (facts.isBlockDevice()) {
    // A device node itself lies on a memory file system; its bytes lie where sysfs says.
    const major = ((facts.rdev >> 8n) & 0xfffn) | ((facts.rdev >> 32n) & 0xfffff000n);
    const minor = (facts.rdev & 0xffn) | ((facts.rdev >> 12n) & 0xffffff00n);
    const place = await readlink(`/sys/dev/block/${major}:${minor}`);
    if (/\/block\/z?ram\d+(\/|$)/.test(place)) throw unproven(path, 'a RAM disk');
    return;
  }
  const { type } = await statfs(name);
  if (memoryFileSystems.has(type)) throw unproven(path, 'a file system in memory (tmpfs)');
}

function unproven(path: string, place: string): DiskError {
  return new DiskError(
    'OTA_READBACK_UNPROVEN',
    path,
    `${path} lies on ${place}: reading back proves nothing there`,
  );
}

/** A second descriptor of the same file that goes round the cache; undefined where the file system refuses. */
async function openDirect(handle: FileHandle): Promise<FileHandle | undefined> {
  try {
    return await open(`/proc/self/fd/${handle.fd}`, constants.O_RDONLY | constants.O_DIRECT);
  } catch (error) {
    if (isInvalid(error)) return undefined;
    throw error;
  }
}

function isInvalid(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EINVAL' || error.code === 'ENOTSUP');
}

/** A buffer with room to shift its start until its address suits the device. */
interface Buffer1M {
  readonly memory: Uint8Array;
  offset: number;
}
type BufferPair = readonly [Buffer1M, Buffer1M];

/** Buffers are kept for the next read-back: array buffers do not move, so what probing found stays found. */
const idlePairs: BufferPair[] = [];

function newBuffer(): Buffer1M {
  return { memory: new Uint8Array(new ArrayBuffer(pieceBytes + 2 * alignmentBytesMax)), offset: 0 };
}

/** Two buffers from which `direct` reads; undefined when no offset works. */
async function takeBuffers(direct: FileHandle): Promise<BufferPair | undefined> {
  const pair = idlePairs.pop() ?? [newBuffer(), newBuffer()];
  for (const buffer of pair) {
    const found = await probe(direct, buffer);
    if (found === undefined) {
      idlePairs.push(pair);
      return undefined;
    }
    buffer.offset = found;
  }
  return pair;
}

/** The first offset, from the remembered one on, at which a direct read is not answered with EINVAL. */
async function probe(direct: FileHandle, buffer: Buffer1M): Promise<number | undefined> {
  for (let step = 0; step <= alignmentBytesMax; step += alignmentStepBytes) {
    const offset = (buffer.offset + step) % (alignmentBytesMax + alignmentStepBytes);
    try {
      await direct.read(buffer.memory, offset, blockBytes, 0);
      return offset;
    } catch (error) {
      if (!isInvalid(error)) throw error;
    }
  }
  return undefined;
}

/** Reads pieces in turn into two buffers: while the consumer hashes one, the kernel fills the other. */
async function* readOverlapped(
  handle: FileHandle,
  { path, position, length }: MediumRead,
  pair: BufferPair,
): AsyncGenerator<Uint8Array> {
  const end = position + length;
  const first = position - (position % blockBytes);
  const begin = async (start: number, buffer: Buffer1M): Promise<Uint8Array> =>
    await fill(handle, path, { start, end, skip: Math.max(0, position - start) }, buffer);
  if (length === 0) return;
  let pending = begin(first, pair[0]);
  try {
    for (let start = first, turn = 1; start < end; start += pieceBytes, turn += 1) {
      const piece = await pending;
      const next = start + pieceBytes;
      if (next < end) {
        pending = begin(next, turn % 2 === 0 ? pair[0] : pair[1]);
        // The consumer may fail first; the read's own error then must not count as unhandled.
        pending.catch(() => undefined);
      }
      yield piece;
    }
  } finally {
    // The kernel may still be writing into the buffer: it may not be reused before.
    await pending.catch(() => undefined);
  }
}

/** One piece: from `start` (a multiple of the block) up to `end` or the buffer's length, less the first `skip` bytes. */
async function fill(
  handle: FileHandle,
  path: string,
  { start, end, skip }: { start: number; end: number; skip: number },
  { memory, offset }: Buffer1M,
): Promise<Uint8Array> {
  const wanted = Math.min(pieceBytes, end - start);
  // Direct reads are whole blocks; at the end of a file they just come back shorter.
  const asked = Math.min(pieceBytes, Math.ceil(wanted / blockBytes) * blockBytes);
  let done = 0;
  while (done < wanted) {
    const { bytesRead } = await handle.read(memory, offset + done, asked - done, start + done);
    if (bytesRead === 0) {
      throw new DiskError('OTA_DISK_READ', path, `${path} ends at ${start + done}, expected ${end} bytes`);
    }
    done += bytesRead;
  }
  return memory.subarray(offset + skip, offset + wanted);
}

/** Drops the file's clean pages from the page cache. Errors when dd is missing, fails or hangs: then nothing is proven. */
async function dropCache({ path, handle }: MediumRead): Promise<void> {
  const child = spawn('dd', ['iflag=nocache', 'count=0', 'status=none'], {
    stdio: [handle.fd, 'ignore', 'ignore'],
    timeout: dropSecondsMax * 1000,
    killSignal: 'SIGKILL',
  });
  const dropped = await new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
  if (!dropped) throw unproven(path, 'a file system without O_DIRECT, and `dd iflag=nocache` failed');
}
