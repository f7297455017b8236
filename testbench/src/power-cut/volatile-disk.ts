/**
 * Volatile disk: the Disk port over plain files with a write cache that a power cut can take away.
 *
 * Testbench bundles the agent with this file in the place of the real adapter. Writes stay in memory and in a journal
 * until the file is flushed; only then do they reach the file itself, which is therefore "the medium". New, renamed
 * and removed names take effect at once but can be undone until their folder is flushed. At the operation that the
 * cut plan names the process kills itself with SIGKILL; `settle.ts` then decides what the medium got.
 * Plain files only: no block devices, no renames from folder to folder.
 */
import {
  closeSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Disk, DiskError, type DiskFile } from '@airlock/agent';
import { CutTrigger, type Operation } from './cut-plan.ts';
import { fileLink, Journal, keptLink } from './journal.ts';

const pieceBytes = 1 << 20;
const zeros = new Uint8Array(pieceBytes);

interface PendingWrite {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** State of one cache; an agent process has one. */
class Cache {
  readonly scratchFolder: string;
  readonly journal: Journal;
  readonly #trigger: CutTrigger;
  /** Unflushed writes by file: the name of its hard link in the scratch folder. */
  readonly pending = new Map<string, PendingWrite[]>();
  readonly unflushedFolders = new Set<string>();
  #links = 0;

  constructor(scratchFolder: string) {
    mkdirSync(scratchFolder, { recursive: true });
    this.scratchFolder = scratchFolder;
    this.journal = new Journal(scratchFolder);
    this.#trigger = new CutTrigger(scratchFolder);
  }

  /** Does `act` unless the plan cuts the power before it; dies after it when the plan says so. */
  carryOut(operation: Operation, act: () => void): void {
    const moment = this.#trigger.judge(operation);
    if (moment === 'before') process.kill(process.pid, 'SIGKILL');
    act();
    if (moment === 'after') process.kill(process.pid, 'SIGKILL');
  }

  /** A file is known by its inode, whatever it is called later; its link outlives every name. */
  linkOf(descriptor: number, path: string): string {
    const link = fileLink(fstatSync(descriptor).ino);
    if (lstatSync(join(this.scratchFolder, link), { throwIfNoEntry: false }) === undefined)
      linkSync(path, join(this.scratchFolder, link));
    return link;
  }

  /** Keeps the file behind `path` alive for an undo; undefined when there is none. */
  keepAlive(path: string): string | undefined {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    this.#links += 1;
    const link = keptLink(this.#links);
    linkSync(path, join(this.scratchFolder, link));
    return link;
  }

  clearIfClean(): void {
    if (this.pending.size === 0 && this.unflushedFolders.size === 0) this.journal.clear();
  }
}

class VolatileFile implements DiskFile {
  readonly sizeBytes: number;
  readonly #cache: Cache;
  readonly #descriptor: number;
  readonly #path: string;
  readonly #link: string;
  readonly #writable: boolean;

  constructor(cache: Cache, descriptor: number, path: string, writable: boolean) {
    this.#writable = writable;
    this.#cache = cache;
    this.#descriptor = descriptor;
    this.#path = path;
    this.#link = cache.linkOf(descriptor, path);
    this.sizeBytes = fstatSync(descriptor).size;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    checkRange(position, length);
    const bytes = this.#readDurable(position, length);
    for (const write of this.#cache.pending.get(this.#link) ?? []) {
      const from = Math.max(position, write.position);
      const to = Math.min(position + bytes.length, write.position + write.bytes.length);
      if (from < to)
        bytes.set(write.bytes.subarray(from - write.position, to - write.position), from - position);
    }
    return bytes;
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    checkRange(position, bytes.length);
    this.#checkWritable();
    if (position + bytes.length > this.sizeBytes)
      throw new DiskError('OTA_DISK_FULL', this.#path, 'a write would extend past the end of the file');
    this.#cache.carryOut({ operation: 'write', path: this.#path, bytes }, () => {
      const copy = Uint8Array.from(bytes);
      this.#cache.journal.append({ op: 'write', file: this.#link, position, length: copy.length }, copy);
      const pending = this.#cache.pending.get(this.#link) ?? [];
      pending.push({ position, bytes: copy });
      this.#cache.pending.set(this.#link, pending);
    });
  }

  async flush(): Promise<void> {
    this.#checkWritable();
    this.#cache.carryOut({ operation: 'flush', path: this.#path }, () => {
      for (const write of this.#cache.pending.get(this.#link) ?? [])
        writeAll(this.#descriptor, write.bytes, write.position);
      this.#cache.pending.delete(this.#link);
      this.#cache.journal.append({ op: 'flushed', file: this.#link });
      this.#cache.clearIfClean();
    });
  }

  async *readMedium(position: number, length: number): AsyncIterable<Uint8Array> {
    checkRange(position, length);
    const end = position + length;
    if (end > this.sizeBytes)
      throw new DiskError('OTA_DISK_READ', this.#path, 'the file ends before the range asked for');
    for (let at = position; at < end; at += pieceBytes)
      yield this.#readDurable(at, Math.min(pieceBytes, end - at));
  }

  async close(): Promise<void> {
    closeSync(this.#descriptor);
  }

  #checkWritable(): void {
    if (!this.#writable) throw readOnly(this.#path);
  }

  #readDurable(position: number, length: number): Uint8Array {
    const wanted = Math.max(0, Math.min(length, this.sizeBytes - position));
    const bytes = new Uint8Array(wanted);
    let have = 0;
    while (have < wanted) {
      const count = readSync(this.#descriptor, bytes, have, wanted - have, position + have);
      if (count === 0) throw new DiskError('OTA_DISK_READ', this.#path, 'the file ended early');
      have += count;
    }
    return bytes;
  }
}

class VolatileDisk implements Disk {
  readonly #cache: Cache;
  readonly #writable: boolean;

  constructor(cache: Cache, writable: boolean) {
    this.#cache = cache;
    this.#writable = writable;
  }

  async open(path: string): Promise<DiskFile | undefined> {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
    return new VolatileFile(this.#cache, openSync(path, 'r+'), path, this.#writable);
  }

  async create(path: string, sizeBytes: number): Promise<DiskFile> {
    let descriptor = -1;
    this.#names({ operation: 'create', path }, () => {
      descriptor = exclusively(path);
      for (let at = 0; at < sizeBytes; at += pieceBytes)
        writeAll(descriptor, zeros.subarray(0, Math.min(pieceBytes, sizeBytes - at)), at);
      this.#cache.journal.append({ op: 'create', folder: dirname(path), name: basename(path) });
    });
    return new VolatileFile(this.#cache, descriptor, path, true);
  }

  async rename(from: string, to: string): Promise<void> {
    if (dirname(from) !== dirname(to)) throw new Error('renames stay within one folder');
    this.#names({ operation: 'rename', path: to }, () => {
      const replaced = this.#cache.keepAlive(to);
      const names = { op: 'rename', folder: dirname(to), from: basename(from), to: basename(to) } as const;
      renameSync(from, to);
      this.#cache.journal.append(replaced === undefined ? names : { ...names, replaced });
    });
  }

  async remove(path: string): Promise<void> {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
    this.#names({ operation: 'remove', path }, () => {
      const removed = this.#cache.keepAlive(path);
      rmSync(path);
      if (removed !== undefined)
        this.#cache.journal.append({ op: 'remove', folder: dirname(path), name: basename(path), removed });
    });
  }

  async flushFolder(path: string): Promise<void> {
    this.#cache.carryOut({ operation: 'flush-folder', path }, () => {
      this.#cache.unflushedFolders.delete(path);
      this.#cache.journal.append({ op: 'folder-flushed', folder: path });
      this.#cache.clearIfClean();
    });
  }

  async list(path: string): Promise<readonly string[]> {
    return readdirSync(path).sort();
  }

  #names(operation: Operation, act: () => void): void {
    if (!this.#writable) throw readOnly(operation.path);
    this.#cache.carryOut(operation, () => {
      this.#cache.unflushedFolders.add(dirname(operation.path));
      act();
    });
  }
}

function exclusively(path: string): number {
  try {
    return openSync(path, 'wx+');
  } catch (cause) {
    throw new DiskError('OTA_DISK_WRITE', path, 'the file could not be created', { cause });
  }
}

function writeAll(descriptor: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length)
    written += writeSync(descriptor, bytes, written, bytes.length - written, position + written);
}

function readOnly(path: string): DiskError {
  return new DiskError('OTA_DISK_WRITE', path, 'opened for reading only');
}

function checkRange(position: number, length: number): void {
  if (!Number.isSafeInteger(position) || position < 0 || !Number.isSafeInteger(length) || length < 0)
    throw new TypeError(`position ${position} and length ${length} must be integers from 0`);
}

/** One cache per process and scratch folder, however many disks look through it. */
const caches = new Map<string, Cache>();

/** Opens a disk whose unflushed part lives in `scratchFolder`, which lies on the same file system as the files. */
export function openVolatileDisk(scratchFolder: string, access: 'write' | 'read' = 'write'): Disk {
  const cache = caches.get(scratchFolder) ?? new Cache(scratchFolder);
  caches.set(scratchFolder, cache);
  return new VolatileDisk(cache, access === 'write');
}
