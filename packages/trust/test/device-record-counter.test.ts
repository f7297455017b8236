/** The counter that a device record names beside a floor (REQ-OTA-ROLL-04). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDeviceRecord } from '../src/device-record.ts';

const record = {
  schema: 'airlock-device-record/1',
  number: 2,
  device: 'PUMP-0001',
  udi: '(01)00000000000000(21)1',
  product: 'infusion-pump',
  safetyClass: 'C',
  market: 'us',
  hardware: ['hw:rev2'],
  emergencyAllowed: false,
};

test('TEST-OTA-1105 REQ-OTA-ROLL-04, REQ-OTA-MAN-02: a device record with a counter, beside a floor, alone, or no count: read, or refused with the field named', () => {
  const read = (changes: Readonly<Record<string, unknown>>) => {
    const parsed = parseDeviceRecord({ ...record, ...changes });
    return parsed.ok ? [parsed.value.floor, parsed.value.counter] : parsed.error.field;
  };
  assert.deepEqual(read({ floor: 7, counter: 0 }), [7, 0]);
  assert.deepEqual(read({ floor: 7, counter: 2 ** 53 - 1 }), [7, 2 ** 53 - 1]);
  assert.deepEqual(read({ floor: 7 }), [7, undefined]);
  for (const counter of [-1, 1.5, '7', null, 2 ** 53]) assert.equal(read({ floor: 7, counter }), 'counter');
  assert.equal(read({ counter: 7 }), 'counter', 'named for no floor');
});
