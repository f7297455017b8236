/** The mark of an emergency release on its way to those who are asked at the device: its software and its people. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { programInterlock } from '../src/adapters/interlock.ts';
import { type Attempt, type DeviceState, newRecord } from '../src/core/record.ts';
import { briefOf } from '../src/executor-interlock.ts';
import { statusText } from '../src/output.ts';

test("TEST-OTA-1311 REQ-OTA-POL-06, REQ-OTA-LOG-02: an emergency release: its mark stands in the brief, in the variables of the interlock's program and in the status at the device; another release bears none", async () => {
  const installed = { version: 12, manifestSha256: 'a'.repeat(64) };
  const manifest = { name: '12.0', urgency: { level: 'security' } } as const;
  const marked = briefOf(installed, { ...manifest, emergency: true });
  const plain = briefOf(installed, { ...manifest, emergency: false });
  assert.deepEqual([marked.emergency, 'emergency' in plain], [true, false]);
  const ask = (wanted: string) =>
    programInterlock({
      command: ['/bin/sh', '-c', `test "$AIRLOCK_EMERGENCY" = "${wanted}"`],
      timeLimitSeconds: 5,
    });
  assert.equal((await ask('yes').allows('fetch', marked)).allowed, true);
  assert.equal((await ask('').allows('fetch', plain)).allowed, true);
  const attempt: Attempt = {
    ...installed,
    id: 'b'.repeat(32),
    kind: 'update',
    fromVersion: 1,
    group: 'B',
    staged: false,
    trialBoots: 0,
    notTried: 0,
    rotted: 0,
  };
  const record: DeviceState = {
    ...newRecord('A', { version: 1, manifestSha256: 'c'.repeat(64) }),
    state: 'Fetching',
    attempt,
  };
  const status = (emergency: boolean) =>
    statusText({
      agent: 'test',
      device: 'pump-1',
      product: 'pump',
      running: true,
      bootedGroup: 'A',
      record,
      emergency,
      seal: 'unbound',
      counter: undefined,
      bootControl: undefined,
      watchdog: undefined,
      trust: undefined,
      log: undefined,
      news: {},
    });
  assert.match(status(true), /attempt +EMERGENCY update to version 12/);
  assert.doesNotMatch(status(false), /EMERGENCY/);
});
