/**
 * What goes wrong on a simulated device: refusals, broken connections, failing media, rot, lost state - and what the
 * device does about it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { provenVersion } from './support/invariants.ts';
import { wastedName } from '../src/core/record.ts';
import { SimDevice, slotPath, World } from './support/sim-device.ts';

async function assigned(version = 2, world: World = new World()): Promise<SimDevice> {
  const device = await SimDevice.provisioned(world);
  world.company.release(version);
  world.company.publish(version);
  return device;
}

async function codes(device: SimDevice): Promise<readonly string[]> {
  return (await device.log()).map(({ code }) => code);
}

test('TEST-OTA-236 REQ-OTA-SIGN-02, REQ-OTA-POL-01: a release without the signature of quality: refused, logged once, and nothing is written to a slot', async () => {
  const device = await SimDevice.provisioned();
  device.world.company.release(2, {}, ['engineering']);
  device.world.company.publish(2);
  const end = await device.boot({ polls: 4 });
  assert.equal(typeof end === 'object' && end.kind === 'refused' ? end.code : end, 'OTA_NOT_APPROVED');
  assert.ok(!device.power.trace.some((entry) => entry.includes('/slots/')));
  await device.boot();
  assert.equal((await codes(device)).filter((code) => code === 'OTA_NOT_APPROVED').length, 1);
});

test('TEST-OTA-237 REQ-OTA-MAN-01, REQ-OTA-ROLL-01, REQ-OTA-MAN-03: an image over the slot, an old version, another hardware: refused before a byte is written', async () => {
  for (const [changes, version, code] of [
    [
      { images: ['app', 'rootfs'].map((component) => ({ component, len: 9000, hash: 'a'.repeat(64) })) },
      2,
      'OTA_SLOT_TOO_SMALL',
    ],
    [{}, 1, 'idle'],
    [{ notes: 'another first one' }, 1, 'OTA_NOT_ABOVE_FLOOR'],
    [{ compat: ['hw:rev9'] }, 2, 'OTA_INCOMPATIBLE'],
  ] as const) {
    const device = await SimDevice.provisioned();
    device.world.company.release(version, changes);
    device.world.company.publish(version);
    const end = await device.boot();
    assert.ok(typeof end === 'object');
    assert.equal(end.kind === 'refused' ? end.code : end.kind, code);
    assert.ok(!device.power.trace.some((entry) => entry.includes('/slots/')));
  }
});

test('TEST-OTA-238 REQ-OTA-DELTA-02, REQ-OTA-NET-04: connections that break: the download goes on where it stopped', async () => {
  const device = await assigned();
  device.world.breakAfter = 2000;
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
  assert.deepEqual(
    device.world.imageRequests.slice(0, 3).map((request) => request.start),
    [0, 2000, 4000],
  );
});

test('TEST-OTA-239 REQ-OTA-MAN-05, REQ-OTA-APPLY-06: a flipped bit on the way, a failing write, a failing flush: the attempt ends, the group stays out of the order', async () => {
  for (const [fault, code] of [
    ['corrupt', 'OTA_FAIL_HASH'],
    ['write', 'OTA_FAIL_WRITE'],
    ['flush', 'OTA_FAIL_WRITE'],
  ] as const) {
    const device = await assigned();
    if (fault === 'corrupt') device.world.corrupt = true;
    else device.disk.faults.push({ op: fault, path: slotPath('rootfs', 'B') });
    const end = await device.boot({ polls: 1 });
    assert.equal(typeof end === 'object' && end.kind === 'ended' ? end.code : end, code);
    assert.deepEqual(device.bootState().order, ['A']);
    device.world.corrupt = false;
    await device.settle();
    assert.equal((await device.record()).confirmed.version, 2, `${fault}: a later attempt succeeds`);
  }
});

test('TEST-OTA-240 REQ-OTA-APPLY-09, REQ-OTA-MAN-05: staged images rot: written again once, the second time the attempt ends as OTA_FAIL_ROT', async () => {
  const device = await assigned();
  const { world } = device;
  world.settings = { attemptsPerReleaseMax: 1 };
  for (let rot = 0; rot < 2; rot += 1) {
    world.interlock = (what) => what === 'fetch';
    await device.boot();
    assert.equal((await device.record()).state, 'Staged');
    device.disk.damage(slotPath('app', 'B'), 4321);
    world.interlock = (what) => what === 'fetch' || rot === 0;
    if (rot === 0) world.restartWorks = false;
    await device.boot({ polls: 1 });
    world.restartWorks = true;
  }
  world.interlock = () => true;
  device.disk.damage(slotPath('app', 'B'), 17);
  await device.settle();
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_FAIL_ROT'],
  );
});

test('TEST-OTA-241 REQ-OTA-ROLL-01, REQ-OTA-ROLL-07: the confirmed group no longer starts: fallback, logged, and repaired with the very manifest that was confirmed', async () => {
  const device = await assigned();
  await device.settle();
  for (let start_ = 0; start_ < 16; start_ += 1) device.startGroup();
  assert.equal(device.bootedGroup, 'B', 'sixteen starts do not drop it');
  device.disk.damage(slotPath('rootfs', 'B'), 4000);
  await device.boot();
  assert.equal(device.bootedGroup, 'A');
  await device.settle();
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_CONFIRMED', 'OTA_REPAIRED'],
  );
  assert.ok((await codes(device)).includes('OTA_FALLBACK'));
  assert.equal(device.bootedGroup, 'B');
  assert.equal(provenVersion(device, 'B', [2]), 2);
});

test('TEST-OTA-242 REQ-OTA-APPLY-07: every copy of the record is lost: the device stays on what runs, says OTA_STATE_LOST once, and takes the highest version found as its floor', async () => {
  const device = await assigned();
  await device.settle();
  device.world.company.publish(undefined);
  for (const at of [100, 4096 + 100]) device.disk.damage('/state/record', at);
  await device.settle();
  await device.settle();
  const { confirmed, floor, state } = await device.record();
  assert.deepEqual([confirmed.group, confirmed.version, floor, state], ['B', 2, 2, 'Idle']);
  assert.equal((await codes(device)).filter((code) => code === 'OTA_STATE_LOST').length, 1);
});

test('TEST-OTA-243 REQ-OTA-APPLY-07: the record is lost in the middle of a trial: the device goes back to the confirmed group', async () => {
  const device = await assigned();
  assert.equal(await device.boot(), 'restart');
  device.world.company.publish(undefined);
  for (const at of [100, 4096 + 100]) device.disk.damage('/state/record', at);
  assert.equal(await device.boot(), 'restart');
  await device.settle();
  assert.equal(device.bootedGroup, 'A');
  assert.equal((await device.record()).confirmed.group, 'A');
  assert.deepEqual(device.bootState().order, ['A']);
});

test('TEST-OTA-244 REQ-OTA-APPLY-07: one copy of the record is damaged, either of them: repaired, and nothing is forgotten', async () => {
  for (const at of [100, 4096 + 100]) {
    const device = await assigned();
    await device.settle();
    device.disk.damage('/state/record', at);
    await device.settle();
    assert.equal((await device.record()).floor, 2);
    assert.ok((await codes(device)).includes('OTA_STATE_REPAIRED'));
  }
});

test('TEST-OTA-245 REQ-OTA-LOG-01: the server answers nothing after the trial: confirmed all the same, and log and report follow later, in an unbroken chain', async () => {
  const device = await assigned();
  const { world } = device;
  await device.boot();
  const { selfTest } = world;
  world.selfTest = async () => {
    world.settings = {};
    return await selfTest();
  };
  await device.boot({ polls: 0 });
  assert.equal((await device.record()).state, 'Idle');
  world.reachable = false;
  await device.boot();
  assert.equal((await device.record()).confirmed.version, 2);
  world.reachable = true;
  await device.boot();
  const sequences = world.uploaded.map(({ sequence }) => sequence);
  assert.deepEqual(
    sequences,
    sequences.map((_, index) => index + 1),
  );
  assert.ok(world.uploaded.some(({ code }) => code === 'OTA_CONFIRMED'));
});

test('TEST-OTA-246 REQ-OTA-LIMIT-01: a rate of 1000 bytes a second, device or assignment: ten thousand bytes take nine seconds or more', async () => {
  const device = await SimDevice.provisioned();
  device.world.company.release(2);
  device.world.company.publish(2, { bytesPerSecondMax: 1000 });
  device.world.settings = { bytesPerSecondMax: 5000 };
  await device.boot();
  assert.ok(device.world.monotonic >= 8900, String(device.world.monotonic));
});

test('TEST-OTA-247 REQ-OTA-LIMIT-02: a server that is gone during the download: tries are bounded and the attempt ends as OTA_FAIL_DOWNLOAD', async () => {
  const device = await assigned();
  device.world.company.blobs.clear();
  const end = await device.boot({ polls: 1 });
  assert.equal(typeof end === 'object' && end.kind === 'ended' ? end.code : end, 'OTA_FAIL_DOWNLOAD');
  assert.ok(device.world.imageRequests.length <= 8);
  const against = (await device.record()).failures.filter((entry) => entry.manifestSha256 !== wastedName);
  assert.deepEqual(against, [], 'the network is not counted against the release');
});
