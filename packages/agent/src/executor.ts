/**
 * Carries out what the state machine asks for, in order, through the ports, and feeds back what came of it.
 *
 * Keeps true: effects are done one after the other, the first that fails ends the list; the record in memory is the
 * last one that is durable; an operating fault of a port becomes an event or a stop, never a crash; a programmer's
 * error goes up. What to do is `core/`'s to decide; when to begin or activate is the agent's.
 */
import type { DeviceCode, LogFacts } from '@airlock/protocol';
import type { Effect, Facts, MachineEvent } from './core/effects.ts';
import { isSealed, namingRefused, sealAnew, type NamedFloor } from './core/floor-seal.ts';
import { step } from './core/machine.ts';
import type { DeviceState } from './core/record.ts';
import { readBoot } from './executor-boot.ts';
import { EffectRunner, type Outcome } from './executor-effects.ts';
import { readCounter } from './executor-floor.ts';
import type { ExecutorParts, Stop } from './executor-parts.ts';
import { tuningDefault } from './settings.ts';

export interface Executor {
  record(): DeviceState;
  /** Takes the event and all that follow from it; undefined when it came to rest. */
  dispatch(event: MachineEvent): Promise<Stop | undefined>;
  /** Only for a lost or restored record: effects that no arrow asked for, done again by `settleRecord` until all are. */
  recover(effects: readonly Effect[]): Promise<Stop | undefined>;
  /**
   * With a TPM: makes sure that the floor can be believed, if need be by the device record that is held. undefined:
   * it can; otherwise nothing may be installed.
   */
  settleFloor(held: NamedFloor): Promise<Stop | undefined>;
  /** Before anything else of a poll: what was recovered, and a record whose write failed, is durable, or nothing begins. */
  settleRecord(): Promise<Stop | undefined>;
  /** Writes a record that no arrow made: memory of refusals. Throws DiskError. */
  remember(change: Pick<DeviceState, 'refusals'>): Promise<void>;
  /** An entry in the log; a log that cannot be written stops nothing. */
  note(code: DeviceCode, reason: string, facts?: LogFacts): Promise<void>;
}

export function createExecutor(parts: ExecutorParts, loaded: DeviceState): Executor {
  const runner = new EffectRunner(parts, loaded);
  let recovery: readonly Effect[] = [];
  const recover = async (effects: readonly Effect[]): Promise<Stop | undefined> => {
    recovery = effects;
    const stop = stopOf(await runner.run(effects));
    if (stop === undefined) recovery = [];
    else if (effects.some(({ kind }) => kind === 'restart-out-of-trial')) await runner.leaveUnproven();
    await runner.endWatchOutsideTrial();
    return stop;
  };
  return {
    record: () => runner.record,
    note: (code, reason, facts) => runner.note(code, reason, facts),
    async dispatch(event) {
      const stop = await dispatch(parts, runner, event);
      await runner.endWatchOutsideTrial();
      return stop;
    },
    recover,
    async settleFloor(held) {
      const plan = await floorPlan(parts, runner.record, held);
      if ('stop' in plan) return plan.stop;
      return plan.effects.length === 0 ? undefined : stopOf(await runner.run(plan.effects));
    },
    async settleRecord() {
      if (recovery.length > 0) return await recover(recovery);
      const stop = stopOf(await runner.settleRecord());
      if (stop !== undefined) await runner.leaveTrialUnrecorded();
      await runner.endWatchOutsideTrial();
      return stop;
    },
    async remember(change) {
      const next = { ...runner.record, ...change };
      await parts.records.write(next);
      runner.record = next;
    },
  };
}

async function floorPlan(
  { ports }: ExecutorParts,
  record: DeviceState,
  held: NamedFloor,
): Promise<{ readonly effects: readonly Effect[] } | { readonly stop: Stop }> {
  if (ports.floorStore.kind === 'record' && !isSealed(record)) return { effects: [] };
  const settle = { kind: 'settle-seal', step: 'seal.b' } as const;
  if (record.restored === undefined) return { effects: [settle] };
  const reading = await readCounter(ports);
  if (reading.kind !== 'value') return { effects: [settle] };
  const refused = namingRefused(record, held, reading.counter);
  if (refused !== undefined) return { stop: { kind: 'failed', code: 'OTA_FLOOR_REFUSED', reason: refused } };
  const next = sealAnew(record, held, reading.counter);
  if (next === undefined) return { effects: [settle] };
  const reason =
    `device record ${held.number} names the floor for counter ${held.counter}: ${held.floor}; ` +
    `it is ${next.floor} now`;
  const told = { kind: 'log', code: 'OTA_FLOOR_NAMED', reason } as const;
  return { effects: [{ kind: 'write-record', step: 'seal.a', record: next }, settle, told] };
}

async function dispatch(
  parts: ExecutorParts,
  runner: EffectRunner,
  first: MachineEvent,
): Promise<Stop | undefined> {
  let event = first;
  // The record that could not be written cannot be written as a failure either: told once, tried at the next poll.
  for (let stateFaults = 0; ; ) {
    const move = step(runner.record, event, await factsFor(parts, runner.record, event));
    if (event.kind === 'fail' && (move.arrow === 'ignored' || stateFaults > 1)) {
      if (event.code === 'OTA_FAIL_STATE') await runner.leaveTrialUnrecorded();
      return stopOf({ event });
    }
    const outcome = await runner.run(move.effects);
    if (outcome === undefined || 'stop' in outcome) return stopOf(outcome);
    ({ event } = outcome);
    if (event.kind === 'fail' && event.code === 'OTA_FAIL_STATE') stateFaults += 1;
  }
}

/** Only the arrows of `booted` look at the boot control; a read for each other event would be for nothing. */
async function factsFor(
  { ports, settings }: ExecutorParts,
  record: DeviceState,
  event: MachineEvent,
): Promise<Facts> {
  const { platform, bootControl } = ports;
  const { notTriedMax, rotMax, wastedMax } = { ...tuningDefault, ...settings.tuning };
  return {
    bootedGroup: platform.bootedGroup,
    bootId: platform.bootId,
    boot: event.kind === 'booted' ? await readBoot(bootControl) : undefined,
    tries: bootControl.tries,
    armingSurvivesPowerOff: bootControl.armingSurvivesPowerOff,
    trialTries: settings.trialTries,
    notTriedMax,
    rotMax,
    wastedMax,
    fallbackAllowed: settings.fallbackAllowed,
    sealed: ports.floorStore.kind === 'tpm' || isSealed(record),
  };
}

function stopOf(outcome: Outcome): Stop | undefined {
  if (outcome === undefined) return undefined;
  if ('stop' in outcome) return outcome.stop;
  const { event } = outcome;
  return event.kind === 'fail' ? { kind: 'failed', code: event.code, reason: event.reason } : undefined;
}
