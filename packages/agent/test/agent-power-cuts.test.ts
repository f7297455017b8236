/**
 * Power lost before every durable operation of an update, and twice in a row: whatever was not flushed is gone, the
 * device boots again, and must come to one result with every invariant kept on the way (REQ-OTA-APPLY-03).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutEverywhere, type Scenario } from './support/power-cuts.ts';

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
