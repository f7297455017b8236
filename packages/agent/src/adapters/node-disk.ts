/**
 * The Disk port on plain files and block devices, by node:fs/promises.
 *
 * It is the only adapter that writes durable state: slots, record copies, trust state, log and boot-control file all
 * go through `nodeDisk`, so that testbench can put exactly this one file aside and lose unflushed writes on purpose.
 * It keeps true what ports/disk.ts promises; in particular a file whose write or flush failed once is dead: after a
 * failed fsync the kernel marks the lost pages clean, and a second fsync that succeeds would be a lie.
 * It leaves to others: what the bytes mean, the order of steps, and reading from the medium (read-medium.ts).
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { type Disk, DiskError, type DiskFile } from '../ports/disk.ts';
import { readMedium } from './read-medium.ts';

export interface NodeDiskOptions {
  /**
   * `write` (the default) opens for reading and writing, block devices exclusively. `read` opens for reading only,
   * also what is mounted: for `status` and `log` beside a running daemon, and to look into the booted group.
   */
  readonly access?: 'write' | 'read';
}

/** Zeros are written in pieces of this size when a file is created: few calls, little memory. */
const zeroBytesMax = 1 << 20;
/** sysfs counts block devices in sectors of this size, whatever the device's own block is. */
const sysfsSectorBytes = 512;

/** The real disk. Throws `DiskError` for every operating error of the medium, `TypeError` for a negative position. */
export function nodeDisk(options: NodeDiskOptions = {}): Disk {
  const writable = options.access !== 'read';
  return {
    open: async (path) => await openExisting(path, writable),
    create: async (path, sizeBytes) => {
      if (!writable) throw refusedWrite(path);
      return await createZeroed(path, sizeBytes);
    },
    rename: async (from, to) => {
      if (!writable) throw refusedWrite(from);
      await attempt('write', to, async () => await rename(from, to));
    },
    remove: async (path) => {
      if (!writable) throw refusedWrite(path);
      await attempt('write', path, async () => {
        await unlink(path).catch((error: unknown) => {
          if (errno(error) !== 'ENOENT') throw error;
        });
      });
    },
    flushFolder: async (path) => {
      if (!writable) throw refusedWrite(path);
      await attempt('write', path, async () => {
        const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
        try {
          await folder.sync();
        } finally {
          await folder.close();
        }
      });
    },
    list: async (path) => await attempt('read', path, async () => (await readdir(path)).sort()),
  };
}

async function openExisting(path: string, writable: boolean): Promise<DiskFile | undefined> {
  const kind = await attempt('read', path, async () => await stat(path, { bigint: true })).catch(
    (error: unknown) => {
      if (error instanceof DiskError && errno(error.cause) === 'ENOENT') return undefined;
      throw error;
    },
  );
  if (kind === undefined) return undefined;
  if (!kind.isFile() && !kind.isBlockDevice()) {
    throw new DiskError('OTA_DISK_READ', path, `${path} is neither a file nor a block device`);
  }
  // O_EXCL without O_CREAT is Linux's claim on a whole block device: a mounted one answers EBUSY. Only slots are block
  // devices, and nothing else may use a slot while it is written.
  const exclusive = kind.isBlockDevice() && writable ? constants.O_EXCL : 0;
  const flags = (writable ? constants.O_RDWR : constants.O_RDONLY) | exclusive | constants.O_NONBLOCK;
  return await attempt('read', path, async () => {
    const handle = await open(path, flags);
    try {
      const opened = await handle.stat({ bigint: true });
      // Somebody may have put another file in the name's place since `stat`.
      if (opened.isBlockDevice() !== kind.isBlockDevice() || opened.rdev !== kind.rdev) {
        throw new DiskError('OTA_DISK_BUSY', path, `${path} was replaced while it was opened`);
      }
      const sizeBytes = opened.isBlockDevice() ? await blockDeviceSize(opened.rdev) : Number(opened.size);
      return new NodeFile(path, handle, sizeBytes, writable);
    } catch (error) {
      await handle.close();
      throw error;
    }
  });
}

/** Size of a block device in bytes: `fstat` says 0 for one, and Node has no ioctl. */
async function blockDeviceSize(rdev: bigint): Promise<number> {
  const { major, minor } = deviceNumbers(rdev);
  const sectors = Number((await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8')).trim());
  if (!Number.isSafeInteger(sectors) || sectors < 0) {
    throw new Error(`the size of block device ${major}:${minor} is not a number`);
  }
  return sectors * sysfsSectorBytes;
}

/** Major and minor number out of Linux's `dev_t`, as glibc's gnu_dev_major and gnu_dev_minor do. */
function deviceNumbers(rdev: bigint): { major: bigint; minor: bigint } {
  return {
    major: ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n),
    minor: (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n),
  };
}

/**
 * Creates a file whose blocks are really allocated: Node has no fallocate, so zeros are written and flushed. Later
 * writes go in place, and a full disk cannot prevent them. A file that could not be completed is removed again.
 */
async function createZeroed(path: string, sizeBytes: number): Promise<DiskFile> {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new TypeError(`size ${sizeBytes} of ${path}`);
  return await attempt('write', path, async () => {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
    // Only the agent's own user reads its state: logs and records tell what a patient's device runs.
    const handle = await open(path, flags, 0o600);
    const file = new NodeFile(path, handle, sizeBytes, true);
    try {
      const zeros = new Uint8Array(Math.min(sizeBytes, zeroBytesMax));
      for (let position = 0; position < sizeBytes; position += zeros.length) {
        await file.write(position, zeros.subarray(0, Math.min(zeros.length, sizeBytes - position)));
      }
      await file.flush();
      return file;
    } catch (error) {
      await handle.close();
      await unlink(path);
      throw error;
    }
  });
}

class NodeFile implements DiskFile {
  readonly sizeBytes: number;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #writable: boolean;
  /** Why the file may not be used any more, once a write or a flush failed. */
  #dead: DiskError | undefined;

  constructor(path: string, handle: FileHandle, sizeBytes: number, writable: boolean) {
    this.#path = path;
    this.#handle = handle;
    this.sizeBytes = sizeBytes;
    this.#writable = writable;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    checkRange(position, length);
    this.#checkAlive();
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.sizeBytes - position)));
    let done = 0;
    while (done < bytes.length) {
      const from = position + done;
      const { bytesRead } = await attempt(
        'read',
        this.#path,
        async () => await this.#handle.read(bytes, done, bytes.length - done, from),
      );
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    checkRange(position, bytes.length);
    this.#checkAlive();
    if (!this.#writable) throw refusedWrite(this.#path);
    if (position + bytes.length > this.sizeBytes) {
      const end = position + bytes.length;
      throw new DiskError(
        'OTA_DISK_FULL',
        this.#path,
        `${this.#path} has ${this.sizeBytes} bytes, a write would end at ${end}`,
      );
    }
    let done = 0;
    while (done < bytes.length) {
      const from = position + done;
      const { bytesWritten } = await this.#orDie(
        async () => await this.#handle.write(bytes, done, bytes.length - done, from),
      );
      if (bytesWritten === 0) {
        await this.#orDie(async () => await Promise.reject(new Error('a write took no bytes')));
      }
      done += bytesWritten;
    }
  }

  async flush(): Promise<void> {
    this.#checkAlive();
    if (!this.#writable) throw refusedWrite(this.#path);
    await this.#orDie(async () => await this.#handle.sync());
  }

  async *readMedium(position: number, length: number): AsyncIterable<Uint8Array> {
    checkRange(position, length);
    this.#checkAlive();
    if (position + length > this.sizeBytes) {
      throw new DiskError('OTA_DISK_READ', this.#path, `${this.#path} ends before ${position + length}`);
    }
    try {
      yield* readMedium({ path: this.#path, handle: this.#handle, position, length });
    } catch (error) {
      throw diskErrorFrom('read', this.#path, error);
    }
  }

  async close(): Promise<void> {
    await attempt('write', this.#path, async () => await this.#handle.close());
  }

  #checkAlive(): void {
    if (this.#dead === undefined) return;
    throw new DiskError(this.#dead.code, this.#path, `not used again after: ${this.#dead.message}`, {
      cause: this.#dead,
    });
  }

  async #orDie<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#dead = diskErrorFrom('write', this.#path, error);
      throw this.#dead;
    }
  }
}

function checkRange(position: number, length: number): void {
  if (!Number.isSafeInteger(position) || position < 0 || !Number.isSafeInteger(length) || length < 0) {
    throw new TypeError(`position ${position} and length ${length} must be integers from 0`);
  }
}

function refusedWrite(path: string): DiskError {
  return new DiskError('OTA_DISK_WRITE', path, `${path} is open for reading only`);
}

async function attempt<T>(what: 'read' | 'write', path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw diskErrorFrom(what, path, error);
  }
}

/** The one place that turns what the system answered into a code of the table. */
export function diskErrorFrom(what: 'read' | 'write', path: string, error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const message = `${path}: ${reason}`;
  switch (errno(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new DiskError('OTA_DISK_FULL', path, message, { cause: error });
    case 'EBUSY':
    case 'ETXTBSY':
      return new DiskError('OTA_DISK_BUSY', path, message, { cause: error });
    case 'EROFS':
      return new DiskError('OTA_DISK_WRITE', path, message, { cause: error });
    default:
      return new DiskError(what === 'read' ? 'OTA_DISK_READ' : 'OTA_DISK_WRITE', path, message, {
        cause: error,
      });
  }
}

/** The system's error name (`ENOSPC`), if the value is such an error. */
function errno(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
