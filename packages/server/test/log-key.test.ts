/** One device's stolen log key: delivers nothing without that device's TLS key, and decides nothing with it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { encodeCheckIn } from '@airlock/protocol';
import {
  addDevice,
  approve,
  ask,
  emptyCheckIn,
  logBatch,
  makeRelease,
  makeWorld,
  must,
  publishProduct,
  reportOf,
  type TestDevice,
  uploadRelease,
  type World,
} from './support/world.ts';

let world: World;
let victim: TestDevice;
let thief: TestDevice;

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  const release = makeRelease(2);
  await uploadRelease(world, release);
  await approve(world, 1, [release]);
  victim = await addDevice(world, 'pump-1');
  thief = await addDevice(world, 'pump-2');
  for (const { id } of [victim, thief]) {
    const url = `/api/v1/devices/${id}/assignment`;
    await must(world.people('PUT', url, { body: { release: 2 } }), 200);
  }
});
after(async () => await world.close());

const checkIn = `/device/v1/check-in?${encodeCheckIn(emptyCheckIn)}`;
const reportsUrl = '/device/v1/reports';
const logUrl = '/device/v1/log';

/** What is stored of a device: its reports, its log's entries and findings. */
async function storedOf({ id }: TestDevice) {
  const reports = await must(world.people('GET', `/api/v1/devices/${id}/reports`), 200);
  const log = await must(world.people('GET', `/api/v1/devices/${id}/log`), 200);
  const lengthOf = (value: unknown) => (Array.isArray(value) ? value.length : undefined);
  return {
    reports: lengthOf(reports.body['reports']),
    entries: lengthOf(log.body['entries']),
    findings: lengthOf(log.body['findings']),
  };
}

/** Everything a device is told but for timestamps, which are signed anew each second. */
async function toldTo(device: TestDevice) {
  const { body } = await must(world.device(device, checkIn), 200);
  const files = Object.entries(body['files'] ?? {}).filter(([name]) => !name.endsWith('/timestamp.json'));
  assert.ok(files.length > 0);
  return { etag: body['etag'], files: Object.fromEntries(files) };
}

test("TEST-OTA-850 REQ-OTA-SIGN-04, REQ-OTA-LOG-03, REQ-OTA-NET-02: one device's log key stolen: forged reports and log are refused without its TLS key, stored with it, and change nothing that any device is told", async () => {
  const nothing = { reports: 0, entries: 0, findings: 0 };
  const told = [await toldTo(victim), await toldTo(thief)];
  const floor = { version: 9, manifestSha256: 'b'.repeat(64) };
  const report = reportOf(victim, 1, { floor: 9, confirmed: floor, booted: floor });
  const { batch } = logBatch(victim, 1, 3, '0'.repeat(64), 'forged');

  // No TLS key: no connection. The body may be on its way when the socket ends.
  for (const [url, body] of [
    [reportsUrl, report],
    [logUrl, batch],
  ] as const) {
    const sent = ask(world.server.deviceUrl + url, world.authority.certificate, { method: 'POST', body });
    await assert.rejects(sent, { code: /^(ECONNRESET|EPIPE)$/ });
  }
  // The thief's own device is the best connection to be had: it speaks for itself only.
  const refusals = [
    [reportsUrl, report, 403, 'API_NOT_YOURS'],
    [reportsUrl, reportOf({ ...thief, logKey: victim.logKey }, 1), 422, 'OTA_BAD_SIGNATURE'],
    [logUrl, batch, 422, 'OTA_BAD_SIGNATURE'],
    [logUrl, logBatch({ ...victim, logKey: thief.logKey }, 1, 3, '0'.repeat(64)).batch, 403, 'API_NOT_YOURS'],
  ] as const;
  for (const [url, body, status, code] of refusals) {
    const answer = await must(world.device(thief, url, { method: 'POST', body }), status);
    assert.equal(answer.body['code'], code);
  }
  assert.deepEqual([await storedOf(victim), await storedOf(thief)], [nothing, nothing]);

  // The missing key: with the victim's TLS key the same bytes are believed.
  await must(world.device(victim, reportsUrl, { method: 'POST', body: report }), 204);
  await must(world.device(victim, logUrl, { method: 'POST', body: batch }), 200);
  assert.deepEqual(await storedOf(victim), { reports: 1, entries: 3, findings: 0 });
  assert.deepEqual(await storedOf(thief), nothing);
  assert.deepEqual([await toldTo(victim), await toldTo(thief)], told);
  // Harm at most, with both keys: the server withholds what lies below the forged floor. That is delay.
  const url = `/api/v1/devices/${victim.id}/assignment`;
  const current = await must(world.people('GET', url), 200);
  const headers = { 'if-match': String(current.body['etag']) };
  const withheld = await world.people('PUT', url, { body: { release: 2, rollout: 'again' }, headers });
  assert.equal(withheld.body['code'], 'OTA_NOT_ABOVE_FLOOR');
  // The device's own log contradicts the forged one: found, and both are kept.
  const own = logBatch(victim, 1, 2, '0'.repeat(64), 'own').batch;
  await must(world.device(victim, logUrl, { method: 'POST', body: own }), 200);
  assert.equal((await storedOf(victim)).findings, 1);
});

test("TEST-OTA-851 REQ-OTA-SIGN-04, REQ-OTA-NET-02: one device's TLS key stolen, without its log key: reports and log heads are refused, its own metadata is all there is to fetch", async () => {
  const stored = [await storedOf(victim), await storedOf(thief)];
  const forger = { ...victim, logKey: thief.logKey };
  const report = await world.device(victim, reportsUrl, { method: 'POST', body: reportOf(forger, 7) });
  assert.deepEqual([report.status, report.body['code']], [422, 'OTA_BAD_SIGNATURE']);
  const { batch } = logBatch(forger, 1, 3, '0'.repeat(64), 'hidden');
  const log = await world.device(victim, logUrl, { method: 'POST', body: batch });
  assert.deepEqual([log.status, log.body['code']], [422, 'OTA_BAD_SIGNATURE']);
  assert.deepEqual([await storedOf(victim), await storedOf(thief)], stored);
  const [mine, other] = [await toldTo(victim), await toldTo(thief)];
  assert.notDeepEqual(mine.files, other.files);
});
