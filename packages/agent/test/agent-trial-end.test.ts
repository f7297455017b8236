/**
 * How a trial ends when something beside the release is broken: boot control, record, interlock; and on boot loaders
 * that try once. A trial that failed must not go on running.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimDevice, statePath, World } from './support/sim-device.ts';

async function armed(prepare: (world: World) => void = () => undefined): Promise<SimDevice> {
  const device = await SimDevice.provisioned(new World());
  device.world.company.release(2);
  device.world.company.publish(2);
  device.world.settings = { attemptsPerReleaseMax: 1 };
  prepare(device.world);
  assert.equal(await device.boot(), 'restart');
  return device;
}

const failing = async () => ({ passed: false, failed: 'pump', reason: 'no flow', tests: [] }) as const;

async function codes(device: SimDevice): Promise<readonly string[]> {
  return (await device.log()).map(({ code }) => code);
}

async function results(device: SimDevice): Promise<readonly string[]> {
  return (await device.results()).map(({ code }) => code);
}

/** The record cannot be written for the rest of this boot. */
function breakRecord(device: SimDevice): void {
  for (let fault = 0; fault < 100; fault += 1)
    device.disk.faults.push({ op: 'write', path: `${statePath}/record` });
}

test('TEST-OTA-766 REQ-OTA-APPLY-04, REQ-OTA-VERIFY-02: a failed trial whose group cannot be disarmed: restarted until its tries run out, then the old group ends it with one result', async () => {
  const device = await armed();
  device.world.selfTest = failing;
  device.world.disarmBroken = true;
  for (let boot = 0; boot < 3; boot += 1) {
    assert.equal(await device.boot(), 'restart', `boot ${boot} of the trial`);
    assert.equal(device.bootedGroup, 'B');
  }
  assert.equal(device.bootState().left.B, 0);
  const stuck = await device.boot();
  assert.equal(device.bootedGroup, 'A', 'the boot loader fell back');
  assert.equal(typeof stuck === 'object' ? stuck.kind : stuck, 'failed', 'the old group is not restarted');
  device.world.disarmBroken = false;
  await device.settle();
  assert.deepEqual(await results(device), ['OTA_FAIL_SELFTEST']);
  assert.deepEqual(device.bootState().order, ['A']);
  assert.ok((await codes(device)).includes('OTA_FAIL_BOOT_CONTROL'));
});

test('TEST-OTA-767 REQ-OTA-APPLY-04, REQ-OTA-POL-06: the same under a boot loader that does not count: restarts are bounded, and once it can be disarmed the trial ends', async () => {
  const device = await armed();
  device.world.selfTest = failing;
  device.world.disarmBroken = true;
  let restarts = 0;
  const lostCount = device.bootState();
  for (; restarts < 20; restarts += 1) {
    device.setBootState(lostCount);
    if ((await device.boot({ polls: 3 })) !== 'restart') break;
  }
  assert.equal(device.bootedGroup, 'B');
  assert.ok(restarts >= 3 && restarts < 6, `${restarts} restarts out of a trial with 3 tries`);
  assert.equal((await device.record()).state, 'Failing');
  device.world.disarmBroken = false;
  assert.equal(await device.boot(), 'restart');
  assert.deepEqual(device.bootState().order, ['A']);
  await device.settle();
  assert.deepEqual(await results(device), ['OTA_FAIL_SELFTEST']);
});

test('TEST-OTA-768 REQ-OTA-APPLY-06, REQ-OTA-APPLY-04: a trial whose record cannot be written: left by disarming; not restarted when that fails as well', async () => {
  const device = await armed();
  breakRecord(device);
  assert.equal(await device.boot(), 'restart');
  assert.deepEqual(device.bootState().order, ['A']);
  device.disk.faults.length = 0;
  await device.settle();
  assert.deepEqual(await results(device), ['OTA_CONFIRMED'], 'it was no fault of the release: tried again');

  const dead = await armed();
  dead.world.disarmBroken = true;
  breakRecord(dead);
  const end = await dead.boot({ polls: 3 });
  assert.equal(typeof end === 'object' ? end.kind : end, 'failed', 'nothing could count the restarts');
});

test('TEST-OTA-787 REQ-OTA-POL-06: a record that cannot be written outside any trial: the device is not restarted', async () => {
  const device = await SimDevice.provisioned(new World());
  device.world.company.release(2);
  device.world.company.publish(2);
  breakRecord(device);
  const end = await device.boot({ polls: 3 });
  assert.equal(typeof end === 'object' ? end.kind : end, 'failed');
  assert.ok(!device.power.trace.includes('restart'));
});

test('TEST-OTA-769 REQ-OTA-POL-06, REQ-OTA-VERIFY-01: an update that is confirmed: the interlock is told of the trial before the first self-test and of confirmed only after the record says so', async () => {
  const device = await armed();
  const { world } = device;
  assert.deepEqual(world.told, ['confirmed 1']);
  world.told = [];
  let during: readonly string[] = [];
  world.selfTest = async () => {
    during = [...world.told];
    return { passed: true, tests: [] };
  };
  // Cut before the record of confirm.c: nobody was told that it is confirmed.
  const trial = device.clone(world);
  await trial.boot();
  const confirmedAt = trial.power.trace.indexOf('record Confirming with floor');
  assert.ok(confirmedAt > 0);
  assert.deepEqual([during, world.told], [['trial 2'], ['trial 2', 'confirmed 2']]);
  world.told = [];
  assert.equal(await device.boot({ cutBefore: confirmedAt }), 'cut');
  assert.deepEqual(world.told, ['trial 2']);
  await device.settle();
  assert.equal(world.told.at(-1), 'confirmed 2');
  world.told = [];
  await device.settle();
  assert.deepEqual(world.told, ['confirmed 2'], 'at each start again, once');
});

test('TEST-OTA-770 REQ-OTA-POL-06: an update that is rolled back: the interlock is told so, and then what runs', async () => {
  const device = await armed();
  device.world.selfTest = failing;
  await device.settle();
  assert.deepEqual(device.world.told, ['confirmed 1', 'trial 2', 'rolled-back 2', 'confirmed 1']);
});

test('TEST-OTA-788 REQ-OTA-POL-06: the trial of a repair that failed and cannot be left: the interlock is not told that it is confirmed, though this version once was', async () => {
  const device = await armed();
  const { world } = device;
  await device.settle();
  while (device.bootState().left.B !== 0) device.startGroup();
  assert.equal(await device.boot(), 'restart', 'in fallback, into the repair');
  world.told = [];
  world.selfTest = failing;
  world.restartWorks = false;
  await device.boot({ polls: 3 });
  assert.deepEqual([device.bootedGroup, (await device.record()).attempt?.kind], ['B', 'repair']);
  assert.deepEqual(world.told, ['trial 2']);
});

test('TEST-OTA-789 REQ-OTA-POL-06, REQ-OTA-APPLY-06: confirmed for good, and the result cannot be logged: the interlock is told that it is confirmed all the same', async () => {
  const device = await armed();
  const { world } = device;
  world.told = [];
  for (let fault = 0; fault < 100; fault += 1)
    device.disk.faults.push({ op: 'write', path: `${statePath}/log` });
  await device.boot({ polls: 0 });
  assert.equal((await device.record()).state, 'Confirming');
  assert.deepEqual(world.told, ['trial 2', 'confirmed 2']);
  device.disk.faults.length = 0;
  await device.settle();
  assert.deepEqual(await results(device), ['OTA_CONFIRMED']);
});

test('TEST-OTA-771 REQ-OTA-POL-06: an interlock that cannot be told: logged, and nothing waits for it', async () => {
  const device = await armed((world) => {
    world.deaf = true;
  });
  await device.settle();
  assert.deepEqual(await results(device), ['OTA_CONFIRMED']);
  const reasons = (await device.log())
    .filter(({ code }) => code === 'OTA_INTERLOCK_NOT_TOLD')
    .map(({ reason }) => reason);
  for (const news of ['confirmed 1', 'trial 2', 'confirmed 2'])
    assert.ok(reasons.includes(`${news}: the interlock is deaf`), news);
});

test('TEST-OTA-779 REQ-OTA-APPLY-02, REQ-OTA-ROLL-01: a boot loader that tries once, a good release: confirmed, and the fallback stays behind it', async () => {
  const device = await armed((world) => {
    world.oneShot = { survivesPowerOff: true };
  });
  await device.settle();
  assert.deepEqual(await results(device), ['OTA_CONFIRMED']);
  assert.deepEqual(device.bootState().order, ['B', 'A']);
  await device.settle();
  assert.equal(device.bootedGroup, 'B');
});

test('TEST-OTA-780 REQ-OTA-APPLY-04: a boot loader that tries once, a release that never reaches its agent, or dies in its trial: the next boot is the old group, with one result', async () => {
  for (const dies of ['before the agent', 'in the self-test'] as const) {
    const device = await armed((world) => {
      world.oneShot = { survivesPowerOff: true };
    });
    if (dies === 'before the agent') device.startGroup();
    else {
      device.world.selfTest = () => device.power.cut();
      assert.equal(await device.boot(), 'cut');
    }
    assert.equal(device.bootedGroup, 'B');
    await device.settle();
    assert.equal(device.bootedGroup, 'A');
    const code = dies === 'before the agent' ? 'OTA_FAIL_BOOT' : 'OTA_FAIL_TRIES';
    assert.deepEqual(await results(device), [code], dies);
  }
});

test('TEST-OTA-781 REQ-OTA-APPLY-03, REQ-OTA-VERIFY-02: a boot loader that forgets the arming without power: not tried, armed again and confirmed; a failing self-test goes back to the old group', async () => {
  const device = await armed((world) => {
    world.oneShot = { survivesPowerOff: false };
  });
  device.setBootState({ order: ['A'], left: { A: 16 } });
  await device.settle();
  assert.ok((await codes(device)).includes('OTA_NOT_TRIED'));
  assert.deepEqual(await results(device), ['OTA_CONFIRMED']);

  const bad = await armed((world) => {
    world.oneShot = { survivesPowerOff: false };
    world.selfTest = failing;
  });
  await bad.settle();
  assert.deepEqual([bad.bootedGroup, await results(bad)], ['A', ['OTA_FAIL_SELFTEST']]);
});
