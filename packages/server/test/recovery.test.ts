/**
 * Restored from a backup older than the last offline signature. Goal: the server notices from a signer's machine or
 * from a device, publishes nothing new, serves its fleet, and goes on when the missing file comes back.
 */
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { encodeCheckIn } from '@airlock/protocol';
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
import { statementsFor } from './support/stating.ts';

let world: World;
let device: TestDevice;
let second: TestDevice;
const release = makeRelease(2);
let lost = '';
let statements: string[];

const checkIn = (change: Partial<typeof emptyCheckIn>, from = device) =>
  world.device(from, `/device/v1/check-in?${encodeCheckIn({ ...emptyCheckIn, ...change })}`);
const productView = async () => (await must(world.people('GET', `/api/v1/products/${product}`), 200)).body;
const version = (files: object, pattern: RegExp) =>
  Number(pattern.exec(Object.keys(files).join(' '))?.[1] ?? Number.NaN);

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  await uploadRelease(world, release);
  await approve(world, 1, [release]);
  device = await addDevice(world, 'pump-1');
  second = await addDevice(world, 'pump-2');
  // The backup; then quality withdraws the release, and the disk is lost.
  await world.server.close();
  const { folder } = world.config;
  await cp(folder, `${folder}.backup`, { recursive: true });
  await world.restart();
  lost = functionFile(world, 'quality', 7, []);
  statements = await statementsFor(world, 'quality', lost);
  await must(propose(world, 'quality', lost, { statements }), 200);
  const seen = await must(checkIn({}), 200);
  const files = seen.body['files'] as object;
  assert.equal(version(files, /image\/(\d+)\.quality\.json/), 7);
  await world.server.close();
  await rm(folder, { recursive: true });
  await cp(`${folder}.backup`, folder, { recursive: true });
  world.clock.moved += 3600;
  await world.restart();
});
after(async () => {
  await world.close();
});

test('TEST-OTA-420 REQ-OTA-ROLL-02: a server restored from an older backup, asked by a device that holds newer online metadata: signs it anew above what the device holds', async () => {
  const now = world.clock.now() - 1800;
  const answer = await must(checkIn({ directorSnapshot: now, directorTargets: now }), 200);
  const files = answer.body['files'] as object;
  assert.ok(version(files, /director\/(\d+)\.snapshot\.json/) > now);
  assert.ok(version(files, /director\/(\d+)\.targets\.json/) > now);
  assert.deepEqual((await productView())['missing'], []);
});

test('TEST-OTA-421 REQ-OTA-POL-05: a restored server that lost a withdrawal, told by two devices: publishes and assigns nothing and names the file', async () => {
  const imageRoles = { engineering: 1, quality: 7, targets: 1 };
  await must(checkIn({ imageRoles }), 200);
  assert.deepEqual((await productView())['missing'], [], 'one device may lie');
  await must(checkIn({ imageRoles }, second), 200);
  const [missing] = (await productView())['missing'] as Record<string, unknown>[];
  assert.equal(missing?.['file'], '7.quality.json');
  assert.equal(missing?.['evidence'], 'device');
  const held = await propose(world, 'engineering', functionFile(world, 'engineering', 2, [release]));
  assert.equal(held.status, 409);
  assert.equal(held.body['code'], 'API_RESTORED');
  assert.match(String(held.body['message']), /7\.quality\.json/);
  const url = `/api/v1/devices/${device.id}/assignment`;
  const assigned = await world.people('PUT', url, { body: { release: 2 } });
  assert.equal(assigned.body['code'], 'API_RESTORED');
});

test('TEST-OTA-422 REQ-OTA-OPS-03: a suspicion that only devices raised, dismissed by a person: gone; a mere number of a signer names the file and blocks nobody', async () => {
  const url = `/api/v1/products/${product}/missing/quality`;
  await must(world.people('DELETE', url), 204);
  assert.deepEqual((await productView())['missing'], []);
  const next = functionFile(world, 'quality', 8, []);
  const told = await propose(world, 'quality', next, { previous: 7 });
  assert.equal(told.body['code'], 'API_RESTORED');
  assert.equal(told.status, 409);
  assert.match(String(told.body['message']), /quality 1 is the newest here.*hand back 7\.quality\.json/);
  assert.deepEqual((await productView())['missing'], []);
  const other = await must(
    propose(world, 'engineering', functionFile(world, 'engineering', 2, [release])),
    200,
  );
  assert.equal(other.body['state'], 'published');
  for (const from of [device, second]) {
    await must(checkIn({ imageRoles: { quality: 7, targets: 1 } }, from), 200);
  }
  assert.deepEqual((await productView())['missing'], [], 'whom a person did not believe is not heard again');
});

test('TEST-OTA-423 REQ-OTA-POL-05: the missing file, handed back: the server publishes it and goes on', async () => {
  const url = `/api/v1/products/${product}/missing/quality`;
  const older = await world.people('PUT', url, {
    body: { file: functionFile(world, 'quality', 1, [release]) },
  });
  assert.equal(older.body['code'], 'API_VERSION_USED');
  // Nobody but the sender says that it was lost: without its statement it could be one that was never published.
  const bare = await world.people('PUT', url, { body: { file: lost } });
  assert.deepEqual([bare.status, bare.body['code']], [422, 'API_STATEMENT']);
  const answer = await must(world.people('PUT', url, { body: { file: lost, statements } }), 200);
  assert.deepEqual(answer.body['missing'], []);
  const view = await productView();
  assert.equal((view['published'] as Record<string, number>)['quality'], 7);
  assert.deepEqual(view['suspicions'], []);
  const next = await must(propose(world, 'quality', functionFile(world, 'quality', 8, [release])), 200);
  assert.equal(next.body['state'], 'published');
});

test('TEST-OTA-424 REQ-OTA-ROLL-03: a snapshot with less than a third of its life left, at a start of the server: signed anew', async () => {
  const old = Number((await productView())['snapshotVersion']);
  world.clock.moved += 5 * 86_400;
  await world.restart();
  let now = old;
  const giveUp = Date.now() + 20_000;
  while (now === old && Date.now() < giveUp) now = Number((await productView())['snapshotVersion']);
  // After a burst the old number may be some seconds ahead of its clock.
  assert.ok(now > old + 4 * 86_400, `${now} after ${old}`);
});
