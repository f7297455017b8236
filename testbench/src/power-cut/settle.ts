/**
 * Settles a volatile cache: decides what became of every operation that no flush had covered.
 *
 * After an orderly restart, or a kill of the agent alone, the kernel still has everything: all is kept. After a power
 * cut each write is kept, lost or torn at its 512-byte sectors, and of each folder's new, renamed and removed names
 * a first part is kept (file systems order names by a journal of their own) and the rest is undone - all by one
 * seed. Overlapping writes keep their order: a cache never puts older bytes over newer ones.
 */
import {
  closeSync,
  existsSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { seededRandom, type SeededRandom } from '../random.ts';
import { isCacheFile, type JournalHeader, type JournalRecord, readJournal } from './journal.ts';

export interface Settled {
  readonly kept: number;
  readonly lost: number;
  readonly torn: number;
  readonly namesKept: number;
  readonly namesUndone: number;
}

export type Fate = { readonly kind: 'keep-all' } | { readonly kind: 'power-cut'; readonly seed: number };

const sectorBytes = 512;
type NameHeader = Extract<JournalHeader, { op: 'create' | 'rename' | 'remove' }>;

/** Applies or drops what is unflushed and empties the cache (a cut plan stays); idempotent. */
export function settle(scratchFolder: string, fate: Fate): Settled {
  // Gone with the whole device: making it anew would leave a folder behind after the clean-up.
  if (!existsSync(scratchFolder)) return { kept: 0, lost: 0, torn: 0, namesKept: 0, namesUndone: 0 };
  const { writes, names } = unflushed(readJournal(scratchFolder));
  const random = fate.kind === 'power-cut' ? seededRandom(fate.seed) : undefined;
  const tally = { kept: 0, lost: 0, torn: 0, namesKept: 0, namesUndone: 0 };
  for (const write of writes) tally[applyWrite(scratchFolder, write, random)] += 1;
  for (const ofFolder of names.values()) {
    const kept = random === undefined ? ofFolder.length : random.below(ofFolder.length + 1);
    for (const name of ofFolder.slice(kept).toReversed()) undoName(scratchFolder, name);
    tally.namesKept += kept;
    tally.namesUndone += ofFolder.length - kept;
  }
  for (const name of readdirSync(scratchFolder))
    if (isCacheFile(name)) rmSync(join(scratchFolder, name), { force: true });
  return tally;
}

function unflushed(records: readonly JournalRecord[]): {
  readonly writes: readonly JournalRecord[];
  readonly names: ReadonlyMap<string, readonly NameHeader[]>;
} {
  let writes: JournalRecord[] = [];
  const names = new Map<string, NameHeader[]>();
  for (const record of records) {
    const { header } = record;
    if (header.op === 'write') writes.push(record);
    else if (header.op === 'flushed') writes = writes.filter((write) => fileOf(write) !== header.file);
    else if (header.op === 'folder-flushed') names.delete(header.folder);
    else names.set(header.folder, [...(names.get(header.folder) ?? []), header]);
  }
  return { writes, names };
}

function fileOf(record: JournalRecord): string | undefined {
  return record.header.op === 'write' ? record.header.file : undefined;
}

function applyWrite(
  scratchFolder: string,
  record: JournalRecord,
  random: SeededRandom | undefined,
): 'kept' | 'lost' | 'torn' {
  const { header, bytes } = record;
  if (header.op !== 'write') throw new Error('a write was expected');
  const fate = random === undefined ? 'kept' : (['kept', 'lost', 'torn'] as const)[random.below(3)];
  if (fate === undefined || fate === 'lost') return 'lost';
  const descriptor = openSync(join(scratchFolder, header.file), 'r+');
  try {
    let from = 0;
    while (from < bytes.length) {
      // The first piece ends at the next sector border of the file, so that no sector is split.
      const inSector = (header.position + from) % sectorBytes;
      const to = fate === 'torn' ? Math.min(bytes.length, from + sectorBytes - inSector) : bytes.length;
      if (fate === 'kept' || (random !== undefined && random.fraction() < 0.5))
        writeSync(descriptor, bytes, from, to - from, header.position + from);
      from = to;
    }
  } finally {
    closeSync(descriptor);
  }
  return fate;
}

function undoName(scratchFolder: string, name: NameHeader): void {
  if (name.op === 'create') {
    rmSync(join(name.folder, name.name), { force: true });
  } else if (name.op === 'rename') {
    renameSync(join(name.folder, name.to), join(name.folder, name.from));
    if (name.replaced !== undefined) linkSync(join(scratchFolder, name.replaced), join(name.folder, name.to));
  } else {
    linkSync(join(scratchFolder, name.removed), join(name.folder, name.name));
  }
}
