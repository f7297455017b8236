/**
 * The table of arrows: what the agent does in each state when something happens, and in which order.
 *
 * One row is one arrow of the picture and one test. `when` tells rows of the same pair apart; exactly one fits.
 * Effects stand in DESIGN's order of durable steps, with its letters. Every record an arrow writes is made by a
 * function of `moves.ts`.
 */
import type { AttemptState } from '@airlock/protocol';
import type { Effect, EventKind, Facts, MachineEvent } from './effects.ts';
import { beginAttempt, carryOnBegin, failWith, restartForTrial, writeAgain, writeOn } from './moves.ts';
import type { Attempt, DeviceState } from './record.ts';
import {
  always,
  failWith3,
  inOther,
  inTarget,
  mayWriteAgain,
  not,
  row,
  wrongGroup,
  type Transition,
} from './rows.ts';
import { standingOf } from './standing.ts';
import { endingRows, trialRows } from './transitions-ending.ts';

export type { Transition } from './rows.ts';

/** Booted into a group that was in a trial of which the record knows nothing: the confirmed group must come back. */
function strayTrial(record: DeviceState, facts: Facts): boolean {
  return standingOf(facts) === 'unproven' && record.confirmed.group !== facts.bootedGroup;
}

/** The other group is armed for a trial of which the record knows nothing: nothing proves its images any more. */
function strayArming({ boot, bootedGroup }: Facts): readonly Effect[] {
  const trial = boot?.trial;
  if (trial === undefined || trial === bootedGroup) return [];
  return [{ kind: 'disarm', step: 'back.a', group: trial }];
}

function idleBoot(record: DeviceState, _event: MachineEvent, facts: Facts) {
  const fallback = {
    kind: 'log',
    code: 'OTA_FALLBACK',
    reason: `confirmed is ${record.confirmed.group}`,
  } as const;
  const effects: readonly Effect[] = [
    ...strayArming(facts),
    { kind: 'restore-starts', group: facts.bootedGroup },
    { kind: 'log', code: 'OTA_BOOT', reason: `group ${facts.bootedGroup}` },
    ...(record.confirmed.group === facts.bootedGroup ? [] : [fallback]),
  ];
  return { record, effects };
}

function markStaged(record: DeviceState, attempt: Attempt) {
  const next: DeviceState = { ...record, state: 'Staged', attempt: { ...attempt, staged: true } };
  const effects: readonly Effect[] = [
    { kind: 'write-record', step: 'begin.e', record: next },
    { kind: 'log', code: 'OTA_STAGED', reason: `group ${attempt.group}` },
  ];
  return { record: next, effects };
}

function rottedAgain(record: DeviceState, attempt: Attempt, _event: MachineEvent, facts: Facts) {
  return failWith(
    record,
    attempt,
    { code: 'OTA_FAIL_ROT', reason: 'the staged images changed again' },
    facts,
  );
}

const idleRows: readonly Transition[] = [
  {
    name: 'booted, nothing to do',
    from: 'Idle',
    event: 'booted',
    to: 'Idle',
    when: (record, facts) => !strayTrial(record, facts),
    take: idleBoot,
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
  row(['Fetching', 'staged', 'Staged'], 'written and read back', always, markStaged),
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
  row(['Staged', 'rotted', 'Failing'], 'bit rot again', not(mayWriteAgain), rottedAgain),
  row(['Staged', 'fail', 'Failing'], 'refused, withdrawn or cancelled', always, failWith3),
];

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
