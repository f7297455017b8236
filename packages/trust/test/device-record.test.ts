/**
 * Device records and signed time: who must have signed them, and for whom they count.
 * Leaves to the state tests that a record is replaced by a higher number only.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type DeviceRecord,
  isTimeNonce,
  parseDeviceRecord,
  signEnvelope,
  signTimeAnswer,
  verifyDeviceRecord,
  verifyTimeAnswer,
} from '@airlock/trust';
import * as fc from 'fast-check';
import { ed25519, now, put, sampleFiles, signers, textOf, utf8, verdict } from './support/samples.ts';

const files = sampleFiles();
const imageRoot = textOf(files.root);
const directorRoot = textOf(files.director);
const identity = { product: 'infusion-pump', device: 'PUMP-0001' };
const record: DeviceRecord = {
  schema: 'airlock-device-record/1',
  number: 1,
  device: 'PUMP-0001',
  udi: '(01)00844588003288(21)0001',
  product: 'infusion-pump',
  safetyClass: 'C',
  market: 'us',
  hardware: ['hw:rev2'],
  emergencyAllowed: false,
  floor: 4,
};

test('TEST-OTA-139 REQ-OTA-POL-01: a device record, signed by anybody but a provisioning key or changed: refused', () => {
  const signed = textOf(signEnvelope(record, [signers.provisioning]));
  assert.deepEqual(verifyDeviceRecord(signed, imageRoot, identity), { ok: true, value: record });
  for (const signer of [signers.root1, signers.targets, signers.timestamp, signers.director, ed25519(250)]) {
    const other = textOf(signEnvelope(record, [signer]));
    assert.equal(verdict(verifyDeviceRecord(other, imageRoot, identity)), 'OTA_DEVICE_RECORD signatures');
  }
  // The attack that matters: class C becomes class B, which asks for fewer signatures.
  const lowered = signed.replace('"safetyClass":"C"', '"safetyClass":"B"');
  assert.notEqual(lowered, signed);
  assert.equal(verdict(verifyDeviceRecord(lowered, imageRoot, identity)), 'OTA_DEVICE_RECORD signatures');
  assert.equal(verdict(verifyDeviceRecord('{}', imageRoot, identity)), 'OTA_DEVICE_RECORD signed');
  assert.equal(
    verdict(verifyDeviceRecord('x'.repeat(16_001), imageRoot, identity)),
    'OTA_DEVICE_RECORD envelope',
  );
  const unshaped = textOf(signEnvelope({ ...record, market: 5 }, [signers.provisioning]));
  assert.equal(verdict(verifyDeviceRecord(unshaped, imageRoot, identity)), 'OTA_DEVICE_RECORD market');
});

test("TEST-OTA-140 REQ-OTA-SIGN-07: a device record, another device's, another product's or with the wrong root: refused", () => {
  const signed = textOf(signEnvelope(record, [signers.provisioning]));
  const otherDevice = { ...identity, device: 'PUMP-0002' };
  assert.equal(verdict(verifyDeviceRecord(signed, imageRoot, otherDevice)), 'OTA_WRONG_BINDING device');
  const otherProduct = { ...identity, product: 'ventilator' };
  assert.equal(verdict(verifyDeviceRecord(signed, imageRoot, otherProduct)), 'OTA_WRONG_BINDING image root');
  const foreign = textOf(signEnvelope({ ...record, product: 'ventilator' }, [signers.provisioning]));
  assert.equal(verdict(verifyDeviceRecord(foreign, imageRoot, identity)), 'OTA_WRONG_BINDING product');
  assert.equal(verdict(verifyDeviceRecord(signed, directorRoot, identity)), 'OTA_WRONG_BINDING image root');
  assert.equal(
    verdict(verifyDeviceRecord(signed, textOf(files.targets), identity)),
    'OTA_WRONG_BINDING image root',
  );
  assert.equal(verdict(verifyDeviceRecord(signed, '', identity)), 'OTA_BAD_JSON image root');
});

test('TEST-OTA-141 REQ-OTA-MAN-02: a device record, a field missing, unknown or of another form: refused with the field', () => {
  const rows: [string, unknown[]][] = [
    ['schema', [undefined, 'airlock-device-record/2']],
    ['number', [undefined, 0, -1, 1.5, '1', 2 ** 53]],
    ['device', [undefined, '', 'a/b', '-a', 'x'.repeat(65)]],
    ['udi', [undefined, '']],
    ['product', [undefined, 'A']],
    ['safetyClass', [undefined, 'D']],
    ['market', [undefined, 'US', 'constructor']],
    ['hardware', [undefined, [], 'hw']],
    ['emergencyAllowed', [undefined, 'no']],
    ['floor', [0, 2 ** 31, '4']],
    ['extra', [1]],
  ];
  for (const [name, values] of rows) {
    for (const value of values) {
      const copy: unknown = structuredClone(record);
      put(copy, [name], value);
      assert.equal(
        verdict(parseDeviceRecord(copy)),
        `OTA_DEVICE_RECORD ${name}`,
        JSON.stringify([name, value]),
      );
    }
  }
  const { floor: _floor, ...without } = record;
  assert.deepEqual(parseDeviceRecord(without), { ok: true, value: without });
  fc.assert(fc.property(fc.anything(), (value) => !parseDeviceRecord(value).ok));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1');
      return (
        !verifyDeviceRecord(text, imageRoot, identity).ok && !verifyDeviceRecord('{}', text, identity).ok
      );
    }),
  );
});

test('TEST-OTA-142 REQ-OTA-ROLL-06: a signed time, another nonce, device or key: refused, so that no answer is used twice', () => {
  const nonce = 'ab'.repeat(16);
  const device = 'PUMP-0001';
  const question = { imageRootText: imageRoot, directorRootText: directorRoot, device, nonce };
  const both = [signers.director, signers.timestamp];
  const answer = signTimeAnswer({ device, nonce, time: now }, both);
  assert.deepEqual(verifyTimeAnswer(answer, question), { ok: true, value: now });
  const check = (bytes: Uint8Array, changes: Partial<typeof question> = {}) =>
    verdict(verifyTimeAnswer(bytes, { ...question, ...changes }));
  assert.equal(check(answer, { nonce: 'cd'.repeat(16) }), 'OTA_TIME_ANSWER nonce');
  assert.equal(check(answer, { device: 'PUMP-0002' }), 'OTA_TIME_ANSWER device');
  assert.equal(check(answer, { directorRootText: imageRoot }), 'OTA_TIME_ANSWER director root');
  assert.equal(check(answer, { directorRootText: textOf(files.timestamp) }), 'OTA_TIME_ANSWER director root');
  assert.equal(check(answer, { directorRootText: '' }), 'OTA_BAD_JSON director root');
  assert.equal(check(answer, { imageRootText: directorRoot }), 'OTA_TIME_ANSWER image root');
  // Neither repository's key speaks for both.
  for (const signer of both) {
    const half = signTimeAnswer({ device, nonce, time: now }, [signer]);
    assert.equal(check(half), 'OTA_TIME_ANSWER signatures');
  }
  assert.equal(
    check(utf8(textOf(answer).replace(String(now), String(now - 9)))),
    'OTA_TIME_ANSWER signatures',
  );
  // Something else that the same key signed is no time.
  const report = signEnvelope({ schema: 'airlock-report/1', device, nonce, time: now }, both);
  assert.equal(check(report), 'OTA_TIME_ANSWER schema');
  const timeless = signEnvelope({ schema: 'airlock-time/1', device, nonce, time: -1 }, both);
  assert.equal(check(timeless), 'OTA_TIME_ANSWER time');
  assert.equal(check(files.timestamp), 'OTA_TIME_ANSWER signed');
  assert.equal(check(new Uint8Array(4001)), 'OTA_TIME_ANSWER envelope');
  for (const bad of [
    { nonce: 'short' },
    { nonce: `${nonce}"` },
    { device: 'a/b' },
    { time: -1 },
    { time: 1.5 },
  ]) {
    assert.throws(() => signTimeAnswer({ device, nonce, time: now, ...bad }, both), RangeError);
  }
  assert.equal(isTimeNonce('x'.repeat(129)), false);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => !verifyTimeAnswer(bytes, question).ok));
});
