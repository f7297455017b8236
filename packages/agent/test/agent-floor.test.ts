/**
 * A device whose floor is sealed with a counter of a TPM (REQ-OTA-ROLL-04): updates, every power cut, lost copies,
 * disks put back, a TPM that is silent, forgets or hangs up.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceReport } from '@airlock/protocol';
import { recordCopyBytes } from '../src/core/record-codec.ts';
import {
  countBoots,
  cutAndRecover,
  cutEverywhere,
  readyDevice,
  type Scenario,
} from './support/power-cuts.ts';
import { SimDevice, statePath, World } from './support/sim-device.ts';
import type { SimTpm } from './support/sim-tpm.ts';

async function sealedDevice(world = new World()): Promise<{ device: SimDevice; tpm: SimTpm }> {
  world.tpm = true;
  const device = await SimDevice.provisioned(world);
  assert.ok(device.tpm);
  return { device, tpm: device.tpm };
}

function assign(device: SimDevice, version: number): void {
  device.world.company.release(version);
  device.world.company.publish(version);
}

const codes = async (device: SimDevice): Promise<readonly string[]> =>
  (await device.log()).map(({ code }) => code);
const count = async (device: SimDevice, code: string): Promise<number> =>
  (await codes(device)).filter((one) => one === code).length;
const lastReport = (world: World): DeviceReport =>
  (JSON.parse(world.reports.at(-1) ?? '{}') as { signed: DeviceReport }).signed;

test('TEST-OTA-870 REQ-OTA-ROLL-04, REQ-OTA-ROLL-01: updates and a rollback on a device with a TPM: one increment for each floor that rose, none else, and the counter never holds a version', async () => {
  const { device, tpm } = await sealedDevice();
  assert.deepEqual(
    [(await device.record()).counter, tpm.counter],
    [42, 42],
    'provisioning seals the first record',
  );
  device.world.settings = { attemptsPerReleaseMax: 1 };
  for (const version of [2, 3]) {
    assign(device, version);
    await device.settle();
    const { floor, counter } = await device.record();
    assert.deepEqual([floor, counter, tpm.counter], [version, 41 + version, 41 + version]);
  }
  device.world.selfTest = async () => ({ passed: false, failed: 'pump', reason: 'no flow', tests: [] });
  assign(device, 4);
  await device.settle();
  assert.deepEqual([(await device.record()).floor, tpm.counter, tpm.increments], [3, 44, 3]);
  assert.equal(lastReport(device.world).restored, undefined);
  assert.equal(await count(device, 'OTA_STATE_RESTORED'), 0);
});

const good: Scenario = {
  prepare: (world) => {
    world.data.present = true;
  },
  tpm: true,
  versions: [1, 2],
  check: async (device, where) => {
    const { confirmed, floor, counter } = await device.record();
    assert.deepEqual([confirmed.version, floor], [2, 2], `${where}: the release is confirmed in the end`);
    assert.equal(counter, device.tpm?.counter, `${where}: the increment is done`);
    assert.equal(device.tpm?.increments, 1, `${where}: exactly once`);
    assert.equal(await count(device, 'OTA_STATE_RESTORED'), 0, where);
    assert.deepEqual(
      (await device.results()).map(({ code }) => code),
      ['OTA_CONFIRMED'],
      where,
    );
  },
};

test('TEST-OTA-871 REQ-OTA-ROLL-04, REQ-OTA-APPLY-03: an update with a TPM, power cut before every durable operation, before and after the increment: confirmed, sealed, one increment', async () => {
  const base = await readyDevice(good);
  const traces: string[] = [];
  const plain = base.clone();
  while ((await plain.boot()) === 'restart') traces.push(...plain.power.trace);
  traces.push(...plain.power.trace);
  const at = traces.indexOf('tpm increment');
  assert.deepEqual(traces.slice(at - 1, at + 2), [
    'record Confirming with floor',
    'tpm increment',
    'tpm answers',
  ]);
  assert.ok((await cutEverywhere(good)) > 60);
  // In the boot that confirms also twice: the recovery is cut as well, at every step around the increment.
  const boot = (await countBoots(base)).length - 1;
  const cut = plain.power.trace.indexOf('tpm increment');
  for (const first of [cut, cut + 1, cut + 2]) {
    for (let again = 0; again < 12; again += 1) await cutAndRecover(base, good, { boot, cut: first, again });
  }
});

test('TEST-OTA-872 REQ-OTA-ROLL-04, REQ-OTA-APPLY-07: power cut at every step of confirming, and either copy of the record lost with it: never taken for a restored disk', async () => {
  const base = await readyDevice(good);
  const counts = await countBoots(base);
  const boot = counts.length - 1;
  for (let cut = 0; cut < (counts[boot] ?? 0); cut += 1) {
    for (const copy of [0, 1]) {
      const damage = (device: SimDevice): void =>
        device.disk.damage(`${statePath}/record`, copy * recordCopyBytes + 100);
      await cutAndRecover(base, { ...good, check: checkUnlessBehind }, { boot, cut, damage });
    }
  }
});

/** The loss of the only copy that names the floor, before its increment, takes the device one step back, no further. */
async function checkUnlessBehind(device: SimDevice, where: string): Promise<void> {
  const { floor, counter } = await device.record();
  assert.deepEqual([floor, counter], [2, device.tpm?.counter], where);
  assert.equal(await count(device, 'OTA_STATE_RESTORED'), 0, where);
  assert.equal(await count(device, 'OTA_STATE_LOST'), 0, where);
}

test('TEST-OTA-873 REQ-OTA-ROLL-04, REQ-OTA-ROLL-02: a whole disk restored from an older copy: told once, nothing is installed until a device record with a higher number names the floor, then only above it', async () => {
  const { device, tpm } = await sealedDevice();
  const { world } = device;
  assign(device, 2);
  await device.settle();
  const older = device.disk.clone();
  assign(device, 3);
  await device.settle();
  assign(device, 4);
  await device.settle();
  device.disk = older.clone();
  for (const deviceRecord of [
    undefined,
    world.company.record(1, { floor: 4, counter: tpm.counter }),
    world.company.record(2),
    world.company.record(3, { floor: 4, counter: tpm.counter, device: 'another' }),
  ]) {
    world.deviceRecord = deviceRecord;
    // Version 3 stands above the floor of the restored record, and was the device's own once: it must not come back.
    world.company.publish(3);
    const outcome = await device.settle();
    assert.equal(outcome.kind === 'refused' ? outcome.code : outcome.kind, 'OTA_STATE_RESTORED');
    assert.deepEqual([device.bootedGroup, (await device.record()).confirmed.version], ['B', 2]);
    assert.equal(lastReport(world).restored, true);
  }
  assert.equal(await count(device, 'OTA_STATE_RESTORED'), 1, 'told once, over four starts');
  world.deviceRecord = world.company.record(4, { floor: 4, counter: tpm.counter });
  const above = await device.settle();
  assert.equal(above.kind === 'refused' ? above.code : above.kind, 'OTA_NOT_ABOVE_FLOOR');
  const { floor, counter, restored } = await device.record();
  assert.deepEqual([floor, counter, restored], [4, tpm.counter, undefined]);
  assert.equal(lastReport(world).restored, undefined);
  assert.equal(await count(device, 'OTA_FLOOR_NAMED'), 1);
  assign(device, 5);
  await device.settle();
  assert.deepEqual([(await device.record()).floor, (await device.record()).counter], [5, tpm.counter]);
  device.disk = older.clone();
  world.deviceRecord = undefined;
  const again = await device.settle();
  assert.equal(again.kind === 'refused' ? again.code : again.kind, 'OTA_STATE_RESTORED', 'noticed again');
  // And told once, wherever power goes while it is noticed.
  for (let cutBefore = 0; cutBefore < 14; cutBefore += 1) {
    const copy = device.clone();
    copy.disk = older.clone();
    await copy.boot({ cutBefore });
    await copy.settle();
    assert.equal(await count(copy, 'OTA_STATE_RESTORED'), 1, `cut ${cutBefore}`);
    assert.ok((await copy.record()).restored);
  }
});

test('TEST-OTA-874 REQ-OTA-ROLL-04, REQ-OTA-APPLY-01, REQ-OTA-APPLY-03: the state partition alone restored from each moment of an older update: what runs stays, one result for its attempt, and no data are reverted', async () => {
  const { device } = await sealedDevice();
  device.world.data.present = true;
  assign(device, 2);
  const moments: { trace: string; state: Map<string, Uint8Array> }[] = [];
  const counts = await countBoots(device);
  for (const [boot, operations] of counts.entries()) {
    for (let cut = 0; cut < operations; cut += 4) {
      const copy = device.clone();
      for (let earlier = 0; earlier < boot; earlier += 1) await copy.boot();
      await copy.boot({ cutBefore: cut });
      moments.push({ trace: copy.power.trace.at(-1) ?? '', state: stateOf(copy) });
    }
  }
  for (const version of [2, 3]) {
    assign(device, version);
    await device.settle();
  }
  assert.deepEqual([device.bootedGroup, device.tpm?.counter], ['A', 44]);
  device.world.data.calls = [];
  for (const { trace, state } of moments) {
    const copy = device.clone();
    copy.world.company.publish(3);
    await putBack(copy, state);
    const attempt = (await copy.record()).attempt?.id;
    const outcome = await copy.settle();
    assert.deepEqual(
      [outcome.kind, copy.bootedGroup],
      ['idle', 'A'],
      `${trace}: version 3 is assigned, and runs`,
    );
    const { state: now, floor, restored, confirmed } = await copy.record();
    assert.deepEqual([now, floor, confirmed.version], ['Idle', 3, 3], trace);
    assert.ok(restored, trace);
    assert.ok(copy.bootState().order.includes('A'), `${trace}: what runs can be booted`);
    const results = (await copy.results()).filter((one) => one.attempt === attempt);
    if (attempt !== undefined) assert.equal(results.length, 1, trace);
    assert.equal(
      await count(copy, 'OTA_STATE_RESTORED'),
      results.at(-1)?.code === 'OTA_STATE_RESTORED' ? 2 : 1,
    );
    assign(copy, 4);
    const refused = await copy.settle();
    assert.equal(refused.kind === 'refused' ? refused.code : refused.kind, 'OTA_STATE_RESTORED', trace);
  }
  assert.deepEqual(device.world.data.calls, [], 'no hook ran');
});

function stateOf(device: SimDevice): Map<string, Uint8Array> {
  const names = device.disk.names().filter((name) => name.startsWith(`${statePath}/`));
  return new Map(names.map((name) => [name, device.disk.bytes(name)?.slice() ?? new Uint8Array()]));
}

async function putBack(device: SimDevice, state: Map<string, Uint8Array>): Promise<void> {
  for (const name of stateOf(device).keys()) device.disk.forget(name);
  for (const [name, bytes] of state) device.disk.plant(name, bytes);
}

test('TEST-OTA-875 REQ-OTA-ROLL-04, REQ-OTA-VERIFY-02: a disk restored in the middle of a trial that the boot control still runs: the trial ends as failed, once, on the older software', async () => {
  const { device, tpm } = await sealedDevice();
  const { world } = device;
  world.data.present = true;
  assign(device, 2);
  assert.equal(await device.boot(), 'restart');
  const inTrial = device.clone(world);
  await device.boot({ cutBefore: 4 });
  tpm.counter += 1;
  device.disk = inTrial.disk;
  const outcome = await device.settle();
  assert.equal(outcome.kind === 'refused' ? outcome.code : outcome.kind, 'OTA_STATE_RESTORED');
  assert.deepEqual([device.bootedGroup, device.bootState().order], ['A', ['A']]);
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_STATE_RESTORED'],
  );
  assert.equal((await device.record()).confirmed.version, 1);
  assert.ok(world.data.calls.includes('revert'), 'what the trial prepared is reverted');
});

test('TEST-OTA-876 REQ-OTA-ROLL-04, REQ-OTA-APPLY-07: all copies of the record lost on a device with a TPM: one OTA_STATE_LOST, and deleting the record lowers the floor no more than restoring it', async () => {
  const { device, tpm } = await sealedDevice();
  const { world } = device;
  assign(device, 2);
  await device.settle();
  const old = device.clone();
  assign(device, 3);
  await device.settle();
  // The thief brings the old images back and destroys the record.
  device.disk = old.disk;
  for (const at of [100, recordCopyBytes + 100]) device.disk.damage(`${statePath}/record`, at);
  world.company.publish(3);
  for (let start = 0; start < 3; start += 1) {
    const outcome = await device.settle();
    assert.equal(outcome.kind === 'refused' ? outcome.code : outcome.kind, 'OTA_STATE_RESTORED');
  }
  assert.deepEqual(
    [await count(device, 'OTA_STATE_LOST'), await count(device, 'OTA_STATE_RESTORED')],
    [1, 0],
  );
  assert.deepEqual([device.bootedGroup, (await device.record()).floor], ['B', 2]);
  world.deviceRecord = world.company.record(2, { floor: 3, counter: tpm.counter });
  assign(device, 4);
  await device.settle();
  const { floor, confirmed, counter } = await device.record();
  assert.deepEqual([floor, confirmed.version, counter], [4, 4, tpm.counter]);
});

test('TEST-OTA-877 REQ-OTA-ROLL-04: a TPM that is silent at the start, in a trial or at the increment: nothing is installed, what runs stays, and it goes on when the TPM does', async () => {
  const { device, tpm } = await sealedDevice();
  tpm.dead = true;
  assign(device, 2);
  const silent = await device.settle();
  assert.equal(silent.kind === 'failed' ? silent.code : silent.kind, 'OTA_FAIL_FLOOR');
  assert.deepEqual([(await device.record()).state, device.bootedGroup], ['Idle', 'A']);
  assert.equal(await count(device, 'OTA_FAIL_FLOOR'), 1, 'told once in a start');

  // It dies with the restart into the trial: the release cannot be confirmed, and is rolled back.
  tpm.dead = false;
  const dying = device.clone();
  assert.equal(await dying.boot(), 'restart');
  assert.ok(dying.tpm);
  dying.tpm.dead = true;
  await dying.settle();
  assert.deepEqual([dying.bootedGroup, (await dying.record()).floor], ['A', 1]);
  assert.deepEqual(
    (await dying.results()).map(({ code }) => code),
    ['OTA_FAIL_FLOOR'],
  );

  // It dies while the trial is being confirmed: nobody knows whether the disk is the device's own, so it is not.
  const confirming = device.clone();
  assert.equal(await confirming.boot(), 'restart');
  const probe = confirming.clone();
  await probe.boot();
  const cutBefore = probe.power.trace.indexOf('record Confirming with floor') - 1;
  assert.equal(await confirming.boot({ cutBefore }), 'cut');
  assert.equal((await confirming.record()).state, 'Confirming');
  assert.ok(confirming.tpm);
  confirming.tpm.dead = true;
  await confirming.settle();
  const { confirmed, floor, counter } = await confirming.record();
  assert.deepEqual([confirming.bootedGroup, confirmed.version, floor, counter], ['A', 1, 1, 42]);

  // It hangs up in the middle: whether the increment happened or not, there is one.
  for (const fault of ['done', 'not done'] as const) {
    const copy = device.clone();
    assert.ok(copy.tpm);
    copy.tpm.faults.push(fault);
    await copy.settle();
    assert.deepEqual([(await copy.record()).floor, copy.tpm.increments, copy.tpm.counter], [2, 1, 43], fault);
  }

  // It never increments again: the record waits, and no result says that the floor rose.
  const stuck = device.clone();
  assert.ok(stuck.tpm);
  stuck.tpm.faults.push(...Array.from({ length: 60 }, () => 'not done' as const));
  await stuck.settle();
  assert.equal((await stuck.record()).state, 'Confirming');
  assert.deepEqual([stuck.bootedGroup, (await stuck.results()).length], ['B', 0]);
  stuck.tpm.faults.length = 0;
  await stuck.settle();
  assert.deepEqual([(await stuck.record()).state, stuck.tpm.counter], ['Idle', 43]);
  assert.deepEqual(
    (await stuck.results()).map(({ code }) => code),
    ['OTA_CONFIRMED'],
  );
});

test('TEST-OTA-878 REQ-OTA-ROLL-04: a counter deleted and defined anew, a record that was never sealed, a configuration that lost its TPM: each is noticed and installs nothing', async () => {
  const { device, tpm } = await sealedDevice();
  assign(device, 2);
  const unconfigured = device.clone();
  unconfigured.tpm = undefined;
  const lost = await unconfigured.settle();
  assert.equal(lost.kind === 'failed' ? lost.code : lost.kind, 'OTA_FAIL_FLOOR');
  assert.equal((await unconfigured.record()).state, 'Idle');

  tpm.redefine();
  const redefined = await device.settle();
  assert.equal(redefined.kind === 'refused' ? redefined.code : redefined.kind, 'OTA_STATE_RESTORED');

  const unsealed = await SimDevice.provisioned(new World());
  unsealed.tpm = tpm;
  assign(unsealed, 2);
  const never = await unsealed.settle();
  assert.equal(never.kind === 'refused' ? never.code : never.kind, 'OTA_STATE_RESTORED');
  unsealed.world.deviceRecord = unsealed.world.company.record(2, { floor: 1, counter: tpm.counter });
  // Power goes between the record that is sealed anew and its increment: the next start does it, before any poll.
  const probe = unsealed.clone();
  await probe.boot();
  const cutBefore = probe.power.trace.indexOf('tpm increment');
  assert.equal(await unsealed.boot({ cutBefore }), 'cut');
  const before = tpm.counter;
  await unsealed.boot({ polls: 0 });
  assert.equal(tpm.counter, before + 1);
  await unsealed.settle();
  assert.deepEqual([(await unsealed.record()).floor, (await unsealed.record()).counter], [2, tpm.counter]);
});

test('TEST-OTA-1142 REQ-OTA-ROLL-07, REQ-OTA-ROLL-04: power lost at the increment that commits a confirmed version, and then a TPM that is silent for many starts: each start gives the group its starts back, and it is never left', async () => {
  const world = new World();
  world.tpm = true;
  const device = await SimDevice.provisioned(world);
  world.company.release(2);
  world.company.publish(2);
  await device.boot();
  const before = device.clone();
  await before.boot();
  const cutBefore =
    before.power.trace.findLastIndex((name) => name.startsWith('record Confirming with floor')) + 1;
  await device.boot({ cutBefore });
  device.disk.loseUnflushed();
  assert.equal((await device.record()).confirmed.version, 2);
  const silent = async (): Promise<never> => {
    throw new Error('the TPM does not answer');
  };
  world.floorStore = { kind: 'tpm', read: silent, increment: silent };
  for (let start = 0; start < 20; start += 1) {
    await device.boot();
    assert.equal(device.bootedGroup, 'B', `start ${start}`);
    assert.equal(device.bootState().left.B, 16, `start ${start}`);
  }
  world.floorStore = undefined;
  await device.settle();
  const held = await device.record();
  assert.deepEqual([held.state, held.confirmed.version, held.floor], ['Idle', 2, 2]);
  assert.equal((await device.results()).length, 1);
});
