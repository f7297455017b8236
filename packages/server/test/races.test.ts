/**
 * Two writers at once. Goal: one wins, the other is told so (409, 412 or 428, never 500), and nothing is lost or mixed.
 *
 * Two servers on one store share no locks. Here one server is given locks that hold nobody, and a store that lets the
 * second request through whole between what the first one read and what it writes: the worst moment, each time.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { openStore } from '../src/adapters/sqlite/database.ts';
import { Raced } from '../src/ports/store.ts';
import {
  addDevice,
  type Answer,
  approve,
  functionFile,
  makeRelease,
  makeWorld,
  must,
  product,
  propose,
  publishProduct,
  targetsFile,
  type TestDevice,
  uploadRelease,
  type World,
} from './support/world.ts';

const gate: { next?: (() => Promise<void>) | undefined } = {};
/** A world without locks between requests. */
let world: World;
/** One server as it is. */
let locked: World;
let device: TestDevice;
const releases = [makeRelease(2), makeRelease(3)];
/** A statement is about one release: two are approved in two acts. */
const firstRelease = releases.slice(0, 1);

/** `first` reads, then `second` does all of its work, then `first` writes. */
async function race(
  first: () => Promise<Answer>,
  second: () => Promise<Answer>,
): Promise<{ first: Answer; second: Answer }> {
  let done: Answer | undefined;
  gate.next = async () => {
    done = await second();
  };
  const late = await first();
  assert.ok(done !== undefined, 'the first request wrote nothing');
  return { first: late, second: done };
}

function lost(answer: Answer): void {
  assert.deepEqual([answer.status, answer.body['code']], [409, 'API_RACED'], answer.bytes.toString());
}

async function fill(empty: World): Promise<TestDevice> {
  await publishProduct(empty);
  for (const release of releases) await uploadRelease(empty, release);
  return await addDevice(empty, 'pump-1');
}

const assign = (where: World, release: number, headers: Record<string, string> = {}) =>
  where.people('PUT', '/api/v1/devices/pump-1/assignment', { body: { release }, headers });

before(async () => {
  world = await makeWorld({
    adapt: (context) => ({
      ...context,
      locks: { run: async (_name, act) => await act() },
      store: {
        ...context.store,
        async transaction(work) {
          const act = gate.next;
          gate.next = undefined;
          await act?.();
          return await context.store.transaction(work);
        },
      },
    }),
  });
  locked = await makeWorld();
  device = await fill(world);
  await fill(locked);
});
after(async () => {
  await world.close();
  await locked.close();
});

test('TEST-OTA-802 REQ-OTA-OPS-03, REQ-OTA-SIGN-04: two signers open one proposal at the same moment at two servers: the second is told, and its repetition completes it', async () => {
  const { targets, targets2 } = world.keys;
  const now = world.clock.now();
  const both = targetsFile(world, 2, [targets, targets2], now);
  const one = targetsFile(world, 2, [targets], now);
  const two = targetsFile(world, 2, [targets2], now);
  const raced = await race(
    () => propose(world, 'targets', one),
    () => propose(world, 'targets', two),
  );
  lost(raced.first);
  assert.deepEqual([raced.second.body['state'], raced.second.body['file']], ['open', two]);
  const again = await must(propose(world, 'targets', one), 200);
  assert.equal(again.body['state'], 'published', 'no signature was lost');
  assert.equal((await must(propose(world, 'targets', both), 200)).body['state'], 'published');
});

test('TEST-OTA-803 REQ-OTA-OPS-03: two contents proposed under one number, and two functions published, at the same moment at two servers: one wins, the other is told, both roles stand in the end', async () => {
  const { targets } = world.keys;
  const mine = targetsFile(world, 3, [targets], world.clock.now());
  const other = targetsFile(world, 3, [targets], world.clock.now() + 60);
  const raced = await race(
    () => propose(world, 'targets', mine),
    () => propose(world, 'targets', other),
  );
  lost(raced.first);
  assert.equal(raced.second.body['file'], other);
  const list = await must(world.people('GET', `/api/v1/products/${product}/proposals`), 200);
  assert.deepEqual(
    (list.body['proposals'] as { file: string }[]).map(({ file }) => file),
    [other],
  );
  const quality = functionFile(world, 'quality', 1, firstRelease);
  const roles = await race(
    () => propose(world, 'quality', quality),
    () => propose(world, 'engineering', functionFile(world, 'engineering', 1, firstRelease)),
  );
  lost(roles.first);
  assert.equal(roles.second.body['state'], 'published');
  assert.equal((await must(propose(world, 'quality', quality), 200)).body['state'], 'published');
  const view = await must(world.people('GET', `/api/v1/products/${product}`), 200);
  assert.deepEqual(view.body['published'], { engineering: 1, quality: 1, targets: 2 });
  await approve(world, 2, releases);
});

test('TEST-OTA-804 REQ-OTA-OPS-03: two assignments of one device, at the same moment at two servers: one stands, in the answer and in the metadata', async () => {
  const raced = await race(
    () => assign(world, 2),
    () => assign(world, 3),
  );
  lost(raced.first);
  assert.equal(raced.second.status, 200);
  const held = await must(world.people('GET', `/api/v1/devices/${device.id}/assignment`), 200);
  assert.equal(held.body['release'], 3);
  const etag = String(raced.second.headers['etag']);
  const replaced = await race(
    () => assign(world, 2, { 'if-match': etag }),
    () =>
      world.people('DELETE', `/api/v1/devices/${device.id}/assignment`, { headers: { 'if-match': etag } }),
  );
  lost(replaced.first);
  assert.equal(replaced.second.status, 204);
  // Taken back and given again: the old ETag names neither.
  const anew = await must(assign(world, 2), 200);
  assert.notEqual(anew.headers['etag'], etag);
  const stale = await assign(world, 3, { 'if-match': etag });
  assert.deepEqual([stale.status, stale.body['code']], [412, 'API_PRECONDITION']);
});

test('TEST-OTA-805 REQ-OTA-OPS-03: a device, registered twice at the same moment at two servers: registered once', async () => {
  const raced = await race(
    () => addDevice(world, 'pump-2').then(() => assert.fail('registered twice'), parseRefusal),
    async () => {
      await addDevice(world, 'pump-2');
      return await world.people('GET', '/api/v1/devices/pump-2');
    },
  );
  lost(raced.first);
  assert.equal(raced.second.status, 200);
});

/** `must` throws what was answered; the answer is read from it again. */
function parseRefusal(error: unknown): Answer {
  const text = error instanceof Error ? error.message : '';
  const [, status, json] = /^answered (\d+), not \d+: (.*)$/s.exec(text) ?? [];
  const body = JSON.parse(json ?? '{}') as Record<string, unknown>;
  return { status: Number(status), headers: {}, bytes: Buffer.from(text), body };
}

test('TEST-OTA-806 REQ-OTA-OPS-03: requests that collide at one server, sent together: one of each is done, the others are refused with a 4xx', async () => {
  const { targets } = locked.keys;
  const now = locked.clock.now();
  const openings = await Promise.all(
    [0, 60, 120].map((later) => propose(locked, 'targets', targetsFile(locked, 2, [targets], now + later))),
  );
  const statuses = (answers: readonly Answer[]) =>
    answers.map(({ status }) => status).toSorted((a, b) => a - b);
  assert.deepEqual(statuses(openings), [200, 409, 409]);
  await approve(locked, 1, firstRelease);
  await approve(locked, 2, releases);
  const given = await Promise.all([assign(locked, 2), assign(locked, 3)]);
  // Without If-Match, a second one would overwrite the first unseen.
  assert.deepEqual(statuses(given), [200, 428]);
  const etag = String(given.find(({ status }) => status === 200)?.headers['etag']);
  const other = given[0]?.status === 200 ? [3, 3] : [2, 2];
  const replaced = await Promise.all([
    assign(locked, other[0] ?? 0, { 'if-match': etag }),
    locked.people('DELETE', '/api/v1/devices/pump-1/assignment', { headers: { 'if-match': etag } }),
  ]);
  const ends = replaced.map(({ status }) => status);
  assert.ok(ends.includes(412) && ends.every((status) => status < 500), ends.join(' '));
});

test('TEST-OTA-807 REQ-OTA-OPS-03: two processes on one database, transactions that overlap and a key taken twice: the loser gets Raced and stored nothing', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'airlock-races-'));
  const one = await openStore(path.join(folder, 'data.sqlite'));
  const two = await openStore(path.join(folder, 'data.sqlite'));
  try {
    await one.addProduct('pump', 1);
    const overlapping = one.transaction(async (inside) => {
      assert.equal((await inside.product('pump'))?.revision, 1);
      assert.equal(await two.raiseRevision('pump', 1), true);
      await inside.raiseRevision('pump', 1);
    });
    await assert.rejects(overlapping, Raced);
    assert.equal((await one.product('pump'))?.revision, 2);
    const taken = two.transaction(async (inside) => {
      await inside.addProduct('other', 1);
      await inside.addProduct('pump', 1);
    });
    await assert.rejects(taken, Raced);
    assert.equal(await one.product('other'), undefined);
  } finally {
    await one.close();
    await two.close();
    await rm(folder, { recursive: true, force: true });
  }
});
