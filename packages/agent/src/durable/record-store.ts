/**
 * The record's home: for each format one preallocated file with two copies, 4 KiB apart, rewritten in place.
 *
 * Every write goes into every format, the oldest first, under one sequence number; the valid copy with the highest
 * one counts, of two equal ones the newer format's, which says more. Keeps true:
 * - at every moment one copy is whole, because the second is touched only after the first was flushed; after `write`
 *   returned, the loss of either copy loses nothing;
 * - an older agent, which sees the older files only, never reads less than this one: the oldest is written first;
 * - a record that a newer agent left is never taken for a later one than this agent's: the newer files, which this
 *   one does not know and cannot keep up, are blanked in place before its first write. So not even an older agent
 *   that lost its record and counts from 1 again is overruled by what stood before;
 * - a full disk cannot prevent a write: the file of a format is made at a start, and without it the others go on.
 * What all copies lost means is the agent's to decide; what a format cannot say, `core/record-formats.ts` says.
 */
import { formatNumber, recordFormats, type RecordFormat } from '../core/record-formats.ts';
import { recordCopyBytes, type RecordCopy } from '../core/record-codec.ts';
import type { DeviceState } from '../core/record.ts';
import { DiskError, type Disk, type DiskFile } from '../ports/disk.ts';

const places = [0, recordCopyBytes] as const;
const fileBytes = places.length * recordCopyBytes;

export interface HeldRecord {
  readonly record: DeviceState;
  /** Whether a copy was damaged. */
  readonly repaired: boolean;
  /** Why a file that was missing could not be made: the record goes on without that format. */
  readonly unmade: readonly string[];
}

export interface RecordStore {
  /** The newest record; undefined when no copy is valid. Repairs copies that are behind. Throws DiskError. */
  read(): Promise<HeldRecord | undefined>;
  /** Makes the record durable, in both copies of every format that has a file. Throws DiskError. */
  write(record: DeviceState): Promise<void>;
}

/** Creates the files at provisioning, with the first record. Throws DiskError when one exists. */
export async function createRecordFile(disk: Disk, folder: string, record: DeviceState): Promise<void> {
  for (const format of recordFormats) {
    const file = await disk.create(`${folder}/${format.file}`, fileBytes);
    try {
      await writeCopies(file, format.encode({ sequence: 1, record }), places);
    } finally {
      await file.close();
    }
    await disk.flushFolder(folder);
  }
}

/** The record that counts now. Writes nothing; throws DiskError when the folder cannot be used at all. */
export async function newestRecord(disk: Disk, folder: string): Promise<DeviceState | undefined> {
  return newestOf(await look(disk, folder))?.record;
}

export function recordStore(disk: Disk, folder: string): RecordStore {
  /** Sequence of the newest copy seen or written; 0 before the first read. */
  let sequence = 0;
  /** By format: the place that holds its newest copy for certain. The other one is written first. */
  const newestPlace = new Map<RecordFormat, number>();
  let newerBlanked = false;

  const put = async (file: DiskFile, format: RecordFormat, record: DeviceState): Promise<void> => {
    const block = format.encode({ sequence, record });
    for (const place of newestPlace.get(format) === 0 ? [1, 0] : [0, 1]) {
      await writeCopies(file, block, [places[place] ?? 0]);
      newestPlace.set(format, place);
    }
  };
  const make = async (format: RecordFormat, record: DeviceState): Promise<void> => {
    await withNewFile(disk, folder, format, async (file) => put(file, format, record));
  };
  return {
    async read() {
      const stands = await look(disk, folder);
      const newest = newestOf(stands);
      if (newest === undefined) return undefined;
      ({ sequence } = newest);
      const unmade: string[] = [];
      // The oldest first, here as well: power may be lost in between.
      for (const stand of stands) {
        newestPlace.set(stand.format, stand.newest);
        if (stand.missing) {
          const fault = await reasonOf(() => make(stand.format, newest.record));
          if (fault !== undefined) unmade.push(`${stand.format.schema}: ${fault}`);
        } else {
          // One block that takes no write any more must not keep the device from starting: the other copy is whole.
          const fault = await reasonOf(() => repair(disk, folder, stand, newest));
          if (fault !== undefined) unmade.push(`${stand.format.schema}: ${fault}`);
        }
      }
      return { record: newest.record, repaired: stands.some(({ damaged }) => damaged), unmade };
    },
    async write(record) {
      if (!newerBlanked) await blankNewer(disk, folder);
      newerBlanked = true;
      // Nothing was read: the record is rebuilt under `OTA_STATE_LOST`, its files as well.
      const rebuilding = sequence === 0;
      sequence += 1;
      let written = 0;
      for (const format of recordFormats) {
        if (await withFile(disk, folder, format, (file) => put(file, format, record))) written += 1;
        else if (rebuilding && (await reasonOf(() => make(format, record))) === undefined) written += 1;
      }
      if (written === 0) await make(recordFormats[0], record);
    },
  };
}

/** What stands in the file of one format. */
interface Stand {
  readonly format: RecordFormat;
  /** No file, or one that power loss left too short. */
  readonly missing: boolean;
  readonly copies: readonly [RecordCopy | undefined, RecordCopy | undefined];
  /** The place of the newest copy. */
  readonly newest: number;
  readonly damaged: boolean;
}

/** All formats, in the order of the table; nothing is written. */
async function look(disk: Disk, folder: string): Promise<readonly Stand[]> {
  const stands: Stand[] = [];
  for (const format of recordFormats.toReversed()) {
    stands.unshift(await lookAt(disk, folder, format, newestOf(stands)));
  }
  return stands;
}

async function lookAt(
  disk: Disk,
  folder: string,
  format: RecordFormat,
  newer: RecordCopy | undefined,
): Promise<Stand> {
  const blocks: (Uint8Array | undefined)[] = [];
  const there = await withFile(disk, folder, format, async (file) => {
    for (const place of places) blocks.push(await readBlock(file, place));
  });
  const [first, second] = blocks.map((block) => decode(format, block, newer));
  const bad = blocks.filter((_block, place) => (place === 0 ? first : second) === undefined);
  const isOldest = format === recordFormats[0];
  return {
    format,
    missing: !there,
    copies: [first, second],
    newest: first === undefined || (second !== undefined && second.sequence > first.sequence) ? 1 : 0,
    // A newer format's file is blank until its first write, and after an older agent's: then it lost nothing.
    damaged: isOldest ? !there || bad.length > 0 : bad.some((block) => !isBlank(block)),
  };
}

/**
 * Only a copy numbered one above what the newer format holds is completed from it: that is what a cut between the two
 * leaves. Anything further apart is an older agent's work, and what it could not say is no longer true.
 */
function decode(
  format: RecordFormat,
  block: Uint8Array | undefined,
  newer: RecordCopy | undefined,
): RecordCopy | undefined {
  if (block === undefined) return undefined;
  const copy = format.decode(block);
  if (newer === undefined || copy?.sequence !== newer.sequence + 1) return copy;
  return format.decode(block, newer.record);
}

/** Of equal sequences the newest format's: it says more. */
function newestOf(stands: readonly Stand[]): RecordCopy | undefined {
  let newest: RecordCopy | undefined;
  for (const { copies } of stands.toReversed()) {
    for (const copy of copies) {
      if (copy !== undefined && (newest === undefined || copy.sequence > newest.sequence)) newest = copy;
    }
  }
  return newest;
}

async function repair(disk: Disk, folder: string, stand: Stand, newest: RecordCopy): Promise<void> {
  const { format, copies } = stand;
  const order = stand.newest === 0 ? ([1, 0] as const) : ([0, 1] as const);
  const behind = order.filter((place) => copies[place]?.sequence !== newest.sequence);
  if (behind.length === 0) return;
  const block = format.encode(newest);
  const at = behind.map((place) => places[place]);
  await withFile(disk, folder, format, (file) => writeCopies(file, block, at));
}

/**
 * Blanks the files of formats that are newer than this agent: it cannot keep them up, and what they say is about to be
 * no longer true. In place, so that the newer agent finds its blocks allocated when it comes back. A file that cannot
 * be blanked does not keep this agent from ending its attempt: its number is then below that of the next write.
 */
async function blankNewer(disk: Disk, folder: string): Promise<void> {
  const known = formatNumber(recordFormats.at(-1)?.file ?? '') ?? 0;
  await reasonOf(async () => {
    const newer = (await disk.list(folder)).filter((name) => (formatNumber(name) ?? 0) > known);
    for (const name of newer) await reasonOf(() => blank(disk, `${folder}/${name}`));
  });
}

async function blank(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path);
  if (file === undefined) return;
  try {
    let blanked = 0;
    for (let at = 0; at < file.sizeBytes; at += recordCopyBytes) {
      const length = Math.min(recordCopyBytes, file.sizeBytes - at);
      // A block that cannot be read is written all the same.
      const held = await readBlock(file, at, length);
      if (isBlank(held)) continue;
      await file.write(at, new Uint8Array(length));
      blanked += 1;
    }
    if (blanked > 0) await file.flush();
  } finally {
    await file.close();
  }
}

/** False when there is no file of the right size. */
async function withFile(
  disk: Disk,
  folder: string,
  format: RecordFormat,
  work: (file: DiskFile) => Promise<void>,
): Promise<boolean> {
  const file = await disk.open(`${folder}/${format.file}`);
  if (file === undefined) return false;
  try {
    if (file.sizeBytes < fileBytes) return false;
    await work(file);
    return true;
  } finally {
    await file.close();
  }
}

async function withNewFile(
  disk: Disk,
  folder: string,
  format: RecordFormat,
  work: (file: DiskFile) => Promise<void>,
): Promise<void> {
  const path = `${folder}/${format.file}`;
  // One that is too short: power was lost while it was made.
  await disk.remove(path);
  const file = await disk.create(path, fileBytes);
  try {
    await disk.flushFolder(folder);
    await work(file);
  } finally {
    await file.close();
  }
}

/** A hiccup of the medium must not cost the record; a block that is bad says so each time, within a second or so. */
const readTriesMax = 3;

/** A block that cannot be read is a lost copy, not the end: the other one may be whole (REQ-OTA-APPLY-07). */
async function readBlock(
  file: DiskFile,
  place: number,
  length: number = recordCopyBytes,
): Promise<Uint8Array | undefined> {
  for (let tries = 0; tries < readTriesMax; tries += 1) {
    try {
      return await file.read(place, length);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }
  return undefined;
}

function isBlank(block: Uint8Array | undefined): boolean {
  return block?.every((byte) => byte === 0) === true;
}

async function writeCopies(file: DiskFile, block: Uint8Array, at: readonly number[]): Promise<void> {
  for (const place of at) {
    await file.write(place, block);
    await file.flush();
  }
}

/** Why the medium refused; undefined when it did not. */
async function reasonOf(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof DiskError) return error.message;
    throw error;
  }
}
