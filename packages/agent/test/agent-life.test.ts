/** A device over time: its clock at start, papers that change while it lives, and the loop that polls. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PollOutcome } from '../src/index.ts';
import { day, newSigner, start } from './support/sim-company.ts';
import { SimDevice, World } from './support/sim-device.ts';

async function codes(device: SimDevice): Promise<readonly string[]> {
  return (await device.log()).map(({ code }) => code);
}

test('TEST-OTA-773 REQ-OTA-ROLL-06: a start in 1970, ahead of the lower bound, or with a clock that cannot be set: set to the lower bound, left alone, or logged and started all the same', async () => {
  const device = await SimDevice.provisioned(new World());
  const { world } = device;
  world.clockSets = [];
  world.now = 17;
  await device.boot();
  assert.deepEqual(world.clockSets, [start], 'the build time is the first lower bound');
  assert.deepEqual(new Set((await device.log()).map(({ time }) => time)), new Set([start]));
  world.company.now = start + day;
  world.company.release(2);
  world.company.publish(2);
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
  world.now = 17;
  await device.boot();
  assert.equal(world.clockSets.at(-1), start + day, 'then the newest time that was signed');
  const sets = world.clockSets.length;
  world.now = start + 2 * day;
  await device.boot();
  assert.equal(world.clockSets.length, sets, 'a clock that is ahead is left alone');
  assert.ok(!(await codes(device)).includes('OTA_CLOCK_NOT_SET'));
  world.now = 17;
  world.clockFails = true;
  const end = await device.boot();
  assert.equal(typeof end === 'object' ? end.kind : end, 'idle');
  assert.ok((await codes(device)).includes('OTA_CLOCK_NOT_SET'));
});

test('TEST-OTA-783 REQ-OTA-SIGN-07, REQ-OTA-MAN-03: a device record in a check-in, with a higher number, the same one, or from a stranger: the higher one is kept and decides, the others change nothing', async () => {
  const device = await SimDevice.provisioned(new World());
  const { world } = device;
  const changed = { hardware: ['hw:rev9'] };
  world.company.release(2, { compat: ['hw:rev9'] });
  const cases = [
    undefined,
    world.company.record(1, changed),
    world.company.record(2, changed, newSigner()),
    world.company.record(2, { ...changed, device: 'PUMP-0002' }),
  ];
  for (const record of cases) {
    world.deviceRecord = record;
    world.company.publish(2);
    const end = await device.boot();
    assert.equal(typeof end === 'object' && end.kind === 'refused' ? end.code : end, 'OTA_INCOMPATIBLE');
  }
  world.deviceRecord = world.company.record(2, changed);
  world.company.publish(2);
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
  assert.match(world.reports.at(-1) ?? '', /"deviceRecord":2/);
  // It is kept: a server that takes it back, or an older one, changes nothing any more.
  world.deviceRecord = world.company.record(1);
  world.company.release(3, { compat: ['hw:rev9'] });
  world.company.publish(3);
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 3);
});

test('TEST-OTA-784 REQ-OTA-LIMIT-02, REQ-OTA-NET-04: the loop, through a server that goes away and comes back: one poll for each wait, back-off that doubles, the interval again afterwards, and an end at the signal', async () => {
  const device = await SimDevice.provisioned(new World());
  const { world } = device;
  world.settings = { tuning: { backoffSecondsMin: 40, backoffSecondsMax: 100 } };
  world.company.publish(undefined);
  await device.boot({ polls: 0 });
  world.runWaits = [];
  const stop = new AbortController();
  const outcomes: PollOutcome['kind'][] = [];
  await device.agent?.run(stop.signal, (outcome) => {
    outcomes.push(outcome.kind);
    world.reachable = outcomes.length < 2 || outcomes.length > 5;
    if (outcomes.length === 8) stop.abort();
  });
  const failed = Array.from({ length: 4 }, () => 'failed' as const);
  assert.deepEqual(outcomes, ['idle', 'idle', ...failed, 'idle', 'idle']);
  // The fraction drawn is always a half: the middle of the interval, and half of each back-off.
  assert.deepEqual(
    world.runWaits,
    [60, 60, 20, 40, 50, 50, 60, 60].map((seconds) => seconds * 1000),
  );
});
