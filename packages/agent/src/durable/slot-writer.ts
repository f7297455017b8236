/**
 * One image into one slot, and the proof that it is there.
 *
 * Keeps true: nothing is written at or past the slot's size, nor past the length that the manifest gives; memory is
 * two pieces, whatever the image's length; hashing one piece overlaps with writing the one before; the proof reads
 * the medium, not a cache. It knows nothing of groups: that the slot may be written is the machine's to know.
 */
import { difference, imageDigest, type ImageIs } from '@airlock/image';
import { fail, ok, type Result } from '@airlock/trust';
import { DiskError, type Disk, type DiskFile } from '../ports/disk.ts';

/** What a slot shall hold, as the manifest says it. */
export interface ImageTarget extends ImageIs {
  /** Path of the slot: file or block device. */
  readonly path: string;
}

/** How a slot is written: bytes of one write, and of all writes between two flushes (see `AgentTuning`). */
export interface WriteSizes {
  readonly pieceBytes: number;
  readonly flushBytes: number;
}

/**
 * Streams `source` into the slot, in aligned pieces, and flushes it. The bytes' own hash is compared as well, so that
 * a bad download is told apart from a bad medium. Codes: OTA_FAIL_HASH, OTA_FAIL_WRITE. What `source` throws passes.
 */
export async function writeSlot(
  disk: Disk,
  target: ImageTarget,
  source: AsyncIterable<Uint8Array>,
  sizes: WriteSizes,
): Promise<Result<undefined>> {
  return withSlot(disk, target, 'OTA_FAIL_WRITE', async (file) => {
    const writer = pieceWriter(file, sizes);
    let received = 0;
    for await (const bytes of source) {
      received += bytes.length;
      if (received > target.len) {
        await writer.stop();
        return fail('OTA_FAIL_HASH', `more than ${target.len} bytes came for ${target.path}`, 'len');
      }
      await writer.add(bytes);
    }
    const came = await writer.finish();
    await file.flush();
    const differs = difference(came, target);
    return differs === undefined
      ? ok(undefined)
      : fail('OTA_FAIL_HASH', `what came for ${target.path}: ${differs.message}`, differs.field);
  });
}

/** Reads the image back from the medium and compares its hash. Code: OTA_FAIL_READBACK. */
export async function proveSlot(disk: Disk, target: ImageTarget): Promise<Result<undefined>> {
  return withSlot(disk, target, 'OTA_FAIL_READBACK', async (file) => {
    const digest = imageDigest();
    for await (const piece of file.readMedium(0, target.len)) digest.add(piece);
    const differs = difference(digest.finish(), target);
    return differs === undefined
      ? ok(undefined)
      : fail('OTA_FAIL_READBACK', `${target.path} holds another image: ${differs.message}`, differs.field);
  });
}

async function withSlot(
  disk: Disk,
  target: ImageTarget,
  code: 'OTA_FAIL_WRITE' | 'OTA_FAIL_READBACK',
  work: (file: DiskFile) => Promise<Result<undefined>>,
): Promise<Result<undefined>> {
  let file: DiskFile | undefined;
  try {
    // Opened once and kept to the last flush: an error of the medium is told to one descriptor only.
    file = await disk.open(target.path);
    if (file === undefined) return fail(code, `${target.path} is missing`);
    if (target.len > file.sizeBytes)
      return fail(code, `${target.path} has only ${file.sizeBytes} bytes`, 'len');
    return await work(file);
  } catch (error) {
    if (error instanceof DiskError) return fail(code, `${error.code}: ${error.message}`);
    throw error;
  } finally {
    await file?.close();
  }
}

async function writeAndFlush(file: DiskFile, position: number, piece: Uint8Array): Promise<void> {
  await file.write(position, piece);
  await file.flush();
}

/** Two buffers in turn: while one is written, the other fills and is hashed. */
function pieceWriter(file: DiskFile, { pieceBytes, flushBytes }: WriteSizes) {
  const digest = imageDigest();
  let filling = new Uint8Array(pieceBytes);
  let resting = new Uint8Array(pieceBytes);
  let filled = 0;
  let position = 0;
  let unflushed = 0;
  let writing: Promise<void> = Promise.resolve();
  const send = async (): Promise<void> => {
    const piece = filling.subarray(0, filled);
    await writing;
    unflushed += filled;
    const flushNow = unflushed >= flushBytes;
    if (flushNow) unflushed = 0;
    writing = flushNow ? writeAndFlush(file, position, piece) : file.write(position, piece);
    // The rejection is seen by the next await; until then it must not count as unhandled.
    writing.catch(() => undefined);
    digest.add(piece);
    position += filled;
    [filling, resting] = [resting, filling];
    filled = 0;
  };
  return {
    async add(bytes: Uint8Array): Promise<void> {
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.subarray(at, at + pieceBytes - filled);
        filling.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === pieceBytes) await send();
      }
    },
    /** Waits for the write under way, so that the descriptor is not closed under it. */
    stop: () => writing,
    async finish(): Promise<ImageIs> {
      if (filled > 0) await send();
      await writing;
      return digest.finish();
    },
  };
}
