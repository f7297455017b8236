/** What every BootControl must do, whatever boot loader stands behind it: ports/boot-control.ts as tests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GroupLetter } from '@airlock/trust';
import { confirmedStartsDefault, type BootControl } from '../../src/ports/boot-control.ts';

export interface BootControlUnderTest {
  /** Freshly provisioned with group A confirmed and alone in the order. */
  readonly control: BootControl;
  dispose(): Promise<void>;
}

/** Registers three tests, numbered from `firstNumber`. */
export function bootControlContract(
  name: string,
  make: () => Promise<BootControlUnderTest>,
  firstNumber: number,
): void {
  const contract = (
    offset: number,
    requirements: string,
    subject: string,
    body: (control: BootControl) => Promise<void>,
  ): void => {
    test(`TEST-OTA-${firstNumber + offset} ${requirements}: ${name}, ${subject}`, async () => {
      const under = await make();
      try {
        await body(under.control);
      } finally {
        await under.dispose();
      }
    });
  };

  contract(
    0,
    'REQ-OTA-APPLY-04',
    'arm, then confirm: a trial with its tries first, then a confirmed group first',
    async (control) => {
      assert.deepEqual((await control.read())?.order, ['A']);
      await control.arm('B', 3);
      const armed = await control.read();
      assert.deepEqual(armed?.order, ['B', 'A']);
      assert.equal(armed?.trial, 'B');
      assert.equal(armed?.left.B, 3);
      await control.confirm('B');
      const confirmed = await control.read();
      assert.deepEqual(confirmed?.order, ['B', 'A']);
      assert.equal(confirmed?.trial, undefined);
      assert.equal(confirmed?.left.B, confirmedStartsDefault);
    },
  );

  contract(
    1,
    'REQ-OTA-APPLY-09',
    'disarm: the group leaves the order and nothing but arm or confirm brings it back',
    async (control) => {
      await control.arm('B', 3);
      await control.disarm('B');
      const disarmed = await control.read();
      assert.deepEqual(disarmed?.order, ['A']);
      assert.equal(disarmed?.trial, undefined);
      await control.confirm('A');
      assert.deepEqual((await control.read())?.order, ['A']);
    },
  );

  contract(
    2,
    'REQ-OTA-APPLY-03',
    'any steps, each repeated as after a power cut: the same state as once',
    async (control) => {
      const group = fc.constantFrom<GroupLetter>('A', 'B');
      const step = fc.record({
        what: fc.constantFrom<'arm' | 'disarm' | 'confirm'>('arm', 'disarm', 'confirm'),
        group,
        tries: fc.integer({ min: 1, max: 9 }),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 4 }), async (steps) => {
          for (const { what, group: letter, tries } of steps) {
            const act = async (): Promise<void> =>
              what === 'arm' ? await control.arm(letter, tries) : await control[what](letter);
            await act();
            const once = await control.read();
            await act();
            assert.deepEqual(await control.read(), once);
            assert.equal(once?.order.includes(letter), what !== 'disarm');
          }
        }),
        { numRuns: 5 },
      );
    },
  );
}
