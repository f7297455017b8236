/** Reports: which one tells what a device is now, and how many of them one device may leave at the server. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DeviceReport } from '@airlock/protocol';
import { reportRate, reportsKeptMax } from '../src/core/reports.ts';
import { withStore } from '../src/server.ts';
import {
  addDevice,
  makeWorld,
  must,
  publishProduct,
  reportOf,
  type TestDevice,
  type World,
} from './support/world.ts';

let world: World;
let device: TestDevice;
const boot = (at: number) => `11111111-2222-4333-8444-55555555555${at}`;

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
});
after(async () => await world.close());

const send = (sequence: number, change: Partial<DeviceReport> = {}, from = device) => {
  const body = reportOf(from, sequence, { time: world.clock.now(), ...change });
  return world.device(from, '/device/v1/reports', { method: 'POST', body });
};
const latest = async () => {
  const { body } = await must(world.people('GET', `/api/v1/devices/${device.id}`), 200);
  const { report } = body['reported'] as { report: DeviceReport };
  return [report.bootId, report.sequence];
};

test('TEST-OTA-1016 REQ-OTA-LOG-01: reports of a device that lost its log, counted from the beginning: what it says later counts; a late or repeated report does not', async () => {
  device = await addDevice(world, 'pump-1');
  const time = world.clock.now() - 1000;
  await must(send(9_000_000, { bootId: boot(1), time }), 204);
  await must(send(8_999_999, { bootId: boot(1), time: time - 1 }), 204);
  assert.deepEqual(await latest(), [boot(1), 9_000_000], 'it was on its way longer');
  await must(send(65_536, { bootId: boot(2), time: time + 10 }), 204);
  assert.deepEqual(await latest(), [boot(2), 65_536], 'another boot');
  await must(send(65_530, { bootId: boot(2), time: time + 20 }), 204);
  assert.deepEqual(await latest(), [boot(2), 65_530], 'another start in the same boot');
  await must(send(9_000_000, { bootId: boot(1), time }), 204);
  await must(send(60_000, { bootId: boot(0), time: time - 5 }), 204);
  assert.deepEqual(await latest(), [boot(2), 65_530], 'sent again, or recorded and sent late');
  await must(send(65_540, { bootId: boot(2), time: time - 500 }), 204);
  assert.deepEqual(await latest(), [boot(2), 65_540], 'a clock set back, and counted on');
  // A clock that ran ahead does not silence the device for ever.
  await must(send(65_541, { bootId: boot(2), time: time + 1_000_000_000 }), 204);
  world.clock.moved += 60;
  await must(send(1, { bootId: boot(3) }), 204);
  assert.deepEqual(await latest(), [boot(3), 1]);
});

test('TEST-OTA-1017 REQ-OTA-NET-04: one device that reports without end: refused with 429 until an hour is over, and only the newest are kept; other devices are heard', async () => {
  device = await addDevice(world, 'pump-2');
  const other = await addDevice(world, 'pump-3');
  let sequence = 0;
  for (let hour = 0; hour < 3; hour += 1) {
    for (let count = 0; count < reportRate.perWindow; count += 1) {
      sequence += 1;
      await must(send(sequence), 204);
    }
    const refused = await must(send(sequence + 1), 429);
    assert.equal(refused.body['code'], 'API_TOO_MANY');
    await must(send(hour + 1, {}, other), 204);
    world.clock.moved += 3600;
  }
  // The API shows no more than one page; what is on the disk counts.
  const stored = await withStore(world.config, async (store) => await store.reports(device.id, 10_000));
  const kept = stored.map(({ report }) => report.sequence);
  assert.equal(sequence, 720);
  assert.deepEqual([kept.length, kept[0], kept.at(-1)], [reportsKeptMax, 720, 221]);
  assert.equal((await latest())[1], 720);
});
