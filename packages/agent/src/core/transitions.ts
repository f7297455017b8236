/**
 * The table of arrows: what the agent does in each state when something happens, and in which order.
 *
 * One row is one arrow of the picture and one test. `when` tells rows of the same pair apart; exactly one fits.
 * Effects stand in DESIGN's order of durable steps, with its letters. Every record an arrow writes is made by a
 * function of `moves.ts`.
 */
import type { AttemptState } from '@airlock/protocol';
import type { Effect, EventKind, Facts, MachineEvent } from './effects.ts';
import {
  backToStaged,
  beginAttempt,
  carryOnBegin,
  confirmDone,
  confirmRecord,
  failEffects,
  failWith,
  logOnly,
  restartForTrial,
  settleFailure,
  trialBoot,
  writeAgain,
  writeOn,
} from './moves.ts';
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

type Guard = (attempt: Attempt, facts: Facts, record: DeviceState) => boolean;
type Take<K extends EventKind> = (
  record: DeviceState,
  attempt: Attempt,
  event: Extract<MachineEvent, { kind: K }>,
  facts: Facts,
) => { readonly record: DeviceState; readonly effects: readonly Effect[] };

/** A row for a state that has an attempt: every one but Idle. */
function row<K extends EventKind>(
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

const always: Guard = () => true;
const inTarget: Guard = (attempt, facts) => facts.bootedGroup === attempt.group;
const inOther: Guard = (attempt, facts) => facts.bootedGroup !== attempt.group;
const sameBoot: Guard = (attempt, facts) => attempt.pendingBootId === facts.bootId;
const triesLeft: Guard = (attempt, facts) => attempt.trialBoots < facts.trialTries;
const mayWaitAgain: Guard = (attempt, facts) => attempt.notTried < facts.notTriedMax;
const mayWriteAgain: Guard = (attempt, facts) => attempt.rotted < facts.rotMax;
/** From `confirm.c` on the release is confirmed for good: only that step proves the target group in the record. */
const recorded: Guard = (attempt, _facts, record) => record.groups[attempt.group] !== undefined;

/**
 * Whether the boot control shows that the boot loader used a try. A one-shot arming that does not survive power-off
 * is gone either way and shows nothing.
 */
const tryUsed: Guard = (attempt, facts) => {
  if (facts.boot === undefined) return false;
  if (facts.tries === 'one-shot') return facts.armingSurvivesPowerOff && facts.boot.trial !== attempt.group;
  const left = facts.boot.left[attempt.group];
  return facts.boot.trial === attempt.group && left !== undefined && left < facts.trialTries;
};

function all(...guards: readonly Guard[]): Guard {
  return (attempt, facts, record) => guards.every((guard) => guard(attempt, facts, record));
}

function not(guard: Guard): Guard {
  return (attempt, facts, record) => !guard(attempt, facts, record);
}

/** Booted into a group that is in a trial of which the record knows nothing: the confirmed group must come back. */
function strayTrial(record: DeviceState, facts: Facts): boolean {
  return facts.boot?.trial === facts.bootedGroup && record.confirmed.group !== facts.bootedGroup;
}

/** The other group is armed for a trial of which the record knows nothing: nothing proves its images any more. */
function strayArming({ boot, bootedGroup }: Facts): readonly Effect[] {
  const trial = boot?.trial;
  if (trial === undefined || trial === bootedGroup) return [];
  return [{ kind: 'disarm', step: 'back.a', group: trial }];
}

const idleRows: readonly Transition[] = [
  {
    name: 'booted, nothing to do',
    from: 'Idle',
    event: 'booted',
    to: 'Idle',
    when: (record, facts) => !strayTrial(record, facts),
    take: (record, _event, facts) => ({
      record,
      effects: [
        ...strayArming(facts),
        { kind: 'restore-starts', group: facts.bootedGroup },
        { kind: 'log', code: 'OTA_BOOT', reason: `group ${facts.bootedGroup}` },
        ...(record.confirmed.group === facts.bootedGroup
          ? []
          : [
              {
                kind: 'log',
                code: 'OTA_FALLBACK',
                reason: `confirmed is ${record.confirmed.group}`,
              } as const,
            ]),
      ],
    }),
  },
  {
    name: 'booted into a trial that nobody began',
    from: 'Idle',
    event: 'booted',
    to: 'Idle',
    when: strayTrial,
    take: (record, _event, facts) => ({
      record,
      effects: [
        { kind: 'disarm', step: 'fail.b', group: facts.bootedGroup },
        { kind: 'log', code: 'OTA_BOOT', reason: `group ${facts.bootedGroup} in a trial without an attempt` },
        { kind: 'restart-out-of-trial', step: 'fail.c' },
      ],
    }),
  },
  {
    name: 'begin',
    from: 'Idle',
    event: 'begin',
    to: 'Fetching',
    when: () => true,
    take: (record, event, facts) => {
      if (event.kind !== 'begin') throw new Error('arrow begin misused');
      return beginAttempt(record, event.attempt, facts);
    },
  },
];

const stagingRows: readonly Transition[] = [
  row(
    ['Fetching', 'booted', 'Fetching'],
    'waits for leave to write on',
    inOther,
    (record, attempt, _event, facts) => ({
      record,
      effects: carryOnBegin(attempt, facts),
    }),
  ),
  row(
    ['Fetching', 'booted', 'Failing'],
    'booted into the group being written',
    inTarget,
    (record, attempt, _event, facts) => failWith(record, attempt, wrongGroup(attempt), facts),
  ),
  row(['Fetching', 'fetch', 'Fetching'], 'writes on', always, (record, attempt, _event, facts) => ({
    record,
    effects: writeOn(attempt, facts),
  })),
  row(['Fetching', 'staged', 'Staged'], 'written and read back', always, (record, attempt) => {
    const next: DeviceState = { ...record, state: 'Staged', attempt: { ...attempt, staged: true } };
    return {
      record: next,
      effects: [
        { kind: 'write-record', step: 'begin.e', record: next },
        { kind: 'log', code: 'OTA_STAGED', reason: `group ${attempt.group}` },
      ],
    };
  }),
  row(['Fetching', 'fail', 'Failing'], 'could not be staged', always, failWith3),
  row(['Staged', 'booted', 'Staged'], 'waits on', inOther, (record, attempt, _event, facts) => ({
    record,
    effects: [
      { kind: 'restore-starts', group: facts.bootedGroup },
      { kind: 'disarm', step: 'back.a', group: attempt.group },
      { kind: 'log', code: 'OTA_BOOT', reason: `group ${facts.bootedGroup}` },
    ],
  })),
  row(
    ['Staged', 'booted', 'Failing'],
    'booted into a group that was not armed',
    inTarget,
    (record, attempt, _event, facts) => failWith(record, attempt, wrongGroup(attempt), facts),
  ),
  row(['Staged', 'ready', 'Staged'], 'allowed to activate', always, (record, _attempt, event) => ({
    record,
    effects: [
      { kind: 'prove-slots', step: 'activate.a' },
      { kind: 'judge', step: 'activate.a' },
      { kind: 'prepare-data', step: 'activate.b', serverReached: event.serverReached },
    ],
  })),
  row(['Staged', 'activate', 'Pending'], 'activate', inOther, (record, attempt, event, facts) =>
    restartForTrial(record, attempt, event.serverReached, facts),
  ),
  row(
    ['Staged', 'rotted', 'Fetching'],
    'bit rot, written again',
    mayWriteAgain,
    (record, attempt, _event, facts) => writeAgain(record, attempt, facts),
  ),
  row(
    ['Staged', 'rotted', 'Failing'],
    'bit rot again',
    not(mayWriteAgain),
    (record, attempt, _event, facts) =>
      failWith(record, attempt, { code: 'OTA_FAIL_ROT', reason: 'the staged images changed again' }, facts),
  ),
  row(['Staged', 'fail', 'Failing'], 'refused, withdrawn or cancelled', always, failWith3),
];

const trialRows: readonly Transition[] = [
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
  row(
    ['Pending', 'booted', 'Failing'],
    'did not boot',
    all(inOther, not(sameBoot), tryUsed),
    (record, attempt, _event, facts) =>
      failWith(
        record,
        attempt,
        { code: 'OTA_FAIL_BOOT', reason: `group ${attempt.group} was tried and never reached the agent` },
        facts,
      ),
  ),
  row(
    ['Pending', 'booted', 'Staged'],
    'not tried',
    all(inOther, not(sameBoot), not(tryUsed), mayWaitAgain),
    (record, attempt) =>
      backToStaged(
        record,
        { ...attempt, notTried: attempt.notTried + 1 },
        {
          code: 'OTA_NOT_TRIED',
          reason: `group ${attempt.group} was armed and not tried`,
        },
      ),
  ),
  row(
    ['Pending', 'booted', 'Failing'],
    'never tried',
    all(inOther, not(sameBoot), not(tryUsed), not(mayWaitAgain)),
    (record, attempt, _event, facts) =>
      failWith(
        record,
        attempt,
        { code: 'OTA_NOT_TRIED', reason: `armed ${attempt.notTried + 1} times and never tried` },
        facts,
      ),
  ),
  row(['Pending', 'not-now', 'Staged'], 'not now', always, (record, attempt, event) =>
    backToStaged(record, attempt, { code: 'OTA_WAITING', reason: event.reason }),
  ),
  row(['Pending', 'fail', 'Failing'], 'could not be armed', always, failWith3),
  row(['Trial', 'booted', 'Trial'], 'booted again', all(inTarget, triesLeft), trialBoot4),
  row(['Trial', 'booted', 'Failing'], 'tries used up', all(inTarget, not(triesLeft)), triesGone),
  row(['Trial', 'booted', 'Failing'], 'fell back', inOther, triesGone),
  row(['Trial', 'passed', 'Confirming'], 'self-tests passed', always, (record, attempt) => {
    const next: DeviceState = { ...record, state: 'Confirming' };
    return {
      record: next,
      effects: [
        { kind: 'write-record', step: 'confirm.a', record: next },
        { kind: 'boot-confirm', step: 'confirm.b', group: attempt.group },
      ],
    };
  }),
  row(['Trial', 'fail', 'Failing'], 'self-test failed', always, failWith3),
];

const endingRows: readonly Transition[] = [
  row(
    ['Confirming', 'booted', 'Confirming'],
    'goes on confirming',
    inTarget,
    (record, attempt, _event, facts) => ({
      record,
      effects: [
        { kind: 'boot-confirm', step: 'confirm.b', group: attempt.group },
        ...logOnly('OTA_BOOT', `group ${facts.bootedGroup}`),
      ],
    }),
  ),
  row(
    ['Confirming', 'booted', 'Failing'],
    'fell back before it was confirmed',
    all(inOther, not(recorded)),
    triesGone,
  ),
  row(
    ['Confirming', 'booted', 'Confirming'],
    'fell back after it was confirmed',
    all(inOther, recorded),
    (_record, attempt, _event, facts) => ({
      record: _record,
      effects: [{ kind: 'restore-starts', group: facts.bootedGroup }, confirmDone(attempt)],
    }),
  ),
  row(
    ['Confirming', 'boot-confirmed', 'Confirming'],
    'boot control confirmed',
    always,
    (record, attempt, _event, facts) => confirmRecord(record, attempt, facts),
  ),
  row(['Confirming', 'fail', 'Failing'], 'boot control did not confirm', not(recorded), failWith3),
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
  row(['Failing', 'booted', 'Failing'], 'goes on ending', always, (record, attempt, _event, facts) => ({
    record,
    effects: failEffects(record, attempt, facts),
  })),
  row(['Failing', 'settled', 'Idle'], 'rolled back', always, settleFailure),
];

function failWith3(
  record: DeviceState,
  attempt: Attempt,
  event: Extract<MachineEvent, { kind: 'fail' }>,
  facts: Facts,
) {
  return failWith(record, attempt, event, facts);
}

function trialBoot4(record: DeviceState, attempt: Attempt, _event: MachineEvent, facts: Facts) {
  return trialBoot(record, attempt, facts);
}

function triesGone(record: DeviceState, attempt: Attempt, _event: MachineEvent, facts: Facts) {
  const reason = `not confirmed within ${facts.trialTries} tries, ${attempt.trialBoots} seen by the agent`;
  return failWith(record, attempt, { code: 'OTA_FAIL_TRIES', reason }, facts);
}

function wrongGroup(attempt: Attempt) {
  return {
    code: 'OTA_FAIL_BOOT_CONTROL',
    reason: `the device booted group ${attempt.group}, which was not armed`,
  } as const;
}

export const transitions: readonly Transition[] = [...idleRows, ...stagingRows, ...trialRows, ...endingRows];

/** Pairs that may happen and change nothing, each with its reason. All other pairs without a row are errors. */
export const ignored: readonly {
  readonly state: AttemptState;
  readonly event: EventKind;
  readonly why: string;
}[] = [
  { state: 'Idle', event: 'fail', why: 'no attempt has begun: there is nothing to end' },
  { state: 'Confirming', event: 'fail', why: 'from confirm.c on the release is confirmed for good' },
  { state: 'Failing', event: 'fail', why: 'the first reason is final' },
  {
    state: 'Failing',
    event: 'not-now',
    why: 'the restart that ends a trial is tried again at the next poll',
  },
];
