/**
 * Rows of the table from arming on: `Pending`, `Trial`, `Confirming`, `Failing`.
 *
 * Effects stand in DESIGN's order of durable steps, with its letters (Trial, Confirm, Fail).
 */
import {
  backToStaged,
  carryOnFailing,
  confirmDone,
  confirmRecord,
  failWith,
  logOnly,
  settleFailure,
  settleSeal,
  type Taken,
} from './moves.ts';
import type { Facts, MachineEvent } from './effects.ts';
import type { Attempt, DeviceState } from './record.ts';
import {
  all,
  always,
  failWith3,
  inOther,
  inTarget,
  mayWaitAgain,
  not,
  recorded,
  row,
  sameBoot,
  trialBoot4,
  triesGone,
  triesLeft,
  tryUsed,
  type Transition,
} from './rows.ts';

function didNotBoot(record: DeviceState, attempt: Attempt, _event: MachineEvent, facts: Facts) {
  const reason = `group ${attempt.group} was tried and never reached the agent`;
  return failWith(record, attempt, { code: 'OTA_FAIL_BOOT', reason }, facts);
}

function notTried(record: DeviceState, attempt: Attempt) {
  const again = { ...attempt, notTried: attempt.notTried + 1 };
  const reason = `group ${attempt.group} was armed and not tried`;
  return backToStaged(record, again, { code: 'OTA_NOT_TRIED', reason });
}

function neverTried(record: DeviceState, attempt: Attempt, _event: MachineEvent, facts: Facts) {
  const reason = `armed ${attempt.notTried + 1} times and never tried`;
  return failWith(record, attempt, { code: 'OTA_NOT_TRIED', reason }, facts);
}

/**
 * The boot control may know of the confirmation already (confirm.b), so that the group would boot as a confirmed one:
 * it is disarmed before the record calls the attempt a failure, or a cut in between boots what the record rejects.
 * While it cannot be disarmed nothing is decided: a trial has its tries, and its watchdog.
 */
function disarmedFirst(attempt: Attempt, { record, effects }: Taken): Taken {
  const first = { kind: 'disarm', step: 'fail.b', group: attempt.group, onFault: 'wait' } as const;
  return { record, effects: [first, ...effects] };
}

function leftUnrecorded(record: DeviceState, attempt: Attempt, event: MachineEvent, facts: Facts): Taken {
  return disarmedFirst(attempt, triesGone(record, attempt, event, facts));
}

export const trialRows: readonly Transition[] = [
  row(['Pending', 'booted', 'Trial'], 'booted into the trial', all(inTarget, triesLeft), trialBoot4),
  row(
    ['Pending', 'booted', 'Failing'],
    'booted after its last try',
    all(inTarget, not(triesLeft)),
    triesGone,
  ),
  row(['Pending', 'booted', 'Staged'], 'not restarted yet', all(inOther, sameBoot), (record, attempt) =>
    backToStaged(record, attempt, {
      code: 'OTA_WAITING',
      reason: 'the agent restarted before the device did',
    }),
  ),
  row(['Pending', 'booted', 'Failing'], 'did not boot', all(inOther, not(sameBoot), tryUsed), didNotBoot),
  row(
    ['Pending', 'booted', 'Staged'],
    'not tried',
    all(inOther, not(sameBoot), not(tryUsed), mayWaitAgain),
    notTried,
  ),
  row(
    ['Pending', 'booted', 'Failing'],
    'never tried',
    all(inOther, not(sameBoot), not(tryUsed), not(mayWaitAgain)),
    neverTried,
  ),
  row(['Pending', 'not-now', 'Staged'], 'not now', always, (record, attempt, event) =>
    backToStaged(record, attempt, { code: 'OTA_WAITING', reason: event.reason }),
  ),
  row(['Pending', 'fail', 'Failing'], 'could not be armed', always, failWith3),
  row(['Trial', 'booted', 'Trial'], 'booted again', all(inTarget, triesLeft), trialBoot4),
  row(['Trial', 'booted', 'Failing'], 'tries used up', all(inTarget, not(triesLeft)), triesGone),
  row(['Trial', 'booted', 'Failing'], 'fell back', inOther, triesGone),
  row(['Trial', 'passed', 'Confirming'], 'self-tests passed', always, (record, attempt, _event, facts) => {
    const next: DeviceState = { ...record, state: 'Confirming' };
    return {
      record: next,
      effects: [
        ...settleSeal(facts),
        { kind: 'write-record', step: 'confirm.a', record: next },
        { kind: 'boot-confirm', step: 'confirm.b', group: attempt.group },
      ],
    };
  }),
  row(['Trial', 'fail', 'Failing'], 'self-test failed', always, failWith3),
];

export const endingRows: readonly Transition[] = [
  row(
    ['Confirming', 'booted', 'Confirming'],
    'goes on confirming',
    inTarget,
    (record, attempt, _event, facts) => ({
      record,
      effects: [
        // A group that is confirmed already gets its starts back, whatever the counter of the TPM answers.
        { kind: 'restore-starts', group: facts.bootedGroup },
        ...settleSeal(facts),
        { kind: 'boot-confirm', step: 'confirm.b', group: attempt.group },
        ...logOnly('OTA_BOOT', `group ${facts.bootedGroup}`),
      ],
    }),
  ),
  row(
    ['Confirming', 'booted', 'Failing'],
    'fell back before it was confirmed',
    all(inOther, not(recorded)),
    leftUnrecorded,
  ),
  row(
    ['Confirming', 'booted', 'Confirming'],
    'fell back after it was confirmed',
    all(inOther, recorded),
    (record, attempt, _event, facts) => ({
      record,
      effects: [
        { kind: 'restore-starts', group: facts.bootedGroup },
        ...settleSeal(facts),
        // It may have been done or not: a confirmed attempt ends with its data committed, whichever group runs now.
        { kind: 'commit-data', step: 'confirm.d' },
        confirmDone(attempt),
      ],
    }),
  ),
  row(
    ['Confirming', 'boot-confirmed', 'Confirming'],
    'boot control confirmed',
    always,
    (record, attempt, _event, facts) => confirmRecord(record, attempt, facts),
  ),
  row(
    ['Confirming', 'fail', 'Failing'],
    'boot control did not confirm',
    not(recorded),
    (record, attempt, event, facts) => disarmedFirst(attempt, failWith3(record, attempt, event, facts)),
  ),
  row(['Confirming', 'settled', 'Idle'], 'confirmed', always, (record, attempt) => {
    const { attempt: _attempt, ...rest } = record;
    const { code, reason } = confirmDone(attempt);
    const next: DeviceState = {
      ...rest,
      state: 'Idle',
      lastResult: { attempt: attempt.id, version: attempt.version, code, reason },
    };
    return { record: next, effects: [{ kind: 'write-record', step: 'confirm.f', record: next }] };
  }),
  row(['Failing', 'booted', 'Failing'], 'goes on ending', always, (record, attempt, _event, facts) =>
    carryOnFailing(record, attempt, facts),
  ),
  row(['Failing', 'settled', 'Idle'], 'rolled back', always, settleFailure),
];
