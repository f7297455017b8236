/**
 * One device's TLS key in a thief's hand, used in check-ins. Goal: it raises an alarm for people, and neither holds
 * back a product nor makes other devices fetch anything; what several devices claim still stops a restored server.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { encodeCheckIn } from '@airlock/protocol';
import { parseInstant } from '@airlock/trust';
import { agreedClaims, mustNoteClaim } from '../src/core/restoration.ts';
import {
  addDevice,
  approve,
  emptyCheckIn,
  functionFile,
  makeRelease,
  makeWorld,
  must,
  product,
  propose,
  publishProduct,
  type TestDevice,
  uploadRelease,
  type World,
} from './support/world.ts';

let world: World;
let good: TestDevice;
let evil: TestDevice;
const release = makeRelease(2);
const versionMax = Number.MAX_SAFE_INTEGER;
const missingUrl = (role: string) => `/api/v1/products/${product}/missing/${role}`;

const checkIn = (device: TestDevice, change: Partial<typeof emptyCheckIn> = {}) =>
  must(world.device(device, `/device/v1/check-in?${encodeCheckIn({ ...emptyCheckIn, ...change })}`), 200);
const view = async () => (await must(world.people('GET', `/api/v1/products/${product}`), 200)).body;
const director = async () => (await must(world.people('GET', '/api/v1/director'), 200)).body;
const states = (body: Record<string, unknown>) =>
  (body['suspicions'] as Record<string, unknown>[]).map(({ role, device, state }) => [role, device, state]);
const assign = async (device: TestDevice, rollout: string) => {
  const url = `/api/v1/devices/${device.id}/assignment`;
  const now = await world.people('GET', url);
  const headers = now.status === 200 ? { 'if-match': String(now.body['etag']) } : {};
  return await world.people('PUT', url, { body: { release: 2, rollout }, headers });
};

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  await uploadRelease(world, release);
  await approve(world, 1, [release]);
  good = await addDevice(world, 'pump-1');
  evil = await addDevice(world, 'pump-2');
});
after(async () => await world.close());

test('TEST-OTA-1010 REQ-OTA-SIGN-04, REQ-OTA-OPS-03: one device that claims newer roles and roots, plausible and absurd: an alarm; publishing, assigning and renewal go on', async () => {
  const imageRoles = { quality: versionMax, engineering: 2, targets: 2, snapshot: versionMax };
  await checkIn(evil, { imageRoles, imageRoot: 2, directorRoot: 2, imageSnapshot: versionMax });
  const shown = await view();
  assert.deepEqual(shown['missing'], []);
  assert.deepEqual(states(shown), [
    ['engineering', 'pump-2', 'alone'],
    ['quality', 'pump-2', 'absurd'],
    ['root', 'pump-2', 'alone'],
    ['snapshot', 'pump-2', 'absurd'],
    ['targets', 'pump-2', 'alone'],
  ]);
  assert.deepEqual(states(await director()), [['root', 'pump-2', 'alone']]);
  assert.deepEqual((await director())['missing'], []);
  await must(assign(good, 'first'), 200);
  const withdrawn = await must(propose(world, 'quality', functionFile(world, 'quality', 2, [])), 200);
  assert.equal(withdrawn.body['state'], 'published');
  const again = await must(propose(world, 'quality', functionFile(world, 'quality', 3, [release])), 200);
  assert.equal(again.body['state'], 'published');

  const old = Number((await view())['snapshotVersion']);
  world.clock.moved += 5 * 86_400;
  await world.restart();
  let now = old;
  const giveUp = Date.now() + 20_000;
  while (now === old && Date.now() < giveUp) now = Number((await view())['snapshotVersion']);
  assert.ok(now > old, 'the snapshot is renewed');
});

test('TEST-OTA-1011 REQ-OTA-SIGN-04, REQ-OTA-OPS-03: a device whose claim a person dismissed, claiming again, higher and of other roles: not heard, nothing blocked', async () => {
  await must(world.people('DELETE', missingUrl('engineering')), 204);
  await checkIn(evil, { imageRoles: { engineering: 3, quality: 4 }, imageRoot: 3 });
  assert.deepEqual(new Set(states(await view()).map(([, , state]) => state)), new Set(['dismissed']));
  await checkIn(good, { imageRoles: { engineering: 3 } });
  assert.deepEqual((await view())['missing'], [], 'one honest and one dismissed are not two');
  const next = await must(
    propose(world, 'engineering', functionFile(world, 'engineering', 2, [release])),
    200,
  );
  assert.equal(next.body['state'], 'published');
  assert.equal((await world.people('DELETE', missingUrl('unheard'))).status, 404);
});

test('TEST-OTA-1012 REQ-OTA-NET-04: a device that claims a newer image snapshot each minute for an hour: the other devices fetch one new snapshot at most', async () => {
  const etags = new Set<unknown>([(await checkIn(good)).body['etag']]);
  for (let minute = 0; minute < 60; minute += 10) {
    world.clock.moved += 600;
    const now = world.clock.now() - 1;
    await checkIn(evil, { imageSnapshot: now, directorSnapshot: now, directorTargets: now });
    etags.add((await checkIn(good)).body['etag']);
  }
  assert.ok(etags.size <= 2, `${etags.size} different answers`);
});

test('TEST-OTA-1013 REQ-OTA-OPS-03, REQ-OTA-POL-05: two devices that claim a newer role: the product is held back, a withdrawal and only that is published all the same', async () => {
  const third = await addDevice(world, 'pump-3');
  const fourth = await addDevice(world, 'pump-4');
  for (const device of [third, fourth]) {
    await checkIn(device, { imageRoles: { targets: 5 }, directorRoot: 2 });
  }
  const [missing] = (await view())['missing'] as Record<string, unknown>[];
  assert.deepEqual([missing?.['file'], missing?.['evidence']], ['5.targets.json', 'device']);
  const held = await propose(world, 'quality', functionFile(world, 'quality', 5, [release, makeRelease(3)]));
  assert.equal(held.body['code'], 'API_RESTORED');
  assert.equal((await assign(good, 'held')).body['code'], 'API_RESTORED');
  const withdrawn = await must(propose(world, 'quality', functionFile(world, 'quality', 5, [])), 200);
  assert.equal(withdrawn.body['state'], 'published');
  const back = await propose(world, 'quality', functionFile(world, 'quality', 6, [release]));
  assert.equal(back.body['code'], 'API_RESTORED', 'to list it again is no withdrawal');
  await must(world.people('DELETE', missingUrl('targets')), 204);
  assert.deepEqual((await view())['missing'], []);
  assert.equal(((await director())['missing'] as unknown[]).length, 1);
  for (const { id } of [third, fourth]) {
    await must(world.people('DELETE', `/api/v1/devices/${id}`), 204);
  }
  assert.deepEqual((await director())['missing'], [], 'a revoked device is not heard');
});

test('TEST-OTA-1014 REQ-OTA-OPS-03: claims of many devices, counted: a hundredth of a large fleet and never fewer than two; the highest version that all of them reach', () => {
  const published = new Map([['quality', 3]]);
  const since = parseInstant('2027-01-01T00:00:00Z') ?? 0;
  const claim = (at: number, version: number) => ({ role: 'quality', version, device: `d${at}`, since });
  const agreed = (versions: readonly number[], devices: number) =>
    agreedClaims({ claims: versions.map((version, at) => claim(at, version)), devices, published }).map(
      ({ version }) => version,
    );
  assert.deepEqual(agreed([7], 1), []);
  assert.deepEqual(agreed([7, 9], 2), [7]);
  assert.deepEqual(agreed([7, 7, 7], 1000), []);
  assert.deepEqual(
    agreed(
      Array.from({ length: 10 }, () => 7),
      1000,
    ),
    [7],
  );
  assert.deepEqual(agreed([versionMax, versionMax, 1004], 3), []);
  // A liar that climbs: one write an hour.
  const held = [claim(1, 7)];
  assert.equal(mustNoteClaim(held, { ...claim(1, 8), since: since + 60 }), false);
  assert.equal(mustNoteClaim(held, { ...claim(1, 8), since: since + 3600 }), true);
});
