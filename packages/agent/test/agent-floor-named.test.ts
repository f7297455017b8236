/**
 * A device record that names the floor of a restored disk names the counter too, so that it counts once
 * (REQ-OTA-ROLL-04): who has an old copy of the disk and the record of an earlier restoration gains nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceReport } from '@airlock/protocol';
import { SimDevice, World } from './support/sim-device.ts';

const lastReport = (world: World): DeviceReport =>
  (JSON.parse(world.reports.at(-1) ?? '{}') as { signed: DeviceReport }).signed;

async function update(device: SimDevice, version: number): Promise<void> {
  device.world.company.release(version);
  device.world.company.publish(version);
  await device.settle();
}

async function refusal(device: SimDevice): Promise<string> {
  const outcome = await device.settle();
  return outcome.kind === 'refused' ? `${outcome.code}: ${outcome.reason}` : outcome.kind;
}

async function told(device: SimDevice, code: string): Promise<readonly string[]> {
  return (await device.log()).filter((entry) => entry.code === code).map(({ reason }) => reason);
}

test('TEST-OTA-1100 REQ-OTA-ROLL-04, REQ-OTA-ROLL-01: an old disk copy together with the device record of an earlier restoration: refused with both counters named, told once in a start, until a record names the counter of now', async () => {
  const world = new World();
  world.tpm = true;
  const device = await SimDevice.provisioned(world);
  const { tpm } = device;
  assert.ok(tpm);
  await update(device, 2);
  const old = device.disk.clone();
  await update(device, 3);
  // The first restoration, ended as it should be: the thief keeps the record that ended it.
  device.disk = old.clone();
  world.company.publish(3);
  const named = tpm.counter;
  assert.match(await refusal(device), new RegExp(`^OTA_STATE_RESTORED: .* for counter ${named}$`));
  assert.deepEqual([lastReport(world).restored, lastReport(world).counter], [true, named]);
  const earlier = world.company.record(2, { floor: 3, counter: named });
  world.deviceRecord = earlier;
  await update(device, 4);
  assert.deepEqual([(await device.record()).floor, lastReport(world).counter], [4, tpm.counter]);

  // The replay: version 3 would be above what the old disk says, and was the company's own floor once.
  device.disk = old.clone();
  world.company.publish(3);
  const now = tpm.counter;
  assert.ok(now > named);
  const words = `device record 2 names the floor for counter ${named}, and the counter says ${now}: one with a number above 2 must name both`;
  assert.equal(await refusal(device), `OTA_FLOOR_REFUSED: ${words}`);
  assert.deepEqual([device.bootedGroup, (await device.record()).confirmed.version], ['B', 2]);
  assert.ok((await device.record()).restored);
  assert.deepEqual(await told(device, 'OTA_FLOOR_REFUSED'), [words], 'two polls, told once');
  assert.deepEqual([lastReport(world).restored, lastReport(world).counter], [true, now]);
  assert.equal(tpm.counter, now, 'nothing was committed');

  for (const [number, changes] of [
    [3, { floor: 4 }],
    [4, { floor: 4, counter: now - 1 }],
    [5, { floor: 4, counter: now + 1 }],
  ] as const) {
    world.deviceRecord = world.company.record(number, changes);
    assert.match(await refusal(device), /^OTA_FLOOR_REFUSED: /, JSON.stringify(changes));
  }
  world.deviceRecord = world.company.record(6, { floor: 4, counter: now });
  const above = await device.settle();
  assert.equal(above.kind === 'refused' ? above.code : above.kind, 'OTA_NOT_ABOVE_FLOOR');
  assert.deepEqual([(await device.record()).floor, tpm.counter], [4, now + 1]);
  await update(device, 5);
  assert.equal((await device.record()).confirmed.version, 5);
});

test('TEST-OTA-1101 REQ-OTA-ROLL-04, REQ-OTA-APPLY-03: power cut before every durable operation while a device record that names floor and counter takes effect: it counts once, however often it is met', async () => {
  const world = new World();
  world.tpm = true;
  const base = await SimDevice.provisioned(world);
  await update(base, 2);
  const old = base.disk.clone();
  await update(base, 3);
  base.disk = old;
  world.company.publish(3);
  await base.settle();
  const counter = base.tpm?.counter ?? 0;
  world.deviceRecord = world.company.record(2, { floor: 3, counter });
  const probe = base.clone();
  await probe.boot();
  const cuts = probe.power.trace.length;
  assert.ok(cuts > 5);
  for (let cutBefore = 0; cutBefore < cuts; cutBefore += 1) {
    const device = base.clone();
    await device.boot({ cutBefore });
    await device.settle();
    const { floor, restored, counter: sealed } = await device.record();
    assert.deepEqual([floor, restored, sealed], [3, undefined, counter + 1], `cut ${cutBefore}`);
    assert.equal(device.tpm?.counter, counter + 1, `cut ${cutBefore}`);
  }
});

test('TEST-OTA-1102 REQ-OTA-ROLL-04: a device record that names a floor and a counter, on a device without a TPM: the floor holds, the counter is of no meaning, nothing waits', async () => {
  const device = await SimDevice.provisioned();
  const { world } = device;
  world.deviceRecord = world.company.record(2, { floor: 4, counter: 7 });
  world.company.release(3);
  world.company.publish(3);
  const below = await device.settle();
  assert.equal(below.kind === 'refused' ? below.code : below.kind, 'OTA_NOT_ABOVE_FLOOR');
  assert.equal(lastReport(world).counter, undefined);
  await update(device, 5);
  assert.equal((await device.record()).confirmed.version, 5);
});
