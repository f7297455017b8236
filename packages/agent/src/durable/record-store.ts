/**
 * The record's home: one preallocated file with two copies, 4 KiB apart, rewritten in place.
 *
 * Keeps true: at every moment one copy is whole, because the second is touched only after the first was flushed;
 * after `write` returned, the loss of either copy loses nothing (the newest record stands in both); a full disk
 * cannot prevent a write, because nothing is allocated. What all copies lost means is the agent's to decide.
 */
import type { DeviceState } from '../core/record.ts';
import { decodeRecord, encodeRecord, recordCopyBytes, type RecordCopy } from '../core/record-codec.ts';
import { DiskError, type Disk, type DiskFile } from '../ports/disk.ts';

const fileName = 'record';
const places = [0, recordCopyBytes] as const;

export interface RecordStore {
  /** The newest record; undefined when no copy is valid or the file is missing. Repairs a copy that is behind. */
  read(): Promise<{ readonly record: DeviceState; readonly repaired: boolean } | undefined>;
  /** Makes the record durable in both copies. Throws DiskError. */
  write(record: DeviceState): Promise<void>;
}

/** Creates the file at provisioning, with the first record. Throws DiskError when it exists. */
export async function createRecordFile(disk: Disk, folder: string, record: DeviceState): Promise<void> {
  const file = await disk.create(`${folder}/${fileName}`, places.length * recordCopyBytes);
  try {
    await writeCopies(file, { sequence: 1, record }, places);
  } finally {
    await file.close();
  }
  await disk.flushFolder(folder);
}

export function recordStore(disk: Disk, folder: string): RecordStore {
  const path = `${folder}/${fileName}`;
  /** Sequence of the newest copy seen or written; 0 before the first read. */
  let sequence = 0;
  /** The place that holds the newest copy for certain: the other one is written first. */
  let newest = 1;
  return {
    async read() {
      const file = await disk.open(path);
      if (file === undefined) return undefined;
      try {
        const copies = await readCopies(file);
        const [first, second] = copies;
        newest = first === undefined || (second !== undefined && second.sequence > first.sequence) ? 1 : 0;
        const held = copies[newest];
        if (held === undefined) return undefined;
        sequence = held.sequence;
        const other = copies[1 - newest];
        if (other?.sequence !== sequence) await writeCopies(file, held, [places[1 - newest] ?? 0]);
        return { record: held.record, repaired: other === undefined };
      } finally {
        await file.close();
      }
    },
    async write(record) {
      const file = (await disk.open(path)) ?? (await recreate(disk, folder, path));
      try {
        sequence += 1;
        const order = newest === 0 ? [1, 0] : [0, 1];
        for (const place of order) {
          await writeCopies(file, { sequence, record }, [places[place] ?? 0]);
          newest = place;
        }
      } finally {
        await file.close();
      }
    },
  };
}

/** Only after the file itself was lost: the record is rebuilt under `OTA_STATE_LOST`. */
async function recreate(disk: Disk, folder: string, path: string): Promise<DiskFile> {
  const file = await disk.create(path, places.length * recordCopyBytes);
  await disk.flushFolder(folder);
  return file;
}

async function readCopies(file: DiskFile): Promise<[RecordCopy | undefined, RecordCopy | undefined]> {
  return [await readCopy(file, 0), await readCopy(file, recordCopyBytes)];
}

/** A block that cannot be read is a lost copy, not the end: the other one may be whole (REQ-OTA-APPLY-07). */
async function readCopy(file: DiskFile, place: number): Promise<RecordCopy | undefined> {
  try {
    return decodeRecord(await file.read(place, recordCopyBytes));
  } catch (error) {
    if (error instanceof DiskError) return undefined;
    throw error;
  }
}

async function writeCopies(file: DiskFile, copy: RecordCopy, at: readonly number[]): Promise<void> {
  const block = encodeRecord(copy);
  for (const place of at) {
    await file.write(place, block);
    await file.flush();
  }
}
