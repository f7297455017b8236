/**
 * Disk port: the only way in which the agent touches durable bytes (state folder, slots, boot-control file).
 *
 * Durability contract, kept by every adapter and checked by the shared contract tests:
 * - `write` may be kept, lost, reordered or torn by a power cut until `flush` of the same file has returned;
 * - after `flush` returned, everything written before it survives; if `flush` fails, nothing may be assumed;
 * - a created, renamed or removed name is durable only after `flushFolder` of its folder returned;
 * - `readMedium` returns what the medium holds, never what only a cache holds;
 * - opening a block device is exclusive: a mounted one is refused.
 * It leaves to others: what the bytes mean, and the order of steps.
 */

/** An open regular file or block device. Positions and lengths are bytes. */
export interface DiskFile {
  readonly sizeBytes: number;
  /** Reads up to `length` bytes; fewer only at the end. A cache may answer. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Writes all of `bytes`; a short write is an error. Never extends past what `create` preallocated. */
  write(position: number, bytes: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  /**
   * Streams `[position, position + length)` from the medium in pieces, after dropping or bypassing caches.
   * The pieces are only valid until the next one is asked for. Errors with `OTA_READBACK_UNPROVEN` where the
   * platform cannot prove it (tmpfs).
   */
  readMedium(position: number, length: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export interface Disk {
  /** Opens for reading and writing; undefined when the name does not exist. */
  open(path: string): Promise<DiskFile | undefined>;
  /** Creates a new file of zeros with its blocks allocated; an error when the name exists. */
  create(path: string, sizeBytes: number): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a name; no error when it does not exist. */
  remove(path: string): Promise<void>;
  flushFolder(path: string): Promise<void>;
  /** Names in a folder, sorted. */
  list(path: string): Promise<readonly string[]>;
}

/** Thrown by adapters for an operating error of the medium; the executor turns it into a failure value. */
export class DiskError extends Error {
  readonly code:
    | 'OTA_DISK_FULL'
    | 'OTA_DISK_READ'
    | 'OTA_DISK_WRITE'
    | 'OTA_DISK_BUSY'
    | 'OTA_READBACK_UNPROVEN';
  readonly path: string;
  constructor(code: DiskError['code'], path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DiskError';
    this.code = code;
    this.path = path;
  }
}
