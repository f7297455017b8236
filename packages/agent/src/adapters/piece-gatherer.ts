/**
 * Gathers the small pieces that TLS delivers into large ones, in two buffers: the network fills one while the
 * consumer hashes and writes the other.
 *
 * Memory is constant: when both buffers are taken the stream is paused, so that TCP slows the server down. It counts:
 * one byte more than promised ends it. It leaves the meaning of the bytes, and their hash, to its consumer.
 */
import type { Readable } from 'node:stream';
import { TransportError } from '../ports/platform.ts';
import { countForSweep } from './buffer-sweeper.ts';

/** 1 MiB: one write call of the disk each, and small against the memory of the device. */
const pieceBytesMax = 1 << 20;

/** Buffers of finished downloads, for the next one: fresh megabytes for each range would be garbage. */
const idleBuffers: Uint8Array[] = [];

export interface GatherOptions {
  /** The body has exactly so many bytes. */
  readonly bytesExpected: number;
  /** Longest wait for the next byte, counted only while the consumer waits too. */
  readonly idleMilliseconds: number;
  readonly where: string;
}

/** Pieces of at most 1 MiB; each is valid until the next one is asked for. Throws `TransportError` or the stream's error. */
export async function* gather(stream: Readable, options: GatherOptions): AsyncGenerator<Uint8Array> {
  const gatherer = new Gatherer(stream, options);
  try {
    for (;;) {
      const piece = await gatherer.next();
      if (piece === undefined) return;
      yield piece;
    }
  } finally {
    gatherer.stop();
  }
}

class Gatherer {
  readonly #stream: Readable;
  readonly #options: GatherOptions;
  readonly #free: Uint8Array[] = [takeBuffer(), takeBuffer()];
  readonly #ready: { buffer: Uint8Array; length: number }[] = [];
  #filling: Uint8Array | undefined;
  #filled = 0;
  #held: Uint8Array | undefined;
  /** A piece of the network for which no buffer had room. */
  #waiting: Uint8Array[] = [];
  #received = 0;
  #delivered = 0;
  #error: unknown;
  #failed = false;
  #wake: (() => void) | undefined;
  /** Runs while the consumer waits; each byte that comes winds it up again, since a slow link is not a dead one. */
  #idle: NodeJS.Timeout | undefined;

  constructor(stream: Readable, options: GatherOptions) {
    this.#stream = stream;
    this.#options = options;
    stream.on('data', (piece: Uint8Array) => this.#take(piece));
    stream.once('error', (error: unknown) => this.#fail(error));
    stream.once('end', () => this.#ended());
    stream.once('close', () => this.#ended());
  }

  /** The next piece, or undefined when all bytes were delivered. The piece given before is free from now on. */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#held !== undefined) {
      this.#free.push(this.#held);
      this.#held = undefined;
      this.#fill();
    }
    if (this.#delivered === this.#options.bytesExpected && !this.#failed) return undefined;
    if (this.#ready.length === 0 && !this.#failed) await this.#wait();
    const piece = this.#ready.shift();
    if (piece === undefined) throw this.#error;
    this.#held = piece.buffer;
    this.#delivered += piece.length;
    return piece.buffer.subarray(0, piece.length);
  }

  /** Ends reading: a finished stream stays usable for the next request, an unfinished one is closed. */
  stop(): void {
    const finished = this.#received === this.#options.bytesExpected && !this.#failed;
    if (!finished) this.#stream.destroy();
    for (const buffer of [...this.#free, this.#held, this.#filling, ...this.#ready.map((r) => r.buffer)]) {
      if (buffer !== undefined && idleBuffers.length < 2) idleBuffers.push(buffer);
    }
    this.#free.length = 0;
  }

  #take(piece: Uint8Array): void {
    this.#received += piece.length;
    this.#idle?.refresh();
    if (this.#received > this.#options.bytesExpected) {
      const message = `${this.#options.where}: more bytes than the range that was asked for`;
      this.#fail(new TransportError('OTA_ANSWER_TOO_LARGE', message));
      this.#stream.destroy();
      return;
    }
    this.#waiting.push(piece);
    this.#fill();
  }

  /** Copies what waits into the buffers, as far as there is room. */
  #fill(): void {
    while (this.#waiting.length > 0) {
      this.#filling ??= this.#free.pop();
      if (this.#filling === undefined) {
        this.#stream.pause();
        return;
      }
      const [piece] = this.#waiting;
      if (piece === undefined) return;
      const taken = Math.min(piece.length, this.#filling.length - this.#filled);
      this.#filling.set(piece.subarray(0, taken), this.#filled);
      this.#filled += taken;
      if (taken === piece.length) this.#waiting.shift();
      else this.#waiting[0] = piece.subarray(taken);
      const last = this.#received === this.#options.bytesExpected && this.#waiting.length === 0;
      if (this.#filled === this.#filling.length || last) this.#hand(this.#filling);
    }
    if (this.#stream.isPaused()) this.#stream.resume();
  }

  #hand(buffer: Uint8Array): void {
    this.#ready.push({ buffer, length: this.#filled });
    countForSweep(this.#filled);
    this.#filling = undefined;
    this.#filled = 0;
    this.#wake?.();
  }

  #ended(): void {
    if (this.#received === this.#options.bytesExpected) return;
    const message = `${this.#options.where}: the body ended after ${this.#received} of ${this.#options.bytesExpected} bytes`;
    this.#fail(new TransportError('OTA_SERVER_UNREACHABLE', message));
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#error = error;
    this.#wake?.();
  }

  async #wait(): Promise<void> {
    const { idleMilliseconds, where } = this.#options;
    this.#idle = setTimeout(() => {
      this.#fail(new TransportError('OTA_SERVER_UNREACHABLE', `${where}: no byte within the time limit`));
    }, idleMilliseconds);
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    clearTimeout(this.#idle);
    this.#idle = undefined;
    this.#wake = undefined;
  }
}

function takeBuffer(): Uint8Array {
  return idleBuffers.pop() ?? new Uint8Array(pieceBytesMax);
}
