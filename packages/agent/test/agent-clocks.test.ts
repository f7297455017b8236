/**
 * Freeze and clocks through the whole agent (REQ-OTA-ROLL-03, REQ-OTA-ROLL-06, REQ-OTA-NET-06): clocks that are wrong,
 * lie, or are not there; moments signed far ahead; answers that are not for this question; a server that says nothing
 * new; and two years on a shelf.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TrustState } from '@airlock/trust';
import { trustStore } from '../src/durable/trust-store.ts';
import { day, newSigner, start } from './support/sim-company.ts';
import { SimDevice, statePath, World } from './support/sim-device.ts';
import { Power } from './support/sim-disk.ts';

async function codes(device: SimDevice): Promise<readonly string[]> {
  return (await device.log()).map(({ code }) => code);
}

async function count(device: SimDevice, code: string): Promise<number> {
  return (await codes(device)).filter((one) => one === code).length;
}

async function heldTrust(device: SimDevice): Promise<TrustState> {
  const disk = device.disk.clone().port(new Power(), () => '');
  const held = await trustStore(disk, statePath).read();
  assert.ok(held);
  return held.state;
}

async function assigned(version = 2): Promise<SimDevice> {
  const device = await SimDevice.provisioned(new World());
  device.world.company.release(version);
  device.world.company.publish(version);
  return device;
}

const versionOf = (root: string): number =>
  (JSON.parse(root) as { signed: { version: number } }).signed.version;

for (const [index, clock] of ['right', 'none', 'settable'].entries()) {
  test(`TEST-OTA-${902 + index} REQ-OTA-NET-06, REQ-OTA-ROLL-06, REQ-OTA-SIGN-05: two years on a shelf, five roots of each repository behind and everything held expired, with a clock that is ${clock}: comes back by itself`, async () => {
    const device = await assigned();
    const { world } = device;
    const { company } = world;
    await device.settle();
    if (clock === 'settable') world.clockSets = [];
    for (let renewal = 1; renewal <= 5; renewal += 1) {
      company.now = start + renewal * 140 * day;
      company.rotateRoots();
    }
    company.now = start + 730 * day;
    company.release(3);
    company.publish(3);
    world.now = clock === 'right' ? company.now + 10 : 17;
    await device.settle();
    const { confirmed, floor } = await device.record();
    assert.deepEqual([confirmed.version, floor], [3, 3]);
    const trust = await heldTrust(device);
    assert.deepEqual([versionOf(trust.image.root), versionOf(trust.director.root)], [6, 6]);
    assert.equal(trust.timeLowerBound, company.now);
    assert.equal(world.timesAsked, 0, 'what is signed is fresh: nobody is asked for the time');
    assert.ok(
      world.uploaded.some(({ code, toVersion }) => code === 'OTA_CONFIRMED' && toVersion === 3),
      'and the server hears of it',
    );
    if (clock === 'settable') assert.equal(world.clockSets?.at(-1), company.now);
  });
}

test('TEST-OTA-905 REQ-OTA-ROLL-06: a clock ten years ahead that comes back: the time is asked for once in each start, the lower bound does not follow the clock, and afterwards nobody is asked', async () => {
  const device = await assigned();
  const { world } = device;
  const { company } = world;
  world.now = start + 3650 * day;
  assert.equal(await device.boot({ polls: 4 }), 'restart');
  assert.equal(world.timesAsked, 1);
  await device.boot({ polls: 4 });
  assert.equal((await device.record()).confirmed.version, 2);
  assert.ok(world.timesAsked <= 2, 'once in each start');
  assert.equal((await heldTrust(device)).timeLowerBound, company.now);
  assert.equal(await count(device, 'OTA_FREEZE_SUSPECTED'), 0, 'a wrong clock is no freeze');
  const asked = world.timesAsked;
  company.now = start + day;
  world.now = company.now + 5;
  company.release(3);
  company.publish(3);
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 3);
  assert.equal(world.timesAsked, asked);
});

test('TEST-OTA-906 REQ-OTA-ROLL-06, REQ-OTA-NET-04: answers to the question for the time that are replayed, for another device, by another key, or no answer at all: not believed, and asked again an hour later; one that was lost on the way, at the next poll', async () => {
  const device = await assigned();
  const { world } = device;
  const { company } = world;
  world.now = start + 3650 * day;
  const stranger = newSigner();
  const earlier: string[] = [];
  const lies: ((nonce: string) => string)[] = [
    (nonce) => {
      earlier.push(company.time(nonce));
      return company.time('a'.repeat(32));
    },
    () => earlier[0] ?? '',
    (nonce) => company.time(nonce, { device: 'PUMP-0002' }),
    (nonce) => company.time(nonce, { signer: stranger }),
    () => '{}',
  ];
  for (const lie of lies) {
    world.timeAnswer = lie;
    const asked = world.timesAsked;
    const end = await device.boot({ polls: 3 });
    assert.equal(typeof end === 'object' && end.kind === 'refused' ? end.code : end, 'OTA_EXPIRED');
    assert.equal(world.timesAsked, asked + 1, 'not at every poll');
    assert.equal(await count(device, 'OTA_TIME_SIGNED'), 0);
  }
  // In one and the same start: an hour later again, and a fault of the network does not use the hour up.
  world.monotonic += 3600 * 1000;
  let lost = 0;
  world.timeAnswer = (nonce) => {
    lost += 1;
    if (lost > 1) return company.time(nonce);
    throw world.fault();
  };
  const failed = await device.agent?.poll();
  assert.equal(failed?.kind === 'failed' ? failed.code : failed?.kind, 'OTA_SERVER_UNREACHABLE');
  world.restartWorks = false;
  await device.agent?.poll();
  assert.equal(lost, 2);
  assert.equal(await count(device, 'OTA_TIME_SIGNED'), 1);
  assert.equal((await device.record()).state, 'Staged', 'with the right answer the update goes on');
});

test('TEST-OTA-907 REQ-OTA-ROLL-06, REQ-OTA-SIGN-04: an online key that signs a moment beyond the life of the offline root: refused, nothing is remembered of it, and the next honest word installs', async () => {
  const device = await assigned();
  const { company } = device.world;
  const honest = (await heldTrust(device)).timeLowerBound;
  for (const years of [1, 2, 50]) {
    company.issued = start + years * 365 * day;
    company.publish(2);
    const end = await device.boot();
    assert.equal(typeof end === 'object' && end.kind === 'refused' ? end.code : end, 'OTA_EXPIRED');
    const { timeLowerBound, image, director } = await heldTrust(device);
    assert.deepEqual([timeLowerBound, image.timestamp, director.timestamp], [honest, undefined, undefined]);
  }
  company.issued = undefined;
  company.publish(2);
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-908 REQ-OTA-ROLL-06, REQ-OTA-SIGN-04: an online key that signs a moment within the life of the offline root: what runs stays, nothing installs before that moment, and after it, with a new root, all is well again', async () => {
  const device = await assigned();
  const { world } = device;
  const { company } = world;
  const ahead = start + 300 * day;
  company.issued = ahead;
  company.publish(2);
  company.issued = undefined;
  await device.boot();
  assert.equal((await heldTrust(device)).timeLowerBound, ahead, 'bounded by the root, not by the clock');
  for (const later of [1, 100, 250]) {
    company.now = start + later * day;
    world.now = company.now + 5;
    company.publish(2);
    const end = await device.boot();
    assert.equal(typeof end === 'object' && end.kind === 'refused' ? end.code : end, 'OTA_EXPIRED');
    assert.equal(device.bootedGroup, 'A');
    assert.equal(world.told.at(-1), 'confirmed 1');
  }
  company.now = ahead + 2 * day;
  world.now = company.now + 5;
  company.rotateRoots();
  company.publish(2);
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
});

test('TEST-OTA-909 REQ-OTA-ROLL-06, REQ-OTA-ROLL-02: a clock set back to the day of an old answer, and that answer replayed: a release that was withdrawn since is not installed, nor is it from what is held', async () => {
  for (const clock of [start + 20, 17]) {
    const device = await assigned();
    const { world } = device;
    const { company } = world;
    world.interlock = (what) => what === 'fetch';
    await device.boot();
    assert.equal((await device.record()).state, 'Staged');
    const old = new Map(company.files);
    company.now = start + 10 * day;
    world.now = company.now + 5;
    company.withdraw('quality', 2);
    company.publish(2);
    await device.boot();
    assert.equal((await device.results()).at(-1)?.code, 'OTA_WITHDRAWN');
    const bound = (await heldTrust(device)).timeLowerBound;
    world.now = clock;
    world.interlock = () => true;
    company.files.clear();
    for (const [path, text] of old) company.files.set(path, text);
    const end = await device.boot({ polls: 3 });
    assert.equal(typeof end === 'object' ? end.kind : end, 'refused');
    world.reachable = false;
    await device.boot({ polls: 3 });
    assert.equal((await device.record()).confirmed.version, 1);
    assert.equal((await device.results()).length, 1);
    assert.equal((await heldTrust(device)).timeLowerBound, bound);
    assert.ok(
      (await device.log()).slice(-2).every(({ time }) => time >= bound),
      'the log does not go back either',
    );
  }
});

for (const [index, director] of ['says what time it is', 'signs an old time with a stolen key'].entries()) {
  test(`TEST-OTA-${index === 0 ? 910 : 912} REQ-OTA-ROLL-03: a server that repeats old answers, or says nothing, whose director ${director}: a freeze is told once, and once more when it comes again after it was over; what runs stays`, async () => {
    const device = await assigned();
    const { world } = device;
    const { company } = world;
    await device.settle();
    if (index === 0) world.timeAnswer = (nonce) => company.time(nonce, { time: world.now });
    const silence = async (days: number): Promise<void> => {
      for (let passed = 0; passed < days; passed += 1) {
        world.now += day;
        world.monotonic += day * 1000;
        await device.agent?.poll();
      }
    };
    await silence(13);
    assert.equal(await count(device, 'OTA_FREEZE_SUSPECTED'), 0);
    await silence(10);
    assert.equal(await count(device, 'OTA_FREEZE_SUSPECTED'), 1, 'told once, at however many polls');
    company.now = world.now;
    company.publish(2);
    await device.agent?.poll();
    await silence(3);
    assert.equal(await count(device, 'OTA_FREEZE_SUSPECTED'), 1, 'and over');
    world.reachable = false;
    await silence(20);
    assert.equal(await count(device, 'OTA_FREEZE_SUSPECTED'), 2);
    assert.equal((await device.record()).confirmed.version, 2);
    world.reachable = true;
    company.now = world.now;
    company.publish(2);
    await device.agent?.poll();
    const heard = world.uploaded.filter(({ code }) => code === 'OTA_FREEZE_SUSPECTED');
    assert.equal(heard.length, 2, 'the server hears of it once it is there again');
  });
}

test('TEST-OTA-911 REQ-OTA-ROLL-03, REQ-OTA-ROLL-06: no clock at all and a server that says nothing new: silence is measured by how long the device runs', async () => {
  const device = await assigned();
  const { world } = device;
  world.now = 17;
  await device.settle();
  for (let passed = 0; passed < 16; passed += 1) {
    world.monotonic += day * 1000;
    await device.agent?.poll();
  }
  assert.equal(await count(device, 'OTA_FREEZE_SUSPECTED'), 1);
});
