/**
 * A simulated disk with a volatile cache: what was not flushed, and names whose folder was not flushed, are lost when
 * the power is cut. It counts and names every durable operation, and can cut the power before any of them.
 */
import { DiskError, type Disk, type DiskFile } from '../../src/index.ts';

interface Inode {
  live: Uint8Array;
  durable: Uint8Array;
  /** Written since the last flush: flushing it again is a durable step. */
  dirty?: boolean;
}

/** The power of one boot: after the cut no operation ever answers again, as with a dead machine. */
export class Power {
  readonly trace: string[] = [];
  readonly lost: Promise<'cut'>;
  #cut: (value: 'cut') => void = () => undefined;
  #off = false;
  readonly #cutBefore: number;
  readonly #before: (name: string) => void;

  /** `before`: called before each durable operation that is done. */
  constructor(cutBefore = Number.POSITIVE_INFINITY, before: (name: string) => void = () => undefined) {
    this.#cutBefore = cutBefore;
    this.#before = before;
    const { promise, resolve } = Promise.withResolvers<'cut'>();
    this.lost = promise;
    this.#cut = resolve;
  }

  /** Called before each durable operation. */
  async step(name: string): Promise<void> {
    if (!this.#off && this.trace.length >= this.#cutBefore) this.#off = true;
    if (this.#off) {
      this.#cut('cut');
      await new Promise<never>(() => undefined);
    }
    this.#before(name);
    this.trace.push(name);
  }

  /** The power goes now. */
  async cut(): Promise<never> {
    this.#off = true;
    this.#cut('cut');
    return await new Promise<never>(() => undefined);
  }

  /** Called before reads: they do not count, but a dead machine does not read either. */
  async alive(): Promise<void> {
    if (this.#off) await new Promise<never>(() => undefined);
  }
}

export class SimDisk {
  #live = new Map<string, Inode>();
  #durable = new Map<string, Inode>();
  /** Slots of the running group: a write to them stops the test at once (invariant 1). */
  running: readonly string[] = [];
  /** So many more files can be created; then the disk is full. */
  createsLeft = Number.POSITIVE_INFINITY;
  /** Faults by operation and path, tried once each. */
  readonly faults: { op: 'write' | 'flush' | 'read' | 'readMedium'; path: string }[] = [];

  clone(): SimDisk {
    const copy = new SimDisk();
    for (const [name, inode] of this.#durable) {
      const twin = { live: inode.durable.slice(), durable: inode.durable.slice() };
      copy.#live.set(name, twin);
      copy.#durable.set(name, twin);
    }
    return copy;
  }

  /** Everything that was not durable is gone. */
  loseUnflushed(): void {
    this.#live = new Map(this.#durable);
    for (const inode of this.#durable.values()) inode.live = inode.durable.slice();
  }

  /** The durable bytes, for checks and for planting damage; undefined when the name is not durable. */
  bytes(path: string): Uint8Array | undefined {
    return this.#durable.get(path)?.durable;
  }

  names(): readonly string[] {
    return [...this.#durable.keys()];
  }

  damage(path: string, position: number): void {
    const inode = this.#live.get(path);
    if (inode === undefined) throw new Error(`${path} is missing`);
    inode.live[position] = (inode.live[position] ?? 0) ^ 0xff;
    inode.durable = inode.live.slice();
  }

  /** As if the file had always held these bytes: a disk put back from an older copy. */
  plant(path: string, bytes: Uint8Array): void {
    const inode = { live: bytes.slice(), durable: bytes.slice() };
    this.#live.set(path, inode);
    this.#durable.set(path, inode);
  }

  forget(path: string): void {
    this.#live.delete(path);
    this.#durable.delete(path);
  }

  /** The Disk port of one boot. `label` names an operation in the trace. */
  port(power: Power, label: (op: string, path: string, bytes: Uint8Array) => string): Disk {
    const file = (path: string, inode: Inode): DiskFile => ({
      sizeBytes: inode.live.length,
      read: async (position, length) => {
        await power.alive();
        this.#fault('read', path);
        return inode.live.slice(position, position + length);
      },
      write: async (position, bytes) => {
        if (this.running.includes(path)) throw new RangeError(`the running group was written: ${path}`);
        if (position + bytes.length > inode.live.length)
          throw new RangeError(`write past the end of ${path}`);
        await power.step(label('write', path, bytes));
        this.#fault('write', path);
        inode.dirty = true;
        inode.live.set(bytes, position);
      },
      flush: async () => {
        if (inode.dirty === true) await power.step(label('flush', path, inode.live));
        else await power.alive();
        this.#fault('flush', path);
        inode.dirty = false;
        inode.durable = inode.live.slice();
      },
      // The medium, not the cache: what was not flushed is not there.
      readMedium: async function* (this: void, position: number, length: number) {
        await power.step(label('readMedium', path, inode.durable));
        if (position + length > inode.durable.length)
          throw new DiskError('OTA_DISK_READ', path, 'ends before');
        for (let at = position; at < position + length; at += 1024) {
          yield inode.durable.slice(at, Math.min(at + 1024, position + length));
        }
      },
      close: async () => power.alive(),
    });
    return {
      open: async (path) => {
        await power.alive();
        const inode = this.#live.get(path);
        return inode === undefined ? undefined : file(path, inode);
      },
      create: async (path, sizeBytes) => {
        await power.step(label('create', path, new Uint8Array()));
        if (this.#live.has(path)) throw new DiskError('OTA_DISK_WRITE', path, 'exists');
        if (this.createsLeft <= 0) throw new DiskError('OTA_DISK_FULL', path, 'no space left');
        this.createsLeft -= 1;
        const inode = { live: new Uint8Array(sizeBytes), durable: new Uint8Array(sizeBytes) };
        this.#live.set(path, inode);
        return file(path, inode);
      },
      rename: async (from, to) => {
        await power.step(label('rename', to, new Uint8Array()));
        const inode = this.#live.get(from);
        if (inode === undefined) throw new DiskError('OTA_DISK_WRITE', from, 'missing');
        this.#live.delete(from);
        this.#live.set(to, inode);
      },
      remove: async (path) => {
        if (!this.#live.has(path)) return;
        await power.step(label('remove', path, new Uint8Array()));
        this.#live.delete(path);
      },
      flushFolder: async (path) => {
        await power.step(label('flushFolder', path, new Uint8Array()));
        const inside = (name: string) => name.startsWith(`${path}/`);
        for (const name of this.#durable.keys()) {
          if (inside(name) && !this.#live.has(name)) this.#durable.delete(name);
        }
        for (const [name, inode] of this.#live) if (inside(name)) this.#durable.set(name, inode);
      },
      list: async (path) => {
        await power.alive();
        const names = [...this.#live.keys()].filter((name) => name.startsWith(`${path}/`));
        return names.map((name) => name.slice(path.length + 1)).sort();
      },
    };
  }

  #fault(op: 'write' | 'flush' | 'read', path: string): void {
    const at = this.faults.findIndex((fault) => fault.op === op && fault.path === path);
    if (at < 0) return;
    this.faults.splice(at, 1);
    throw new DiskError(op === 'read' ? 'OTA_DISK_READ' : 'OTA_DISK_WRITE', path, `simulated fault of ${op}`);
  }
}
