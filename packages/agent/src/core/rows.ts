/**
 * How a row of the table of arrows is made, and the guards that tell rows of one (state, event) pair apart.
 *
 * Pure. A guard looks at the attempt, at what the platform says and at the record, never at a clock.
 */
import type { AttemptState } from '@airlock/protocol';
import type { Effect, EventKind, Facts, MachineEvent } from './effects.ts';
import { failWith, trialBoot } from './moves.ts';
import type { Attempt, DeviceState } from './record.ts';

export interface Transition {
  readonly name: string;
  readonly from: AttemptState;
  readonly event: EventKind;
  readonly to: AttemptState;
  readonly when: (record: DeviceState, facts: Facts) => boolean;
  readonly take: (
    record: DeviceState,
    event: MachineEvent,
    facts: Facts,
  ) => { readonly record: DeviceState; readonly effects: readonly Effect[] };
}

export type Guard = (attempt: Attempt, facts: Facts, record: DeviceState) => boolean;
export type Take<K extends EventKind> = (
  record: DeviceState,
  attempt: Attempt,
  event: Extract<MachineEvent, { kind: K }>,
  facts: Facts,
) => { readonly record: DeviceState; readonly effects: readonly Effect[] };

/** A row for a state that has an attempt: every one but Idle. */
export function row<K extends EventKind>(
  path: readonly [from: AttemptState, event: K, to: AttemptState],
  name: string,
  when: Guard,
  take: Take<K>,
): Transition {
  const [from, event, to] = path;
  return {
    name,
    from,
    event,
    to,
    when: (record, facts) => record.attempt !== undefined && when(record.attempt, facts, record),
    take: (record, given, facts) => {
      if (!isKind(given, event) || record.attempt === undefined) throw new Error(`arrow ${name} misused`);
      return take(record, record.attempt, given, facts);
    },
  };
}

function isKind<K extends EventKind>(
  event: MachineEvent,
  kind: K,
): event is Extract<MachineEvent, { kind: K }> {
  return event.kind === kind;
}

export const always: Guard = () => true;
export const inTarget: Guard = (attempt, facts) => facts.bootedGroup === attempt.group;
export const inOther: Guard = (attempt, facts) => facts.bootedGroup !== attempt.group;
export const sameBoot: Guard = (attempt, facts) => attempt.pendingBootId === facts.bootId;
export const triesLeft: Guard = (attempt, facts) => attempt.trialBoots < facts.trialTries;
export const mayWaitAgain: Guard = (attempt, facts) => attempt.notTried < facts.notTriedMax;
export const mayWriteAgain: Guard = (attempt, facts) => attempt.rotted < facts.rotMax;
/** From `confirm.c` on the release is confirmed for good: only that step proves the target group in the record. */
export const recorded: Guard = (attempt, _facts, record) => record.groups[attempt.group] !== undefined;

/**
 * Whether the boot control shows that the boot loader used a try. A one-shot arming that does not survive power-off
 * is gone either way and shows nothing.
 */
export const tryUsed: Guard = (attempt, facts) => {
  if (facts.boot === undefined) return false;
  if (facts.tries === 'one-shot') return facts.armingSurvivesPowerOff && facts.boot.trial !== attempt.group;
  const left = facts.boot.left[attempt.group];
  return facts.boot.trial === attempt.group && left !== undefined && left < facts.trialTries;
};

export function all(...guards: readonly Guard[]): Guard {
  return (attempt, facts, record) => guards.every((guard) => guard(attempt, facts, record));
}

export function not(guard: Guard): Guard {
  return (attempt, facts, record) => !guard(attempt, facts, record);
}

export function failWith3(
  record: DeviceState,
  attempt: Attempt,
  event: Extract<MachineEvent, { kind: 'fail' }>,
  facts: Facts,
) {
  return failWith(record, attempt, event, facts);
}

export function trialBoot4(record: DeviceState, attempt: Attempt, _event: MachineEvent, facts: Facts) {
  return trialBoot(record, attempt, facts);
}

export function triesGone(record: DeviceState, attempt: Attempt, _event: MachineEvent, facts: Facts) {
  const reason = `not confirmed within ${facts.trialTries} tries, ${attempt.trialBoots} seen by the agent`;
  return failWith(record, attempt, { code: 'OTA_FAIL_TRIES', reason }, facts);
}

export function wrongGroup(attempt: Attempt) {
  return {
    code: 'OTA_FAIL_BOOT_CONTROL',
    reason: `the device booted group ${attempt.group}, which was not armed`,
  } as const;
}
