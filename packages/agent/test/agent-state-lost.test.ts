/**
 * Every part of the stored state, damaged or gone, in every state of an update (REQ-OTA-APPLY-06, REQ-OTA-APPLY-07):
 * the loss of one copy costs nothing, the loss of all is told to the log and to the server, and a full disk prevents no
 * result.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceReport } from '@airlock/protocol';
import { trustFileNames, trustStore } from '../src/durable/trust-store.ts';
import { assertHolds } from './support/invariants.ts';
import { bootPath, SimDevice, statePath, World } from './support/sim-device.ts';
import { Power } from './support/sim-disk.ts';

const sectorBytes = 512;
const record = `${statePath}/record`;
const log = `${statePath}/log`;
const [trust1, trust2] = trustFileNames.map((name) => `${statePath}/${name}`);

async function assigned(world: World = new World()): Promise<SimDevice> {
  const device = await SimDevice.provisioned(world);
  world.company.release(2);
  world.company.publish(2);
  return device;
}

async function codes(device: SimDevice): Promise<readonly string[]> {
  return (await device.log()).map(({ code }) => code);
}

interface Moment {
  readonly name: string;
  readonly device: SimDevice;
}

/** The device, powered off after each step that the write order has a letter for: each new record, each boot order. */
async function moments(make: () => Promise<SimDevice>): Promise<readonly Moment[]> {
  const base = await make();
  const found: Moment[] = [{ name: 'before', device: base.clone() }];
  const walker = base.clone();
  for (let boot = 0; boot < 6; boot += 1) {
    const before = walker.clone();
    const end = await walker.boot();
    const seen = new Set<string>();
    for (const [at, label] of walker.power.trace.entries()) {
      // The last of the two copies is what makes a step: the same label twice, and the cut comes after the second.
      if (!/^(record|boot) /.test(label)) continue;
      if (!seen.has(label)) {
        seen.add(label);
        continue;
      }
      const device = before.clone();
      await device.boot({ cutBefore: at + 1 });
      device.disk.loseUnflushed();
      found.push({ name: `boot ${boot}, ${label}`, device });
    }
    if (end !== 'restart') return found;
  }
  return assert.fail('the update does not come to rest');
}

/** Boots to rest, with every invariant after each boot; answers how the attempts ended. */
async function comesTo(
  device: SimDevice,
  where: string,
  expected: { version: number; floor?: number; resultLost?: boolean },
): Promise<void> {
  let floorBefore = 1;
  for (let boot = 0; boot < 12; boot += 1) {
    const end = await device.boot();
    device.disk.loseUnflushed();
    floorBefore = await assertHolds(device, { floorBefore, versions: [1, 2], where });
    if (typeof end === 'object') break;
  }
  const held = await device.record();
  assert.deepEqual([held.state, held.confirmed.version], ['Idle', expected.version], where);
  assert.equal(held.floor, expected.floor ?? expected.version, where);
  const perAttempt = new Map<string, number>();
  for (const { attempt = '' } of await device.results())
    perAttempt.set(attempt, (perAttempt.get(attempt) ?? 0) + 1);
  for (const results of perAttempt.values()) assert.equal(results, 1, `${where}: one result`);
  if (expected.resultLost !== true) assert.ok(perAttempt.size > 0, `${where}: a result`);
}

const failing = (): World => {
  const world = new World();
  world.settings = { attemptsPerReleaseMax: 1 };
  world.selfTest = async () => ({ passed: false, failed: 'pump', reason: 'no flow', tests: [] });
  return world;
};

const scenarios = [
  { name: 'confirmed', world: () => new World(), version: 2 },
  { name: 'rolled back', world: failing, version: 1 },
] as const;

/**
 * Every sector that holds something, and one that does not: the padding of a block is all alike. Of a trust copy, which
 * is one text under one checksum, every thirtieth.
 */
function sectorsOf(device: SimDevice, path: string): readonly number[] {
  const bytes = device.disk.bytes(path) ?? new Uint8Array();
  const all = Array.from(
    { length: Math.ceil(bytes.length / sectorBytes) },
    (_, index) => index * sectorBytes,
  );
  const isEmpty = (at: number): boolean => bytes.subarray(at, at + sectorBytes).every((byte) => byte === 0);
  const empty = all.find(isEmpty);
  const held = all.filter((at) => !isEmpty(at));
  const trust = path === trust1 || path === trust2;
  const some = trust ? held.filter((_, index) => index % 30 === 0) : held;
  return empty === undefined ? some : [...some, empty];
}

function manifests(device: SimDevice): readonly string[] {
  return device.disk.names().filter((name) => name.endsWith('.manifest.json'));
}

for (const [index, { name, world, version }] of scenarios.entries()) {
  test(`TEST-OTA-${913 + index} REQ-OTA-APPLY-07: an update that is ${name}, one sector of one copy of the record, the trust state, a manifest or the boot control damaged after any step: it ends as it would have`, async () => {
    const all = await moments(async () => await assigned(world()));
    assert.ok(all.length > 10, `${all.length} moments`);
    let cases = 0;
    for (const { name: moment, device: at } of all) {
      for (const path of [record, trust1, trust2, bootPath, ...manifests(at)]) {
        for (const sector of sectorsOf(at, path ?? '')) {
          const device = at.clone();
          const bytes = at.disk.bytes(path ?? '')?.length ?? 0;
          for (let byte = sector; byte < Math.min(sector + sectorBytes, bytes); byte += 64)
            device.disk.damage(path ?? '', byte);
          await comesTo(device, `${moment}, ${path} at ${sector}`, { version });
          assert.ok(!(await codes(device)).includes('OTA_STATE_LOST'));
          cases += 1;
        }
      }
    }
    assert.ok(cases > 150, `${cases} cases`);
  });

  test(`TEST-OTA-${915 + index} REQ-OTA-APPLY-07, REQ-OTA-LOG-03: an update that is ${name}, one cell of the log damaged after any step: the chain goes on, each attempt has one result that can be read, or the gap is told`, async () => {
    for (const { name: moment, device: at } of await moments(async () => await assigned(world()))) {
      const held = (await at.log()).map(({ sequence }) => sequence);
      for (const cell of [...held, held.length + 1]) {
        const device = at.clone();
        device.disk.damage(log, cell * 4096 + 200);
        const before = held.includes(cell);
        await comesTo(device, `${moment}, cell ${cell}`, { version, resultLost: before });
        const entries = await device.log();
        for (const [place, { sequence }] of entries.entries())
          if (place > 0) assert.equal(sequence, (entries[place - 1]?.sequence ?? 0) + 1, moment);
      }
    }
  });
}

test('TEST-OTA-917 REQ-OTA-APPLY-07: an update, one file of the state folder gone after any step: without a trust copy or a manifest it ends as it would have; without the record it stays on what runs, says so once, and a higher release installs; without the log that begins anew and says so', async () => {
  const all = await moments(async () => await assigned());
  for (const { name, device: at } of all) {
    for (const path of [trust1, trust2, ...manifests(at)]) {
      const device = at.clone();
      device.disk.forget(path ?? '');
      await comesTo(device, `${name}, without ${path}`, { version: 2 });
    }
    const unlogged = at.clone();
    unlogged.disk.forget(log);
    await comesTo(unlogged, `${name}, without the log`, { version: 2, resultLost: true });
    const gap = (await unlogged.log()).filter(({ code }) => code === 'OTA_LOG_GAP');
    assert.deepEqual(
      gap.map(({ reason }) => reason),
      ['the log was lost and begins anew'],
      name,
    );
  }
  // Last, since it changes what the one company of all these devices assigns.
  for (const { name, device } of all) await withoutRecord(device, name);
});

async function withoutRecord(device: SimDevice, where: string): Promise<void> {
  const { company } = device.world;
  const runs = device.bootState();
  device.disk.forget(record);
  company.publish(undefined);
  await device.settle();
  const { confirmed, floor, state } = await device.record();
  assert.equal(state, 'Idle', where);
  assert.equal(device.bootedGroup, confirmed.group, where);
  assert.deepEqual(device.bootState().trial, undefined, where);
  if (runs.trial !== undefined)
    assert.notEqual(confirmed.group, runs.trial, `${where}: a trial is not trusted`);
  assert.ok(floor >= confirmed.version, where);
  assert.equal((await codes(device)).filter((code) => code === 'OTA_STATE_LOST').length, 1, where);
  assert.ok(
    device.world.uploaded.some(({ code }) => code === 'OTA_STATE_LOST'),
    where,
  );
  company.release(9);
  company.publish(9);
  await device.settle();
  const after = await device.record();
  assert.deepEqual([after.confirmed.version, after.floor], [9, 9], where);
}

test('TEST-OTA-918 REQ-OTA-APPLY-07, REQ-OTA-LOG-01: every file of the state folder is gone after any step: what runs stays, nothing installs, and log and server hear of record, trust state and log', async () => {
  for (const { name, device } of await moments(async () => await assigned())) {
    const { world } = device;
    world.uploaded = [];
    world.reports = [];
    for (const path of device.disk.names()) if (path.startsWith(`${statePath}/`)) device.disk.forget(path);
    await device.boot({ polls: 3 });
    await device.boot({ polls: 3 });
    const told = await codes(device);
    assert.equal(told.filter((code) => code === 'OTA_STATE_LOST').length >= 2, true, name);
    assert.ok(told.includes('OTA_LOG_GAP'), name);
    assert.ok(!device.power.trace.some((entry) => entry.includes('/slots/')), `${name}: nothing is written`);
    assert.ok(device.bootState().order.includes(device.bootedGroup), name);
    assert.ok(
      world.uploaded.some(({ code }) => code === 'OTA_STATE_LOST'),
      `${name}: the server has the log`,
    );
    const report = reportIn(world.reports.at(-1) ?? '');
    assert.deepEqual([report.state, report.deviceRecord], ['Idle', 0], `${name}: and a report`);
    assert.equal(report.bootedGroup, device.bootedGroup);
  }
});

function reportIn(text: string): DeviceReport {
  return (JSON.parse(text) as { signed: DeviceReport }).signed;
}

test('TEST-OTA-919 REQ-OTA-APPLY-06, REQ-OTA-APPLY-07: the state partition fills up before any file is created, in any boot of an update: nothing is lost, the device runs on, a trial comes to its end, and with room again the release is confirmed', async () => {
  const kept = async (device: SimDevice): Promise<number> => {
    const disk = device.disk.clone().port(new Power(), () => '');
    return (await trustStore(disk, statePath).read())?.state.timeLowerBound ?? 0;
  };
  for (const { name, device: at } of await moments(async () => await assigned())) {
    for (const createsLeft of [0, 1, 2, 3, 4, 7]) {
      const device = at.clone();
      const where = `${name}, ${createsLeft} files left`;
      const bound = await kept(device);
      const wasTrial = device.bootState().trial !== undefined;
      device.disk.createsLeft = createsLeft;
      let floorBefore = 1;
      for (let boot = 0; boot < 3; boot += 1) {
        await device.boot();
        device.disk.loseUnflushed();
        floorBefore = await assertHolds(device, { floorBefore, versions: [1, 2], where });
        assert.ok((await kept(device)) >= bound, `${where}: the trust state is whole`);
      }
      if (wasTrial) assert.equal((await device.record()).state, 'Idle', `${where}: a trial needs no room`);
      device.disk.createsLeft = Number.POSITIVE_INFINITY;
      await comesTo(device, where, { version: 2 });
    }
  }
});

test('TEST-OTA-920 REQ-OTA-APPLY-07, REQ-OTA-APPLY-08: the data partition is reset to factory in a trial, so that commit or revert find nothing: the attempt ends once, as it would have, and the loss is in the log', async () => {
  for (const { name, world: make, version } of scenarios) {
    const world = make();
    world.data.present = true;
    const device = await assigned(world);
    assert.equal(await device.boot(), 'restart');
    world.data.ends = false;
    await comesTo(device, name, { version });
    assert.ok((await codes(device)).includes('OTA_FAIL_DATA'), name);
    assert.equal((await device.results()).length, 1, name);
  }
});

test('TEST-OTA-921 REQ-OTA-APPLY-07: one copy of the record is damaged at rest, and after a start the other: the first was written again meanwhile, so that nothing is lost', async () => {
  const base = await assigned();
  await base.settle();
  for (const [first, second] of [
    [100, 4196],
    [4196, 100],
  ] as const) {
    const device = base.clone();
    device.disk.damage(record, first);
    await device.settle();
    device.disk.damage(record, second);
    await device.settle();
    assert.deepEqual([(await device.record()).floor, device.bootedGroup], [2, 'B']);
    assert.ok(!(await codes(device)).includes('OTA_STATE_LOST'));
  }
});
