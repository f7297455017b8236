/** The stored trust state is read back strictly, whatever its bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assert as holds, constantFrom, nat, property, uint8Array } from 'fast-check';
import { encodeTrustState, parseTrustState } from '../src/index.ts';
import { approvedRelease } from './support/device.ts';
import { isJson, type Json } from './support/signing.ts';

function heldState() {
  const { device } = approvedRelease();
  device.check();
  return device.state;
}

test('TEST-OTA-191 REQ-OTA-APPLY-07, REQ-OTA-ROLL-02: a stored trust state, written and read: the same; changed in one field: refused with the field named', () => {
  const state = heldState();
  assert.deepEqual(parseTrustState(encodeTrustState(state)), { ok: true, value: state });
  const rows: [string, (copy: Json) => void][] = [
    ['schema', (copy) => (copy['schema'] = 'airlock-trust-state/2')],
    ['timeLowerBound', (copy) => (copy['timeLowerBound'] = -1)],
    ['builtAt', (copy) => delete copy['builtAt']],
    ['director.memory.timestamp.issued', (copy) => change(copy, 'director', { issued: -1 }, 'timestamp')],
    ['withdrawn[0]', (copy) => (copy['withdrawn'] = ['abc'])],
    ['withdrawn', (copy) => (copy['withdrawn'] = Array.from({ length: 65 }, () => 'a'.repeat(64)))],
    ['deviceRecord', (copy) => delete copy['deviceRecord']],
    ['image', (copy) => (copy['image'] = null)],
    ['director.memory.targets.version', (copy) => change(copy, 'director', { version: 0 })],
    ['director.memory.targets.signedSha256', (copy) => change(copy, 'director', { signedSha256: '' })],
  ];
  for (const [field, edit] of rows) {
    const copy: unknown = JSON.parse(Buffer.from(encodeTrustState(state)).toString('utf8'));
    assert.ok(isJson(copy));
    edit(copy);
    const read = parseTrustState(Buffer.from(JSON.stringify(copy)));
    assert.ok(!read.ok, field);
    assert.deepEqual([read.error.code, read.error.field], ['OTA_TRUST_STATE', field]);
  }
});

function change(copy: Json, repository: string, fields: Json, role = 'targets'): void {
  const found = copy[repository];
  assert.ok(isJson(found) && isJson(found['memory']));
  const { memory } = found;
  const remembered = memory[role];
  assert.ok(isJson(remembered));
  memory[role] = { ...remembered, ...fields };
}

test('TEST-OTA-192 REQ-OTA-APPLY-07: a stored trust state, cut or overwritten at random: never throws, and is read only if it is JSON of our form', () => {
  const bytes = Buffer.from(encodeTrustState(heldState()));
  holds(
    property(
      nat(bytes.length),
      uint8Array({ maxLength: 8 }),
      constantFrom('cut', 'overwrite'),
      (at, junk, kind) => {
        const bent = kind === 'cut' ? bytes.subarray(0, at) : Buffer.from(bytes);
        if (kind === 'overwrite') bent.set(junk.subarray(0, bytes.length - at), at);
        const read = parseTrustState(bent);
        if (!read.ok) assert.equal(read.error.code, 'OTA_TRUST_STATE');
        else assert.equal(Buffer.from(encodeTrustState(read.value)).length > 0, true);
        if (kind === 'cut' && at < bytes.length) assert.equal(read.ok, false);
      },
    ),
    { numRuns: 300 },
  );
  assert.equal(parseTrustState(Buffer.alloc(4_000_001, 0x20)).ok, false);
});
