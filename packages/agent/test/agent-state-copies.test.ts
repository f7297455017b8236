/**
 * Stored state that is lost or damaged, one copy or all (REQ-OTA-APPLY-07): what one copy's loss costs is nothing, and
 * what the loss of all costs is said.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newTrustState, type TrustState } from '@airlock/trust';
import { openEventLog } from '../src/index.ts';
import { replaceFile } from '../src/durable/folder-file.ts';
import { encodeTrustCopy, trustFileNames, trustStore } from '../src/durable/trust-store.ts';
import { Company, device as deviceId, product, start } from './support/sim-company.ts';
import { SimDevice, statePath, World } from './support/sim-device.ts';
import { Power, SimDisk } from './support/sim-disk.ts';

const trustPaths = trustFileNames.map((name) => `${statePath}/${name}`);

async function updated(): Promise<SimDevice> {
  const device = await SimDevice.provisioned(new World());
  device.world.company.release(2);
  device.world.company.publish(2);
  await device.settle();
  return device;
}

async function codes(device: SimDevice): Promise<readonly string[]> {
  return (await device.log()).map(({ code }) => code);
}

async function heldTrust(disk: SimDisk): Promise<TrustState | undefined> {
  const port = disk.clone().port(new Power(), () => '');
  return (await trustStore(port, statePath).read())?.state;
}

async function replace(disk: SimDisk, path: string, bytes: Uint8Array): Promise<void> {
  const port = disk.port(new Power(), () => '');
  await replaceFile(port, statePath, path.slice(statePath.length + 1), bytes);
}

test('TEST-OTA-760 REQ-OTA-APPLY-07, REQ-OTA-ROLL-02: either copy of the trust state is lost or damaged anywhere: nothing is forgotten, it is written again, and told once', async () => {
  const base = await updated();
  const before = await heldTrust(base.disk);
  assert.ok(before?.image.timestamp !== undefined, 'there is something to forget');
  for (const path of trustPaths) {
    const length = base.disk.bytes(path)?.length ?? 0;
    assert.ok(length > 1000);
    for (const at of [undefined, 0, 64, 70, 90, Math.floor(length / 2), length - 1]) {
      const device = base.clone();
      if (at === undefined) device.disk.forget(path);
      else device.disk.damage(path, at);
      assert.deepEqual(await heldTrust(device.disk), before, `${path} ${at}`);
      await device.settle();
      await device.settle();
      const repaired = (await codes(device)).filter((code) => code === 'OTA_STATE_REPAIRED');
      assert.equal(repaired.length, 1, `${path} ${at}`);
      const other = trustPaths.find((one) => one !== path);
      device.disk.forget(other ?? '');
      assert.deepEqual(await heldTrust(device.disk), before, 'the copy written again is whole');
    }
  }
});

test('TEST-OTA-761 REQ-OTA-APPLY-07: both copies of the trust state are lost: what runs stays, nothing is installed, OTA_STATE_LOST is in the log', async () => {
  const device = await updated();
  device.world.company.release(3);
  device.world.company.publish(3);
  for (const path of trustPaths) device.disk.damage(path, 100);
  const end = await device.boot();
  assert.equal(typeof end === 'object' && end.kind === 'failed' ? end.code : end, 'OTA_STATE_LOST');
  assert.ok((await codes(device)).includes('OTA_STATE_LOST'));
  assert.ok(!device.power.trace.some((entry) => entry.includes('/slots/')));
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-762 REQ-OTA-APPLY-07, REQ-OTA-ROLL-02: any number of changes of the trust state, the power cut before any operation, then either copy lost: the last change that returned, or the one under way', async () => {
  const company = new Company();
  const made = newTrustState({
    identity: { product, device: deviceId },
    imageRoot: company.imageRoot,
    directorRoot: company.directorRoot,
    deviceRecord: company.deviceRecord,
    builtAt: start,
  });
  assert.ok(made.ok);
  const numbered = (number: number): TrustState => ({ ...made.value, timeLowerBound: start + number });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.nat({ max: 60 }),
      fc.constantFrom(undefined, 0, 1),
      async (changes, cutBefore, lost) => {
        const disk = new SimDisk();
        await trustStore(
          disk.port(new Power(), () => ''),
          statePath,
        ).keep(numbered(0));
        const power = new Power(cutBefore);
        let returned = 0;
        let underWay = 0;
        const write = async (): Promise<void> => {
          const store = trustStore(
            disk.port(power, () => ''),
            statePath,
          );
          for (underWay = 1; underWay <= changes; underWay += 1) {
            await store.keep(numbered(underWay));
            returned = underWay;
          }
        };
        await Promise.race([write(), power.lost]);
        disk.loseUnflushed();
        // The cut may leave one copy behind; then the loss of the newer one is a second fault.
        if (lost !== undefined && returned === changes) disk.forget(trustPaths[lost] ?? '');
        const held = ((await heldTrust(disk))?.timeLowerBound ?? 0) - start;
        assert.ok(held === returned || held === underWay, `${held}: ${returned} returned`);
      },
    ),
    { numRuns: 150 },
  );
});

test('TEST-OTA-764 REQ-OTA-APPLY-07, REQ-OTA-ROLL-02: two copies of the trust state that differ, the newer one in either place: the newer counts; one whose digits changed is no copy at all', async () => {
  const base = await updated();
  const older = await heldTrust(base.disk);
  assert.ok(older);
  const newer: TrustState = { ...older, timeLowerBound: older.timeLowerBound + 7 };
  for (const newerAt of [0, 1]) {
    const disk = base.disk.clone();
    for (const [place, path] of trustPaths.entries()) {
      const copy = place === newerAt ? { sequence: 100, state: newer } : { sequence: 99, state: older };
      await replace(disk, path, encodeTrustCopy(copy));
    }
    assert.deepEqual(await heldTrust(disk), newer);
    const path = trustPaths[newerAt] ?? '';
    const text = new TextDecoder().decode(disk.bytes(path));
    const forged = text.replace(`"timeLowerBound":${newer.timeLowerBound}`, '"timeLowerBound":1999999999');
    assert.notEqual(forged, text);
    await replace(disk, path, new TextEncoder().encode(forged));
    assert.deepEqual(await heldTrust(disk), older, 'the checksum is over every digit of the state');
    await replace(disk, path, new TextEncoder().encode(text.replace(' 100\n', ' 200\n')));
    assert.deepEqual(await heldTrust(disk), older, 'and of the sequence');
  }
});

test('TEST-OTA-763 REQ-OTA-APPLY-07: the manifest of an attempt is lost or damaged before its trial: written again from the trust state, and the release is confirmed', async () => {
  for (const loss of ['damage', 'forget'] as const) {
    const device = await SimDevice.provisioned(new World());
    device.world.company.release(2);
    device.world.company.publish(2);
    assert.equal(await device.boot(), 'restart');
    const { attempt } = await device.record();
    const path = `${statePath}/${attempt?.manifestSha256}.manifest.json`;
    assert.ok(device.disk.bytes(path));
    if (loss === 'damage') device.disk.damage(path, 20);
    else device.disk.forget(path);
    await device.settle();
    assert.deepEqual(
      (await device.results()).map(({ code }) => code),
      ['OTA_CONFIRMED'],
    );
    assert.ok((await codes(device)).includes('OTA_STATE_REPAIRED'));
  }
});

test('TEST-OTA-765 REQ-OTA-APPLY-07, REQ-OTA-ROLL-01: both copies of the record are lost while the other group holds a higher version: it stays on what runs, the floor is the higher one, and a release above it installs', async () => {
  const device = await SimDevice.provisioned(new World());
  const { world } = device;
  world.settings = { attemptsPerReleaseMax: 1 };
  world.selfTest = async () => ({ passed: false, failed: 'pump', reason: 'no flow', tests: [] });
  world.company.release(3);
  world.company.publish(3);
  await device.settle();
  assert.deepEqual([device.bootedGroup, (await device.record()).floor], ['A', 1]);
  world.selfTest = async () => ({ passed: true, tests: [] });
  for (const at of [100, 4096 + 100]) device.disk.damage(`${statePath}/record`, at);
  world.company.release(2);
  world.company.publish(2);
  const refused = await device.settle();
  assert.equal(refused.kind === 'refused' ? refused.code : refused.kind, 'OTA_NOT_ABOVE_FLOOR');
  const { confirmed, floor } = await device.record();
  assert.deepEqual([device.bootedGroup, confirmed.group, confirmed.version, floor], ['A', 'A', 1, 3]);
  assert.equal((await codes(device)).filter((code) => code === 'OTA_STATE_LOST').length, 1);
  world.company.release(4);
  world.company.publish(4);
  await device.settle();
  const after = await device.record();
  assert.deepEqual([after.confirmed.version, after.floor, device.bootedGroup], [4, 4, 'B']);
});

const logOf = async (disk: SimDisk) =>
  await openEventLog(
    disk.port(new Power(), () => ''),
    statePath,
    16,
  );
const entry = (text: string) => ({ time: 1, bootId: 'b', code: 'OTA_BOOT', reason: text }) as const;

test('TEST-OTA-786 REQ-OTA-LOG-03, REQ-OTA-APPLY-07: one entry in the middle of the log rots: the chain goes on from what follows it, and the gap is announced unless the server has it', async () => {
  for (const uploaded of [0, 5]) {
    const disk = new SimDisk();
    const log = await logOf(disk);
    for (let number = 1; number <= 9; number += 1) {
      log.setUploaded(uploaded);
      await log.append(entry(`entry ${number}`));
    }
    const head = log.head();
    disk.damage(`${statePath}/log`, 5 * 4096 + 100);
    const recovered = await logOf(disk);
    assert.deepEqual(recovered.head(), head, 'the chain never restarts');
    await recovered.append(entry('after'));
    const kept = await recovered.after(0, 100);
    const gap = uploaded === 5 ? [] : [10];
    assert.deepEqual(
      kept.map(({ sequence }) => sequence),
      [6, 7, 8, 9, ...gap, gap.length === 0 ? 10 : 11],
    );
    const gaps = kept.filter(({ code }) => code === 'OTA_LOG_GAP');
    assert.deepEqual(
      gaps.map(({ facts }) => [facts?.['first'], Number(facts?.['last']) >= 5]),
      uploaded === 5 ? [] : [[1, true]],
    );
    for (const [index, { previous, sequence }] of kept.entries())
      if (index > 0) assert.equal(previous, recovered.sha256Of(sequence - 1));
  }
});
