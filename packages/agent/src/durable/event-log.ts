/**
 * The event log: a preallocated ring of cells, each entry chained by hash to the one before (REQ-OTA-LOG-01, -03).
 *
 * Keeps true: an entry is durable when `append` returns; a torn last cell is as if it was never appended; the chain
 * never restarts while one cell is whole; entries that the ring overwrites before the server has them are announced
 * by an `OTA_LOG_GAP` entry, which the next signed head covers. The upload cursor rides in the cells, so that an
 * upload writes nothing. Signing heads and talking to the server are the reporter's.
 */
import type { LogEntry, WrittenCode } from '@airlock/protocol';
import { boundReason } from '../core/record.ts';
import { DiskError, type Disk, type DiskFile } from '../ports/disk.ts';
import {
  decodeLogCell,
  encodeLogCell,
  entrySha256,
  firstPrevious,
  logCellBytes,
  type LogCell,
} from './log-cell.ts';

const fileName = 'log';
/** Cells read at once while recovering: 256 KiB. */
const cellsPerRead = 64;

/** What the caller says of an event; the log adds sequence and chain. */
export type LogEvent = Omit<LogEntry, 'schema' | 'sequence' | 'previous'>;

export interface EventLog {
  /** Newest entry; sequence 0 and 64 zeros when there is none. */
  head(): { readonly sequence: number; readonly sha256: string };
  /** Durable when it returns. Throws DiskError; the entry then counts as not appended. */
  append(event: LogEvent): Promise<void>;
  /** Whether a result of this attempt is in the log. */
  hasResult(attempt: string): boolean;
  /** Hash of an entry that is in the ring. Throws RangeError for another one. */
  sha256Of(sequence: number): string;
  /** Whether the newest entry has this code and a reason that begins so. */
  newestIs(code: WrittenCode, reasonBegins: string): boolean;
  /** Entries after `sequence`, oldest first, one unbroken chain, at most so many; what cannot be read is left out. */
  after(sequence: number, entriesMax: number): Promise<readonly LogEntry[]>;
  /** Whether the whole file was missing or damaged when it was opened: what it held is lost. */
  readonly begunAnew: boolean;
  /** Highest sequence known to be at the server. */
  uploaded(): number;
  /** Remembers it; durable with the next entry. A server that lost entries may set it back. */
  setUploaded(sequence: number): void;
  /** Closes the file; nothing may be asked of the log afterwards. Never throws: what is durable is so already. */
  close(): Promise<void>;
}

/** The fact by which an entry is a result; exactly one such entry per attempt. */
export function isResult(entry: Pick<LogEntry, 'attempt' | 'facts'>): boolean {
  return entry.attempt !== undefined && entry.facts?.['result'] === true;
}

/** Creates the file at provisioning. Throws DiskError when it exists. */
export async function createLogFile(disk: Disk, folder: string, cells: number): Promise<void> {
  const file = await disk.create(`${folder}/${fileName}`, cells * logCellBytes);
  await file.close();
  await disk.flushFolder(folder);
}

/** Opens and recovers the log; creates it when it is missing or too short to be one. Throws DiskError. */
export async function openEventLog(disk: Disk, folder: string, cells: number): Promise<EventLog> {
  const path = `${folder}/${fileName}`;
  let file = await disk.open(path);
  // Provisioning makes it: a missing one is lost, never new. One that is too short was cut off while it was made anew.
  const tooShort = file !== undefined && file.sizeBytes < 2 * logCellBytes;
  const missing = file === undefined || tooShort;
  if (tooShort) {
    await closeQuietly(file);
    await disk.remove(path);
    file = undefined;
  }
  if (file === undefined) {
    await createLogFile(disk, folder, cells);
    file = await disk.open(path);
  }
  if (file === undefined) throw new DiskError('OTA_DISK_READ', path, 'the log cannot be opened');
  const places = Math.floor(file.sizeBytes / logCellBytes);
  try {
    const recovered = await readCells(file, places);
    return ringLog(file, places, { ...recovered, begunAnew: missing || recovered.begunAnew });
  } catch (error) {
    await closeQuietly(file);
    throw error;
  }
}

/** Not left to the garbage collector, which ends the process with an error of its own at a moment of its choice. */
async function closeQuietly(file: DiskFile | undefined): Promise<void> {
  await file?.close().catch((error: unknown) => {
    if (!(error instanceof DiskError)) throw error;
  });
}

/** What is remembered of an entry; its text stays on the disk, but for this much of it. */
const beginsCharsMax = 80;

interface Known {
  readonly sequence: number;
  readonly sha256: string;
  readonly code: WrittenCode;
  /** Its first words: enough to know a telling again. */
  readonly begins: string;
  readonly result?: string;
}

interface Recovered {
  /** The unbroken chain up to the newest entry, oldest first. */
  readonly known: readonly Known[];
  readonly uploaded: number;
  /**
   * Attempts whose result stands in any whole cell: one that the chain no longer reaches was told all the same, and
   * must not be told twice.
   */
  readonly told: ReadonlySet<string>;
  /** First and last sequence that the chain lacks although a younger entry is there. */
  readonly brokenBefore: number | undefined;
  readonly begunAnew: boolean;
}

/** One damaged cell in an empty log is a first entry that was torn; more are a log that is lost. */
const tornCellsMax = 1;

async function readCells(file: DiskFile, places: number): Promise<Recovered> {
  const bySequence = new Map<number, LogCell>();
  let damaged = 0;
  for (let place = 0; place < places; place += cellsPerRead) {
    const count = Math.min(cellsPerRead, places - place);
    const found = await readSome(file, place, count);
    for (const cell of found.cells) bySequence.set(cell.entry.sequence, cell);
    damaged += found.damaged;
  }
  let uploaded = 0;
  let newest: LogCell | undefined;
  for (const cell of bySequence.values()) {
    uploaded = Math.max(uploaded, cell.uploaded);
    if (newest === undefined || cell.entry.sequence > newest.entry.sequence) newest = cell;
  }
  const known: Known[] = [];
  for (let cell = newest; cell !== undefined; ) {
    known.push(knownOf(cell.entry));
    const before = bySequence.get(cell.entry.sequence - 1);
    cell = before !== undefined && entrySha256(before.entry) === cell.entry.previous ? before : undefined;
  }
  known.reverse();
  const oldest = known[0]?.sequence ?? 1;
  // Older cells that are whole but no longer chained: something between rotted, and that is worth an entry.
  const broken = bySequence.size > known.length && oldest > 1;
  const begunAnew = newest === undefined && damaged > tornCellsMax;
  const told = new Set(
    [...bySequence.values()].flatMap(({ entry }) => (isResult(entry) ? (entry.attempt ?? []) : [])),
  );
  return { known, uploaded, told, brokenBefore: broken ? oldest : undefined, begunAnew };
}

interface SomeCells {
  readonly cells: readonly LogCell[];
  /** Cells that hold something else than an entry, or cannot be read. */
  readonly damaged: number;
}

/** Cells of one stretch; a stretch that cannot be read at once is read cell by cell, and bad cells are lost. */
async function readSome(file: DiskFile, place: number, count: number): Promise<SomeCells> {
  const cells: LogCell[] = [];
  let damaged = 0;
  try {
    const bytes = await file.read(place * logCellBytes, count * logCellBytes);
    for (let index = 0; index < count; index += 1) {
      const block = bytes.subarray(index * logCellBytes, (index + 1) * logCellBytes);
      const cell = decodeLogCell(block);
      if (cell !== undefined) cells.push(cell);
      else if (block.some((byte) => byte !== 0)) damaged += 1;
    }
    return { cells, damaged };
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    if (count === 1) return { cells: [], damaged: 1 };
    for (let index = 0; index < count; index += 1) {
      const one = await readSome(file, place + index, 1);
      cells.push(...one.cells);
      damaged += one.damaged;
    }
    return { cells, damaged };
  }
}

function knownOf(entry: LogEntry): Known {
  const begins = entry.reason.slice(0, beginsCharsMax);
  const known = { sequence: entry.sequence, sha256: entrySha256(entry), code: entry.code, begins };
  return isResult(entry) && entry.attempt !== undefined ? { ...known, result: entry.attempt } : known;
}

function isToldBy(entry: Known | undefined, code: WrittenCode, reasonBegins: string): boolean {
  return entry?.code === code && entry.begins.startsWith(reasonBegins.slice(0, beginsCharsMax));
}

/** One entry after the other, each chained to the one before: an operator's act is logged while the agent logs its own. */
function oneByOne(append: (event: LogEvent) => Promise<void>): (event: LogEvent) => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return async (event) => {
    const before = last;
    const { promise, resolve } = Promise.withResolvers<void>();
    last = promise;
    await before;
    try {
      await append(event);
    } finally {
      resolve();
    }
  };
}

function ringLog(file: DiskFile, places: number, recovered: Recovered): EventLog {
  const known = [...recovered.known];
  let uploaded = recovered.uploaded;
  const { told } = recovered;
  let brokenBefore = recovered.brokenBefore;
  /** Entries that could not be read for an upload, not announced yet. */
  let unreadable: { readonly first: number; readonly last: number } | undefined;
  /** Up to here a gap was announced already. */
  let announced = 0;
  const head = () => {
    const newest = known.at(-1);
    return { sequence: newest?.sequence ?? 0, sha256: newest?.sha256 ?? firstPrevious };
  };
  const write = async (event: LogEvent): Promise<void> => {
    const { sequence, sha256 } = head();
    const entry: LogEntry = {
      schema: 'airlock-log-entry/1',
      sequence: sequence + 1,
      previous: sha256,
      ...event,
      reason: boundReason(event.reason),
    };
    await file.write((entry.sequence % places) * logCellBytes, encodeLogCell({ entry, uploaded }));
    await file.flush();
    known.push(knownOf(entry));
    if (known.length > places) known.shift();
  };
  const writeGap = async ({ time, bootId }: LogEvent, first: number, last: number): Promise<void> => {
    const reason = `entries ${first} to ${last} may be missing`;
    await write({ time, bootId, code: 'OTA_LOG_GAP', reason, facts: { first, last } });
  };
  const announceGap = async (event: LogEvent): Promise<void> => {
    if (unreadable !== undefined) {
      const { first, last } = unreadable;
      await writeGap(event, first, last);
      unreadable = undefined;
      announced = Math.max(announced, last);
    }
    const first = Math.max(uploaded, announced) + 1;
    // The entry about to be overwritten; with the gap entry itself, two of them.
    const lost = brokenBefore === undefined ? head().sequence + 2 - places : brokenBefore - 1;
    // A whole quarter of the ring at once, else every entry would need a gap entry of its own.
    const last = Math.max(lost, Math.min(lost + Math.floor(places / 4), head().sequence));
    // Announced is what was written: a write that fails is tried again with the next entry.
    if (lost >= first) await writeGap(event, first, last);
    brokenBefore = undefined;
    if (lost >= first) announced = last;
  };
  const append = oneByOne(async (event: LogEvent): Promise<void> => {
    await announceGap(event);
    await write(event);
  });
  return {
    head,
    begunAnew: recovered.begunAnew,
    append,
    hasResult: (attempt) => told.has(attempt) || known.some((entry) => entry.result === attempt),
    sha256Of: (sequence) => {
      const entry = known.find((one) => one.sequence === sequence);
      if (entry === undefined) throw new RangeError(`entry ${sequence} is not in the log`);
      return entry.sha256;
    },
    newestIs: (code, reasonBegins) => isToldBy(known.at(-1), code, reasonBegins),
    async after(sequence, entriesMax) {
      const entries: LogEntry[] = [];
      for (const { sequence: one } of known) {
        if (one <= sequence) continue;
        const [cell] = (await readSome(file, one % places, 1)).cells;
        if (cell?.entry.sequence === one) entries.push(cell.entry);
        // The next entry announces the gap; the others are not held up.
        else if (one > announced) unreadable = { first: unreadable?.first ?? one, last: one };
        // No gap within: what is sent at once is one chain.
        const ends = cell?.entry.sequence !== one && entries.length > 0;
        if (ends || entries.length === entriesMax) break;
      }
      return entries;
    },
    uploaded: () => uploaded,
    setUploaded: (sequence) => {
      uploaded = Math.min(sequence, head().sequence);
    },
    close: async () => await closeQuietly(file),
  };
}
