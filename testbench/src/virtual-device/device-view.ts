/**
 * Reads a device's log and record from its state folder, as a service technician with the disk in hand would.
 *
 * Its own small reader of sealed blocks (docs/formats.md), not the agent's: what a test believes about a device must
 * not come out of the code under test. Sees what is durable only. A block that is torn or empty reads as nothing.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptState, LogEntry } from '@airlock/protocol';
import type { GroupLetter } from '@airlock/trust';

const blockBytes = 4096;
const checksumDigits = 64;

/** What tests ask of the record. */
export interface RecordView {
  readonly state: AttemptState;
  readonly confirmed: { readonly group: GroupLetter; readonly version: number };
  readonly floor: number;
  readonly attempt?: { readonly id: string; readonly group: GroupLetter; readonly version: number };
}

/** Follows one device's log from the beginning; `entries` grows with each look. */
export class LogReader {
  readonly entries: LogEntry[] = [];
  readonly #file: string;

  constructor(stateFolder: string) {
    this.#file = join(stateFolder, 'log');
  }

  /** Reads what was added since the last look; answers all entries, oldest first. */
  look(): readonly LogEntry[] {
    for (const entry of logEntriesFrom(this.#file, this.entries.length + 1)) this.entries.push(entry);
    return this.entries;
  }

  /** An entry as it stands on the disk now; undefined when it was overwritten, or is gone. */
  again(sequence: number): LogEntry | undefined {
    return logEntriesFrom(this.#file, sequence).next().value ?? undefined;
  }
}

/** Entries from a sequence number on, up to the first that is not there. An entry's cell: its number in the ring. */
function* logEntriesFrom(file: string, first: number): Generator<LogEntry, undefined> {
  if (!existsSync(file)) return undefined;
  const descriptor = openSync(file, 'r');
  try {
    const places = Math.floor(fstatSync(descriptor).size / blockBytes);
    const block = Buffer.alloc(blockBytes);
    for (let sequence = first; ; sequence += 1) {
      if (readSync(descriptor, block, 0, blockBytes, (sequence % places) * blockBytes) < blockBytes)
        return undefined;
      const value = openSealed(block) as { entry?: LogEntry } | undefined;
      if (value?.entry?.sequence !== sequence) return undefined;
      yield value.entry;
    }
  } finally {
    closeSync(descriptor);
  }
}

/** The newest copy of the record; undefined when none can be read just now. */
export function readRecord(stateFolder: string): RecordView | undefined {
  const copies: { sequence: number; record: RecordView }[] = [];
  for (const block of blocksOf(join(stateFolder, 'record'))) {
    const value = openSealed(block) as { sequence: number; record: RecordView } | undefined;
    if (value !== undefined) copies.push(value);
  }
  return copies.toSorted((a, b) => b.sequence - a.sequence)[0]?.record;
}

function* blocksOf(file: string): Generator<Buffer> {
  if (!existsSync(file)) return;
  const descriptor = openSync(file, 'r');
  try {
    const block = Buffer.alloc(blockBytes);
    for (let at = 0; ; at += 1) {
      if (readSync(descriptor, block, 0, blockBytes, at * blockBytes) < blockBytes) return;
      yield block;
    }
  } finally {
    closeSync(descriptor);
  }
}

function openSealed(block: Buffer): unknown {
  if (block[checksumDigits] !== 0x0a) return undefined;
  const end = block.indexOf(0, checksumDigits);
  const json = block.subarray(checksumDigits + 1, end < 0 ? blockBytes : end);
  const checksum = createHash('sha256').update(json).digest('hex');
  if (block.toString('latin1', 0, checksumDigits) !== checksum) return undefined;
  return JSON.parse(json.toString('utf8'));
}
