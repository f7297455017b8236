/**
 * Reads a device's log and record from its state folder, as a service technician with the disk in hand would.
 *
 * Its own small reader of sealed blocks (docs/formats.md), not the agent's: what a test believes about a device must
 * not come out of the code under test. Sees what is durable only. A block that is torn or empty reads as nothing.
 */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
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
}

/** Follows one device's log from the beginning; `entries` grows with each look. */
export class LogReader {
  readonly entries: LogEntry[] = [];
  readonly #file: string;
  /** Cell of the next entry: an entry stands at its sequence number, and the first one is number 1. */
  #next = 1;

  constructor(stateFolder: string) {
    this.#file = join(stateFolder, 'log');
  }

  /** Reads what was added since the last look; answers all entries, oldest first. */
  look(): readonly LogEntry[] {
    for (const block of blocksFrom(this.#file, this.#next)) {
      const value = openSealed(block) as { entry?: LogEntry } | undefined;
      if (value?.entry === undefined) break;
      this.entries.push(value.entry);
      this.#next += 1;
    }
    return this.entries;
  }
}

/** The newest copy of the record; undefined when none can be read just now. */
export function readRecord(stateFolder: string): RecordView | undefined {
  const copies: { sequence: number; record: RecordView }[] = [];
  for (const block of blocksFrom(join(stateFolder, 'record'), 0)) {
    const value = openSealed(block) as { sequence: number; record: RecordView } | undefined;
    if (value !== undefined) copies.push(value);
  }
  return copies.toSorted((a, b) => b.sequence - a.sequence)[0]?.record;
}

function* blocksFrom(file: string, first: number): Generator<Buffer> {
  if (!existsSync(file)) return;
  const descriptor = openSync(file, 'r');
  try {
    const block = Buffer.alloc(blockBytes);
    for (let at = first; ; at += 1) {
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
