/**
 * The device's side of a check-in: asks the server, drives trust's check, keeps what trust says must be kept.
 *
 * Keeps true: nothing is believed that trust did not verify; each `keep` is durable before the check goes on; an
 * unchanged answer extends no trust; the reference time is never the local clock alone. The verdict is trust's; what
 * is done about it is the agent's.
 */
import {
  checkTrust,
  heldDeviceRecord,
  readRole,
  sha256Hex,
  updateDeviceRecord,
  verifyTimeAnswer,
  type RepositoryState,
  type TrustIdentity,
  type TrustOutcome,
  type TrustState,
  type TrustStep,
  type UtcSeconds,
  type Verdict,
} from '@airlock/trust';
import type { CheckInAnswer, CheckInRequest } from '@airlock/protocol';
import type { TrustStore } from './durable/trust-store.ts';
import type { AgentPorts } from './settings.ts';

/** A server that signs nonsense is not asked for the time at every poll. */
const timeAskedAgainMs = 3600 * 1000;
const nonceBytes = 16;

export interface TrustClient {
  state(): TrustState;
  /**
   * Reference time: the clock, or the director's signed time once it was needed; but never less than the lower bound
   * and what this start has run since it was learned.
   */
  now(): UtcSeconds;
  /** One conditional request, and the check of what came. Throws TransportError and DiskError. */
  refresh(): Promise<Verdict>;
  /** Verifies again what is held, at this moment; asks nobody. Throws DiskError. */
  judgeHeld(): Promise<Verdict>;
  /** One conditional request whose answer is not looked at: is the server there? Throws TransportError. */
  reach(): Promise<void>;
  /** Seconds since anything valid and fresh was heard. */
  silenceSeconds(): number;
  /** The signed time that is in use, if any: told once. */
  takeTimeSigned(): UtcSeconds | undefined;
}

type Files = Readonly<Record<string, string>>;

export function trustClient(options: {
  readonly ports: TrustPorts;
  readonly identity: TrustIdentity;
  readonly store: Pick<TrustStore, 'keep'>;
  readonly state: TrustState;
}): TrustClient {
  return new Client(options);
}

type TrustPorts = Pick<AgentPorts, 'transport' | 'clock' | 'random'>;

class Client implements TrustClient {
  readonly #ports: TrustPorts;
  readonly #identity: TrustIdentity;
  readonly #store: Pick<TrustStore, 'keep'>;
  #state: TrustState;
  #etag: string | undefined;
  /** The verdict on the answer that the ETag stands for, when it was a no. */
  #refusal: Verdict | undefined;
  #signedTime: { readonly time: UtcSeconds; readonly atMs: number } | undefined;
  #timeSignedUntold = false;
  #timeAskedMs: number | undefined;
  #heardMs: number;
  /** When the lower bound was learned in this start: true time has passed it by at least what went by since. */
  #boundMs: number;
  /** Where in the last half of their life the timestamps held are asked for anew; drawn once for each pair. */
  #renewal = { of: '', fraction: 0 };

  constructor(options: Parameters<typeof trustClient>[0]) {
    this.#ports = options.ports;
    this.#identity = options.identity;
    this.#store = options.store;
    this.#state = options.state;
    this.#heardMs = options.ports.clock.monotonicMs();
    this.#boundMs = this.#heardMs;
  }

  state(): TrustState {
    return this.#state;
  }

  now(): UtcSeconds {
    const { clock } = this.#ports;
    // Whoever signs an old time with a stolen key holds nothing fresh for longer than its own life.
    const bound = this.#state.timeLowerBound + this.#secondsSince(this.#boundMs);
    if (this.#signedTime === undefined) return Math.max(bound, clock.now());
    return Math.max(bound, this.#signedTime.time + this.#secondsSince(this.#signedTime.atMs));
  }

  async refresh(): Promise<Verdict> {
    const answer = await this.#ports.transport.checkIn(this.#request());
    if (answer.kind === 'files') return await this.#takeAnswer(answer);
    // What was refused is not kept, so that it cannot be judged again from what is held: the refusal stands.
    return this.#refusal ?? (await this.judgeHeld());
  }

  async judgeHeld(): Promise<Verdict> {
    return (await this.#check({})).verdict;
  }

  async reach(): Promise<void> {
    await this.#ports.transport.checkIn(this.#request());
  }

  silenceSeconds(): number {
    return Math.max(this.#secondsSince(this.#heardMs), this.now() - this.#state.timeLowerBound);
  }

  #secondsSince(ms: number): number {
    return Math.floor((this.#ports.clock.monotonicMs() - ms) / 1000);
  }

  takeTimeSigned(): UtcSeconds | undefined {
    if (!this.#timeSignedUntold) return undefined;
    this.#timeSignedUntold = false;
    return this.#signedTime?.time;
  }

  async #check(files: Files): Promise<TrustOutcome> {
    const input = {
      identity: this.#identity,
      state: this.#state,
      now: this.now(),
      source: 'network',
    } as const;
    const steps = checkTrust(input);
    let answer: Uint8Array | undefined;
    for (;;) {
      const next = steps.next(answer);
      if (next.done === true) {
        this.#state = next.value.state;
        return next.value;
      }
      answer = undefined;
      // Kept is kept, whatever comes after: a crash or a refusal must not bring the older state back.
      if (next.value.kind === 'keep') await this.#keep(next.value.state);
      else answer = fileOf(files, next.value);
    }
  }

  async #keep(state: TrustState): Promise<void> {
    await this.#store.keep(state);
    if (state.timeLowerBound > this.#state.timeLowerBound) this.#boundMs = this.#ports.clock.monotonicMs();
    this.#state = state;
  }

  /** DESIGN "Time": fresh metadata that looks expired may mean that this clock is wrong. */
  async #askTime(): Promise<boolean> {
    const { clock, random, transport } = this.#ports;
    const askedMs = this.#timeAskedMs;
    if (askedMs !== undefined && clock.monotonicMs() - askedMs < timeAskedAgainMs) return false;
    const nonce = hex(random.bytes(nonceBytes));
    const text = await transport.signedTime(nonce);
    // Only an answer counts: one that was lost on the way must not cost an hour.
    this.#timeAskedMs = clock.monotonicMs();
    const answer = verifyTimeAnswer(new TextEncoder().encode(text), {
      directorRootText: this.#state.director.root,
      device: this.#identity.device,
      nonce,
    });
    if (!answer.ok) return false;
    this.#signedTime = { time: answer.value, atMs: clock.monotonicMs() };
    this.#timeSignedUntold = true;
    return true;
  }

  async #takeRecord(envelopeText: string | undefined): Promise<boolean> {
    if (envelopeText === undefined) return false;
    const updated = updateDeviceRecord(this.#state, envelopeText, this.#identity);
    if (!updated.ok || updated.value === this.#state) return false;
    await this.#keep(updated.value);
    return true;
  }

  #request(): CheckInRequest {
    const { image, director } = this.#state;
    const texts = `${image.timestamp ?? ''}\n${director.timestamp ?? ''}`;
    if (this.#renewal.of !== texts) this.#renewal = { of: texts, fraction: this.#ports.random.fraction() };
    const { fraction } = this.#renewal;
    const timestamps = [image, director].some((held) => isDue(held, fraction, this.now()));
    const etag = this.#etag;
    return { ...heldVersions(this.#state), timestamps, ...(etag === undefined ? {} : { etag }) };
  }

  async #takeAnswer(answer: Extract<CheckInAnswer, { kind: 'files' }>): Promise<Verdict> {
    const issuedBefore = this.#state.timeLowerBound;
    let { verdict } = await this.#check(answer.files);
    // After the roots, whose provisioning keys sign the record; it may change the verdict.
    if (await this.#takeRecord(answer.deviceRecord)) ({ verdict } = await this.#check(answer.files));
    if (verdict.kind === 'refused' && verdict.error.code === 'OTA_EXPIRED' && (await this.#askTime())) {
      ({ verdict } = await this.#check(answer.files));
    }
    const heard = this.#state.timeLowerBound > issuedBefore || verdict.kind !== 'refused';
    if (heard) this.#heardMs = this.#ports.clock.monotonicMs();
    this.#etag = isComplete(verdict) ? answer.etag : undefined;
    this.#refusal = verdict.kind === 'refused' ? verdict : undefined;
    return verdict;
  }
}

/** The file asked for, unless the server did not send it or it is over its limit (nothing is parsed past it). */
function fileOf(files: Files, asked: Extract<TrustStep, { kind: 'fetch' }>): Uint8Array | undefined {
  const path = `${asked.repository}/${asked.path}`;
  const text = Object.hasOwn(files, path) ? files[path] : undefined;
  if (text === undefined) return undefined;
  const bytes = new TextEncoder().encode(text);
  return bytes.length <= asked.bytesMax ? bytes : undefined;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Refusals that say something about the release, not about what came over the wire: more of it would not help. */
const aboutRelease: ReadonlySet<string> = new Set([
  'OTA_NOT_APPROVED',
  'OTA_WITHDRAWN',
  'OTA_AGREEMENT',
  'OTA_MANIFEST',
  'OTA_DEMAND_UNKNOWN',
  'OTA_BELOW_MINIMUM',
  'OTA_KEY_SHARED',
  'OTA_WRONG_CLASS',
  'OTA_WRONG_PRODUCT',
]);

/** Whether this refusal ends an attempt that is under way; others may pass, and the attempt waits in `Staged`. */
export function isAboutRelease(code: string): boolean {
  return aboutRelease.has(code);
}

/** Only then the ETag may be shown: after a broken answer the server must send everything again. */
function isComplete(verdict: Verdict): boolean {
  return verdict.kind !== 'refused' || isAboutRelease(verdict.error.code);
}

function heldVersions(state: TrustState): Omit<CheckInRequest, 'timestamps' | 'etag'> {
  const record = heldDeviceRecord(state);
  const imageRoles = Object.fromEntries(
    Object.entries(state.image.roles).map(([role, text]) => [role, versionOf(text)]),
  );
  return {
    imageRoot: versionOf(state.image.root),
    directorRoot: versionOf(state.director.root),
    imageRoles,
    imageSnapshot: versionOf(state.image.snapshot),
    directorSnapshot: versionOf(state.director.snapshot),
    directorTargets: versionOf(state.director.roles['targets']),
    ...(state.policy === undefined ? {} : { policy: sha256Hex(new TextEncoder().encode(state.policy)) }),
    ...(state.manifest === undefined
      ? {}
      : { manifest: sha256Hex(new TextEncoder().encode(state.manifest)) }),
    deviceRecord: record.ok ? record.value.number : 0,
  };
}

function versionOf(text: string | undefined): number {
  if (text === undefined) return 0;
  const role = readRole(new TextEncoder().encode(text));
  return role.ok ? role.value.version : 0;
}

/** Due from a point between half of its life and its end; nothing held is always due. */
function isDue(held: RepositoryState, fraction: number, now: UtcSeconds): boolean {
  if (held.timestamp === undefined) return true;
  const role = readRole(new TextEncoder().encode(held.timestamp));
  if (!role.ok || role.value.kind !== 'timestamp') return true;
  const { issued, expires } = role.value;
  return now >= issued + (expires - issued) * (0.5 + 0.5 * fraction);
}
