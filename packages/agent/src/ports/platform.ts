/**
 * The remaining ports of the agent: kernel, clock, programs of the integrator, server, floor.
 *
 * Each says no by default: a program that is missing, hangs or fails counts as a refusal.
 */
import type { GroupLetter, Manifest, UtcSeconds } from '@airlock/trust';
import type { CheckInAnswer, CheckInRequest, SelfTestResult } from '@airlock/protocol';

/** What the kernel knows: never taken from the record. */
export interface Platform {
  /** Booted group, from the kernel command line (`airlock.group=A`). */
  readonly bootedGroup: GroupLetter;
  /** Random id of this boot, from the kernel. */
  readonly bootId: string;
  /** Restarts the device; never returns. */
  reboot(): Promise<never>;
}

export interface Clock {
  /** System clock in UTC seconds; may be wrong by decades. */
  now(): UtcSeconds;
  /** Monotonic milliseconds since an arbitrary moment of this boot. */
  monotonicMs(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Sets the system clock, where the platform can; a device without a clock begins at trust's lower bound. */
  set?(time: UtcSeconds): Promise<void>;
}

/** Randomness for attempt ids, nonces and jitter. */
export interface Random {
  /** So many random bytes from the system's generator. */
  bytes(count: number): Uint8Array;
  /** Uniform in [0, 1). */
  fraction(): number;
}

/**
 * What the device's own software is told: of a release that runs in its trial, runs confirmed, or ran and failed; that
 * the restart which it allowed does not come; that a release is deferred past its deadline.
 */
export type InterlockNews = 'trial' | 'confirmed' | 'rolled-back' | 'called-off' | 'overdue';

/** The release that is asked about, or told of. */
export interface ReleaseBrief {
  readonly version: number;
  readonly name: string;
  readonly manifestSha256: string;
  readonly urgency: Manifest['urgency'];
  /** Present for a release that its manifest marks so: whoever is asked must know. */
  readonly emergency?: true;
}

/** `by`: who or what said so, for the log; absent: the interlock as a whole. */
export type InterlockAnswer =
  | { readonly allowed: true; readonly by?: string }
  | { readonly allowed: false; readonly by?: string; readonly reason: string };

/** Asks the device's own software; every answer but a clear yes is a no. */
export interface Interlock {
  allows(what: 'fetch' | 'activate' | 'reboot', release: ReleaseBrief): Promise<InterlockAnswer>;
  /** Who consents as the operator to this very release, now; undefined: nobody. */
  consents(release: ReleaseBrief): Promise<{ readonly operator: string; readonly by?: string } | undefined>;
  /**
   * Tells it; clinical use must not begin between `trial` and `confirmed`. Each may come more than once, and at every
   * start outside a trial `confirmed` comes again. Throws Error when it could not be told, which blocks nothing.
   */
  tell(news: InterlockNews, release: ReleaseBrief): Promise<void>;
}

/** The integrator's self-test programs of the booted group. */
export interface SelfTest {
  /** Runs all; `critical` names tests that must pass beside those configured as critical. */
  run(options: { critical: readonly string[]; timeLimitSeconds: number }): Promise<SelfTestResult>;
}

/** Application data hooks; idempotent programs of the booted group. */
export interface DataGuard {
  readonly present: boolean;
  prepare(context: DataContext): Promise<boolean>;
  commit(context: DataContext): Promise<boolean>;
  revert(context: DataContext): Promise<boolean>;
}

export interface DataContext {
  readonly attempt: string;
  readonly fromVersion: number;
  readonly toVersion: number;
}

/** The floor lives in the record alone: a disk restored from an older copy cannot be told from the newest one. */
export interface RecordFloorStore {
  readonly kind: 'record';
}

/**
 * A counter of the TPM, which no write to a disk turns back. The record says with which value it is sealed; a record
 * that says neither this value nor the next one is a restored disk. The counter never holds a version.
 *
 * Contract, kept by every adapter and checked by the shared contract tests:
 * - the value is a safe integer from 0; it only grows, whatever happens to power, disks and programs;
 * - `increment` adds exactly one, atomically; once it has returned, the new value survives a power cut;
 * - an `increment` that throws, or in which power is lost, may have happened or not: who repeats it reads first;
 * - a counter that was deleted and defined anew goes on above every value that it ever had;
 * - nobody but the agent increments it.
 * Both throw `FloorStoreError` for what a TPM or its tools do: missing, hung, locked, not defined.
 */
export interface FloorCounter {
  readonly kind: 'tpm';
  /** The durable value. */
  read(): Promise<number>;
  increment(): Promise<void>;
}

export type FloorStore = RecordFloorStore | FloorCounter;

/** The counter could not be read, or not be incremented: an operating error, which installs nothing. */
export class FloorStoreError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FloorStoreError';
  }
}

/** Which secure-boot keys this device's boot chain trusts; undefined when it has no secure boot. */
export interface SecureBoot {
  trustedKeys(): Promise<readonly string[] | undefined>;
  bootloaderVersion(): Promise<number>;
}

/** The server, over mutual TLS. Throws `TransportError`; bodies are bounded before they are parsed. */
export interface Transport {
  checkIn(request: CheckInRequest): Promise<CheckInAnswer>;
  /** Bytes `[start, end)` of an image; pieces are valid until the next one is asked for. */
  readImage(options: {
    sha256: string;
    start: number;
    end: number;
    signal?: AbortSignal;
  }): AsyncIterable<Uint8Array>;
  /** Posts a signed envelope; resolves when the server acknowledged it durably. */
  sendReport(envelopeText: string): Promise<void>;
  /** Posts log entries with the signed head; resolves to the highest sequence the server holds. */
  sendLog(batchText: string): Promise<number>;
  /** Asks the director to sign {nonce, device, time}; answers the envelope text. */
  signedTime(nonce: string): Promise<string>;
}

/**
 * Resets the device by itself unless it is fed. Used in trials only.
 *
 * Contract, kept by every adapter:
 * - once `open` has resolved, the device is reset after the number of seconds that it answers, counted from the newest
 *   `open` or `feed`, by something that depends on neither the agent nor its process: hardware, or the kernel;
 * - that the agent ends, is stopped or is killed does not stop it; only a `close` that resolved does;
 * - what cannot be stopped again by `close` is not opened;
 * - `open` of an open one feeds it; `close` of a closed one does nothing.
 * All throw `WatchdogError` for what the system does.
 */
export interface Watchdog {
  open(): Promise<number>;
  feed(): Promise<void>;
  close(): Promise<void>;
}

/** The watchdog could not be opened, fed or stopped. */
export class WatchdogError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WatchdogError';
  }
}

export class TransportError extends Error {
  readonly code:
    | 'OTA_SERVER_UNREACHABLE'
    | 'OTA_SERVER_CERTIFICATE'
    | 'OTA_SERVER_REFUSED'
    | 'OTA_SERVER_ANSWER'
    | 'OTA_ANSWER_TOO_LARGE';
  constructor(code: TransportError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TransportError';
    this.code = code;
  }
}
