/**
 * Carries out what the state machine asks for, in order, through the ports, and feeds back what came of it.
 *
 * Keeps true: effects are done one after the other, the first that fails ends the list; the record in memory is the
 * last one that is durable; an operating fault of a port becomes an event or a stop, never a crash; a programmer's
 * error goes up. What to do is `core/`'s to decide; when to begin or activate is the agent's.
 */
import type { DeviceCode } from '@airlock/protocol';
import type { UtcSeconds } from '@airlock/trust';
import type { Effect, Facts, MachineEvent } from './core/effects.ts';
import { step } from './core/machine.ts';
import type { Attempt, DeviceState } from './core/record.ts';
import type { EventLog } from './durable/event-log.ts';
import type { GroupManifests } from './durable/group-manifests.ts';
import type { RecordStore } from './durable/record-store.ts';
import { EffectRunner, readBoot, type Outcome } from './executor-effects.ts';
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

export function createExecutor(parts: ExecutorParts, loaded: DeviceState): Executor {
  const runner = new EffectRunner(parts, loaded);
  return {
    record: () => runner.record,
    note: (code, reason) => runner.note(code, reason),
    dispatch: (event) => dispatch(parts, runner, event),
    async carryOut(effects) {
      return stopOf(await runner.run(effects));
    },
    async remember(change) {
      const next = { ...runner.record, ...change };
      await parts.records.write(next);
      runner.record = next;
    },
  };
}

async function dispatch(
  parts: ExecutorParts,
  runner: EffectRunner,
  first: MachineEvent,
): Promise<Stop | undefined> {
  let event = first;
  // The record that could not be written cannot be written as a failure either: told once, tried at the next poll.
  for (let stateFaults = 0; ; ) {
    const move = step(runner.record, event, await factsFor(parts, event));
    if (event.kind === 'fail' && (move.arrow === 'ignored' || stateFaults > 1)) return stopOf({ event });
    const outcome = await runner.run(move.effects);
    if (outcome === undefined || 'stop' in outcome) return stopOf(outcome);
    ({ event } = outcome);
    if (event.kind === 'fail' && event.code === 'OTA_FAIL_STATE') stateFaults += 1;
  }
}

/** Only the arrows of `booted` look at the boot control; a read for each other event would be for nothing. */
async function factsFor({ ports, settings }: ExecutorParts, event: MachineEvent): Promise<Facts> {
  const { platform, bootControl } = ports;
  const { notTriedMax, rotMax } = { ...tuningDefault, ...settings.tuning };
  return {
    bootedGroup: platform.bootedGroup,
    bootId: platform.bootId,
    boot: event.kind === 'booted' ? await readBoot(bootControl) : undefined,
    tries: bootControl.tries,
    armingSurvivesPowerOff: bootControl.armingSurvivesPowerOff,
    trialTries: settings.trialTries,
    notTriedMax,
    rotMax,
    fallbackAllowed: settings.fallbackAllowed,
  };
}

function stopOf(outcome: Outcome): Stop | undefined {
  if (outcome === undefined) return undefined;
  if ('stop' in outcome) return outcome.stop;
  const { event } = outcome;
  return event.kind === 'fail' ? { kind: 'failed', code: event.code, reason: event.reason } : undefined;
}
