/**
 * Power lost before every durable operation of an update, and twice in a row: whatever was not flushed is gone, the
 * device boots again, and must come to one result with every invariant kept on the way (REQ-OTA-APPLY-03).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertHolds } from './support/invariants.ts';
import { SimDevice, type World } from './support/sim-device.ts';

interface Scenario {
  prepare: (world: World) => void;
  /** Release 3 over release 2, whose predecessor stays armed as the fallback until it is overwritten. */
  fallbackArmed?: boolean;
  /** Release 2 is confirmed and its starts are used up: the device runs release 1 in fallback, and repairs. */
  repair?: boolean;
  versions: readonly number[];
  check: (device: SimDevice, where: string) => Promise<void>;
}

async function readyDevice(scenario: Scenario): Promise<SimDevice> {
  const device = await SimDevice.provisioned();
  device.world.company.release(2);
  device.world.company.publish(2);
  scenario.prepare(device.world);
  if (scenario.fallbackArmed === true) {
    await device.settle();
    device.world.company.release(3);
    device.world.company.publish(3);
  }
  if (scenario.repair === true) {
    await device.settle();
    while (device.bootState().left.B !== 0) device.startGroup();
  }
  return device;
}

/** Durable operations of each boot when nothing is cut. */
async function countBoots(base: SimDevice): Promise<number[]> {
  const counts: number[] = [];
  const device = base.clone();
  for (let boot = 0; boot < 10; boot += 1) {
    const end = await device.boot();
    counts.push(device.power.trace.length);
    if (end !== 'restart') return counts;
  }
  return assert.fail('the scenario does not come to rest');
}

/** Cuts the given boot before its `cut`-th operation, then boots until rest, checking after each boot. */
async function cutAndRecover(
  base: SimDevice,
  scenario: Scenario,
  at: { boot: number; cut: number; again?: number },
) {
  const device = base.clone();
  const where = `boot ${at.boot}, cut ${at.cut}${at.again === undefined ? '' : `, then ${at.again}`}`;
  let floorBefore = 1;
  for (let boot = 0; boot < 14; boot += 1) {
    const cutBefore = boot === at.boot ? at.cut : boot === at.boot + 1 ? at.again : undefined;
    const end = await device.boot(cutBefore === undefined ? {} : { cutBefore });
    device.disk.loseUnflushed();
    floorBefore = await assertHolds(device, { floorBefore, versions: scenario.versions, where });
    const done = typeof end === 'object' && boot > at.boot;
    if (done) break;
  }
  const record = await device.record();
  assert.equal(record.state, 'Idle', `${where}: it ends at rest`);
  const perAttempt = new Map<string, number>();
  for (const { attempt = '' } of await device.results())
    perAttempt.set(attempt, (perAttempt.get(attempt) ?? 0) + 1);
  for (const [attempt, count] of perAttempt)
    assert.equal(count, 1, `${where}: attempt ${attempt} has one result`);
  const begun = new Set((await device.log()).map(({ attempt }) => attempt).filter((id) => id !== undefined));
  for (const attempt of begun)
    assert.ok(perAttempt.has(attempt), `${where}: attempt ${attempt} has a result`);
  await scenario.check(device, where);
}

async function cutEverywhere(scenario: Scenario, again?: (cut: number) => number): Promise<number> {
  const base = await readyDevice(scenario);
  let cuts = 0;
  for (const [boot, count] of (await countBoots(base)).entries()) {
    for (let cut = 0; cut < count; cut += 1) {
      await cutAndRecover(base, scenario, {
        boot,
        cut,
        ...(again === undefined ? {} : { again: again(cut) }),
      });
      cuts += 1;
    }
  }
  return cuts;
}

const good: Scenario = {
  prepare: (world) => {
    world.data.present = true;
  },
  versions: [1, 2],
  check: async (device, where) => {
    const { confirmed, floor } = await device.record();
    assert.deepEqual([confirmed.version, floor], [2, 2], `${where}: the release is confirmed in the end`);
  },
};

const failing: Scenario = {
  prepare: (world) => {
    world.settings = { attemptsPerReleaseMax: 1 };
    world.data.present = true;
    world.selfTest = async () => ({ passed: false, failed: 'pump', reason: 'no flow', tests: [] });
  },
  versions: [1, 2],
  check: async (device, where) => {
    const { confirmed, floor } = await device.record();
    assert.deepEqual([confirmed.version, floor], [1, 1], `${where}: the old release stays`);
    assert.equal(device.bootedGroup, 'A', `${where}: the old group runs`);
    assert.deepEqual(device.bootState().order, ['A'], `${where}: the failed group is out of the order`);
  },
};

test('TEST-OTA-220 REQ-OTA-APPLY-03, REQ-OTA-ROLL-01, REQ-OTA-LOG-01: a good update, cut before every durable operation: every invariant holds and it is confirmed with exactly one result', async () => {
  assert.ok((await cutEverywhere(good)) > 60);
});

test('TEST-OTA-221 REQ-OTA-APPLY-03, REQ-OTA-VERIFY-02: an update with a failing self-test, cut before every durable operation: it is rolled back with exactly one result', async () => {
  assert.ok((await cutEverywhere(failing)) > 60);
});

test('TEST-OTA-222 REQ-OTA-APPLY-03: a good update, cut before every durable operation and again during the recovery: it is confirmed all the same', async () => {
  for (const later of [9]) assert.ok((await cutEverywhere(good, () => later)) > 60);
});

test('TEST-OTA-248 REQ-OTA-APPLY-09, REQ-OTA-APPLY-03: an update over an armed fallback, cut before every durable operation: the fallback is out of the boot order before its first byte is lost', async () => {
  const cuts = await cutEverywhere({
    prepare: () => undefined,
    fallbackArmed: true,
    versions: [1, 2, 3],
    check: async (device, where) => {
      const { confirmed, floor } = await device.record();
      assert.deepEqual([confirmed.version, floor], [3, 3], where);
    },
  });
  assert.ok(cuts > 60);
});

test('TEST-OTA-785 REQ-OTA-APPLY-03, REQ-OTA-ROLL-01: a repair out of fallback, cut before every durable operation: the very release that was confirmed runs again, and the floor stays', async () => {
  const cuts = await cutEverywhere({
    prepare: () => undefined,
    repair: true,
    versions: [1, 2],
    check: async (device, where) => {
      const { confirmed, floor } = await device.record();
      assert.deepEqual([confirmed.group, confirmed.version, floor], ['B', 2, 2], where);
      assert.equal(device.bootedGroup, 'B', where);
      const results = (await device.results()).map(({ code }) => code);
      assert.deepEqual([results[0], results.at(-1)], ['OTA_CONFIRMED', 'OTA_REPAIRED'], where);
    },
  });
  assert.ok(cuts > 60);
});

test('TEST-OTA-782 REQ-OTA-APPLY-03, REQ-OTA-APPLY-09: an update where no fallback is allowed, cut before every durable operation: confirmed, and the older group is out of the boot order', async () => {
  const cuts = await cutEverywhere({
    prepare: (world) => {
      world.settings = { fallbackAllowed: false };
    },
    versions: [1, 2],
    check: async (device, where) => {
      assert.equal((await device.record()).confirmed.version, 2, where);
      assert.deepEqual(device.bootState().order, ['B'], where);
    },
  });
  assert.ok(cuts > 60);
});
