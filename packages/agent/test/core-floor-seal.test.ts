/**
 * Which records are believed on a device with a TPM, by table and by property (REQ-OTA-ROLL-04): whatever is cut, and
 * whichever copy is lost, no record of the device's own is taken for a restored disk, and no restored disk lowers the
 * floor.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { attemptStates } from '@airlock/protocol';
import type { Facts } from '../src/core/effects.ts';
import {
  judgeSeal,
  namingRefused,
  nextCounter,
  recoverRestored,
  sealAnew,
  type CounterReading,
  type SealVerdict,
} from '../src/core/floor-seal.ts';
import { recoverLost } from '../src/core/lost.ts';
import { step } from '../src/core/machine.ts';
import {
  deviceRecordUnknown,
  failuresMax,
  newRecord,
  reasonCharactersMax,
  refusalsMax,
  type Attempt,
  type DeviceState,
} from '../src/core/record.ts';
import { decodeRecord, encodeRecord, isConsistent } from '../src/core/record-codec.ts';

const sha = (digit: string): string => digit.repeat(64);
const value = (counter: number): CounterReading => ({ kind: 'value', counter });
const none: CounterReading = { kind: 'none' };
const dead: CounterReading = { kind: 'unreadable', reason: 'dead' };
const idle = newRecord('A', { version: 1, manifestSha256: sha('1') });
const attempt: Attempt = {
  id: 'a1',
  kind: 'update',
  manifestSha256: sha('5'),
  version: 5,
  fromVersion: 4,
  group: 'B',
  pendingBootId: 'boot-1',
  serverReached: true,
  staged: true,
  trialBoots: 1,
  notTried: 0,
  rotted: 0,
};

const facts = (changes: Partial<Facts> = {}): Facts => ({
  bootedGroup: 'A',
  bootId: 'boot-9',
  boot: { order: ['A'], left: { A: 16 } },
  tries: 'counted',
  armingSurvivesPowerOff: true,
  trialTries: 3,
  notTriedMax: 3,
  wastedMax: 16,
  rotMax: 1,
  fallbackAllowed: true,
  sealed: true,
  ...changes,
});

test('TEST-OTA-860 REQ-OTA-ROLL-04: a record beside every reading of the counter: believed at the counter and one above, restored at all else, undecided while the TPM is silent', () => {
  const cases: readonly [Pick<DeviceState, 'counter' | 'restored'>, CounterReading, SealVerdict][] = [
    [{}, none, 'unbound'],
    [{}, value(0), 'restored'],
    [{}, value(7), 'restored'],
    [{}, dead, 'unreadable'],
    [{ counter: 7 }, value(7), 'whole'],
    [{ counter: 8 }, value(7), 'uncommitted'],
    [{ counter: 6 }, value(7), 'restored'],
    [{ counter: 9 }, value(7), 'restored'],
    [{ counter: 0 }, value(0), 'whole'],
    [{ counter: 7 }, dead, 'unreadable'],
    // The configuration lost its TPM.
    [{ counter: 7 }, none, 'unreadable'],
    [{ restored: { deviceRecord: 1 } }, none, 'unreadable'],
    // Found once, it stays: also when the counter happens to fit again.
    [{ counter: 7, restored: { deviceRecord: 1 } }, value(7), 'restored'],
    [{ counter: 8, restored: { deviceRecord: 1 } }, value(7), 'restored'],
    [{ restored: { deviceRecord: 1 } }, dead, 'restored'],
  ];
  for (const [record, reading, verdict] of cases)
    assert.equal(judgeSeal(record, reading), verdict, JSON.stringify([record, reading]));
});

test('TEST-OTA-861 REQ-OTA-ROLL-04: a device record beside a restored one: only a higher number that names a floor, for the very counter, seals it anew, with the higher of both floors', () => {
  const restored: DeviceState = { ...idle, floor: 4, counter: 2, restored: { deviceRecord: 3 } };
  assert.equal(sealAnew(restored, { number: 3, floor: 9, counter: 20 }, 20), undefined, 'held already');
  assert.equal(sealAnew(restored, { number: 2, floor: 9, counter: 20 }, 20), undefined);
  assert.equal(sealAnew(restored, { number: 4 }, 20), undefined, 'it names no floor');
  assert.equal(
    sealAnew({ ...idle, counter: 2 }, { number: 4, floor: 9, counter: 20 }, 20),
    undefined,
    'nothing to end',
  );
  const unknown: DeviceState = { ...idle, restored: { deviceRecord: deviceRecordUnknown } };
  assert.equal(sealAnew(unknown, { number: deviceRecordUnknown, floor: 9, counter: 20 }, 20), undefined);
  for (const counter of [undefined, 0, 2, 19, 21]) {
    const named = { number: 4, floor: 9, ...(counter === undefined ? {} : { counter }) };
    assert.equal(sealAnew(restored, named, 20), undefined, `named for counter ${counter}`);
    assert.match(
      namingRefused(restored, named, 20) ?? '',
      /and the counter says 20: one with a number above 4/,
    );
  }
  assert.equal(namingRefused(restored, { number: 4, floor: 9, counter: 20 }, 20), undefined);
  assert.equal(namingRefused(restored, { number: 3, floor: 9 }, 20), undefined, 'an older one says nothing');
  for (const [named, floor] of [
    [9, 9],
    [4, 4],
    [2, 4],
  ] as const) {
    const anew = sealAnew(restored, { number: 4, floor: named, counter: 20 }, 20);
    assert.deepEqual([anew?.floor, anew?.counter, anew?.restored], [floor, 21, undefined]);
    assert.ok(anew !== undefined && !('restored' in anew));
    assert.equal(judgeSeal(anew, value(20)), 'uncommitted');
  }
});

test('TEST-OTA-862 REQ-OTA-ROLL-04, REQ-OTA-APPLY-01, REQ-OTA-APPLY-09: a restored record of every state, booted in either group, in a trial or not: what runs stays, a trial is left, nothing is armed, the floor is the highest known', () => {
  const found = { A: { version: 6, manifestSha256: sha('6') }, B: { version: 3, manifestSha256: sha('3') } };
  for (const state of attemptStates) {
    for (const bootedGroup of ['A', 'B'] as const) {
      for (const trial of ['A', 'B', undefined] as const) {
        for (const readable of [true, false]) {
          const order = ['A', 'B'] as const;
          const boot = { order, left: { A: 3, B: 3 }, ...(trial === undefined ? {} : { trial }) };
          const given = facts(readable ? { bootedGroup, boot } : { bootedGroup, boot: undefined });
          const held: DeviceState = {
            ...idle,
            state,
            floor: 5,
            counter: 2,
            ...(state === 'Idle' ? {} : { attempt }),
            ...(state === 'Failing' ? { failing: { code: 'OTA_FAIL_BOOT', reason: 'test' } as const } : {}),
          };
          checkRecovered(held, given, found);
        }
      }
    }
  }
});

function checkRecovered(held: DeviceState, given: Facts, found: Parameters<typeof recoverRestored>[1]): void {
  const { bootedGroup, boot } = given;
  const where = `${held.state}, booted ${bootedGroup}, trial ${boot?.trial}, boot ${boot !== undefined}`;
  const { record, effects } = recoverRestored(held, found, given, 4);
  const inTrial = boot?.trial === bootedGroup;
  const other = bootedGroup === 'A' ? 'B' : 'A';
  assert.ok(isConsistent(record), where);
  assert.deepEqual(decodeRecord(encodeRecord({ sequence: 1, record }))?.record, record, where);
  assert.equal(record.confirmed.group, inTrial ? other : bootedGroup, `${where}: what runs stays`);
  assert.deepEqual([record.floor, record.restored], [6, { deviceRecord: 4 }], where);
  assert.equal(record.groups[inTrial ? bootedGroup : other], undefined, `${where}: nothing proven`);
  const kinds = effects.map(({ kind }) => kind);
  if (kinds.includes('disarm'))
    assert.ok(
      kinds.indexOf('disarm') < kinds.indexOf('write-record'),
      `${where}: disarmed before it is written`,
    );
  const next = step(record, { kind: 'booted' }, given);
  const all = [...effects, ...next.effects];
  const disarmed = all.flatMap((effect) => (effect.kind === 'disarm' ? [effect.group] : []));
  const restarts = all.filter(({ kind }) => kind === 'restart-out-of-trial').length;
  if (inTrial) {
    assert.deepEqual(
      [...new Set(disarmed)],
      [bootedGroup],
      `${where}: the trial is left, the other one armed`,
    );
    assert.equal(restarts, 1, where);
  } else {
    assert.ok(!disarmed.includes(bootedGroup), `${where}: what runs is never disarmed`);
    assert.equal(restarts, 0, `${where}: nor restarted`);
    assert.equal(disarmed.includes(other), boot !== undefined, `${where}: nothing proves the other group`);
    assert.ok(!all.some(({ kind }) => kind === 'revert-data'), `${where}: data of what runs are kept`);
    const results = all.filter(({ kind }) => kind === 'log-result').length;
    assert.equal(results, held.attempt === undefined ? 0 : 1, `${where}: an attempt ends with a result`);
  }
  const forbidden = ['arm', 'boot-confirm', 'write-slots', 'self-test', 'commit-data'];
  assert.deepEqual(
    all.map(({ kind }) => kind).filter((kind) => forbidden.includes(kind)),
    [],
    where,
  );
}

/** A device of two copies and a counter; `saved` are disks that somebody put aside. */
interface Model {
  copies: [DeviceState | undefined, DeviceState | undefined];
  newest: 0 | 1;
  counter: number;
  committed: number;
  saved: { copies: Model['copies']; newest: 0 | 1 }[];
}

const heldBy = ({ copies, newest }: Pick<Model, 'copies' | 'newest'>): DeviceState | undefined =>
  copies[newest] ?? copies[1 - newest];

/** Start: a copy that is behind is written again, a missing increment is done. Answers the verdict. */
function startModel(model: Model): SealVerdict {
  const held = heldBy(model);
  if (held === undefined) return 'restored';
  model.copies = [held, held];
  const verdict = judgeSeal(held, value(model.counter));
  if (verdict === 'uncommitted') {
    model.counter += 1;
    model.committed = Math.max(model.committed, held.floor);
  }
  return verdict;
}

/** A confirmation that ends after `steps`: first copy, second copy, increment. */
function raiseModel(model: Model, steps: number): void {
  const held = heldBy(model);
  assert.ok(held);
  const floor = held.floor + 1;
  const next: DeviceState = { ...held, floor, ...nextCounter(held, floor, true) };
  const first = model.newest === 0 ? 1 : 0;
  if (steps >= 1) {
    model.copies[first] = next;
    model.newest = first;
  }
  if (steps >= 2) model.copies[first === 0 ? 1 : 0] = next;
  if (steps >= 3) {
    model.counter += 1;
    model.committed = floor;
  }
}

const action = fc.oneof(
  fc.record({ kind: fc.constant('raise' as const), steps: fc.nat({ max: 3 }) }),
  fc.record({ kind: fc.constant('lose' as const), copy: fc.constantFrom<0 | 1>(0, 1) }),
  fc.record({ kind: fc.constant('save' as const) }),
);

test('TEST-OTA-863 REQ-OTA-ROLL-04, REQ-OTA-APPLY-07: any confirmations cut anywhere, any one copy lost before each start: never taken for a restored disk; any older disk put back: noticed unless its floor is the one committed', () => {
  let restored = 0;
  fc.assert(
    fc.property(fc.array(action, { maxLength: 24 }), (actions) => {
      const first: DeviceState = { ...idle, counter: 41 };
      const model: Model = { copies: [first, first], newest: 0, counter: 41, committed: 1, saved: [] };
      for (const one of actions) {
        if (one.kind === 'raise') raiseModel(model, one.steps);
        else if (one.kind === 'save') model.saved.push({ copies: [...model.copies], newest: model.newest });
        else model.copies[one.copy] = undefined;
        const verdict = startModel(model);
        assert.ok(verdict === 'whole' || verdict === 'uncommitted', `own record: ${verdict}`);
        assert.ok((heldBy(model)?.floor ?? 0) >= model.committed, 'the floor never falls');
      }
      for (const disk of model.saved) {
        const old: Model = { ...model, copies: [...disk.copies], newest: disk.newest };
        const verdict = startModel(old);
        if (verdict === 'restored') restored += 1;
        else
          assert.ok((heldBy(old)?.floor ?? 0) >= model.committed, 'a disk that is believed lowers nothing');
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(restored > 100, 'old disks were put back');
});

test('TEST-OTA-864 REQ-OTA-ROLL-04, REQ-OTA-APPLY-07: record, without a TPM and with one at its largest: the same bytes as before, and it fits its block; a counter that is no integer is no record', () => {
  const text = (record: DeviceState): string =>
    new TextDecoder().decode(encodeRecord({ sequence: 1, record }));
  assert.doesNotMatch(text(idle), /counter|restored/);
  assert.deepEqual(
    recoverLost({ A: undefined, B: undefined }, facts({ sealed: false }), 1).record.restored,
    undefined,
  );
  assert.deepEqual(nextCounter({ ...idle, counter: 7 }, 2, false), {}, 'no counter is written without a TPM');
  assert.deepEqual(
    nextCounter({ ...idle, counter: 7 }, 1, true),
    {},
    'a floor that stays needs no increment',
  );
  const largest: DeviceState = {
    ...idle,
    state: 'Failing',
    counter: Number.MAX_SAFE_INTEGER,
    restored: { deviceRecord: Number.MAX_SAFE_INTEGER },
    attempt: { ...attempt, id: 'a'.repeat(32), pendingBootId: 'b'.repeat(64) },
    failing: { code: 'OTA_ATTEMPTS_EXHAUSTED', reason: 'x'.repeat(reasonCharactersMax) },
    failures: Array.from({ length: failuresMax }, () => ({ manifestSha256: sha('a'), count: 1000 })),
    refusals: Array.from({ length: refusalsMax }, () => ({
      manifestSha256: sha('b'),
      code: 'OTA_ATTEMPTS_EXHAUSTED' as const,
    })),
  };
  assert.deepEqual(decodeRecord(encodeRecord({ sequence: 1, record: largest }))?.record, largest);
  for (const counter of [-1, 1.5, 2 ** 53, null, '7']) {
    const bad = { ...idle, counter } as unknown as DeviceState;
    assert.equal(decodeRecord(encodeRecord({ sequence: 1, record: bad })), undefined, String(counter));
  }
  const badMark = { ...idle, restored: { deviceRecord: 1, more: 1 } } as unknown as DeviceState;
  assert.equal(decodeRecord(encodeRecord({ sequence: 1, record: badMark })), undefined);
});
