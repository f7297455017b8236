/**
 * Whole updates on a simulated device: what the agent does in which order, and what it refuses, logs and reports.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { day, start } from './support/sim-company.ts';
import { SimDevice, World } from './support/sim-device.ts';

async function assigned(version = 2, world: World = new World()): Promise<SimDevice> {
  const device = await SimDevice.provisioned(world);
  world.company.release(version);
  world.company.publish(version);
  return device;
}

/** The trace by meaning, without repeats: both copies of a record or boot file are one step. */
function steps(trace: readonly string[]): readonly string[] {
  const meant = trace.filter((entry) =>
    /^(record|boot|log|flush .slots|readMedium|data|restart)/.test(entry),
  );
  return meant.filter((entry, index) => entry !== meant[index - 1]);
}

async function codes(device: SimDevice): Promise<readonly string[]> {
  return (await device.log()).map(({ code }) => code);
}

test('TEST-OTA-06 REQ-OTA-APPLY-02: an update, every durable operation recorded: verify, disarm, write, read back, mark pending, arm, restart stand in this order', async () => {
  const device = await assigned();
  device.world.data.present = true;
  assert.equal(await device.boot(), 'restart');
  assert.deepEqual(steps(device.power.trace), [
    'boot A', // starts restored: the agent's first act
    'log OTA_BOOT',
    'log OTA_ALLOWED',
    'record Fetching', // begin (a)
    'log OTA_ATTEMPT_BEGUN',
    'boot A', // begin (b): group B disarmed before its first byte
    'flush /slots/app-B', // begin (c)
    'flush /slots/rootfs-B',
    'readMedium /slots/app-B', // begin (d)
    'readMedium /slots/rootfs-B',
    'record Staged', // begin (e)
    'log OTA_STAGED',
    'log OTA_ALLOWED',
    'readMedium /slots/app-B', // activate (a)
    'readMedium /slots/rootfs-B',
    'data prepare', // activate (b)
    'record Pending', // activate (c)
    'log OTA_ACTIVATING',
    'boot BA trial B', // activate (d)
    'restart', // activate (e)
  ]);
  const verified = device.power.trace.findIndex((entry) => entry.includes('/state/trust-'));
  const begun = device.power.trace.indexOf('record Fetching');
  assert.ok(verified >= 0 && verified < begun, 'the metadata is verified and kept before the attempt begins');
});

test('TEST-OTA-223 REQ-OTA-ROLL-01, REQ-OTA-VERIFY-01: the first boot into the new group, its self-tests pass: count, test, confirm, floor, data, result, idle stand in this order', async () => {
  const device = await assigned();
  device.world.data.present = true;
  device.world.selfTest = async () => {
    device.power.trace.push('data self-test');
    return { passed: true, tests: [] };
  };
  await device.boot();
  await device.boot();
  assert.deepEqual(steps(device.power.trace), [
    'record Trial', // trial: the first act is the agent's own count
    'log OTA_BOOT',
    'log OTA_TRIAL_BEGUN',
    'data self-test',
    'record Confirming', // confirm (a)
    'boot BA', // confirm (b)
    'record Confirming with floor', // confirm (c)
    'data commit', // confirm (d)
    'log OTA_CONFIRMED', // confirm (e)
    'record Idle', // confirm (f)
  ]);
});

test('TEST-OTA-09 REQ-OTA-VERIFY-03: a trial, a critical self-test fails: rolled back, logged as OTA_FAIL_SELFTEST with the test, and reported', async () => {
  const device = await assigned();
  const { world } = device;
  world.data.present = true;
  world.settings = { attemptsPerReleaseMax: 1 };
  world.selfTest = async () => ({ passed: false, failed: 'pump', reason: 'no flow', tests: [] });
  assert.equal(await device.boot(), 'restart');
  assert.equal(await device.boot(), 'restart');
  const trial = steps(device.power.trace);
  assert.deepEqual(trial.slice(-3), ['record Failing', 'boot A', 'restart'], 'fail (a), (b), (c)');
  await device.settle();
  assert.deepEqual(
    steps(device.power.trace).slice(0, 5),
    ['boot A', 'log OTA_BOOT', 'data revert', 'log OTA_FAIL_SELFTEST', 'record Idle'],
    'fail (b) to (f) are done by the old group',
  );
  const [result] = await device.results();
  assert.equal(result?.code, 'OTA_FAIL_SELFTEST');
  assert.match(result.reason, /pump: no flow/);
  assert.equal(device.bootedGroup, 'A');
  assert.match(world.reports.at(-1) ?? '', /"code":"OTA_FAIL_SELFTEST"/);
  assert.ok(world.uploaded.some((entry) => entry.code === 'OTA_FAIL_SELFTEST'));
});

test('TEST-OTA-224 REQ-OTA-VERIFY-04: a release that keeps failing its self-test: it is tried as often as configured, then refused and logged once', async () => {
  const device = await assigned();
  device.world.selfTest = async () => ({ passed: false, failed: 'pump', reason: 'no flow', tests: [] });
  device.world.settings = { attemptsPerReleaseMax: 2 };
  const end = await device.settle();
  assert.equal(end.kind === 'refused' ? end.code : end.kind, 'OTA_ATTEMPTS_EXHAUSTED');
  await device.settle();
  assert.equal((await device.results()).length, 2);
  assert.equal((await codes(device)).filter((code) => code === 'OTA_ATTEMPTS_EXHAUSTED').length, 1);
});

test('TEST-OTA-225 REQ-OTA-APPLY-04: an armed group that never reaches its agent: OTA_FAIL_BOOT, and the old group stays', async () => {
  const device = await assigned();
  device.world.settings = { attemptsPerReleaseMax: 1 };
  assert.equal(await device.boot(), 'restart');
  for (let tries = 0; tries < 3; tries += 1) device.startGroup();
  assert.equal(device.bootedGroup, 'B');
  await device.settle();
  assert.equal(device.bootedGroup, 'A');
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_FAIL_BOOT'],
  );
});

test('TEST-OTA-226 REQ-OTA-APPLY-03: armed, and the boot loader shows no try used: not tried, back to staged, a bounded number of times, then one result', async () => {
  const device = await assigned();
  device.world.settings = { attemptsPerReleaseMax: 1 };
  for (let boot = 0; boot < 8; boot += 1) {
    if ((await device.boot()) !== 'restart') break;
    // The arming is taken out behind the agent's back: the old group boots, and no try was used.
    device.setBootState({ order: ['A'], left: { A: 16 } });
  }
  assert.equal((await codes(device)).filter((code) => code === 'OTA_NOT_TRIED').length, 4);
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_NOT_TRIED'],
  );
});

test('TEST-OTA-227 REQ-OTA-APPLY-04: a trial that is never confirmed because the agent dies each time: OTA_FAIL_TRIES after its tries', async () => {
  const device = await assigned();
  device.world.settings = { attemptsPerReleaseMax: 1 };
  assert.equal(await device.boot(), 'restart');
  // After the count: the self-test takes the machine down.
  device.world.selfTest = () => device.power.cut();
  for (let boot = 0; boot < 3; boot += 1) assert.equal(await device.boot(), 'cut');
  await device.settle();
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_FAIL_TRIES'],
  );
  assert.equal(device.bootedGroup, 'A');
});

test('TEST-OTA-228 REQ-OTA-VERIFY-05: the new release cuts the device off from its server: not confirmed', async () => {
  const device = await assigned();
  device.world.settings = { attemptsPerReleaseMax: 1 };
  await device.boot();
  device.world.reachable = false;
  assert.equal(await device.boot(), 'restart');
  device.world.reachable = true;
  await device.settle();
  const [result] = await device.results();
  assert.equal(result?.code, 'OTA_FAIL_SELFTEST');
  assert.match(result.reason, /built-in/);
});

test('TEST-OTA-229 REQ-OTA-VERIFY-05: the server could not be reached before the restart either: the built-in test is waived and logged', async () => {
  const device = await assigned();
  device.world.interlock = (what) => what === 'fetch';
  await device.boot();
  device.world.interlock = () => true;
  device.world.reachable = false;
  assert.equal(await device.boot(), 'restart');
  await device.settle();
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_CONFIRMED'],
  );
  assert.ok((await codes(device)).includes('OTA_SELFTEST_WAIVED'));
});

test('TEST-OTA-230 REQ-OTA-LOG-01: nothing new on the server, many polls: not one durable operation', async () => {
  const device = await assigned(2);
  await device.settle();
  assert.equal(await device.boot().then((end) => (typeof end === 'string' ? end : end.kind)), 'idle');
  const before = device.power.trace.length;
  const asked = device.world.checkIns;
  for (let poll = 0; poll < 5; poll += 1) assert.equal((await device.agent?.poll())?.kind, 'idle');
  assert.equal(device.power.trace.length, before);
  assert.equal(device.world.checkIns, asked + 5, 'one request a poll');
});

test('TEST-OTA-231 REQ-OTA-POL-06: the interlock or the operator says no: the device waits in Staged, tells it once, and goes on with the first yes', async () => {
  const device = await SimDevice.provisioned();
  const { world } = device;
  world.company.release(2);
  world.company.publish(2, { consentRequired: true });
  world.consent = false;
  const end = await device.boot({ polls: 4 });
  assert.deepEqual(end, { kind: 'waiting', reason: 'the operator has not consented' });
  assert.equal((await device.record()).state, 'Staged');
  assert.equal((await codes(device)).filter((code) => code === 'OTA_WAITING').length, 1);
  world.consent = true;
  world.interlock = (what) => what !== 'reboot';
  assert.deepEqual(await device.boot(), { kind: 'waiting', reason: 'busy: reboot' });
  assert.deepEqual(device.bootState().order, ['A'], 'nothing is armed while something waits');
  world.interlock = () => true;
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-232 REQ-OTA-POL-06: armed, and the restart does not come: disarmed again and back to Staged', async () => {
  const device = await assigned();
  device.world.restartWorks = false;
  assert.equal(
    await device.boot({ polls: 1 }).then((end) => (typeof end === 'string' ? end : end.kind)),
    'waiting',
  );
  assert.equal((await device.record()).state, 'Staged');
  assert.deepEqual(device.bootState().order, ['A']);
  device.world.restartWorks = true;
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-233 REQ-OTA-POL-05: staged, then a function withdraws its approval: refused before activation, with one result', async () => {
  const device = await assigned();
  const { world } = device;
  world.interlock = (what) => what === 'fetch';
  await device.boot();
  world.company.withdraw('quality', 2);
  world.company.publish(2);
  world.interlock = () => true;
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 1);
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_WITHDRAWN'],
  );
});

test('TEST-OTA-234 REQ-OTA-ROLL-03: staged, and the roles expire before the interlock allows activation: the device waits, and goes on once they are renewed', async () => {
  const device = await assigned();
  const { world } = device;
  world.interlock = (what) => what === 'fetch';
  await device.boot();
  world.interlock = () => true;
  world.reachable = false;
  world.now += 40 * day;
  const end = await device.boot();
  assert.equal(typeof end === 'string' ? end : end.kind, 'waiting');
  assert.deepEqual(device.bootState().order, ['A']);
  assert.ok((await codes(device)).includes('OTA_FREEZE_SUSPECTED'));
  world.reachable = true;
  world.company.now = world.now;
  world.company.publish(2);
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-235 REQ-OTA-ROLL-06: a clock ten years ahead: the director signs the time, and the update goes on', async () => {
  const device = await assigned();
  device.world.now = start + 3650 * day;
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
  assert.ok((await codes(device)).includes('OTA_TIME_SIGNED'));
});
