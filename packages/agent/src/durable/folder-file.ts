/**
 * Small files that are replaced as a whole: temporary file, flush, rename, flush of the folder.
 *
 * Keeps true: after a crash the name holds the old bytes or the new ones, whole; after `replaceFile` returned, the
 * new ones. Left-over temporary files are removed by the next replacement.
 */
import { DiskError, type Disk } from '../ports/disk.ts';

/**
 * Makes durable whatever an earlier process of this boot left in the cache only: what is read from here on would
 * otherwise be built upon - a copy taken for whole, a result taken for logged - and be gone after a power cut.
 * A file that a worn medium cannot flush must not keep the agent from starting: it is left as it is.
 */
export async function settleFolder(disk: Disk, folder: string): Promise<void> {
  const settle = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  };
  for (const name of await disk.list(folder)) {
    await settle(async () => {
      const file = await disk.open(`${folder}/${name}`);
      try {
        await file?.flush();
      } finally {
        await file?.close();
      }
    });
  }
  await settle(() => disk.flushFolder(folder));
}

/** Throws DiskError. `folder/name` holds exactly `bytes` afterwards. */
export async function replaceFile(
  disk: Disk,
  folder: string,
  name: string,
  bytes: Uint8Array,
): Promise<void> {
  const temporary = `${folder}/${name}.new`;
  await disk.remove(temporary);
  const file = await disk.create(temporary, bytes.length);
  try {
    await file.write(0, bytes);
    // Before the rename: else the new name could stand for bytes that were never written.
    await file.flush();
  } finally {
    await file.close();
  }
  await disk.rename(temporary, `${folder}/${name}`);
  await disk.flushFolder(folder);
}

/** The whole file, or undefined when it is not there. Throws DiskError when it cannot be read or is too long. */
export async function readWhole(disk: Disk, path: string, bytesMax: number): Promise<Uint8Array | undefined> {
  const file = await disk.open(path);
  if (file === undefined) return undefined;
  try {
    if (file.sizeBytes > bytesMax)
      throw new DiskError('OTA_DISK_READ', path, `longer than ${bytesMax} bytes`);
    return (await file.read(0, file.sizeBytes)).slice();
  } finally {
    await file.close();
  }
}
