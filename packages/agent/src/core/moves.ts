/**
 * The longer arrows: records and ordered effects of beginning, activating, confirming and failing.
 *
 * Each function is the lettered order of DESIGN "Order of durable steps" read from top to bottom. Pure; only
 * `transitions.ts` calls them.
 */
import type { DeviceCode } from '@airlock/protocol';
import type { Effect, Facts, MachineEvent } from './effects.ts';
import { nextCounter } from './floor-seal.ts';
import {
  boundReason,
  countFailure,
  countWasted,
  forgetWasted,
  isInTrial,
  type Attempt,
  type DeviceState,
  type FailReason,
} from './record.ts';

/** What an arrow comes to: the record that it leads to, and what is done for it, in order. */
export interface Taken {
  readonly record: DeviceState;
  readonly effects: readonly Effect[];
}

export function logOnly(code: DeviceCode, reason: string): readonly Effect[] {
  return [{ kind: 'log', code, reason }];
}

/** Begin (a): what the other group held is forgotten in the same write that announces the attempt. */
export function beginAttempt(
  record: DeviceState,
  given: Extract<MachineEvent, { kind: 'begin' }>['attempt'],
  facts: Facts,
): Taken {
  // Invariant 1: a caller that names the running group is wrong, whatever else it thinks.
  if (given.group === facts.bootedGroup) throw new Error('the running group is never written');
  const attempt: Attempt = { ...given, staged: false, trialBoots: 0, notTried: 0, rotted: 0 };
  const next: DeviceState = {
    ...record,
    state: 'Fetching',
    attempt,
    groups: { ...record.groups, [attempt.group]: undefined },
  };
  return {
    record: next,
    effects: [
      { kind: 'write-record', step: 'begin.a', record: next },
      ...logOnly('OTA_ATTEMPT_BEGUN', `${attempt.kind} into group ${attempt.group}`),
      { kind: 'disarm', step: 'begin.b', group: attempt.group },
      { kind: 'write-slots', step: 'begin.cd' },
    ],
  };
}

/** After a restart in `Fetching`: disarm again, since (a) may have been the last step that was done. */
export function carryOnBegin(attempt: Attempt, facts: Facts): readonly Effect[] {
  return [
    { kind: 'restore-starts', group: facts.bootedGroup },
    { kind: 'disarm', step: 'begin.b', group: attempt.group },
    ...logOnly('OTA_BOOT', `group ${facts.bootedGroup}`),
  ];
}

/** Begin (b) to (d) anew; what the slots hold of the interrupted try proves nothing. */
export function writeOn(attempt: Attempt, facts: Facts): readonly Effect[] {
  if (attempt.group === facts.bootedGroup) throw new Error('the running group is never written');
  return [
    { kind: 'disarm', step: 'begin.b', group: attempt.group },
    { kind: 'write-slots', step: 'begin.cd' },
  ];
}

/** Written again at the next poll, which asks for leave to fetch: what was granted now is leave to activate. */
export function writeAgain(record: DeviceState, attempt: Attempt, facts: Facts): Taken {
  if (attempt.group === facts.bootedGroup) throw new Error('the running group is never written');
  const next: DeviceState = {
    ...record,
    state: 'Fetching',
    attempt: { ...attempt, rotted: attempt.rotted + 1 },
  };
  return {
    record: next,
    effects: [
      { kind: 'write-record', step: 'begin.a', record: next },
      { kind: 'disarm', step: 'begin.b', group: attempt.group },
    ],
  };
}

/** Activate (c) to (e). */
export function restartForTrial(
  record: DeviceState,
  attempt: Attempt,
  serverReached: boolean,
  facts: Facts,
): Taken {
  const next: DeviceState = {
    ...record,
    state: 'Pending',
    attempt: { ...attempt, pendingBootId: facts.bootId, serverReached, trialBoots: 0 },
  };
  return {
    record: next,
    effects: [
      { kind: 'write-record', step: 'activate.c', record: next },
      ...logOnly('OTA_ACTIVATING', `group ${attempt.group}, ${facts.trialTries} tries`),
      { kind: 'arm', step: 'activate.d', group: attempt.group, tries: facts.trialTries },
      { kind: 'restart-into-trial', step: 'activate.e' },
    ],
  };
}

/** From `Pending` back: disarmed first, so that no record says `Staged` while the group is in the boot order. */
export function backToStaged(
  record: DeviceState,
  attempt: Attempt,
  why: { readonly code: DeviceCode; readonly reason: string },
): Taken {
  const { pendingBootId: _bootId, serverReached: _reached, ...kept } = attempt;
  const next: DeviceState = { ...record, state: 'Staged', attempt: kept };
  return {
    record: next,
    effects: [
      { kind: 'disarm', step: 'back.a', group: attempt.group },
      { kind: 'write-record', step: 'back.b', record: next },
      ...logOnly(why.code, why.reason),
    ],
  };
}

/** Trial: the first act writes the agent's own count, before anything of the new software is believed. */
export function trialBoot(record: DeviceState, attempt: Attempt, facts: Facts): Taken {
  const boots = attempt.trialBoots + 1;
  const next: DeviceState = { ...record, state: 'Trial', attempt: { ...attempt, trialBoots: boots } };
  return {
    record: next,
    effects: [
      { kind: 'write-record', step: 'trial.a', record: next },
      ...logOnly('OTA_BOOT', `group ${facts.bootedGroup}`),
      ...logOnly('OTA_TRIAL_BEGUN', `boot ${boots} of ${facts.trialTries}`),
      { kind: 'tell-interlock', news: 'trial' },
      { kind: 'self-test' },
    ],
  };
}

/** Settling the seal, on a device that has one: before a trial is confirmed, and to commit a floor that was raised. */
export function settleSeal(facts: Facts): readonly Effect[] {
  return facts.sealed ? [{ kind: 'settle-seal', step: 'seal.b' }] : [];
}

/** Confirm (c) to (e); (b) is done. */
export function confirmRecord(record: DeviceState, attempt: Attempt, facts: Facts): Taken {
  const installed = { version: attempt.version, manifestSha256: attempt.manifestSha256 };
  // Invariant 3: a repair may bring a version below the floor of a lost state; the floor stays.
  const floor = Math.max(record.floor, attempt.version);
  const next: DeviceState = {
    ...record,
    confirmed: { group: attempt.group, ...installed },
    groups: { ...record.groups, [attempt.group]: installed },
    floor,
    failures: forgetWasted(record),
    ...nextCounter(record, floor, facts.sealed),
  };
  const dropped: readonly Effect[] = facts.fallbackAllowed
    ? []
    : [{ kind: 'disarm', step: 'confirm.c', group: attempt.group === 'A' ? 'B' : 'A' }];
  return {
    record: next,
    effects: [
      { kind: 'write-record', step: 'confirm.c', record: next },
      // Before the counter, which may not answer: what is confirmed is confirmed, and the older group goes.
      ...dropped,
      ...settleSeal(facts),
      { kind: 'commit-data', step: 'confirm.d' },
      confirmDone(attempt),
    ],
  };
}

/** Confirm (e): the result, keyed by the attempt. */
export function confirmDone(attempt: Attempt): Extract<Effect, { kind: 'log-result' }> {
  const repair = attempt.kind === 'repair';
  return {
    kind: 'log-result',
    step: 'confirm.e',
    code: repair ? 'OTA_REPAIRED' : 'OTA_CONFIRMED',
    reason: `group ${attempt.group} after ${attempt.trialBoots} boots`,
  };
}

/** Fail (a) and what follows; the reason is final. */
export function failWith(record: DeviceState, attempt: Attempt, why: FailReason, facts: Facts): Taken {
  const next: DeviceState = {
    ...record,
    state: 'Failing',
    failing: { code: why.code, reason: boundReason(why.reason) },
  };
  return {
    record: next,
    effects: [{ kind: 'write-record', step: 'fail.a', record: next }, ...failEffects(next, attempt, facts)],
  };
}

/**
 * Fail (b) to (e). In the trial itself the list ends with the restart; the rest is done by the old group.
 * A target that runs without ever having been armed is not disarmed: its content was not touched, and it is what
 * the device lives on (power was lost between begin.a and begin.b, and the boot loader fell back into it).
 */
function failEffects(record: DeviceState, attempt: Attempt, facts: Facts): readonly Effect[] {
  const { code, reason } = record.failing ?? { code: 'OTA_FAIL_STATE' as const, reason: 'unknown' };
  const result: Effect = { kind: 'log-result', step: 'fail.e', code, reason };
  if (facts.bootedGroup === attempt.group) {
    return attempt.pendingBootId === undefined
      ? [result]
      : [
          {
            kind: 'disarm',
            step: 'fail.b',
            group: attempt.group,
            onFault: mayRestartArmed(attempt, facts) ? 'go on' : 'fail',
          },
          { kind: 'restart-out-of-trial', step: 'fail.c' },
        ];
  }
  return [
    { kind: 'disarm', step: 'fail.b', group: attempt.group },
    { kind: 'restore-starts', group: facts.bootedGroup },
    ...logOnly('OTA_BOOT', `group ${facts.bootedGroup}`),
    ...(attempt.staged ? [{ kind: 'revert-data', step: 'fail.d' } as const] : []),
    // Of a trial that never reached the agent it was not told either.
    ...(attempt.trialBoots > 0 ? [{ kind: 'tell-interlock', news: 'rolled-back' } as const] : []),
    result,
  ];
}

/**
 * A failed trial whose group cannot be disarmed is restarted all the same: the boot loader counts its tries down and
 * falls back. Twice as often as there are tries, since the boot loader may lose decrements; beyond that it does not
 * count, and more restarts would only be a loop.
 */
function mayRestartArmed(attempt: Attempt, facts: Facts): boolean {
  return attempt.trialBoots < 2 * facts.trialTries;
}

/** `Failing` found after a boot, or at a poll. In the trial itself it is counted, so that restarts out of it end. */
export function carryOnFailing(record: DeviceState, attempt: Attempt, facts: Facts): Taken {
  if (!isInTrial(record, facts.bootedGroup) || !mayRestartArmed(attempt, facts))
    return { record, effects: failEffects(record, attempt, facts) };
  const counted: Attempt = { ...attempt, trialBoots: attempt.trialBoots + 1 };
  const next: DeviceState = { ...record, attempt: counted };
  return {
    record: next,
    effects: [{ kind: 'write-record', step: 'fail.a', record: next }, ...failEffects(next, counted, facts)],
  };
}

/**
 * Ended by what the server or the network did: not the release's fault, and not counted against it - else whoever
 * spoils bytes on the way a few times would bar a good release for good. `OTA_FAIL_HASH` is said of bytes that came
 * over the wire only; of the medium it is `OTA_FAIL_READBACK`.
 */
const wireCodes: readonly string[] = ['OTA_FAIL_DOWNLOAD', 'OTA_FAIL_HASH'];

/** Fail (f). What was no fault of the release is counted for the device, which slows down its next attempts. */
export function settleFailure(
  record: DeviceState,
  attempt: Attempt,
  _event: MachineEvent,
  { wastedMax }: Facts,
): Taken {
  const { attempt: _attempt, failing, ...rest } = record;
  const { code, reason } = failing ?? { code: 'OTA_FAIL_STATE' as const, reason: 'unknown' };
  const counts = code === 'OTA_NOT_TRIED' || (code.startsWith('OTA_FAIL_') && !wireCodes.includes(code));
  const next: DeviceState = {
    ...rest,
    state: 'Idle',
    lastResult: { attempt: attempt.id, version: attempt.version, code, reason },
    failures: counts ? countFailure(record, attempt.manifestSha256) : countWasted(record, wastedMax),
  };
  return { record: next, effects: [{ kind: 'write-record', step: 'fail.f', record: next }] };
}
