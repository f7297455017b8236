/** What every counter must do, whatever TPM stands behind it: `FloorCounter` of ports/platform.ts as a test. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FloorCounter } from '../../src/ports/platform.ts';

export interface FloorCounterUnderTest {
  /** Prepared as provisioning does. */
  readonly counter: FloorCounter;
  /** Power off and on. */
  restart(): Promise<void>;
  /** Deletes the counter and defines it anew, as somebody with the owner's authorisation can. */
  redefine(): Promise<void>;
  dispose(): Promise<void>;
}

export function floorStoreContract(
  name: string,
  testNumber: number,
  make: () => Promise<FloorCounterUnderTest>,
  skip: string | false = false,
): void {
  const title = `TEST-OTA-${testNumber} REQ-OTA-ROLL-04: ${name}, incremented, powered off, deleted and defined anew: each increment adds one and stays, and no value ever comes back`;
  test(title, { skip }, async () => {
    const under = await make();
    const { counter } = under;
    try {
      const first = await counter.read();
      assert.ok(Number.isSafeInteger(first) && first >= 0);
      assert.equal(await counter.read(), first, 'reading changes nothing');
      // More than the object slots of a TPM: nothing is left behind by a call.
      for (let step = 1; step <= 8; step += 1) {
        await counter.increment();
        assert.equal(await counter.read(), first + step);
      }
      await under.restart();
      assert.equal(await counter.read(), first + 8, 'durable once increment has returned');
      await under.redefine();
      assert.ok((await counter.read()) > first + 8, 'above every value that it ever had');
    } finally {
      await under.dispose();
    }
  });
}
