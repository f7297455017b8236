/**
 * The disk of one boot: a medium, and a volatile cache of everything that was not flushed yet.
 *
 * Keeps the Disk port's contract at its worst: reads see the cache; `readMedium` sees what the drive would give, its
 * own volatile cache included, so that only a flush makes a proof worth anything; a name is durable only when its
 * folder was flushed. After each step it tells its observer, who decides what a cut at that moment could leave
 * (`outcomes.ts`). Wrong use - a write to the running group, a slot write that no drive could do directly, reading
 * what nobody wrote - ends the run at once.
 */
import type { AgentModule } from './agent-module.ts';
import type { Disk, DiskFile } from '@airlock/agent';
import {
  bytesOf,
  contentAt,
  type Content,
  filled,
  garbage,
  type Medium,
  sameBytes,
  type Sector,
  sectorBytes,
  sizeOf,
  unwritten,
  withContent,
  written,
} from './medium.ts';

/** One thing that a power cut may still undo. */
export type Pending =
  | { readonly kind: 'write'; readonly file: number; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'create'; readonly path: string; readonly file: number; readonly sizeBytes: number }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly file: number }
  | { readonly kind: 'remove'; readonly path: string };

export interface DiskState {
  readonly durable: Medium;
  /** What was asked for and not flushed, oldest first. */
  readonly pending: readonly Pending[];
}

/** A programmer's error of the agent, seen by the disk; a RangeError, which the agent lets through. */
export class WrongUse extends RangeError {
  constructor(message: string) {
    super(message);
    this.name = 'WrongUse';
  }
}

export type DiskOperation =
  | 'read'
  | 'readMedium'
  | 'write'
  | 'flush'
  | 'create'
  | 'rename'
  | 'remove'
  | 'flushFolder';

/** `garble`: it reaches the medium as garbage, and nobody is told; `short`: its first half does, and it fails. */
export type WriteFault = 'garble' | 'short';

export interface DiskOptions {
  readonly agent: Pick<AgentModule, 'DiskError'>;
  readonly slots: ReadonlySet<string>;
  readonly running: ReadonlySet<string>;
  /** Told after each step that changed what a cut could leave. */
  readonly observe: (step: string) => void;
  /** Asked before each operation; throws what the medium shall answer, or says what becomes of a write. */
  readonly fault?: (operation: DiskOperation, path: string, disk: CrashDisk) => WriteFault | undefined;
}

export class CrashDisk {
  #durable: Medium;
  #live: Medium;
  #pending: readonly Pending[];
  #nextFile: number;
  readonly #options: DiskOptions;
  /** The first wrong use, kept for a caller whose agent swallowed it. */
  wrongUse: WrongUse | undefined;

  constructor(state: DiskState, options: DiskOptions) {
    this.#durable = state.durable;
    this.#pending = state.pending;
    this.#live = settled(state);
    this.#options = options;
    const files = [...state.durable.contents.keys(), ...this.#live.contents.keys()];
    this.#nextFile = Math.max(0, ...files) + 1;
  }

  state(): DiskState {
    return { durable: this.#durable, pending: this.#pending };
  }

  live(): Medium {
    return this.#live;
  }

  /** A failed flush: the writes are forgotten by the cache, and `keep` says which reached the medium. */
  loseWrites(path: string, keep: (pending: Pending) => boolean): void {
    const file = this.#live.names.get(path);
    if (file === undefined) return;
    const mine = this.#pending.filter((one) => one.kind === 'write' && one.file === file);
    this.#durable = mine.filter(keep).reduce((medium, one) => applied(medium, one), this.#durable);
    this.#pending = this.#pending.filter((one) => !mine.includes(one));
  }

  /** Bytes change on the medium itself; what the cache held of them is gone. */
  rot(path: string, change: (content: Content) => Content): void {
    for (const medium of [this.#durable, this.#live]) {
      const file = medium.names.get(path);
      const content = contentAt(medium, path);
      if (file === undefined || content === undefined) continue;
      const next = withContent(medium, file, change(content));
      if (medium === this.#durable) this.#durable = next;
      else this.#live = next;
    }
  }

  port(): Disk {
    return {
      open: async (path) => {
        const file = this.#live.names.get(path);
        return file === undefined ? undefined : this.#file(path, file);
      },
      create: async (path, sizeBytes) => {
        this.#fault('create', path);
        if (this.#live.names.has(path)) throw this.#error('OTA_DISK_WRITE', path, 'exists');
        const file = this.#nextFile;
        this.#nextFile += 1;
        this.#add({ kind: 'create', path, file, sizeBytes });
        return this.#file(path, file);
      },
      rename: async (from, to) => {
        this.#fault('rename', to);
        const file = this.#live.names.get(from);
        if (file === undefined) throw this.#error('OTA_DISK_WRITE', from, 'missing');
        this.#add({ kind: 'rename', from, to, file });
      },
      remove: async (path) => {
        if (!this.#live.names.has(path)) return;
        this.#fault('remove', path);
        this.#add({ kind: 'remove', path });
      },
      flushFolder: async (path) => {
        this.#fault('flushFolder', path);
        this.#settle((one) => one.kind !== 'write' && folderOf(one) === path);
        this.#options.observe(`flush of folder ${path}`);
      },
      list: async (path) => {
        const names = [...this.#live.names.keys()].filter((name) => name.startsWith(`${path}/`));
        return names.map((name) => name.slice(path.length + 1)).toSorted();
      },
    };
  }

  #file(path: string, file: number): DiskFile {
    const content = (medium: Medium): Content => medium.contents.get(file) ?? [];
    const readWritten = (medium: Medium, position: number, length: number): Uint8Array => {
      const sectors = content(medium).slice(
        Math.floor(position / sectorBytes),
        Math.ceil((position + length) / sectorBytes),
      );
      if (sectors.includes(unwritten)) throw this.wrong(`${path} is read where nothing was ever written`);
      return bytesOf(content(medium), position, length);
    };
    return {
      sizeBytes: sizeOf(content(this.#live)),
      read: async (position, length) => {
        this.#fault('read', path);
        return readWritten(this.#live, position, length);
      },
      write: async (position, bytes) => {
        if (this.#options.running.has(path)) throw this.wrong(`1: the running group is written: ${path}`);
        if (this.#options.slots.has(path) && position % sectorBytes !== 0)
          throw this.wrong(`${path} is written at ${position}, which is within a sector`);
        const answer = this.#fault('write', path);
        const whole = { kind: 'write', file, position, bytes: bytes.slice() } as const;
        if (answer === 'short') {
          this.#add({ ...whole, bytes: bytes.slice(0, Math.ceil(bytes.length / 2)) });
          throw this.#error('OTA_DISK_WRITE', path, 'a part was written');
        }
        this.#add(whole, answer === 'garble' ? { ...whole, bytes: garbageOf(bytes.length) } : whole);
      },
      flush: async () => {
        this.#fault('flush', path);
        this.#settle((one) => one.kind === 'write' && one.file === file);
        // A flushed file holds what was written, even while its name may still be lost.
        if (!this.#durable.contents.has(file))
          this.#durable = withContent(this.#durable, file, content(this.#live));
        this.#options.observe(`flush of ${path}`);
      },
      readMedium: (position, length) => this.#readMedium(path, file, readWritten, position, length),
      close: async () => undefined,
    };
  }

  async *#readMedium(
    path: string,
    file: number,
    read: (medium: Medium, position: number, length: number) => Uint8Array,
    position: number,
    length: number,
  ): AsyncIterable<Uint8Array> {
    this.#fault('readMedium', path);
    const writes = this.#pending.filter((one) => one.kind === 'write' && one.file === file);
    const drive = settled({ durable: this.#durable, pending: writes });
    const bytes = read(drive, position, length);
    if (bytes.length < length) throw this.#error('OTA_DISK_READ', path, 'ends before');
    yield bytes;
  }

  /** `reaches`: what the medium gets of it, which a failing drive may make another thing. */
  #add(pending: Pending, reaches: Pending = pending): void {
    this.#live = applied(this.#live, pending);
    this.#pending = [...this.#pending, reaches];
    this.#options.observe(wordsOf(pending, this.#live));
  }

  #settle(which: (pending: Pending) => boolean): void {
    for (const one of this.#pending) if (which(one)) this.#durable = applied(this.#durable, one, garbage);
    this.#pending = this.#pending.filter((one) => !which(one));
  }

  #fault(operation: DiskOperation, path: string): WriteFault | undefined {
    return this.#options.fault?.(operation, path, this);
  }

  #error(code: 'OTA_DISK_READ' | 'OTA_DISK_WRITE', path: string, message: string): Error {
    return new this.#options.agent.DiskError(code, path, message);
  }

  /** Notes a wrong use and gives it to be thrown. */
  wrong(message: string): WrongUse {
    this.wrongUse ??= new WrongUse(message);
    return this.wrongUse;
  }
}

/** Without writes that say again what an earlier one says, nothing between them touching it: they leave the same. */
export function withoutRepeats(pending: readonly Pending[]): readonly Pending[] {
  if (pending.length < 2) return pending;
  return pending.filter((one, at) => {
    if (one.kind !== 'write') return true;
    const before = pending.slice(0, at).findLast((other) => overlap(one, other));
    return (
      before?.kind !== 'write' || before.position !== one.position || !sameBytes(before.bytes, one.bytes)
    );
  });
}

function overlap(one: Extract<Pending, { kind: 'write' }>, other: Pending): boolean {
  return (
    other.kind === 'write' &&
    other.file === one.file &&
    other.position < one.position + one.bytes.length &&
    one.position < other.position + other.bytes.length
  );
}

/** Everything that was asked for reaches the medium, as when a device is switched off in peace. */
export function settled({ durable, pending }: DiskState): Medium {
  return pending.reduce((medium, one) => applied(medium, one), durable);
}

/** The medium after one pending step reached it whole. `base`: what a new file holds where nothing was written. */
export function applied(medium: Medium, one: Pending, base?: Sector): Medium {
  if (one.kind === 'write') {
    const content = medium.contents.get(one.file);
    return content === undefined
      ? medium
      : withContent(medium, one.file, written(content, one.position, one.bytes));
  }
  const names = new Map(medium.names);
  if (one.kind === 'remove') {
    names.delete(one.path);
    return { names, contents: medium.contents };
  }
  const { file } = one;
  if (one.kind === 'rename') {
    names.delete(one.from);
    names.set(one.to, file);
    return { names, contents: medium.contents };
  }
  names.set(one.path, file);
  const contents = medium.contents.has(file)
    ? medium.contents
    : new Map(medium.contents).set(file, filled(one.sizeBytes, base));
  return { names, contents };
}

function garbageOf(bytes: number): Uint8Array {
  return bytesOf(filled(bytes, garbage), 0, bytes);
}

function folderOf(one: Exclude<Pending, { kind: 'write' }>): string {
  const path = one.kind === 'rename' ? one.to : one.path;
  return path.slice(0, path.lastIndexOf('/'));
}

function wordsOf(one: Pending, { names }: Medium): string {
  if (one.kind === 'write') {
    const [path] = [...names].find(([, file]) => file === one.file) ?? ['a file without a name'];
    return `write of ${one.bytes.length} bytes at ${one.position} of ${path}`;
  }
  return one.kind === 'rename' ? `rename to ${one.to}` : `${one.kind} of ${one.path}`;
}
