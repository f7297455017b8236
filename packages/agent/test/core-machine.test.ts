/**
 * The table of arrows: every pair of state and event is a row, ignored by name, or a programmer's error; and whatever
 * happens in whatever order, the machine keeps its invariants.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { attemptStates, type AttemptState } from '@airlock/protocol';
import type { GroupLetter } from '@airlock/trust';
import {
  eventKinds,
  type Effect,
  type EventKind,
  type Facts,
  type MachineEvent,
} from '../src/core/effects.ts';
import { fitting, isIgnored, renderMermaid, step } from '../src/core/machine.ts';
import { newRecord, otherGroup, type Attempt, type DeviceState } from '../src/core/record.ts';
import { decodeRecord, encodeRecord, isConsistent } from '../src/core/record-codec.ts';
import { transitions } from '../src/core/transitions.ts';

const sha = (digit: string): string => digit.repeat(64);
const begin: Extract<MachineEvent, { kind: 'begin' }> = {
  kind: 'begin',
  attempt: { id: 'a1', kind: 'update', manifestSha256: sha('2'), version: 2, fromVersion: 1, group: 'B' },
};

function eventOf(kind: EventKind): MachineEvent {
  if (kind === 'begin') return begin;
  if (kind === 'fail') return { kind, code: 'OTA_FAIL_SELFTEST', reason: 'test' };
  if (kind === 'not-now') return { kind, reason: 'test' };
  if (kind === 'ready' || kind === 'activate') return { kind, serverReached: true };
  return { kind };
}

function factsOf(changes: Partial<Facts>): Facts {
  return {
    bootedGroup: 'A',
    bootId: 'boot-2',
    boot: { order: ['A'], left: { A: 16 } },
    tries: 'counted',
    armingSurvivesPowerOff: true,
    trialTries: 3,
    notTriedMax: 3,
    wastedMax: 16,
    rotMax: 1,
    fallbackAllowed: true,
    sealed: false,
    ...changes,
  };
}

function recordIn(state: AttemptState, changes: Partial<Attempt> = {}, recorded = false): DeviceState {
  const idle = newRecord('A', { version: 1, manifestSha256: sha('1') });
  if (state === 'Idle') return idle;
  const late = !['Fetching', 'Staged'].includes(state);
  const attempt: Attempt = {
    ...begin.attempt,
    staged: state !== 'Fetching',
    trialBoots: 0,
    notTried: 0,
    rotted: 0,
    ...(late ? { pendingBootId: 'boot-1', serverReached: true } : {}),
    ...changes,
  };
  return {
    ...idle,
    state,
    attempt,
    ...(recorded ? { groups: { ...idle.groups, B: { version: 2, manifestSha256: sha('2') } } } : {}),
    ...(state === 'Failing' ? { failing: { code: 'OTA_FAIL_BOOT' as const, reason: 'test' } } : {}),
  };
}

/** Every combination of facts and counts on which a guard looks. */
function* situations(state: AttemptState): Generator<{ record: DeviceState; facts: Facts }> {
  for (const bootedGroup of ['A', 'B'] as const) {
    for (const bootId of ['boot-1', 'boot-2']) {
      for (const left of [undefined, 0, 3]) {
        const order: readonly GroupLetter[] = ['B', 'A'];
        const boot =
          left === undefined ? undefined : { order, trial: 'B' as const, left: { A: 16, B: left } };
        for (const count of [0, 3]) {
          for (const recorded of [false, true]) {
            for (const tries of ['counted', 'one-shot'] as const) {
              const counts = { trialBoots: count, notTried: count, rotted: count };
              yield {
                record: recordIn(state, counts, recorded),
                facts: factsOf({ bootedGroup, bootId, boot, tries, armingSurvivesPowerOff: count === 0 }),
              };
            }
          }
        }
      }
    }
  }
}

test('TEST-OTA-250 REQ-OTA-APPLY-03: every state with every event in every situation: exactly one arrow, or ignored by name, or a thrown programmer error', () => {
  const taken = new Set<string>();
  for (const state of attemptStates) {
    for (const kind of eventKinds) {
      const inTable = transitions.some((row) => row.from === state && row.event === kind);
      for (const { record, facts } of situations(state)) {
        const rows = fitting(record, eventOf(kind), facts);
        assert.ok(rows.length <= 1, `${state} ${kind}: ${rows.map((row) => row.name).join(' and ')}`);
        const misuse = kind !== 'booted' && state !== 'Idle' && facts.bootedGroup === 'B';
        if (rows.length === 1) {
          taken.add(rows[0]?.name ?? '');
          if (misuse || (kind === 'begin' && facts.bootedGroup === 'B')) continue;
          const move = step(record, eventOf(kind), facts);
          assert.equal(move.record.state, rows[0]?.to, `${rows[0]?.name} leads where the table says`);
          assert.ok(isConsistent(move.record), `${rows[0]?.name} leaves a consistent record`);
        } else if (isIgnored(state, kind)) {
          assert.equal(step(record, eventOf(kind), facts).record, record);
        } else {
          assert.ok(!inTable || misuse, `${state} ${kind} has rows and none fits`);
          assert.throws(() => step(record, eventOf(kind), facts), /no arrow/);
        }
      }
    }
  }
  assert.deepEqual(
    transitions.map((row) => row.name).filter((name) => !taken.has(name)),
    [],
    'no row is dead',
  );
});

test('TEST-OTA-251 REQ-OTA-APPLY-01: an attempt that names the running group: thrown as a programmer error, nothing is emitted', () => {
  assert.throws(() => step(recordIn('Idle'), begin, factsOf({ bootedGroup: 'B' })), /running group/);
});

test('TEST-OTA-252 REQ-OTA-APPLY-02: the table drawn as Mermaid text: every arrow once, the same text each time', () => {
  const drawn = renderMermaid();
  assert.equal(drawn, renderMermaid());
  assert.equal(drawn.split('\n').filter((line) => line.includes(' --> ')).length, transitions.length + 1);
  assert.match(drawn, /Trial --> Confirming: self-tests passed/);
});

/** A machine in a small world: what is armed, what is durable, what runs. Each draw picks among what may happen. */
function play(draws: readonly number[], taken: Set<string>): void {
  let record = recordIn('Idle');
  let armed = new Set<GroupLetter>(['A', 'B']);
  let booted: GroupLetter = 'A';
  for (const [index, draw] of draws.entries()) {
    // The executor begins nothing in a group that is out of the boot order (TEST-OTA-1139).
    const kinds = eventKinds.filter(
      (kind) => canHappen(record, booted, kind) && (kind !== 'begin' || armed.has(booted)),
    );
    const kind = kinds[draw % kinds.length] ?? 'booted';
    if (kind === 'booted')
      booted = armed.has('B') && (!armed.has('A') || Math.floor(draw / 64) % 3 === 0) ? 'B' : 'A';
    const attempt = { ...begin.attempt, version: record.floor + 1, group: otherGroup(booted) };
    const event = kind === 'begin' ? { ...begin, attempt } : eventOf(kind);
    const bootId = kind === 'booted' ? `boot-${index}` : (record.attempt?.pendingBootId ?? 'boot-0');
    const facts = factsOf({ bootedGroup: booted, bootId });
    const { floor } = record;
    const move = step(record, event, facts);
    taken.add(move.arrow);
    // One list in eight is cut short, as by a crash.
    const done = draw % 8 === 7 ? draw % (move.effects.length + 1) : move.effects.length;
    for (const effect of move.effects.slice(0, done)) {
      ({ record, armed } = apply(effect, record, armed, booted));
      assert.ok(record.floor >= floor, 'the floor never falls');
      assert.ok(armed.size > 0, 'something can always be booted');
    }
  }
}

/** What an executor could feed in: only events that the state waits for, in the group where they can come from. */
function canHappen(record: DeviceState, booted: GroupLetter, kind: EventKind): boolean {
  if (kind === 'booted') return true;
  const inTarget = record.attempt?.group === booted;
  if (record.state === 'Trial' || record.state === 'Confirming' ? !inTarget : inTarget) return false;
  return transitions.some((row) => row.from === record.state && row.event === kind) && kindFits(record, kind);
}

function kindFits(record: DeviceState, kind: EventKind): boolean {
  const { attempt } = record;
  if (record.state !== 'Confirming' || attempt === undefined) return true;
  const recorded = record.groups[attempt.group] !== undefined;
  return kind === 'settled' ? recorded : !recorded;
}

function apply(effect: Effect, record: DeviceState, armed: Set<GroupLetter>, booted: GroupLetter) {
  const order = new Set(armed);
  switch (effect.kind) {
    case 'write-record': {
      assert.ok(isConsistent(effect.record));
      assert.deepEqual(
        decodeRecord(encodeRecord({ sequence: 1, record: effect.record }))?.record,
        effect.record,
      );
      if (effect.record.floor > record.floor) assert.equal(effect.record.state, 'Confirming');
      return { record: effect.record, armed };
    }
    case 'disarm':
      order.delete(effect.group);
      return { record, armed: order };
    case 'arm':
      assert.equal(record.state, 'Pending', 'armed only once Pending is durable');
      assert.equal(record.attempt?.staged, true, 'armed only after it was staged');
      return { record, armed: order.add(effect.group) };
    case 'boot-confirm':
      assert.equal(record.state, 'Confirming');
      return { record, armed: order.add(effect.group) };
    case 'write-slots':
      assert.notEqual(record.attempt?.group, booted, 'the running group is never written');
      assert.ok(!armed.has(record.attempt?.group ?? booted), 'a group is disarmed before it is written');
      return { record, armed };
    default:
      return { record, armed };
  }
}

test('TEST-OTA-253 REQ-OTA-APPLY-01, REQ-OTA-APPLY-09, REQ-OTA-ROLL-01: any events in any order, any effect list cut short: the floor never falls, the running group is never written, nothing is armed unproven', () => {
  const taken = new Set<string>();
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 1000 }), { minLength: 20, maxLength: 80 }), (draws) =>
      play(draws, taken),
    ),
    { numRuns: 300 },
  );
  for (const arrow of ['activate', 'booted into the trial', 'confirmed', 'rolled back', 'fell back']) {
    assert.ok(taken.has(arrow), `the walk is deep enough to take ${arrow}`);
  }
});

test('TEST-OTA-894 REQ-OTA-APPLY-02, REQ-OTA-APPLY-03: power lost between the confirmation and its record, then every start of the new group lost: it is disarmed before the record calls the attempt a failure', () => {
  const boot = { order: ['B', 'A'], left: { A: 0, B: 0 } } as const;
  const { effects } = step(
    recordIn('Confirming', { pendingBootId: 'boot-1', trialBoots: 1 }),
    { kind: 'booted' },
    factsOf({ bootedGroup: 'A', boot }),
  );
  const disarmed = effects.findIndex((effect) => effect.kind === 'disarm' && effect.group === 'B');
  const recorded = effects.findIndex(
    (effect) => effect.kind === 'write-record' && effect.record.state === 'Failing',
  );
  assert.ok(disarmed >= 0 && disarmed < recorded, `disarmed at ${disarmed}, recorded at ${recorded}`);
});

test('TEST-OTA-895 REQ-OTA-LIMIT-02: attempts that were no fault of their release: counted up to the bound and no further', () => {
  const facts = factsOf({ wastedMax: 2 });
  let record = newRecord('A', { version: 1, manifestSha256: sha('1') });
  for (let attempt = 0; attempt < 4; attempt += 1) {
    const failing: DeviceState = {
      ...recordIn('Failing'),
      failing: { code: 'OTA_CANCELLED', reason: 'nothing is assigned any more' },
      failures: record.failures,
    };
    record = step(failing, { kind: 'settled' }, facts).record;
  }
  assert.deepEqual(
    record.failures.map(({ count }) => count),
    [2],
  );
});
