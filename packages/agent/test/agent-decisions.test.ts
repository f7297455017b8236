/** What was decided, by whom: told once for each change of the answer; deadlines escalated; nothing slept through. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceReport } from '@airlock/protocol';
import { Naps } from '../src/naps.ts';
import { SimDevice, World } from './support/sim-device.ts';

const lastReport = (world: World): DeviceReport =>
  (JSON.parse(world.reports.at(-1) ?? '{}') as { signed: DeviceReport }).signed;

async function assigned(
  world: World,
  changes: Parameters<World['company']['release']>[1] = {},
): Promise<SimDevice> {
  const device = await SimDevice.provisioned(world);
  world.company.release(2, changes);
  world.company.publish(2, { consentRequired: true });
  return device;
}

async function decisions(device: SimDevice): Promise<readonly string[]> {
  return (await device.log())
    .filter(({ code }) => ['OTA_WAITING', 'OTA_ALLOWED', 'OTA_DEFERRED_PAST_DEADLINE'].includes(code))
    .map(({ code, reason, facts }) => `${code} ${reason} [${facts?.['by'] ?? ''}]`);
}

async function poll(device: SimDevice, times = 3): Promise<void> {
  for (let time = 0; time < times; time += 1) await device.agent?.poll();
}

test('TEST-OTA-1125 REQ-OTA-POL-06, REQ-OTA-LOG-01: answers that stay and change, polled again and again: logged once for each change, with who or what said so, and reported', async () => {
  const world = new World();
  world.settings = { window: { fromMinute: 0, toMinute: 60, days: [0, 1, 2, 3, 4, 5, 6] } };
  const device = await assigned(world);
  world.interlock = () => false;
  await device.boot({ polls: 3 });
  assert.deepEqual(lastReport(world).waiting?.by, 'interlock fetch');
  world.interlock = (what) => what !== 'activate';
  await poll(device);
  world.interlock = () => true;
  world.consent = false;
  await poll(device);
  world.now += 3600;
  await poll(device);
  assert.deepEqual(await decisions(device), [
    'OTA_WAITING busy: fetch [interlock fetch]',
    'OTA_ALLOWED fetch: the window is open, interlock [the window is open, interlock]',
    'OTA_WAITING busy: activate [interlock activate]',
    'OTA_WAITING the operator has not consented [consent]',
    'OTA_WAITING outside the update window [window]',
  ]);
  const { waiting } = lastReport(world);
  assert.deepEqual(
    [waiting?.by, waiting?.version, waiting?.urgency, waiting?.overdue, waiting?.since],
    ['window', 2, 'routine', false, world.now],
  );
  const reports = world.reports.length;
  await poll(device);
  assert.equal(world.reports.length, reports, 'what stays is not reported again');
  world.now += 23 * 3600;
  world.company.now = world.now;
  world.company.publish(2, { consentRequired: true });
  world.consent = true;
  await device.settle();
  const by = 'the window is open, interlock, operator nurse-1';
  assert.equal((await decisions(device)).at(-1), `OTA_ALLOWED activate: ${by} [${by}]`);
  assert.equal(lastReport(world).waiting, undefined);
});

test('TEST-OTA-1126 REQ-OTA-POL-06: a release deferred past its deadline, by each that can defer it: escalated once to log, interlock and server, and never forced', async () => {
  const world = new World();
  world.settings = { window: { fromMinute: 0, toMinute: 60, days: [0, 1, 2, 3, 4, 5, 6] } };
  const urgency = { level: 'safety', deadline: '2026-11-01T00:30:00Z' } as const;
  const device = await assigned(world, { urgency });
  world.interlock = (what) => what === 'fetch';
  await device.boot({ polls: 3 });
  assert.equal(lastReport(world).waiting?.overdue, false);
  assert.ok(!world.told.includes('overdue 2'), 'not due yet');
  world.now += 1800;
  await poll(device);
  const late = 'version 2 (safety) was due 2026-11-01T00:30:00Z';
  const escalated = async () => (await decisions(device)).filter((one) => one.startsWith('OTA_DEFERRED'));
  assert.deepEqual(await escalated(), [
    `OTA_DEFERRED_PAST_DEADLINE ${late}; interlock: busy: activate [interlock]`,
  ]);
  const { waiting } = lastReport(world);
  assert.deepEqual(
    [waiting?.overdue, waiting?.deadline, waiting?.urgency],
    [true, urgency.deadline, 'safety'],
  );
  world.interlock = () => true;
  world.consent = false;
  await poll(device);
  world.now += 3600;
  await poll(device);
  assert.deepEqual(
    (await escalated()).slice(1).map((one) => one.replace(`OTA_DEFERRED_PAST_DEADLINE ${late}; `, '')),
    ['consent: the operator has not consented [consent]', 'window: outside the update window [window]'],
  );
  assert.deepEqual(
    world.told.filter((one) => one.startsWith('overdue')),
    ['overdue 2', 'overdue 2', 'overdue 2'],
  );
  assert.equal((await device.record()).state, 'Staged', 'a deadline forces nothing');
  assert.deepEqual(device.bootState().order, ['A']);
});

test('TEST-OTA-1127 REQ-OTA-POL-06: clinical use that begins once the group is armed, or a restart that fails: disarmed, back to Staged, and the software that held its use off is told that no restart comes', async () => {
  const world = new World();
  const device = await assigned(world);
  world.onStep = (name) => {
    if (name.startsWith('boot ') && name.includes(' trial ')) world.interlock = () => false;
  };
  await device.boot();
  assert.deepEqual([(await device.record()).state, device.bootState().order], ['Staged', ['A']]);
  assert.ok(!world.told.includes('called-off 2'), 'it said no itself');
  world.onStep = () => undefined;
  world.interlock = () => true;
  world.restartWorks = false;
  await poll(device, 1);
  assert.deepEqual([(await device.record()).state, device.bootState().order], ['Staged', ['A']]);
  assert.equal(world.told.filter((one) => one === 'called-off 2').length, 1);
});

test('TEST-OTA-1128 REQ-OTA-POL-06, REQ-OTA-LIMIT-01: a device that consents by its own configuration: the assignment cannot take that away', async () => {
  const world = new World();
  world.settings = { consentRequired: true };
  world.consent = false;
  const device = await SimDevice.provisioned(world);
  world.company.release(2);
  world.company.publish(2, { consentRequired: false });
  const outcome = await device.settle();
  assert.deepEqual(outcome, { kind: 'waiting', reason: 'the operator has not consented' });
  world.consent = true;
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-1129 REQ-OTA-LIMIT-01, REQ-OTA-LIMIT-02: rests between polls while a release waits - a short window, an answer that changes, a screen that wakes it all day: asked again every minute and when the window opens, polled at most every ten seconds', async () => {
  let nowMs = 0;
  const slept: number[] = [];
  const clock = {
    now: () => Math.floor(nowMs / 1000),
    monotonicMs: () => nowMs,
    sleep: async (ms: number, signal?: AbortSignal) => {
      if (signal?.aborted === true) return;
      slept.push(ms);
      nowMs += ms;
    },
  };
  const settings = { tuning: {} } as Parameters<Naps['waiting']>[1];
  const window: { opens?: number } = {};
  let answer = false;
  const agent = {
    mayGoOn: async () => answer,
    waiting: () => ({ view: undefined, opens: window.opens }),
    now: () => clock.now(),
  };
  const { signal } = new AbortController();
  const naps = new Naps(clock);
  await naps.waiting(agent, settings, 200, signal);
  assert.deepEqual(slept.splice(0), [60_000, 60_000, 60_000, 20_000]);
  window.opens = clock.now() + 90;
  answer = true;
  await naps.waiting(agent, settings, 3600, signal);
  assert.deepEqual(slept.splice(0), [60_000], 'the first yes ends it');
  answer = false;
  await naps.waiting(
    { ...agent, mayGoOn: async () => clock.now() >= (window.opens ?? 0) },
    settings,
    3600,
    signal,
  );
  assert.deepEqual(slept.splice(0), [30_000], 'the moment at which the window opens');
  naps.wake();
  await naps.waiting(agent, settings, 3600, signal);
  assert.deepEqual(slept.splice(0), [10_000], 'woken, and not too soon');
  naps.wake();
  await naps.rest(3_600_000, signal);
  assert.deepEqual(slept.splice(0), [10_000]);
  await naps.rest(5000, signal);
  assert.deepEqual(slept.splice(0), [5000], 'a wake is used up');
});
