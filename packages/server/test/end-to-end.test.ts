/** The server over real sockets: from a product's first root to the bytes of an image on a device. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { encodeCheckIn } from '@airlock/protocol';
import { checkTrust, newTrustState, sha256Hex, type TrustState, verifyTimeAnswer } from '@airlock/trust';
import {
  addDevice,
  approve,
  ask,
  directorRoot,
  emptyCheckIn,
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

let world: World;
let device: TestDevice;
const first = makeRelease(2);

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  await uploadRelease(world, first);
  device = await addDevice(world, 'pump-1');
});
after(async () => await world.close());

const checkInUrl = (change: Partial<Parameters<typeof encodeCheckIn>[0]> = {}) =>
  `/device/v1/check-in?${encodeCheckIn({ ...emptyCheckIn, ...change })}`;

/** The device's own check over what a check-in brought. */
function judge(state: TrustState, files: Record<string, string>) {
  const identity = { product, device: device.id };
  const steps = checkTrust({ identity, state, now: world.clock.now(), source: 'network' });
  let next = steps.next();
  while (next.done !== true) {
    const step = next.value;
    const found = step.kind === 'fetch' ? files[`${step.repository}/${step.path}`] : undefined;
    next = steps.next(found === undefined ? undefined : Buffer.from(found));
  }
  return next.value;
}

async function provisioned(): Promise<TrustState> {
  const root = await must(world.people('GET', `/api/v1/products/${product}/tuf/1.root.json`), 200);
  const state = newTrustState({
    identity: { product, device: device.id },
    imageRoot: root.bytes.toString(),
    directorRoot: (await must(world.people('GET', '/api/v1/director/tuf/1.root.json'), 200)).bytes.toString(),
    deviceRecord: device.record,
    builtAt: 0,
  });
  if (!state.ok) throw new Error(state.error.message);
  return state.value;
}

test('TEST-OTA-400 REQ-OTA-POL-01: a release that quality has not approved, assigned to a class C device: refused at the server with the device code', async () => {
  const put = () => world.people('PUT', `/api/v1/devices/${device.id}/assignment`, { body: { release: 2 } });
  const none = await put();
  assert.equal(none.status, 422);
  assert.equal(none.body['code'], 'OTA_MISSING_FILE');
  await must(propose(world, 'engineering', functionFile(world, 'engineering', 1, [first])), 200);
  await must(propose(world, 'quality', functionFile(world, 'quality', 1, [])), 200);
  const half = await put();
  assert.equal(half.status, 422);
  assert.equal(half.body['code'], 'OTA_NOT_APPROVED');
  assert.match(String(half.body['message']), /quality/);
  await must(propose(world, 'quality', functionFile(world, 'quality', 2, [first])), 200);
  await must(put(), 200);
});

test('TEST-OTA-401 REQ-OTA-SIGN-03: an assigned and approved release, checked in by the device: one answer satisfies the whole trust check', async () => {
  const state = await provisioned();
  const answer = await must(world.device(device, checkInUrl()), 200);
  const files = answer.body['files'] as Record<string, string>;
  const outcome = judge(state, files);
  assert.equal(outcome.verdict.kind, 'approved', JSON.stringify(outcome.verdict));
  const etag = String(answer.body['etag']);
  assert.equal(answer.headers['etag'], etag);
  const same = await world.device(device, checkInUrl(), { headers: { 'if-none-match': etag } });
  assert.equal(same.status, 304);
  assert.equal(same.bytes.length, 0);
  const stamped = await must(
    world.device(device, checkInUrl({ timestamps: true }), { headers: { 'if-none-match': etag } }),
    200,
  );
  assert.deepEqual(Object.keys(stamped.body['files'] as object).sort(), [
    'director/timestamp.json',
    'image/timestamp.json',
  ]);
});

test('TEST-OTA-402 REQ-OTA-SIGN-03: the same repositories over the TUF file layout, fetched one by one: approved', async () => {
  const state = await provisioned();
  const steps = checkTrust({
    identity: { product, device: device.id },
    state,
    now: world.clock.now(),
    source: 'network',
  });
  let next = steps.next();
  while (next.done !== true) {
    const step = next.value;
    if (step.kind === 'keep') {
      next = steps.next(undefined);
      continue;
    }
    const answer = await world.device(device, `/tuf/${step.repository}/${step.path}`);
    assert.ok(answer.status === 200 || answer.status === 404, step.path);
    next = steps.next(answer.status === 200 ? answer.bytes : undefined);
  }
  assert.equal(next.value.verdict.kind, 'approved', JSON.stringify(next.value.verdict));
});

test('TEST-OTA-403 REQ-OTA-OPS-03: image bytes, asked for by ranges and by another device: only the assigned device gets them', async () => {
  const sha256 = sha256Hex(first.image);
  const url = `/device/v1/images/${sha256}`;
  const whole = await must(world.device(device, url), 200);
  assert.equal(sha256Hex(whole.bytes), sha256);
  const part = await must(world.device(device, url, { headers: { range: 'bytes=100-199' } }), 206);
  assert.equal(part.headers['content-range'], `bytes 100-199/${first.image.length}`);
  assert.deepEqual(part.bytes, Buffer.from(first.image.subarray(100, 200)));
  const tail = await must(
    world.device(device, url, { headers: { range: `bytes=${first.image.length - 5}-` } }),
    206,
  );
  assert.equal(tail.bytes.length, 5);
  const beyond = await must(world.device(device, url, { headers: { range: 'bytes=200000-' } }), 416);
  assert.equal(beyond.headers['content-range'], `bytes */${first.image.length}`);
  const head = await must(world.device(device, url, { method: 'HEAD' }), 200);
  assert.equal(head.headers['content-length'], String(first.image.length));
  const other = await addDevice(world, 'pump-2');
  const refused = await must(world.device(other, url), 404);
  assert.equal(refused.body['code'], 'API_NOT_FOUND');
});

test('TEST-OTA-404 REQ-OTA-NET-02: no certificate, a foreign, an expired, an unknown and a revoked one, at the handshake: each socket ends without an answer', async () => {
  const { makeAuthority } = await import('./support/certificates.ts');
  const foreign = await (await makeAuthority('Foreign')).issue({
    name: 'x',
    device: 'pump-1',
    use: 'client',
  });
  const expired = await world.authority.issue({
    name: 'x',
    device: 'pump-1',
    use: 'client',
    notAfter: new Date(Date.now() - 60_000),
  });
  const unknown = await world.authority.issue({ name: 'x', device: 'pump-1', use: 'client' });
  const revoked = await addDevice(world, 'pump-3');
  await must(world.device(revoked, checkInUrl()), 200);
  await must(world.people('DELETE', `/api/v1/devices/${revoked.id}`), 204);
  const errors: string[] = [];
  for (const issued of [undefined, foreign, expired, unknown, revoked.issued]) {
    const tls = issued === undefined ? {} : { cert: issued.certificate, key: issued.key };
    const sent = ask(world.server.deviceUrl + checkInUrl(), world.authority.certificate, { tls });
    await assert.rejects(sent, (error: NodeJS.ErrnoException) => {
      errors.push(error.code ?? error.message);
      return true;
    });
  }
  assert.deepEqual(new Set(errors), new Set(['ECONNRESET']));
});

test('TEST-OTA-405 REQ-OTA-NET-01: a client of TLS 1.2, at the device listener: no connection', async () => {
  await assert.rejects(world.device(device, checkInUrl(), { tls: { maxVersion: 'TLSv1.2' } }));
});

test('TEST-OTA-406 REQ-OTA-ROLL-06: a nonce, sent by a device: director and image repository sign it with the time', async () => {
  const nonce = 'ab'.repeat(16);
  const answer = await must(
    world.device(device, '/device/v1/time', { method: 'POST', body: { nonce } }),
    200,
  );
  const directorRootText = (await world.people('GET', '/api/v1/director/tuf/1.root.json')).bytes.toString();
  const imageRoot = await world.people('GET', `/api/v1/products/${product}/tuf/1.root.json`);
  const imageRootText = imageRoot.bytes.toString();
  const time = verifyTimeAnswer(answer.bytes, { imageRootText, directorRootText, device: device.id, nonce });
  assert.ok(time.ok, JSON.stringify(time));
  assert.ok(Math.abs(time.value - world.clock.now()) < 60);
});

test('TEST-OTA-407 REQ-OTA-SIGN-04: targets with one signature of two, proposed: waits, and is published with the second', async () => {
  const { targets, targets2 } = world.keys;
  const now = world.clock.now();
  const open = await must(propose(world, 'targets', targetsFile(world, 2, [targets], now)), 200);
  assert.equal(open.body['state'], 'open');
  const wrong = await propose(world, 'targets', targetsFile(world, 2, [world.keys.quality], now));
  assert.equal(wrong.body['code'], 'OTA_BAD_SIGNATURE');
  // The same content, signed by the other holder: the drafts must be equal, so it is made again at the same moment.
  const list = await must(world.people('GET', `/api/v1/products/${product}/proposals`), 200);
  const [held] = list.body['proposals'] as { file: string; version: number }[];
  const { addSignature, draftOf } = await import('@airlock/trust');
  const draft = draftOf(Buffer.from(held?.file ?? ''));
  assert.ok(draft.ok);
  const signature = targets2.sign(draft.value.bytesToSign);
  const mine = addSignature(draft.value.unsigned, { keyId: targets2.publicKey.keyId, signature });
  assert.ok(mine.ok);
  const done = await must(propose(world, 'targets', Buffer.from(mine.value).toString()), 200);
  assert.equal(done.body['state'], 'published', JSON.stringify(done.body));
  const again = await propose(world, 'targets', targetsFile(world, 2, [targets, targets2]));
  assert.ok(again.status === 200 || again.body['code'] === 'API_VERSION_USED');
});

test('TEST-OTA-408 REQ-OTA-ROLL-01: a release at the floor that the device reported, assigned: refused as not above the floor', async () => {
  const { reportOf } = await import('./support/world.ts');
  const floor = { version: 2, manifestSha256: 'b'.repeat(64) };
  const body = reportOf(device, 1, { floor: 2, confirmed: floor, booted: floor });
  await must(world.device(device, '/device/v1/reports', { method: 'POST', body }), 204);
  const current = await must(world.people('GET', `/api/v1/devices/${device.id}/assignment`), 200);
  const headers = { 'if-match': String(current.body['etag']) };
  const url = `/api/v1/devices/${device.id}/assignment`;
  const answer = await world.people('PUT', url, { body: { release: 2, rollout: 'again' }, headers });
  assert.equal(answer.body['code'], 'OTA_NOT_ABOVE_FLOOR');
  const blind = await world.people('PUT', url, { body: { release: 2, rollout: 'again' } });
  assert.equal(blind.status, 428);
});

test('TEST-OTA-409 REQ-OTA-POL-05: a function role without a release, published: the release cannot be assigned any more', async () => {
  await approve(world, 5, []);
  const url = `/api/v1/devices/pump-2/assignment`;
  const answer = await world.people('PUT', url, { body: { release: 2 } });
  assert.equal(answer.body['code'], 'OTA_NOT_APPROVED');
});

test('TEST-OTA-808 REQ-OTA-POL-05: a release that was withdrawn and approved again, assigned to a device from before and to one registered since: OTA_WITHDRAWN, and accepted', async () => {
  await approve(world, 6, [first]);
  const assign = (id: string) =>
    world.people('PUT', `/api/v1/devices/${id}/assignment`, { body: { release: 2 } });
  const old = await assign('pump-2');
  assert.deepEqual([old.status, old.body['code'], old.body['field']], [422, 'OTA_WITHDRAWN', 'release']);
  assert.match(String(old.body['message']), /withdrawn by \w+ 5 and approved again by \w+ 6.*higher version/);
  assert.equal((await world.people('GET', '/api/v1/devices/pump-2/assignment')).status, 404);
  world.clock.moved += 2;
  await addDevice(world, 'pump-9');
  await must(assign('pump-9'), 200);
  await approve(world, 7, []);
});

test('TEST-OTA-410 REQ-OTA-SIGN-05: a second director root, posted: devices get sets that it covers', async () => {
  await must(world.people('POST', '/api/v1/director/root', { body: { root: directorRoot(world, 2) } }), 200);
  const answer = await must(world.device(device, checkInUrl()), 200);
  const files = answer.body['files'] as Record<string, string>;
  assert.ok(files['director/2.root.json']);
  const outcome = judge(await provisioned(), files);
  assert.equal(outcome.verdict.kind, 'refused');
  assert.equal(outcome.verdict.kind === 'refused' && outcome.verdict.error.code, 'OTA_NOT_APPROVED');
});
