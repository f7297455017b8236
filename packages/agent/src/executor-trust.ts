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
  /** Reference time: the largest of lower bound and clock, or the director's signed time once it was needed. */
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
  readonly ports: Pick<AgentPorts, 'transport' | 'clock' | 'random'>;
  readonly identity: TrustIdentity;
  readonly store: TrustStore;
  readonly state: TrustState;
}): TrustClient {
  const { ports, identity, store } = options;
  const { clock } = ports;
  let state = options.state;
  let etag: string | undefined;
  let signedTime: { readonly time: UtcSeconds; readonly atMs: number } | undefined;
  let timeSignedUntold = false;
  let timeAskedMs: number | undefined;
  let heardMs = clock.monotonicMs();
  /** Where in the last half of their life the timestamps held are asked for anew; drawn once for each pair. */
  let renewal = { of: '', fraction: 0 };

  const now = (): UtcSeconds => {
    const { timeLowerBound } = state;
    if (signedTime === undefined) return Math.max(timeLowerBound, clock.now());
    const passed = Math.floor((clock.monotonicMs() - signedTime.atMs) / 1000);
    return Math.max(timeLowerBound, signedTime.time + passed);
  };

  const check = async (files: Files): Promise<TrustOutcome> => {
    const steps = checkTrust({ identity, state, now: now(), source: 'network' });
    let answer: Uint8Array | undefined;
    for (;;) {
      const next = steps.next(answer);
      if (next.done === true) {
        state = next.value.state;
        return next.value;
      }
      answer = undefined;
      if (next.value.kind === 'keep') {
        await store.keep(next.value.state);
        // Kept is kept, whatever comes after: a crash or a refusal must not bring the older state back.
        state = next.value.state;
      } else {
        const text = files[`${next.value.repository}/${next.value.path}`];
        const bytes = text === undefined ? undefined : new TextEncoder().encode(text);
        answer = bytes !== undefined && bytes.length <= next.value.bytesMax ? bytes : undefined;
      }
    }
  };

  /** DESIGN "Time": fresh metadata that looks expired may mean that this clock is wrong. */
  const askTime = async (): Promise<boolean> => {
    if (timeAskedMs !== undefined && clock.monotonicMs() - timeAskedMs < timeAskedAgainMs) return false;
    timeAskedMs = clock.monotonicMs();
    const nonce = Array.from(ports.random.bytes(nonceBytes), (byte) =>
      byte.toString(16).padStart(2, '0'),
    ).join('');
    const text = await ports.transport.signedTime(nonce);
    const answer = verifyTimeAnswer(new TextEncoder().encode(text), {
      directorRootText: state.director.root,
      device: identity.device,
      nonce,
    });
    if (!answer.ok) return false;
    signedTime = { time: answer.value, atMs: clock.monotonicMs() };
    timeSignedUntold = true;
    return true;
  };

  const takeRecord = async (envelopeText: string | undefined): Promise<void> => {
    if (envelopeText === undefined) return;
    const updated = updateDeviceRecord(state, envelopeText, identity);
    if (!updated.ok || updated.value === state) return;
    await store.keep(updated.value);
    state = updated.value;
  };

  const request = (): CheckInRequest => {
    const texts = `${state.image.timestamp ?? ''}\n${state.director.timestamp ?? ''}`;
    if (renewal.of !== texts) renewal = { of: texts, fraction: ports.random.fraction() };
    const timestamps = [state.image, state.director].some((held) => isDue(held, renewal.fraction, now()));
    return { ...heldVersions(state), timestamps, ...(etag === undefined ? {} : { etag }) };
  };

  const takeAnswer = async (answer: Extract<CheckInAnswer, { kind: 'files' }>): Promise<Verdict> => {
    const issuedBefore = state.timeLowerBound;
    let { verdict } = await check(answer.files);
    // The record is taken after the roots, whose provisioning keys sign it; it may change the verdict.
    const recordBefore = state.deviceRecord;
    await takeRecord(answer.deviceRecord);
    if (state.deviceRecord !== recordBefore) ({ verdict } = await check(answer.files));
    if (verdict.kind === 'refused' && verdict.error.code === 'OTA_EXPIRED' && (await askTime())) {
      ({ verdict } = await check(answer.files));
    }
    if (state.timeLowerBound > issuedBefore || verdict.kind !== 'refused') heardMs = clock.monotonicMs();
    etag = isComplete(verdict) ? answer.etag : undefined;
    return verdict;
  };

  return {
    state: () => state,
    now,
    async refresh() {
      const answer = await ports.transport.checkIn(request());
      return answer.kind === 'files' ? await takeAnswer(answer) : (await check({})).verdict;
    },
    judgeHeld: async () => (await check({})).verdict,
    async reach() {
      await ports.transport.checkIn(request());
    },
    silenceSeconds() {
      const sinceHeard = (clock.monotonicMs() - heardMs) / 1000;
      return Math.max(sinceHeard, now() - state.timeLowerBound);
    },
    takeTimeSigned() {
      if (!timeSignedUntold) return undefined;
      timeSignedUntold = false;
      return signedTime?.time;
    },
  };
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
