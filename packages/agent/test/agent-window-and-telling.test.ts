/** The device's own window, starts given back, and a log that reaches the server whatever else fails. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TransportError } from '../src/index.ts';
import { SimDevice, statePath, World } from './support/sim-device.ts';

async function assigned(world: World = new World()): Promise<SimDevice> {
  const device = await SimDevice.provisioned(world);
  world.company.release(2);
  world.company.publish(2);
  return device;
}

test("TEST-OTA-1031 REQ-OTA-POL-06, REQ-OTA-LIMIT-01: the device's own update window, closed, open, and closed again before the restart: nothing begins and nothing is armed outside it", async () => {
  const world = new World();
  // The simulated clock begins at midnight; the assignment names no window.
  world.settings = { window: { fromMinute: 60, toMinute: 120, days: [0, 1, 2, 3, 4, 5, 6] } };
  const device = await assigned(world);
  const outside = { kind: 'waiting', reason: 'outside the update window' };
  assert.deepEqual(await device.boot(), outside);
  assert.equal((await device.record()).state, 'Idle');
  assert.equal(world.imageRequests.length, 0);
  world.now += 70 * 60;
  world.interlock = (what) => what === 'fetch';
  await device.boot();
  assert.equal((await device.record()).state, 'Staged');
  world.interlock = () => true;
  world.now += 60 * 60;
  assert.deepEqual(await device.boot(), outside);
  assert.deepEqual(device.bootState().order, ['A']);
  world.now += 23 * 3600;
  world.company.now = world.now;
  world.company.publish(2);
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-1032 REQ-OTA-ROLL-07: a device that is unplugged again and again during a long fetch: each start is given back to the running group', async () => {
  const device = await assigned();
  const probe = device.clone();
  await probe.boot();
  const cutBefore = probe.power.trace.findIndex((entry) => entry.startsWith('flush /slots/app-B'));
  assert.ok(cutBefore > 0);
  assert.equal(await device.boot({ cutBefore }), 'cut');
  assert.equal((await device.record()).state, 'Fetching');
  const starts = device.bootState().left.A;
  for (let unplugged = 0; unplugged < 20; unplugged += 1) {
    await device.boot({ polls: 0 });
    assert.equal((await device.record()).state, 'Fetching');
    assert.equal(device.bootState().left.A, starts);
  }
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-1033 REQ-OTA-LOG-01: a server that refuses every report: it gets the log all the same', async () => {
  const device = await assigned();
  device.world.reports.push = () => {
    throw new TransportError('OTA_SERVER_ANSWER', 'status 500');
  };
  await device.settle();
  assert.ok(device.world.uploaded.some(({ code }) => code === 'OTA_CONFIRMED'));
});

test('TEST-OTA-1034 REQ-OTA-LOG-03: one cell of the log rots while the agent runs: the entries after it are uploaded, and the gap is announced', async () => {
  const device = await assigned();
  const { world } = device;
  world.interlock = (what) => what === 'fetch';
  await device.boot({ polls: 0 });
  // The first entry, in the second cell of the ring.
  device.disk.damage(`${statePath}/log`, 4096 + 40);
  await device.agent?.poll();
  await device.agent?.poll();
  const uploaded = world.uploaded.map(({ code }) => code);
  assert.ok(uploaded.includes('OTA_STAGED'), uploaded.join());
  assert.ok(!uploaded.includes('OTA_BOOT'));
  // Another reason to wait is the next entry.
  world.interlock = (what) => what !== 'reboot';
  await device.agent?.poll();
  const gap = world.uploaded.find(({ code }) => code === 'OTA_LOG_GAP');
  assert.deepEqual(gap?.facts, { first: 1, last: 1 });
  assert.equal(world.uploaded.at(-1)?.code, 'OTA_WAITING');
});
