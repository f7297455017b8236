/** Bad input, logs of devices, tokens: each refusal names its field and changes nothing. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { apiCodes, encodeCheckIn } from '@airlock/protocol';
import { sha256Hex } from '@airlock/trust';
import { apiTokenText } from '../src/core/secrets.ts';
import path from 'node:path';
import { makeOnlineKeys, openKeyring } from '../src/adapters/key-folder.ts';
import { parseConfig } from '../src/config.ts';
import { startServer } from '../src/index.ts';
import { runProgram } from '../src/program.ts';
import { giveToken } from './support/people.ts';
import {
  addDevice,
  type Answer,
  ask,
  emptyCheckIn,
  imageRoot,
  logBatch,
  makeRelease,
  makeWorld,
  must,
  product,
  propose,
  publishProduct,
  reportOf,
  targetsFile,
  type TestDevice,
  upload,
  uploadRelease,
  type World,
} from './support/world.ts';

let world: World;
let device: TestDevice;

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  device = await addDevice(world, 'pump-1');
});
after(async () => {
  await world.close();
});

const refused = (answer: Answer, status: number, code: string, field?: string) => {
  assert.equal(answer.status, status, answer.bytes.toString());
  assert.equal(answer.body['code'], code);
  if (field !== undefined) assert.equal(answer.body['field'], field);
};

test('TEST-OTA-440 REQ-OTA-OPS-01: unknown, missing and ill-typed fields and bodies, sent to the management API: a 4xx that names the field', async () => {
  const post = (body: unknown) => world.people('POST', '/api/v1/products', { body });
  refused(await post({ product, root: 'x', evil: 1 }), 400, 'API_BAD_REQUEST', 'evil');
  refused(await post({ product }), 400, 'API_BAD_REQUEST', 'root');
  refused(await post({ product: 5, root: 'x' }), 400, 'API_BAD_REQUEST', 'product');
  refused(await post('{"product":'), 400, 'API_BAD_REQUEST', 'body');
  refused(await post({ product: 'other', root: '{}' }), 422, 'OTA_BAD_METADATA');
  refused(await post({ product: 'other', root: imageRoot(world) }), 422, 'OTA_WRONG_BINDING');
  refused(await post({ product, root: imageRoot(world, 2) }), 409, 'API_VERSION_USED');
  const xml = { body: '<a/>', headers: { 'content-type': 'text/xml' } };
  refused(await world.people('POST', '/api/v1/products', xml), 415, 'API_MEDIA_TYPE', 'content-type');
  const large = { body: { product, root: 'x'.repeat(700_000) } };
  refused(await world.people('POST', '/api/v1/products', large), 413, 'API_TOO_LARGE', 'body');
  refused(await world.people('GET', '/api/v1/nothing'), 404, 'API_NOT_FOUND');
  const url = `/api/v1/devices/${device.id}/assignment`;
  refused(await world.people('PUT', url, { body: { release: '2' } }), 400, 'API_BAD_REQUEST', 'release');
  refused(await world.people('PUT', url, { body: { release: 0 } }), 400, 'API_BAD_REQUEST', 'release');
  refused(await world.people('PUT', url, { body: { release: 9 } }), 404, 'API_NOT_FOUND', 'release');
  const views = await must(world.people('GET', '/api/v1/products'), 200);
  assert.equal((views.body['products'] as unknown[]).length, 1);
});

test('TEST-OTA-441 REQ-OTA-OPS-01: images with a wrong hash, without bytes and twice, uploaded: refused, refused, taken once', async () => {
  const image = Buffer.alloc(5000, 9);
  const put = (sha256: string, body: Uint8Array) =>
    world.people('PUT', `/api/v1/images/${sha256}`, { body, headers: upload });
  refused(await put('0'.repeat(64), image), 422, 'API_HASH', 'sha256');
  refused(await put(sha256Hex(new Uint8Array()), new Uint8Array()), 400, 'API_BAD_REQUEST', 'body');
  assert.equal((await put(sha256Hex(image), image)).status, 201);
  assert.equal((await put(sha256Hex(image), image)).status, 200);
  const manifest = Buffer.from(makeRelease(3).manifest).toString();
  const early = await world.people('POST', `/api/v1/products/${product}/releases`, { body: { manifest } });
  refused(early, 409, 'API_MISSING_FILE', 'images[0].hash');
});

test('TEST-OTA-442 REQ-OTA-OPS-01: a release version and a role version, used again with other content: refused', async () => {
  await uploadRelease(world, makeRelease(4));
  const manifest = Buffer.from(makeRelease(4, { notes: 'other' }).manifest).toString();
  const again = await world.people('POST', `/api/v1/products/${product}/releases`, { body: { manifest } });
  refused(again, 409, 'API_VERSION_USED', 'version');
  const { targets, targets2 } = world.keys;
  world.clock.moved += 60;
  refused(
    await propose(world, 'targets', targetsFile(world, 1, [targets, targets2])),
    409,
    'API_VERSION_USED',
  );
  await must(propose(world, 'targets', targetsFile(world, 2, [targets])), 200);
  world.clock.moved += 60;
  refused(await propose(world, 'targets', targetsFile(world, 2, [targets])), 409, 'API_VERSION_USED');
  refused(
    await propose(world, 'targets', targetsFile(world, 3, [targets])),
    428,
    'API_PRECONDITION_REQUIRED',
  );
  const list = await must(world.people('GET', `/api/v1/products/${product}/proposals`), 200);
  const [open] = list.body['proposals'] as { etag: string; version: number }[];
  assert.equal(open?.version, 2);
  const body = { file: targetsFile(world, 3, [targets]) };
  const headers = { 'if-match': open?.etag ?? '' };
  const url = `/api/v1/products/${product}/proposals/targets`;
  assert.equal((await must(world.people('PUT', url, { body, headers }), 200)).body['version'], 3);
  refused(await world.people('DELETE', url, { headers }), 412, 'API_PRECONDITION', 'if-match');
});

test('TEST-OTA-443 REQ-OTA-POL-08: no token, a wrong one, and one without the permission: 401, 401, 403', async () => {
  const url = `${world.server.peopleUrl}/api/v1/products`;
  const none = await ask(url, world.authority.certificate);
  refused(none, 401, 'API_UNAUTHORIZED');
  const guess = { authorization: `Bearer ${apiTokenText(Buffer.alloc(32, 9))}` };
  refused(await ask(url, world.authority.certificate, { headers: guess }), 401, 'API_UNAUTHORIZED');
  const weak = await giveToken(world.config, 'tester', { permissions: ['products:read'] });
  const headers = { authorization: `Bearer ${weak}` };
  assert.equal((await ask(url, world.authority.certificate, { headers })).status, 200);
  const post = { method: 'POST', headers, body: { product: 'x', root: 'y' } };
  const answer = await ask(url, world.authority.certificate, post);
  refused(answer, 403, 'API_FORBIDDEN');
  assert.match(String(answer.body['message']), /products:write/);
  const described = await must(world.people('GET', '/openapi.json'), 200);
  assert.equal(described.body['openapi'], '3.1.0');
});

test('TEST-OTA-444 REQ-OTA-LOG-01: a report, sent twice, for another device, and with a broken signature: stored once, refused, refused', async () => {
  const post = (body: string) => world.device(device, '/device/v1/reports', { method: 'POST', body });
  const body = reportOf(device, 1);
  assert.equal((await post(body)).status, 204);
  assert.equal((await post(body)).status, 204);
  const kept = await must(world.people('GET', `/api/v1/devices/${device.id}/reports`), 200);
  assert.equal((kept.body['reports'] as unknown[]).length, 1);
  refused(await post(reportOf({ ...device, id: 'pump-9' }, 2)), 403, 'API_NOT_YOURS', 'signed.device');
  refused(await post(body.replace('"floor":1', '"floor":2')), 422, 'OTA_BAD_SIGNATURE');
  refused(await post('{}'), 422, 'OTA_BAD_METADATA');
});

test('TEST-OTA-445 REQ-OTA-LOG-03: a log with a gap, a changed entry and a new beginning, uploaded: each is found and kept', async () => {
  const post = (batch: unknown) => world.device(device, '/device/v1/log', { method: 'POST', body: batch });
  const findings = async () => {
    const log = await must(world.people('GET', `/api/v1/devices/${device.id}/log`), 200);
    return (log.body['findings'] as { kind: string }[]).map(({ kind }) => kind).sort();
  };
  const first = logBatch(device, 1, 3, '0'.repeat(64));
  assert.deepEqual((await post(first.batch)).body, { sequence: 3 });
  assert.deepEqual((await post(first.batch)).body, { sequence: 3 });
  assert.deepEqual(await findings(), []);
  assert.deepEqual((await post(logBatch(device, 6, 2, 'f'.repeat(64)).batch)).body, { sequence: 7 });
  assert.deepEqual(await findings(), ['gap']);
  await must(post(logBatch(device, 7, 2, 'e'.repeat(64)).batch), 200);
  assert.deepEqual(await findings(), ['change', 'gap', 'gap']);
  await must(post(logBatch(device, 1, 2, '0'.repeat(64), 'other').batch), 200);
  assert.deepEqual((await post(logBatch(device, 1, 2, '0'.repeat(64), 'again').batch)).body, { sequence: 2 });
  assert.ok((await findings()).includes('restart'));
  const { batch } = logBatch(device, 3, 2, '0'.repeat(64));
  const forged = { ...batch, entries: batch.entries.slice(0, 1) };
  refused(await post(forged), 400, 'API_BAD_REQUEST', 'head');
});

test('TEST-OTA-446 REQ-OTA-OPS-01: a check-in with a doubled, an unknown and a missing field: a 4xx that names it', async () => {
  const get = (query: string) => world.device(device, `/device/v1/check-in?${query}`);
  const good = encodeCheckIn(emptyCheckIn);
  refused(await get(`${good}&imageRoot=2`), 400, 'API_BAD_REQUEST', 'imageRoot');
  refused(await get(`${good}&evil=2`), 400, 'API_BAD_REQUEST', 'evil');
  refused(await get(''), 400, 'API_BAD_REQUEST', 'imageRoot');
  const time = await world.device(device, '/device/v1/time', { method: 'POST', body: { nonce: 'short' } });
  refused(time, 400, 'API_BAD_REQUEST', 'nonce');
});

test('TEST-OTA-447 REQ-OTA-OPS-01: a folder in use, a port taken and faults in the configuration, at start: one line that names the field', async () => {
  const inUse = await startServer(world.config);
  assert.equal(!inUse.ok && inUse.error.code, 'API_FOLDER_IN_USE');
  const port = Number(new URL(world.server.peopleUrl).port);
  const taken = await startServer({
    ...world.config,
    folder: `${world.config.folder}-2`,
    peopleListener: { ...world.config.peopleListener, port },
  });
  assert.equal(!taken.ok && taken.error.code, 'API_PORT_TAKEN');
  assert.equal(!taken.ok && taken.error.field, 'peopleListener.port');
  const { writeFile } = await import('node:fs/promises');
  const file = `${world.folder}/config.json`;
  const attempt = async (value: unknown) => {
    await writeFile(file, typeof value === 'string' ? value : JSON.stringify(value));
    let err = '';
    const stopped = Promise.resolve();
    const around = { out: () => undefined, err: (text: string) => void (err += text), stopped };
    assert.equal(await runProgram(['run', '--config', file], around), 1);
    assert.equal(err.trim().split('\n').length, 1, err);
    return err;
  };
  assert.match(await attempt('{'), /config\.json.*JSON/);
  assert.match(await attempt({ ...world.config, evil: 1 }), /config\.json: evil/);
  const { folder: _, ...without } = world.config;
  assert.match(await attempt(without), /folder: is missing/);
  const absent = { ...world.config, onlineKeys: { passphraseFile: '/nowhere' } };
  assert.match(await attempt(absent), /onlineKeys\.passphraseFile.*\/nowhere.*not exist/);
});

test('TEST-OTA-830 REQ-OTA-OPS-01: a misspelt field, a wrong passphrase, a purpose and parameters of another form, each tried: the line names what is wrong and what was expected', async () => {
  const { folder, ...rest } = world.config;
  const misspelt = parseConfig({ ...rest, folde: folder });
  assert.match(misspelt.ok ? '' : misspelt.error.message, /^folde: is not a field/);
  const made = await makeOnlineKeys(path.join(world.folder, 'other-keys'), 'right', 'image:pump');
  assert.ok(made.ok);
  const wrong = openKeyring(path.join(world.folder, 'other-keys'), 'wrong');
  assert.match(
    wrong.ok ? '' : wrong.error.message,
    /image\.pump\.snapshot\.json: .*onlineKeys\.passphraseFile/,
  );
  const purpose = await makeOnlineKeys(path.join(world.folder, 'other-keys'), 'right', 'fleet');
  assert.match(purpose.ok ? '' : purpose.error.message, /^--for: "fleet"/);
  const get = (url: string) => world.people('GET', url);
  const words = async (url: string) => String((await get(url)).body['message']);
  assert.match(await words('/api/v1/products/NOPE'), /^product: must be a name: lower-case/);
  assert.match(await words('/api/v1/devices?limit=many'), /^limit: must be a whole number/);
  assert.match(
    await words(`/api/v1/products/${product}/releases/0`),
    /^version: must be a whole number from 1/,
  );
  const form = await world.people('PUT', '/api/v1/images/abc', { body: 'x', headers: upload });
  assert.match(String(form.body['message']), /^sha256: must be a SHA-256: 64/);
  const type = { 'content-type': 'text/css' };
  const other = await world.people('POST', '/api/v1/products', { body: 'x', headers: type });
  refused(other, 415, 'API_MEDIA_TYPE', 'content-type');
  assert.match(String(other.body['message']), /application\/json/);
});

test('TEST-OTA-448 REQ-OTA-OPS-01: every code of the API table, compared with its form: has a summary, a remedy and a place', () => {
  for (const [code, entry] of Object.entries(apiCodes)) {
    assert.match(code, /^API_[A-Z_]+$/);
    assert.match(entry.decidedIn, /^packages\/server\/src\/.+\.ts#\w+$/);
    assert.ok(entry.summary.endsWith('.') && entry.remedy.endsWith('.'));
  }
});
