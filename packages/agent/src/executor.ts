/**
 * Carries out what the state machine asks for, in order, through the ports, and feeds back what came of it.
 *
 * Keeps true: effects are done one after the other, the first that fails ends the list; the record in memory is the
 * last one that is durable; an operating fault of a port becomes an event or a stop, never a crash; a programmer's
 * error goes up. What to do is `core/`'s to decide; when to begin or activate is the agent's.
 */
import type { DeviceCode } from '@airlock/protocol';
import type { Manifest, UtcSeconds } from '@airlock/trust';
import type { Effect, Facts, MachineEvent } from './core/effects.ts';
import { step } from './core/machine.ts';
import { messageOf } from './core/operating-error.ts';
import type { Attempt, DeviceState } from './core/record.ts';
import type { EventLog } from './durable/event-log.ts';
import type { GroupManifests } from './durable/group-manifests.ts';
import type { RecordStore } from './durable/record-store.ts';
import { proveImages, writeImages } from './executor-images.ts';
import { runSelfTest } from './executor-self-test.ts';
import { confirmedStartsDefault } from './ports/boot-control.ts';
import { tuningDefault, type AgentPorts, type AgentSettings } from './settings.ts';

/** What the verdict, computed again, means for the attempt under way. */
export type Judgement =
  | { readonly kind: 'go' }
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'end'; readonly code: DeviceCode; readonly reason: string };

export interface ExecutorParts {
  readonly ports: AgentPorts;
  readonly settings: AgentSettings;
  readonly records: RecordStore;
  readonly manifests: GroupManifests;
  readonly log: EventLog;
  /** The verdict on the attempt, on what is held, at this moment. */
  judge(attempt: Attempt): Promise<Judgement>;
  /** Throws TransportError. */
  reachServer(): Promise<void>;
  now(): UtcSeconds;
  /** The stricter of device and assignment. */
  bytesPerSecondMax(): number | undefined;
}

/** Why a list of effects ended early without an event. */
export interface Stop {
  readonly kind: 'waiting' | 'failed';
  readonly code: DeviceCode;
  readonly reason: string;
}

export interface Executor {
  record(): DeviceState;
  /** Takes the event and all that follow from it; undefined when it came to rest. */
  dispatch(event: MachineEvent): Promise<Stop | undefined>;
  /** Only for a lost record: effects that no arrow asked for. */
  carryOut(effects: readonly Effect[]): Promise<Stop | undefined>;
  /** Writes a record that no arrow made: memory of refusals. Throws DiskError. */
  remember(change: Pick<DeviceState, 'refusals'>): Promise<void>;
  /** An entry in the log; a log that cannot be written stops nothing. */
  note(code: DeviceCode, reason: string): Promise<void>;
}

/** Hooks are idempotent: a fault that passes shall not cost data. */
const hookTriesMax = 3;

type Outcome = { readonly event: MachineEvent } | { readonly stop: Stop } | undefined;

export function createExecutor(parts: ExecutorParts, loaded: DeviceState): Executor {
  const { ports, settings, log } = parts;
  const { platform, bootControl, clock } = ports;
  const tuning = { ...tuningDefault, ...settings.tuning };
  let record = loaded;
  let bootNoted = false;

  const facts = async (event: MachineEvent): Promise<Facts> => ({
    bootedGroup: platform.bootedGroup,
    bootId: platform.bootId,
    // Only the arrows of `booted` look at it, and an unreadable one is a fact as well.
    boot: event.kind === 'booted' ? await bootControl.read().catch(unreadable) : undefined,
    tries: bootControl.tries,
    armingSurvivesPowerOff: bootControl.armingSurvivesPowerOff,
    trialTries: settings.trialTries,
    notTriedMax: tuning.notTriedMax,
    rotMax: tuning.rotMax,
    fallbackAllowed: settings.fallbackAllowed,
  });

  const append = (code: DeviceCode, reason: string, result: boolean): Promise<void> => {
    const { attempt } = record;
    return log.append({
      time: parts.now(),
      bootId: platform.bootId,
      code,
      reason,
      ...(attempt === undefined
        ? {}
        : { attempt: attempt.id, fromVersion: attempt.fromVersion, toVersion: attempt.version }),
      ...(result ? { facts: { result: true } } : {}),
    });
  };

  const note = async (code: DeviceCode, reason: string): Promise<void> => {
    try {
      await append(code, reason, false);
    } catch (error) {
      // A log on a full or worn medium must not keep a device from confirming or rolling back.
      messageOf(error);
    }
  };

  const manifestOf = async (attempt: Attempt): Promise<Manifest | undefined> =>
    await parts.manifests.read(attempt.manifestSha256);

  const withManifest = async (
    work: (attempt: Attempt, manifest: Manifest) => Promise<MachineEvent | undefined>,
  ): Promise<Outcome> => {
    const { attempt } = record;
    if (attempt === undefined) throw new Error('an effect of an attempt without one');
    const manifest = await manifestOf(attempt);
    const event =
      manifest === undefined
        ? failed('OTA_FAIL_STATE', 'the manifest of the attempt cannot be read')
        : await work(attempt, manifest);
    return event === undefined ? undefined : { event };
  };

  const bootControlDo = async (work: () => Promise<void>): Promise<Outcome> => {
    try {
      await work();
      return undefined;
    } catch (error) {
      return { event: failed('OTA_FAIL_BOOT_CONTROL', messageOf(error)) };
    }
  };

  const writeRecord = async (next: DeviceState): Promise<Outcome> => {
    try {
      await parts.records.write(next);
      record = next;
      return undefined;
    } catch (error) {
      return { event: failed('OTA_FAIL_STATE', messageOf(error)) };
    }
  };

  const restoreStarts = async (group: 'A' | 'B'): Promise<void> => {
    try {
      const state = await bootControl.read().catch(unreadable);
      const known = record.confirmed.group === group || record.groups[group] !== undefined;
      // A group that is out of the order, or in a trial that is not the record's, is not put back by this.
      const ours =
        state === undefined ? known : state.order.includes(group) && (known || state.trial !== group);
      const full = state?.trial !== group && (state?.left[group] ?? 0) >= confirmedStartsDefault;
      if (ours && (!full || state?.order[0] !== group)) await bootControl.confirm(group);
    } catch (error) {
      await note('OTA_FAIL_BOOT_CONTROL', `starts were not restored: ${messageOf(error)}`);
    }
  };

  const hook = async (name: 'prepare' | 'commit' | 'revert'): Promise<boolean> => {
    const { attempt } = record;
    if (attempt === undefined || !ports.dataGuard.present) return true;
    const context = { attempt: attempt.id, fromVersion: attempt.fromVersion, toVersion: attempt.version };
    for (let tries = 0; tries < hookTriesMax; tries += 1) {
      try {
        if (await ports.dataGuard[name](context)) return true;
      } catch (error) {
        messageOf(error);
      }
    }
    return false;
  };

  const restart = async (): Promise<string> => {
    const late = `the restart did not come within ${tuning.rebootSecondsMax} s`;
    const calledOff = new AbortController();
    try {
      await Promise.race([platform.reboot(), clock.sleep(tuning.rebootSecondsMax * 1000, calledOff.signal)]);
      return late;
    } catch (error) {
      return messageOf(error);
    } finally {
      calledOff.abort();
    }
  };

  const restartIntoTrial = async (): Promise<Outcome> => {
    const { attempt } = record;
    const manifest = attempt === undefined ? undefined : await manifestOf(attempt);
    const release = { version: attempt?.version ?? 0, name: manifest?.name ?? '' };
    const answer = await ports.interlock
      .allows('reboot', release)
      .catch((error: unknown) => ({ allowed: false as const, reason: messageOf(error) }));
    const reason = answer.allowed ? await restart() : answer.reason;
    return { event: { kind: 'not-now', reason } };
  };

  const logResult = async (effect: Extract<Effect, { kind: 'log-result' }>): Promise<Outcome> => {
    try {
      if (!log.hasResult(record.attempt?.id ?? '')) await append(effect.code, effect.reason, true);
      return { event: { kind: 'settled' } };
    } catch (error) {
      // The attempt stays where it is: a result is logged exactly once, not at most once.
      return { stop: { kind: 'failed', code: 'OTA_FAIL_STATE', reason: `log: ${messageOf(error)}` } };
    }
  };

  const raiseFloor = async (floor: number): Promise<Outcome> => {
    try {
      await ports.floorStore.raise(floor);
      return undefined;
    } catch (error) {
      return { stop: { kind: 'failed', code: 'OTA_FAIL_STATE', reason: `floor: ${messageOf(error)}` } };
    }
  };

  const judge = async (): Promise<Outcome> => {
    const { attempt } = record;
    if (attempt === undefined) throw new Error('judging without an attempt');
    const judgement = await parts.judge(attempt);
    if (judgement.kind === 'go') return undefined;
    if (judgement.kind === 'end') return { event: failed(judgement.code, judgement.reason) };
    return { stop: { kind: 'waiting', code: 'OTA_WAITING', reason: judgement.reason } };
  };

  const perform = async (effect: Effect): Promise<Outcome> => {
    switch (effect.kind) {
      case 'write-record':
        return await writeRecord(effect.record);
      case 'disarm':
        return await bootControlDo(() => bootControl.disarm(effect.group));
      case 'arm':
        return await bootControlDo(() => bootControl.arm(effect.group, effect.tries));
      case 'boot-confirm':
        return (
          (await bootControlDo(() => bootControl.confirm(effect.group))) ?? {
            event: { kind: 'boot-confirmed' },
          }
        );
      case 'write-slots':
        return await withManifest((attempt, manifest) =>
          writeImages(parts, attempt, manifest, parts.bytesPerSecondMax()),
        );
      case 'prove-slots':
        return await withManifest((attempt, manifest) => proveImages(parts, attempt, manifest));
      case 'judge':
        return await judge();
      case 'prepare-data': {
        const { serverReached } = effect;
        return (await hook('prepare'))
          ? { event: { kind: 'activate', serverReached } }
          : { event: failed('OTA_FAIL_DATA', 'the data hook prepare failed') };
      }
      case 'commit-data':
        if (!(await hook('commit')))
          await note('OTA_FAIL_DATA', 'the data hook commit failed; confirmed all the same');
        return undefined;
      case 'revert-data':
        if (!(await hook('revert'))) await note('OTA_FAIL_DATA', 'the data hook revert failed');
        return undefined;
      case 'restart-into-trial':
        return await restartIntoTrial();
      case 'restart-out-of-trial':
        return { stop: { kind: 'failed', code: 'OTA_FAIL_BOOT', reason: await restart() } };
      case 'restore-starts':
        await restoreStarts(effect.group);
        return undefined;
      case 'self-test':
        return await withManifest((attempt, manifest) =>
          runSelfTest({ ports, settings, reachServer: parts.reachServer, log: note }, attempt, manifest),
        );
      case 'raise-floor':
        return await raiseFloor(effect.floor);
      case 'log':
        if (effect.code !== 'OTA_BOOT') await note(effect.code, effect.reason);
        else if (!bootNoted) await note('OTA_BOOT', effect.reason);
        bootNoted ||= effect.code === 'OTA_BOOT';
        return undefined;
      case 'log-result':
        return await logResult(effect);
    }
  };

  const run = async (effects: readonly Effect[]): Promise<Outcome> => {
    for (const effect of effects) {
      const outcome = await perform(effect);
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  };

  return {
    record: () => record,
    note,
    async dispatch(first) {
      let event = first;
      /** The last failure that changed nothing: it is told, and tried again at the next poll. */
      for (let stateFaults = 0; ; ) {
        const move = step(record, event, await facts(event));
        if (event.kind === 'fail' && (move.arrow === 'ignored' || stateFaults > 1)) {
          return { kind: 'failed', code: event.code, reason: event.reason };
        }
        const outcome = await run(move.effects);
        if (outcome === undefined) return undefined;
        if ('stop' in outcome) return outcome.stop;
        event = outcome.event;
        if (event.kind === 'fail' && event.code === 'OTA_FAIL_STATE') stateFaults += 1;
      }
    },
    async carryOut(effects) {
      const outcome = await run(effects);
      if (outcome === undefined) return undefined;
      if ('stop' in outcome) return outcome.stop;
      const { event } = outcome;
      return event.kind === 'fail' ? { kind: 'failed', code: event.code, reason: event.reason } : undefined;
    },
    async remember(change) {
      const next = { ...record, ...change };
      await parts.records.write(next);
      record = next;
    },
  };
}

function failed(code: DeviceCode, reason: string): MachineEvent {
  return { kind: 'fail', code, reason };
}

/** A boot control that cannot be read is a fact, like any other. */
function unreadable(error: unknown): undefined {
  messageOf(error);
  return undefined;
}
