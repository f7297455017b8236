/**
 * The boot loader contract as properties: whatever the boot control says and however often power is lost.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BootControlState, confirmedStartsDefault, trialTriesDefault } from '@airlock/agent';
import type { GroupLetter } from '@airlock/trust';
import * as fc from 'fast-check';
import { decideBoot } from '../src/virtual-device/boot-loader.ts';

const groups = fc.constantFrom<GroupLetter>('A', 'B');
const orders = fc.constantFrom<readonly GroupLetter[]>([], ['A'], ['B'], ['A', 'B'], ['B', 'A']);
const counts = fc.integer({ min: 0, max: 20 });
const states: fc.Arbitrary<BootControlState> = fc
  .record({ order: orders, trial: fc.option(groups, { nil: undefined }), A: counts, B: counts })
  .map(({ order, trial, A, B }) => {
    const state = { order, left: { A, B } };
    // `arm` puts the group into the order: a trial outside it does not exist.
    return trial !== undefined && order.includes(trial) ? { ...state, trial } : state;
  });

/** Starts that the boot loader makes in a row when no agent ever runs. */
function startsInARow(state: BootControlState, count: number): readonly (GroupLetter | undefined)[] {
  let current = state;
  const started: (GroupLetter | undefined)[] = [];
  for (let index = 0; index < count; index += 1) {
    const decision = decideBoot(current);
    started.push(decision.group);
    current = decision.after;
  }
  return started;
}

test('TEST-OTA-600 REQ-OTA-APPLY-09: boot loader, any boot control: never starts or adds a group outside the order', () => {
  fc.assert(
    fc.property(states, (state) => {
      const { group, after } = decideBoot(state);
      assert.deepEqual(after.order, state.order);
      assert.equal(after.trial, state.trial);
      if (group !== undefined) assert.ok(state.order.includes(group));
    }),
  );
});

test('TEST-OTA-601 REQ-OTA-APPLY-03: boot loader, any boot control: counts exactly the started group down and nothing up', () => {
  fc.assert(
    fc.property(states, (state) => {
      const { group, after } = decideBoot(state);
      for (const letter of ['A', 'B'] as const) {
        const before = state.left[letter] ?? 0;
        const expected = letter === group && before > 0 ? before - 1 : before;
        assert.equal(after.left[letter], expected);
      }
    }),
  );
});

test('TEST-OTA-602 REQ-OTA-APPLY-04: boot loader, a trial that never confirms: started as often as it has tries, then the confirmed group', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), (tries) => {
      const armed: BootControlState = {
        order: ['B', 'A'],
        trial: 'B',
        left: { A: confirmedStartsDefault, B: tries },
      };
      const started = startsInARow(armed, tries + confirmedStartsDefault);
      assert.deepEqual(
        started.slice(0, tries),
        Array.from({ length: tries }, () => 'B'),
      );
      assert.deepEqual(
        started.slice(tries),
        Array.from({ length: confirmedStartsDefault }, () => 'A'),
      );
    }),
  );
  assert.equal(trialTriesDefault, 3);
});

test('TEST-OTA-603 REQ-OTA-ROLL-07: boot loader, a confirmed group unplugged again and again: not left before all its starts are used', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: confirmedStartsDefault }), groups, (unplugs, confirmed) => {
      const other: GroupLetter = confirmed === 'A' ? 'B' : 'A';
      const left = { [confirmed]: confirmedStartsDefault, [other]: confirmedStartsDefault };
      const started = startsInARow({ order: [confirmed, other], left }, unplugs);
      assert.deepEqual([...new Set(started)], [confirmed]);
    }),
  );
});

test('TEST-OTA-604 REQ-OTA-APPLY-04: boot loader, every count used up: starts a confirmed group, never the trial', () => {
  fc.assert(
    fc.property(states, (state) => {
      const empty = { ...state, left: { A: 0, B: 0 } };
      const { group } = decideBoot(empty);
      const confirmed = state.order.find((letter) => letter !== state.trial);
      assert.equal(group, confirmed);
    }),
  );
});
