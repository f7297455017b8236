/** Change control and the mark of an emergency at the server: refused early without the one, shown everywhere with the other. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { canonicalBytes, parseManifest } from '@airlock/trust';
import {
  addDevice,
  approve,
  makeRelease,
  makeWorld,
  must,
  product,
  publishProduct,
  reportOf,
  uploadRelease,
  type World,
} from './support/world.ts';

let world: World;
before(async () => {
  world = await makeWorld();
  await publishProduct(world);
});
after(async () => await world.close());

const releases = `/api/v1/products/${product}/releases`;

test('TEST-OTA-1296 REQ-OTA-POL-03, REQ-OTA-OPS-01: a release without change record, an answer of its impact assessment, regulatory decision or links: 422 with the field, and nothing is stored', async () => {
  const whole = makeRelease(2);
  await uploadRelease(world, whole);
  const next = parseManifest(makeRelease(3).manifest);
  assert.ok(next.ok);
  const { change } = next.value;
  const { safety: _, ...unanswered } = change.impact;
  const wrong: [string, Record<string, unknown>][] = [
    ['change.record', { ...change, record: '' }],
    ['change.impact', { ...change, impact: 'none' }],
    ['change.impact.safety', { ...change, impact: unanswered }],
    ['change.regulatory.decision', { ...change, regulatory: { decision: ' ', reference: '' } }],
    ['change.links', { ...change, links: [] }],
    ['change.links[0]', { ...change, links: ['https://bo:secret@qms.example/1'] }],
  ];
  for (const [field, changed] of wrong) {
    const manifest = Buffer.from(canonicalBytes({ ...next.value, change: changed })).toString();
    const answer = await world.people('POST', releases, { body: { manifest } });
    assert.deepEqual(
      [answer.status, answer.body['code'], answer.body['field']],
      [422, 'OTA_MANIFEST', field],
    );
    assert.ok(!answer.bytes.includes('secret'));
  }
  assert.equal((await world.people('GET', `${releases}/3`)).status, 404);
});

test('TEST-OTA-1297 REQ-OTA-POL-01, REQ-OTA-POL-03, REQ-OTA-POL-07: an emergency release, created, assigned and reported: marked in release, assignment, device and audit log, with its change control; another release bears no mark', async () => {
  const change = parseManifest(makeRelease(4).manifest);
  assert.ok(change.ok);
  const { impact, ...rest } = change.value.change;
  const marked = makeRelease(4, {
    emergency: true,
    change: { ...rest, impact: { ...impact, cybersecurity: true, labelling: true } },
  });
  const plain = makeRelease(5);
  for (const release of [marked, plain]) await uploadRelease(world, release);
  await approve(world, 1, [marked]);
  await approve(world, 2, [marked, plain]);
  const device = await addDevice(world, 'pump-1', { emergencyAllowed: true });
  const url = '/api/v1/devices/pump-1';
  const listed = (await must(world.people('GET', releases), 200)).body['releases'] as Record<
    string,
    unknown
  >[];
  const viewOf = (version: number) => listed.find((view) => view['version'] === version);
  assert.equal(viewOf(4)?.['emergency'], true);
  assert.deepEqual(viewOf(4)?.['change'], {
    record: 'CR-1',
    touches: ['cybersecurity', 'labelling'],
    regulatory: 'letter to file',
  });
  assert.equal(viewOf(5)?.['emergency'], false);

  const assigned = await must(world.people('PUT', `${url}/assignment`, { body: { release: 4 } }), 200);
  assert.equal(assigned.body['emergency'], true);
  const attempt = {
    id: 'a'.repeat(32),
    version: 4,
    manifestSha256: 'b'.repeat(64),
    emergency: true,
  } as const;
  const body = reportOf(device, 1, { attempt, state: 'Fetching' });
  const sent = { method: 'POST', body, headers: { 'content-type': 'application/json' } };
  await must(world.device(device, '/device/v1/reports', sent), 204);
  const view = (await must(world.people('GET', url), 200)).body;
  const part = (name: string) => view[name] as Record<string, unknown>;
  assert.equal(view['emergencyAllowed'], true);
  assert.equal(part('assignment')['emergency'], true);
  assert.deepEqual((part('reported')['report'] as Record<string, unknown>)['attempt'], attempt);

  const headers = { 'if-match': String(assigned.body['etag']) };
  const other = await must(world.people('PUT', `${url}/assignment`, { body: { release: 5 }, headers }), 200);
  assert.equal(other.body['emergency'], undefined);
  const entries = (await must(world.people('GET', '/api/v1/audit/entries'), 200)).bytes.toString();
  assert.match(entries, /\\"emergency\\":true[^}]*\\"touches\\":\[\\"cybersecurity\\",\\"labelling\\"\]/);
});
