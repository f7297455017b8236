/**
 * Attempts that are no release's fault: never a bar to a release, never a loop of downloads and slot rewrites.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PollOutcome } from '../src/index.ts';
import { wastedFree, wastedOf } from '../src/core/record.ts';
import { SimDevice, World } from './support/sim-device.ts';

const backoff = { backoffSecondsMin: 30, backoffSecondsMax: 6 * 3600 };

async function running(world: World): Promise<SimDevice> {
  world.settings = { ...world.settings, tuning: backoff };
  const device = await SimDevice.provisioned(world);
  world.company.publish(undefined);
  await device.boot({ polls: 1 });
  return device;
}

async function poll(device: SimDevice): Promise<PollOutcome> {
  assert.ok(device.agent);
  return await device.agent.poll();
}

/** How often the newest code is in the log. */
async function begun(device: SimDevice): Promise<number> {
  return (await device.log()).filter(({ code }) => code === 'OTA_ATTEMPT_BEGUN').length;
}

/** Seconds until the next attempt has begun, asked at every second of doubled waits. */
async function secondsToNext(device: SimDevice): Promise<number> {
  const before = await begun(device);
  let seconds = 0;
  for (let step = 1; (await begun(device)) === before; step = Math.ceil(step * 1.2)) {
    assert.ok(seconds < 7 * 3600, 'an attempt begins within the largest back-off');
    seconds += step;
    device.world.monotonic += step * 1000;
    await poll(device);
  }
  return seconds;
}

test('TEST-OTA-1028 REQ-OTA-NET-04, REQ-OTA-LIMIT-02: bytes spoilt on the way, more often than attempts are allowed: the release is not barred, each try waits longer, and good bytes install it', async () => {
  const world = new World();
  world.settings = { attemptsPerReleaseMax: 2 };
  const device = await running(world);
  world.company.release(2);
  world.company.publish(2);
  world.corrupt = true;
  const first = await poll(device);
  assert.equal(first.kind === 'ended' ? first.code : first.kind, 'OTA_FAIL_HASH');
  assert.equal((await poll(device)).kind, 'waiting', 'no loop');
  const waits: number[] = [];
  for (let spoilt = 0; spoilt < 5; spoilt += 1) waits.push(await secondsToNext(device));
  assert.deepEqual(
    waits,
    waits.toSorted((a, b) => a - b),
  );
  assert.ok((waits.at(-1) ?? 0) >= 200, `grown: ${waits.join()}`);
  assert.ok((await device.results()).every(({ code }) => code === 'OTA_FAIL_HASH'));
  world.corrupt = false;
  // Restarting would end this boot; the next one goes on from what is staged.
  world.interlock = (what) => what === 'fetch';
  await secondsToNext(device);
  world.interlock = () => true;
  await device.settle();
  const record = await device.record();
  assert.equal(record.confirmed.version, 2);
  assert.equal(wastedOf(record), 0, 'the row is over');
});

test('TEST-OTA-1029 REQ-OTA-NET-04, REQ-OTA-LIMIT-02: a director that assigns and takes back, again and again: a few attempts, then none for hours, restarted or not', async () => {
  const world = new World();
  const device = await running(world);
  world.interlock = (what) => what === 'fetch';
  world.company.release(2);
  for (let turn = 0; turn < 40; turn += 1) {
    if (turn % 5 === 4) await device.boot({ polls: 1 });
    for (const version of [2, undefined]) {
      world.company.publish(version);
      await poll(device);
      // A minute between two polls: forty turns take over an hour.
      world.monotonic += 60_000;
    }
  }
  const attempts = await begun(device);
  assert.ok(attempts > wastedFree, 'not at once');
  assert.ok(attempts <= 9, `${attempts} attempts in 80 minutes`);
  world.company.publish(2);
  world.monotonic += backoff.backoffSecondsMax * 1000;
  await poll(device);
  assert.equal((await device.record()).state, 'Staged', 'put off, never barred');
});

test('TEST-OTA-1030 REQ-OTA-LIMIT-02: a release assigned, taken back twice and replaced: the one that is meant begins at once', async () => {
  const world = new World();
  const device = await running(world);
  world.interlock = (what) => what === 'fetch';
  world.company.release(2);
  world.company.release(3);
  for (const version of [2, undefined, 2, undefined, 3]) {
    world.company.publish(version);
    await poll(device);
  }
  const record = await device.record();
  assert.deepEqual([record.state, record.attempt?.version], ['Staged', 3]);
});
