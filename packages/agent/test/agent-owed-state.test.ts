/**
 * State that is owed: a record whose write failed, a loss that could not be told, a log that is not there. Each was
 * found by attacking the crash explorer, and kept here where one reads what it was about (REQ-OTA-APPLY-03, -07).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openEventLog } from '../src/index.ts';
import { openPatientLog } from '../src/durable/patient-log.ts';
import { SimDevice, statePath, World } from './support/sim-device.ts';
import { Power, SimDisk } from './support/sim-disk.ts';

const record = `${statePath}/record`;
const log = `${statePath}/log`;

/** Nothing is activated until `comesToRest`: a restart would end the process that the test is about. */
async function assigned(version = 2): Promise<SimDevice> {
  const device = await SimDevice.provisioned(new World());
  device.world.interlock = (what) => what === 'fetch';
  device.world.company.release(version);
  device.world.company.publish(version);
  return device;
}

async function codes(device: SimDevice): Promise<readonly string[]> {
  return (await device.log()).map(({ code }) => code);
}

/** Fails the flush of the record's second copy, at the first record in this state. */
function failSecondCopy(device: SimDevice, state: string): () => boolean {
  let copies = 0;
  device.world.onStep = (name) => {
    if (!name.startsWith(`record ${state}`)) return;
    copies += 1;
    if (copies === 2) device.disk.faults.push({ op: 'flush', path: record });
  };
  return () => copies >= 2 && device.disk.faults.length === 0;
}

/** From here on the device may activate, and is left to come to rest. */
async function comesToRest(device: SimDevice): Promise<void> {
  device.world.onStep = () => undefined;
  device.world.interlock = () => true;
  device.disk.faults.length = 0;
  await device.settle();
}

function damage(device: SimDevice): void {
  for (const at of [100, 4096 + 100]) device.disk.damage(record, at);
}

test('TEST-OTA-1246 REQ-OTA-APPLY-03, REQ-OTA-APPLY-06: the second copy of the record fails when an attempt begins, and another release is assigned before the next poll: the attempt that a cut would have found ends with a result of its own', async () => {
  const device = await assigned();
  const failed = failSecondCopy(device, 'Fetching');
  await device.boot({ polls: 1 });
  assert.ok(failed(), 'the second copy was refused');
  device.world.onStep = () => undefined;
  // What power loss would find here.
  const found = (await device.clone().record()).attempt;
  assert.equal(found?.version, 2);
  device.world.company.release(3);
  device.world.company.publish(3);
  await device.agent?.poll();
  await comesToRest(device);
  const results = await device.results();
  assert.deepEqual(
    results.map(({ attempt, code }) => [attempt === found?.id, code]),
    [
      [true, 'OTA_CANCELLED'],
      [false, 'OTA_CONFIRMED'],
    ],
  );
  assert.equal((await device.record()).confirmed.version, 3);
});

test('TEST-OTA-1247 REQ-OTA-APPLY-02, REQ-OTA-APPLY-03: a record says Staged in one copy only, and no write of it works: no slot is written until one does', async () => {
  const device = await assigned();
  let staged = 0;
  device.world.onStep = (name) => {
    if (name.startsWith('record Staged')) staged += 1;
    // From the second copy on nothing of the record is flushed any more.
    if (staged >= 2 && device.disk.faults.length === 0)
      device.disk.faults.push({ op: 'flush', path: record });
  };
  await device.boot({ polls: 1 });
  assert.ok(staged >= 2);
  const before = device.power.trace.filter((name) => name.includes('/slots/')).length;
  const again = await device.agent?.poll();
  assert.equal(again?.kind === 'failed' ? again.code : again?.kind, 'OTA_FAIL_STATE');
  assert.equal(device.power.trace.filter((name) => name.includes('/slots/')).length, before);
  device.world.onStep = () => undefined;
  device.disk.faults.length = 0;
  await device.agent?.poll();
  await comesToRest(device);
  assert.equal((await device.record()).confirmed.version, 2);
  const perAttempt = new Set((await device.results()).map(({ attempt }) => attempt));
  assert.equal(perAttempt.size, (await device.results()).length, 'one result for each');
});

test('TEST-OTA-1248 REQ-OTA-APPLY-07, REQ-OTA-LOG-01: the record is lost, and the newest entry of the log tells of another loss: that of the record is told as well', async () => {
  const device = await assigned();
  for (const name of ['trust-1', 'trust-2']) device.disk.damage(`${statePath}/${name}`, 100);
  await device.boot();
  assert.equal((await device.log()).at(-1)?.code, 'OTA_STATE_LOST');
  damage(device);
  await device.boot();
  const losses = (await device.log()).filter(({ code }) => code === 'OTA_STATE_LOST');
  assert.equal(losses.filter(({ reason }) => reason.startsWith('no copy of the record')).length, 1);
});

test('TEST-OTA-1249 REQ-OTA-APPLY-07: the record is lost and the log takes no entry: the device starts and runs on, writes no record in silence, and tells the loss once when the log is back', async () => {
  const device = await assigned();
  damage(device);
  device.world.onStep = (name) => {
    if (name.startsWith('log ')) device.disk.faults.push({ op: 'write', path: log });
  };
  const end = await device.boot();
  assert.equal(typeof end === 'object' && end.kind === 'failed' ? end.code : end, 'OTA_FAIL_STATE');
  assert.ok(!device.power.trace.some((name) => name.startsWith('record ')), 'no record was written');
  device.world.onStep = () => undefined;
  device.disk.faults.length = 0;
  await device.agent?.poll();
  assert.equal((await codes(device)).filter((code) => code === 'OTA_STATE_LOST').length, 1);
  await comesToRest(device);
  assert.equal((await codes(device)).filter((code) => code === 'OTA_STATE_LOST').length, 1);
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-1135 REQ-OTA-APPLY-07: two reads of each copy of the record fail in one start, and the third does not: nothing is lost', async () => {
  const device = await assigned();
  for (let times = 0; times < 2; times += 1) device.disk.faults.push({ op: 'read', path: record });
  await device.boot();
  await comesToRest(device);
  assert.ok(!(await codes(device)).includes('OTA_STATE_LOST'));
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-1136 REQ-OTA-APPLY-07, REQ-OTA-LOG-03: the log is too short to be one, or gone on a full partition: the device starts; the log begins anew, as soon as it can, and says so', async () => {
  for (const how of ['short', 'gone and full'] as const) {
    const device = await assigned();
    device.disk.forget(log);
    if (how === 'short') device.disk.plant(log, new Uint8Array(4096));
    else device.disk.createsLeft = 0;
    const end = await device.boot({ polls: 1 });
    assert.equal(typeof end, 'object', how);
    device.disk.createsLeft = Number.POSITIVE_INFINITY;
    await device.agent?.poll();
    await comesToRest(device);
    assert.equal((await device.record()).confirmed.version, 2, how);
    const entries = await device.log();
    assert.equal(entries[0]?.code, 'OTA_LOG_GAP', how);
    assert.equal((await device.results()).length, 1, how);
  }
});

test('TEST-OTA-1137 REQ-OTA-LOG-01, REQ-OTA-APPLY-03: a log that could not be opened when it was asked for a result, and holds it: it is not written a second time', async () => {
  const disk = new SimDisk();
  const port = disk.port(new Power(), () => '');
  const result = {
    time: 1,
    bootId: 'b',
    code: 'OTA_CONFIRMED',
    reason: 'group B',
    attempt: 'a1',
    facts: { result: true },
  } as const;
  const first = await openEventLog(port, statePath, 16);
  await first.append(result);
  let refused = 1;
  const shy = {
    ...port,
    open: async (path: string) => {
      if (refused > 0 && path === log) {
        refused -= 1;
        throw new (await import('../src/index.ts')).DiskError('OTA_DISK_READ', path, 'not now');
      }
      return await port.open(path);
    },
  };
  const patient = await openPatientLog(shy, statePath, 16);
  assert.equal(patient.hasResult('a1'), false, 'nobody can know yet');
  await patient.append(result);
  assert.equal(patient.hasResult('a1'), true);
  const entries = await (await openEventLog(port, statePath, 16)).after(0, 10);
  assert.deepEqual(
    entries.map(({ code }) => code),
    ['OTA_CONFIRMED'],
  );
});

test('TEST-OTA-1138 REQ-OTA-POL-06, REQ-OTA-APPLY-06: staged images rot, and the interlock allows activating but no fetching: they are not fetched on the leave to activate', async () => {
  const device = await assigned();
  await device.boot();
  assert.equal((await device.record()).state, 'Staged');
  device.disk.damage('/slots/app-B', 600);
  device.world.interlock = (what) => what !== 'fetch';
  const fetched = device.world.imageRequests.length;
  await device.boot({ polls: 3 });
  assert.equal((await device.record()).state, 'Fetching');
  assert.equal(device.world.imageRequests.length, fetched);
  await comesToRest(device);
  assert.equal((await device.record()).confirmed.version, 2);
});

/** In its trial, killed or cut as the boot control was about to say so: the record is lost there. */
async function inTrialWithoutRecord(): Promise<SimDevice> {
  const device = await assigned();
  device.world.interlock = () => true;
  await device.boot();
  assert.equal(device.bootState().trial, 'B');
  damage(device);
  return device;
}

test('TEST-OTA-1139 REQ-OTA-APPLY-02, REQ-OTA-APPLY-07, REQ-OTA-VERIFY-01: the record is lost in a trial, and the restart out of it does not come: nothing counts as confirmed, nothing is begun over the group that the next start needs, and that group boots', async () => {
  const device = await inTrialWithoutRecord();
  device.world.restartWorks = false;
  // One that the floor of a lost record lets pass.
  device.world.company.release(3);
  device.world.company.publish(3);
  // The second time only the agent starts again, and finds the new record.
  for (const goesOn of [false, true]) {
    const end = await device.boot({ polls: 3, goesOn });
    assert.equal(typeof end === 'object' ? end.kind : end, 'failed');
    const held = await device.record();
    assert.deepEqual([device.bootedGroup, held.confirmed.group, held.state], ['B', 'A', 'Idle']);
    assert.deepEqual(device.bootState().order, ['A']);
  }
  device.world.restartWorks = true;
  await device.boot();
  assert.equal(device.bootedGroup, 'A');
});

test('TEST-OTA-1140 REQ-OTA-APPLY-07, REQ-OTA-VERIFY-01: the record is lost in a trial, and power is lost, or the agent killed, after each step of what follows: the group in trial never counts as confirmed, and the loss is told once', async () => {
  const base = await inTrialWithoutRecord();
  const whole = base.clone();
  await whole.boot({ polls: 1 });
  for (let cut = 0; cut <= whole.power.trace.length; cut += 1) {
    const device = base.clone();
    await device.boot({ polls: 1, cutBefore: cut });
    // The agent alone was killed: the same group runs on, and the boot loader is not asked.
    const killed = device.clone();
    killed.bootedGroup = 'B';
    await killed.boot({ polls: 1, goesOn: true });
    for (const one of [device, killed]) {
      one.world.interlock = (what) => what === 'fetch';
      await one.settle();
      const held = await one.record();
      assert.deepEqual([cut, one.bootedGroup, held.confirmed.group], [cut, 'A', 'A']);
      const told = (await codes(one)).filter((code) => code === 'OTA_STATE_LOST');
      assert.deepEqual([cut, told.length], [cut, 1]);
    }
  }
});

test('TEST-OTA-1141 REQ-OTA-APPLY-07: the record is lost in a trial, and the boot control cannot be read: the start is over with a clear error, and nothing was written', async () => {
  const device = await inTrialWithoutRecord();
  device.world.bootUnreadable = true;
  await assert.rejects(device.boot(), /neither record nor boot control/);
  assert.deepEqual([device.bootState().order, device.bootState().trial], [['B', 'A'], 'B']);
  assert.ok(!device.power.trace.some((name) => name.startsWith('record ')));
  device.world.bootUnreadable = false;
  device.world.interlock = (what) => what === 'fetch';
  await device.settle();
  assert.deepEqual([device.bootedGroup, (await device.record()).confirmed.group], ['A', 'A']);
});

test('TEST-OTA-1144 REQ-OTA-APPLY-07, REQ-OTA-VERIFY-01: record and trust state are lost in a trial, and the boot control is busy as the agent starts: the next poll of the same process disarms the trial, tells the losses and restarts', async () => {
  const device = await inTrialWithoutRecord();
  for (const name of ['trust-1', 'trust-2']) device.disk.damage(`${statePath}/${name}`, 100);
  device.world.disarmBroken = true;
  device.world.restartWorks = false;
  await device.boot({ polls: 1 });
  assert.equal(device.bootState().trial, 'B');
  device.world.disarmBroken = false;
  const end = await device.agent?.poll();
  assert.equal(end?.kind, 'failed');
  assert.deepEqual(device.bootState().order, ['A']);
  const losses = (await device.log()).filter(({ code }) => code === 'OTA_STATE_LOST');
  assert.ok(losses.some(({ reason }) => reason.startsWith('no copy of the record')));
});

test('TEST-OTA-1145 REQ-OTA-VERIFY-01, REQ-OTA-POL-06: a group that is out of the boot order runs because the restart out of it did not come, and nothing is assigned: each poll tries to leave it', async () => {
  const device = await inTrialWithoutRecord();
  device.world.restartWorks = false;
  await device.boot({ polls: 1 });
  await device.boot({ polls: 1, goesOn: true });
  device.world.company.publish(undefined);
  const end = await device.agent?.poll();
  assert.equal(end?.kind === 'failed' ? end.code : end?.kind, 'OTA_FAIL_BOOT');
});
