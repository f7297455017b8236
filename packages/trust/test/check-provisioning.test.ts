/** Stolen provisioning keys: what a device record can change about a device, and what it cannot. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { updateDeviceRecord } from '../src/index.ts';
import { newDevice, type TestDevice } from './support/device.ts';
import { Company } from './support/repository.ts';
import { isJson, newSigner } from './support/signing.ts';
import { installs } from './support/theft.ts';

/** Takes a record as the device does; the code of the refusal, or undefined. */
function take(device: TestDevice, record: string): string | undefined {
  const next = updateDeviceRecord(device.state, record, device.identity);
  if (!next.ok) return next.error.code;
  device.state = next.value;
  return undefined;
}

test('TEST-OTA-848 REQ-OTA-SIGN-04: one provisioning key of two stolen, also counted twice: no record of its is taken; with the second it is', () => {
  const company = new Company();
  const [one, two] = [newSigner(), newSigner('p256')];
  company.provisioning = [one, two];
  company.provisioningThreshold = 2;
  company.publishRoot(company.image.root);
  const device = newDevice(company, 'pump-1');
  const before = device.state;
  const lowered = { number: 2, market: 'eu' };
  const single = company.deviceRecord('pump-1', lowered, [one]);
  const parsed: unknown = JSON.parse(single);
  assert.ok(isJson(parsed) && Array.isArray(parsed['signatures']));
  const signatures: unknown[] = parsed['signatures'];
  const twice = JSON.stringify({ ...parsed, signatures: [...signatures, ...signatures] });
  const withOther = company.deviceRecord('pump-1', lowered, [one, newSigner()]);
  for (const record of [single, twice, withOther]) assert.equal(take(device, record), 'OTA_DEVICE_RECORD');
  assert.equal(device.state, before);
  assert.equal(take(device, company.deviceRecord('pump-1', lowered, [one, two])), undefined);
});

test('TEST-OTA-849 REQ-OTA-SIGN-04, REQ-OTA-POL-09, REQ-OTA-MAN-03: provisioning keys stolen, threshold: another market asks less, never less than the root; another class fits no release; what is left out must still be approved', () => {
  const company = new Company();
  company.approve('engineering', 13);
  company.approve('quality', 13);
  company.approve('engineering', 14);
  company.publish();
  company.assign('pump-1', 13);
  const device = newDevice(company, 'pump-1');
  assert.equal(device.check().code, 'OTA_NOT_APPROVED', 'regulatory-us has not approved');
  // The harm: a release approved for Europe runs on a device sold to America.
  assert.equal(take(device, company.deviceRecord('pump-1', { number: 2, market: 'eu' })), undefined);
  assert.equal(installs(device.check()), 13);
  // The bound: both functions that the root asks of every market.
  company.assign('pump-1', 14);
  const short = device.check();
  assert.equal(short.code, 'OTA_NOT_APPROVED');
  assert.ok(short.verdict?.kind === 'refused' && short.verdict.error.field === 'quality');
  const rows = [
    ['OTA_WRONG_CLASS', { number: 3, market: 'eu', safetyClass: 'B' }],
    ['OTA_DEMAND_UNKNOWN', { number: 4, market: 'xx' }],
  ] as const;
  for (const [code, changes] of rows) {
    assert.equal(take(device, company.deviceRecord('pump-1', changes)), undefined);
    assert.equal(device.check().code, code);
  }
  // The missing key: with that of quality too, the release installs.
  company.approve('quality', 14);
  company.publish();
  assert.equal(take(device, company.deviceRecord('pump-1', { number: 5, market: 'eu' })), undefined);
  assert.equal(installs(device.check()), 14);
});
