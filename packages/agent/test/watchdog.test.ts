/**
 * The watchdog of a trial: its adapter on plain files, when the agent opens, feeds and stops it, and when it must not.
 * That a stopped agent is reset by it is shown from end to end in testbench.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { deviceWatchdog } from '../src/adapters/watchdog.ts';
import { parseConfig } from '../src/config.ts';
import { TrialWatch } from '../src/executor-watchdog.ts';
import { WatchdogError, type Watchdog } from '../src/index.ts';
import { exampleConfig } from './support/example-config.ts';
import { scratchFolder } from './support/scratch.ts';
import { SimDevice, World } from './support/sim-device.ts';

/** Tells in the device's own trace of durable steps what became of the watchdog. */
function tracedWatchdog(device: SimDevice): Watchdog {
  const say = (what: string): void => void device.power.trace.push(`watchdog ${what}`);
  return {
    open: async () => {
      say('open');
      return 10;
    },
    feed: async () => say('feed'),
    close: async () => say('close'),
  };
}

async function armed(): Promise<SimDevice> {
  const device = await SimDevice.provisioned(new World());
  device.world.watchdog = tracedWatchdog(device);
  device.world.company.release(2);
  device.world.company.publish(2);
  device.world.settings = { attemptsPerReleaseMax: 1 };
  assert.equal(await device.boot(), 'restart');
  assert.deepEqual(watched(device), [], 'before the trial');
  return device;
}

function watched(device: SimDevice): readonly string[] {
  return device.power.trace.filter((step) => step.startsWith('watchdog'));
}

test('TEST-OTA-1050 REQ-OTA-APPLY-04, REQ-OTA-POL-06: watchdog behind a device file, opened, fed and closed, missing, or never to be stopped again: bytes, then V; an error, and nothing is opened', async () => {
  const { folder, dispose } = await scratchFolder();
  try {
    const file = join(folder, 'watchdog0');
    const sysfsFolder = join(folder, 'sys');
    const dog = deviceWatchdog({ file, timeoutSeconds: 30, sysfsFolder });
    await assert.rejects(dog.open(), WatchdogError);
    await assert.rejects(readFile(file), 'it was not created');
    await writeFile(file, '');
    assert.equal(await dog.open(), 30);
    await dog.feed();
    const running = await readFile(file, 'latin1');
    assert.ok(running.length === 2 && !running.includes('V'), running);
    await dog.close();
    await dog.close();
    assert.equal(await readFile(file, 'latin1'), `${running}V`);
    await assert.rejects(dog.feed(), WatchdogError);

    await mkdir(join(sysfsFolder, 'watchdog0'), { recursive: true });
    await writeFile(join(sysfsFolder, 'watchdog0/timeout'), '12\n');
    await writeFile(join(sysfsFolder, 'watchdog0/nowayout'), '0\n');
    assert.equal(await dog.open(), 12, 'what the kernel says, where it is shorter');
    await dog.close();
    await writeFile(join(sysfsFolder, 'watchdog0/nowayout'), '1\n');
    await writeFile(file, '');
    await assert.rejects(dog.open(), /nowayout/);
    assert.equal(await readFile(file, 'latin1'), '');
  } finally {
    await dispose();
  }
});

test('TEST-OTA-1051 REQ-OTA-APPLY-04, REQ-OTA-POL-06: a trial that is confirmed, and starts outside any trial: the watchdog is opened before the first durable step and stopped before the floor rises; outside never opened', async () => {
  const device = await armed();
  await device.boot();
  const { trace } = device.power;
  assert.deepEqual(watched(device), ['watchdog open', 'watchdog close']);
  assert.ok(trace.indexOf('watchdog open') < trace.indexOf('record Trial'), trace.join('\n'));
  const closed = trace.indexOf('watchdog close');
  assert.ok(trace.indexOf('record Confirming') < closed, 'not before the boot control was asked to confirm');
  assert.ok(closed < trace.indexOf('record Confirming with floor'));
  assert.equal((await device.record()).state, 'Idle');
  await device.boot();
  assert.deepEqual(watched(device), []);
});

test('TEST-OTA-1052 REQ-OTA-APPLY-04, REQ-OTA-POL-06: a trial that failed: the watchdog is stopped before the restart; where the restart does not come it is opened again and left unfed', async () => {
  const device = await armed();
  device.world.selfTest = async () => ({ passed: false, failed: 'pump', reason: 'no flow', tests: [] });
  const stuck = device.clone();
  assert.equal(await device.boot(), 'restart');
  assert.deepEqual(device.power.trace.slice(-2), ['watchdog close', 'restart']);

  stuck.world.watchdog = tracedWatchdog(stuck);
  stuck.world.restartWorks = false;
  await stuck.boot({ polls: 3 });
  assert.deepEqual(watched(stuck), ['watchdog open', 'watchdog close', 'watchdog open']);
});

test('TEST-OTA-1053 REQ-OTA-VERIFY-02: a trial that goes on beyond all its limits with a living event loop: the watchdog is no longer fed', async () => {
  const device = await armed();
  const record = await device.record();
  let nowMs = 5000;
  let fed = 0;
  const watchdog: Watchdog = {
    open: async () => 8,
    feed: async () => void (fed += 1),
    close: async () => assert.fail('a trial that is not over is not closed'),
  };
  const clock = {
    now: () => 0,
    monotonicMs: () => nowMs,
    sleep: async (ms: number) => {
      assert.equal(ms, 2000, 'a quarter of the timeout');
      nowMs += ms;
    },
  };
  const watch = new TrialWatch({ watchdog, clock }, { builtInTimeLimitSeconds: 20, trialMarginSeconds: 30 });
  await watch.begin(record, 'A');
  assert.equal(fed, 0);
  await watch.begin(record, 'B');
  watch.allowSelfTest(50);
  watch.allowSelfTest(50);
  // Nothing but microtasks keeps the loop going.
  await new Promise((resolve) => void setImmediate(resolve));
  assert.equal(fed, (20 + 30 + 50) / 2 - 1);
});

test('TEST-OTA-1054 REQ-OTA-APPLY-04, REQ-OTA-LOG-01: a watchdog that cannot be opened: the trial goes on, and the log says so', async () => {
  const device = await armed();
  const broken = async (): Promise<never> => {
    throw new WatchdogError('/dev/watchdog0: busy');
  };
  device.world.watchdog = { open: broken, feed: broken, close: broken };
  await device.boot();
  assert.equal((await device.record()).state, 'Idle');
  const told = (await device.log()).filter(({ code }) => code === 'OTA_WATCHDOG');
  assert.deepEqual(
    told.map(({ reason }) => reason),
    ['/dev/watchdog0: busy'],
  );
});

test('TEST-OTA-1055 REQ-OTA-APPLY-04: the watchdog in the configuration, right, absent, without a timeout: read, none, refused', () => {
  const parse = (watchdog: unknown) =>
    parseConfig(new TextEncoder().encode(JSON.stringify({ ...exampleConfig, watchdog })), '/etc/agent.json');
  const given = parse({ file: '/dev/watchdog0', timeoutSeconds: 60 });
  assert.deepEqual(given.ok && given.value.watchdog, { file: '/dev/watchdog0', timeoutSeconds: 60 });
  const none = parse(undefined);
  assert.ok(none.ok && none.value.watchdog === undefined);
  for (const wrong of [{ file: '/dev/watchdog0' }, { file: '/dev/watchdog0', timeoutSeconds: 1 }]) {
    const refused = parse(wrong);
    assert.match(refused.ok ? '' : refused.error.message, /watchdog\.timeoutSeconds/);
  }
});
