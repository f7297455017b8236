/**
 * The counter that the floor is sealed with, read and incremented through its port.
 *
 * Keeps true: the counter is incremented only when the record says that it must be, and never twice for one record -
 * each try reads it first, since an increment that failed may have happened. What the reading means is
 * `core/floor-seal.ts`'s; what is done while the floor cannot be believed is the agent's.
 */
import type { DeviceCode } from '@airlock/protocol';
import { judgeSeal, restoredWords, type CounterReading } from './core/floor-seal.ts';
import { messageOf } from './core/operating-error.ts';
import type { DeviceState } from './core/record.ts';
import type { Clock, FloorCounter, FloorStore } from './ports/platform.ts';

/** A TPM is busy for seconds at most (self-test after a start, another user); a trial must not wait for long. */
const counterTriesMax = 3;
const counterAgainMs = 1000;

type CounterPorts = { readonly floorStore: FloorStore; readonly clock: Clock };

/** Never throws for what the TPM does. */
export async function readCounter({ floorStore, clock }: CounterPorts): Promise<CounterReading> {
  if (floorStore.kind === 'record') return { kind: 'none' };
  for (let tries = 1; ; tries += 1) {
    const reading = await readOnce(floorStore);
    if (reading.kind === 'value' || tries === counterTriesMax) return reading;
    await clock.sleep(counterAgainMs);
  }
}

async function readOnce(store: FloorCounter): Promise<CounterReading> {
  try {
    return { kind: 'value', counter: await store.read() };
  } catch (error) {
    return { kind: 'unreadable', reason: messageOf(error) };
  }
}

/** Makes the counter what the record is sealed with; undefined when it is. Never throws for what the TPM does. */
export async function settleCounter(
  ports: CounterPorts,
  record: DeviceState,
): Promise<{ readonly code: DeviceCode; readonly reason: string } | undefined> {
  const { floorStore, clock } = ports;
  let fault = 'the record is sealed with a counter, and no TPM is configured';
  for (let tries = 1; tries <= counterTriesMax; tries += 1) {
    const reading = await readCounter(ports);
    const verdict = judgeSeal(record, reading);
    if (verdict === 'whole' || verdict === 'unbound') return undefined;
    if (verdict === 'restored') {
      const counter = reading.kind === 'value' ? reading.counter : undefined;
      return { code: 'OTA_STATE_RESTORED', reason: restoredWords(record, counter) };
    }
    if (reading.kind === 'unreadable') fault = reading.reason;
    if (verdict === 'unreadable' || floorStore.kind === 'record') break;
    try {
      await floorStore.increment();
      fault = 'the counter did not grow by one when it was incremented';
    } catch (error) {
      // It may have happened all the same: the next round reads, and increments only what is still one behind.
      fault = messageOf(error);
      await clock.sleep(counterAgainMs);
    }
  }
  const last = judgeSeal(record, await readCounter(ports));
  return last === 'whole' ? undefined : { code: 'OTA_FAIL_FLOOR', reason: fault };
}

/**
 * The value that a device record must name to end the doubt: what the TPM says, on a restored disk only, since asking
 * it at each report would be for nothing. Elsewhere what the record is sealed with.
 */
export async function counterToReport(ports: CounterPorts, record: DeviceState): Promise<number | undefined> {
  if (record.restored === undefined) return record.counter;
  const reading = await readCounter(ports);
  return reading.kind === 'value' ? reading.counter : undefined;
}
