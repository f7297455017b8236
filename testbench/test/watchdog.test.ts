/**
 * The watchdog of a trial, from end to end: real server, real agent, and a virtual device that only its watchdog
 * resets when the agent does not go on.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { cleanUp } from '../src/processes.ts';
import { readBootFile } from '../src/virtual-device/boot-file.ts';
import { readRecord } from '../src/virtual-device/device-view.ts';
import { makeWorld, type World } from './support/world.ts';

let world: World;

before(async () => {
  world = await makeWorld();
});

after(async () => {
  await world.close();
  cleanUp();
});

test('TEST-OTA-1056 REQ-OTA-APPLY-04, REQ-OTA-VERIFY-02, REQ-OTA-POL-06: update whose agent is stopped in its trial, at every try: reset by the watchdog that it opened, rolled back with OTA_FAIL_TRIES; outside the trial the watchdog is never opened', async () => {
  await world.release({ version: 2, selfTest: 'stops-agent' });
  const device = await world.device('hangs-1', { watchdog: { timeoutSeconds: 4, openSecondsMax: 20 } });
  const { virtual } = device;
  virtual.powerOn();
  await world.company.assign(device.id, 2);
  await device.waitForCode('OTA_FAIL_TRIES', { version: 2 });
  const record = await virtual.waitFor('the record to be idle', 60_000, () => {
    const now = readRecord(device.folder.stateFolder);
    return now?.state === 'Idle' ? now : undefined;
  });
  await virtual.killAgent();
  assert.deepEqual([record.confirmed.version, record.confirmed.group, record.floor], [1, 'A', 1]);
  assert.deepEqual((await readBootFile(device.folder.bootFile))?.order, ['A']);
  const results = device.log.look().filter((entry) => entry.facts?.['result'] === true);
  assert.deepEqual(
    results.map(({ code, toVersion }) => [code, toVersion]),
    [['OTA_FAIL_TRIES', 2]],
  );
  const trials = virtual.lives.filter(({ trial }) => trial);
  assert.deepEqual(
    trials.map(({ group, watchdogOpened, bitten }) => [group, watchdogOpened, bitten]),
    Array.from({ length: 3 }, () => ['B', true, 'watchdog not fed for 4 s']),
  );
  const others = virtual.lives.filter(({ trial }) => !trial);
  assert.ok(others.length >= 2);
  for (const { watchdogOpened, bitten } of others)
    assert.deepEqual([watchdogOpened, bitten], [false, undefined]);
});

test('TEST-OTA-1057 REQ-OTA-POL-06: update that is confirmed, and the agent stopped afterwards for longer than the timeout: the watchdog was opened in the trial, is stopped, and does not reset the device', async () => {
  await world.release({ version: 3 });
  const device = await world.device('confirmed-1', { watchdog: { timeoutSeconds: 4, openSecondsMax: 20 } });
  const { virtual } = device;
  virtual.powerOn();
  await world.company.assign(device.id, 3);
  await device.waitForCode('OTA_CONFIRMED', { version: 3 });
  const { boots, agentPid } = virtual;
  assert.ok(agentPid !== undefined);
  process.kill(agentPid, 'SIGSTOP');
  // Not a guessed wait: the time in which a watchdog that still ran would have bitten.
  await new Promise((resolve) => void setTimeout(resolve, 6000));
  assert.equal(virtual.boots, boots);
  await virtual.killAgent();
  const last = virtual.lives.at(-1);
  assert.deepEqual([last?.trial, last?.watchdogOpened, last?.bitten], [true, true, undefined]);
});
