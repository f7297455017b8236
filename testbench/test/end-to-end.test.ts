/**
 * The main job from end to end: real airlock and server processes, real mutual TLS, real agents on virtual devices.
 *
 * One company serves all tests; each test has devices and versions of its own. Every wait is on a condition.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { confirmedStartsDefault } from '@airlock/agent';
import { makeAuthority, makeDeviceIdentity, makeServerIdentity, writeIdentity } from '../src/certificates.ts';
import { forgeDirector, swapDirector } from '../src/forge.ts';
import { startHostileServer } from '../src/hostile-server.ts';
import { cleanUp } from '../src/processes.ts';
import { readBootFile } from '../src/virtual-device/boot-file.ts';
import { writeDeviceConfig } from '../src/virtual-device/device-config.ts';
import { readRecord, type RecordView } from '../src/virtual-device/device-view.ts';
import { askAgent, type Device } from '../src/world/device.ts';
import {
  forgedRelease,
  openDeviceAuthority,
  readServerConfig,
  stealDirectorKeys,
} from '../src/world/thief.ts';
import { makeWorld, type World } from './support/world.ts';

let world: World;

before(async () => {
  world = await makeWorld();
});

after(async () => {
  await world.close();
  cleanUp();
});

async function idle(device: Device): Promise<RecordView> {
  return await device.virtual.waitFor('the record to be idle', 60_000, () => {
    const record = readRecord(device.folder.stateFolder);
    return record?.state === 'Idle' ? record : undefined;
  });
}

/** Exactly one entry of the log is this version's result. */
function results(device: Device, version: number): readonly string[] {
  return device.log
    .look()
    .filter((entry) => entry.toVersion === version && entry.facts?.['result'] === true)
    .map((entry) => entry.code);
}

test('TEST-OTA-640 REQ-OTA-VERIFY-01, REQ-OTA-APPLY-05: update, approved by all functions: booted, tested, confirmed, and then unplugged six times without falling back', async () => {
  await world.release({ version: 2 });
  const device = await world.device('update-1');
  device.virtual.powerOn();
  await world.company.assign(device.id, 2);
  await device.waitForCode('OTA_CONFIRMED', { version: 2 });
  const record = await idle(device);
  assert.deepEqual([record.confirmed.version, record.confirmed.group, record.floor], [2, 'B', 2]);
  assert.deepEqual(results(device, 2), ['OTA_CONFIRMED']);

  await device.virtual.killAgent();
  for (let unplug = 0; unplug < 6; unplug += 1)
    assert.equal(await device.virtual.unplugBeforeAgentStarts(), 'B');
  const from = device.log.look().length;
  device.virtual.powerOn();
  await device.waitForCode('OTA_BOOT', { from });
  await device.virtual.waitFor('the starts to be restored', 60_000, async () => {
    const state = await readBootFile(device.folder.bootFile);
    return state?.left.B === confirmedStartsDefault ? state : undefined;
  });
  assert.equal(readRecord(device.folder.stateFolder)?.confirmed.version, 2);
  await device.virtual.killAgent();
});

test('TEST-OTA-641 REQ-OTA-VERIFY-02, REQ-OTA-VERIFY-03: update, a critical self-test fails: rolled back, logged once, floor kept', async () => {
  await world.release({ version: 3, selfTest: 'fails' });
  const device = await world.device('self-test-1');
  device.virtual.powerOn();
  await world.company.assign(device.id, 3);
  const entry = await device.waitForCode('OTA_FAIL_SELFTEST', { version: 3 });
  assert.match(entry.reason, /pump-motor/);
  const record = await idle(device);
  await device.virtual.killAgent();
  assert.deepEqual([record.confirmed.version, record.confirmed.group, record.floor], [1, 'A', 1]);
  assert.deepEqual(results(device, 3), ['OTA_FAIL_SELFTEST']);
});

test('TEST-OTA-642 REQ-OTA-APPLY-04: update, the new agent never starts: the boot loader falls back and the old agent says so', async () => {
  await world.release({ version: 4, agent: 'broken' });
  const device = await world.device('broken-1');
  device.virtual.powerOn();
  await world.company.assign(device.id, 4);
  await device.waitForCode('OTA_FAIL_BOOT', { version: 4 });
  const record = await idle(device);
  await device.virtual.killAgent();
  assert.deepEqual([record.confirmed.version, record.floor], [1, 1]);
  assert.deepEqual((await readBootFile(device.folder.bootFile))?.order, ['A']);
  // One boot of the old group, three tries of the new one, and the way back.
  assert.ok(device.virtual.boots >= 5, `${device.virtual.boots} boots`);
  const trials = device.virtual.lives.filter(({ trial }) => trial);
  assert.equal(trials.length, 3);
  for (const { bitten } of trials) assert.match(bitten ?? 'none', /boot loader not opened/);
});

for (const [index, seed] of [3, 11].entries()) {
  test(`TEST-OTA-${643 + index} REQ-OTA-APPLY-03: update, power cuts in writing, activating and confirming by seed ${seed}: one result, and the new version confirmed`, async () => {
    const factory = await volatileFactory();
    const device = await world.device(`cuts-${seed}`, { factory, volatile: true, seed });
    const { folder, virtual } = device;
    const record = join(folder.stateFolder, 'record');
    const version = await volatileUpdate();
    virtual.planCuts([
      { path: folder.slots.B, operation: 'write', nth: 1, moment: 'after' },
      { path: record, operation: 'write', contains: '"state":"Staged"', nth: 1, moment: 'after' },
      { path: record, operation: 'write', contains: '"state":"Pending"', nth: 1, moment: 'after' },
      {
        path: folder.bootFile,
        operation: 'write',
        afterWriteOf: '"state":"Confirming"',
        nth: 1,
        moment: 'after',
      },
      {
        path: join(folder.stateFolder, 'log'),
        operation: 'write',
        contains: 'OTA_CONFIRMED',
        nth: 1,
        moment: 'after',
      },
    ]);
    virtual.powerOn();
    await world.company.assign(device.id, version);
    await virtual.waitForCut(5, 120_000);
    await device.waitForCode('OTA_CONFIRMED', { version });
    const done = await idle(device);
    await virtual.killAgent();
    assert.deepEqual([done.confirmed.version, done.confirmed.group, done.floor], [version, 'B', version]);
    assert.deepEqual(results(device, version), ['OTA_CONFIRMED']);
  });
}

let madeFactory: ReturnType<World['release']> | undefined;
let madeUpdate: Promise<number> | undefined;

async function volatileFactory() {
  madeFactory ??= world.release({ version: 5, agent: 'volatile' });
  return await madeFactory;
}

async function volatileUpdate(): Promise<number> {
  madeUpdate ??= world.release({ version: 6, agent: 'volatile' }).then(() => 6);
  return await madeUpdate;
}

test('TEST-OTA-645 REQ-OTA-NET-01, REQ-OTA-NET-02: connection, a foreign server certificate, then a device that nobody registered: nothing is asked, nothing is answered', async () => {
  const device = await world.device('network-1');
  const from = join(device.given, 'agent.json');
  device.virtual.powerOn();
  await device.waitForCode('OTA_BOOT');
  await device.virtual.killAgent();
  const files = writeIdentity(
    world.folder,
    'foreign',
    await makeServerIdentity(await makeAuthority('Somebody else')),
  );
  const { clientAuthorityFile } = readServerConfig(world.company).deviceListener;
  const foreign = await startHostileServer({ ...files, clientAuthorityFile, deviceIdentity: () => files });
  writeDeviceConfig({ from, folder: device.folder, serverUrl: foreign.url });
  assert.match(await askAgent(device, world.images.agentFile, 'check'), /OTA_SERVER_CERTIFICATE/);
  assert.deepEqual(foreign.requests, []);
  await foreign.close();

  const stranger = await makeDeviceIdentity(openDeviceAuthority(world.company), 'stranger');
  const identity = writeIdentity(world.folder, 'stranger', stranger);
  writeDeviceConfig({ from, folder: device.folder, identity });
  assert.match(await askAgent(device, world.images.agentFile, 'check'), /OTA_SERVER_REFUSED/);
});

test("TEST-OTA-646 REQ-OTA-SIGN-03, REQ-OTA-SIGN-07: director, its online keys are stolen: an unapproved image, a release that lacks one function, and another device's metadata are refused", async () => {
  const device = await world.device('stolen-1', { serverUrl: world.stolen.url });
  const keys = stealDirectorKeys(world.company);
  const release = await world.unapproved({ version: 7 });
  await world.company.approve(7, ['engineering']);
  const now = () => Math.floor(Date.now() / 1000);
  device.virtual.powerOn();
  world.stolen.lie((answer) =>
    forgeDirector({ answer, device: device.id, keys, release: forgedRelease(release), now: now() }),
  );
  const unapproved = await device.waitForCode('OTA_NOT_APPROVED');
  assert.match(unapproved.reason, /quality/);
  world.stolen.lie((answer) =>
    swapDirector(
      answer,
      forgeDirector({
        answer,
        device: 'somebody-else',
        keys,
        release: forgedRelease(world.factory),
        now: now(),
      }),
    ),
  );
  await device.waitForCode('OTA_WRONG_BINDING');
  world.stolen.lie(undefined);
  await device.virtual.killAgent();
  const record = readRecord(device.folder.stateFolder);
  assert.deepEqual([record?.state, record?.confirmed.version], ['Idle', 1]);
});
