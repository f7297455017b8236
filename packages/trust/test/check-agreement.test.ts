/** Agreement, withdrawal, signed time, order of keeping and device records: what decides on one release. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { heldDeviceRecord, newTrustState, trustLimits, updateDeviceRecord } from '../src/index.ts';
import { approvedRelease, newDevice } from './support/device.ts';
import { day, newSigner, sha256, start } from './support/signing.ts';

test('TEST-OTA-180 REQ-OTA-POL-05: a withdrawn release: stays withdrawn after a restart, in held metadata, and when it is listed again', () => {
  const { company, device } = approvedRelease();
  device.check();
  company.withdraw('regulatory-us', 12);
  company.publish();
  const seen = device.check();
  assert.equal(seen.code, 'OTA_WITHDRAWN');
  assert.ok(seen.verdict?.kind === 'refused' && seen.verdict.version === 12);
  assert.deepEqual(device.state.withdrawn, [sha256(company.manifest(12))]);
  assert.equal(device.check({ offline: true }).code, 'OTA_WITHDRAWN');
  company.approve('regulatory-us', 12);
  company.publish();
  assert.equal(device.check().code, 'OTA_WITHDRAWN');
  assert.equal(newDevice(company, 'pump-1').check().code, 'approved', 'another device never saw it');
});

test('TEST-OTA-181 REQ-OTA-POL-05: more withdrawals than are remembered: the newest stay', () => {
  const { company, device } = approvedRelease();
  const count = trustLimits.withdrawnMax + 6;
  for (let version = 100; version < 100 + count; version += 1) company.approve('quality', version);
  company.publish();
  device.check();
  for (let version = 100; version < 100 + count; version += 1) company.withdraw('quality', version);
  company.publish();
  device.check();
  assert.equal(device.state.withdrawn.length, trustLimits.withdrawnMax);
  assert.equal(device.state.withdrawn.at(-1), sha256(company.manifest(99 + count)));
});

test('TEST-OTA-182 REQ-OTA-SIGN-01, REQ-OTA-SIGN-02: files that are not served or damaged: refused by name, and fetched again', () => {
  const { company, device } = approvedRelease();
  const manifest = `targets/engineering/${sha256(company.manifest(12))}.12.json`;
  const rows = [
    ['image/timestamp.json', 'OTA_MISSING_FILE', 'OTA_BAD_JSON'],
    ['image/1.snapshot.json', 'OTA_MISSING_FILE', 'OTA_HASH_MISMATCH'],
    ['image/1.targets.json', 'OTA_MISSING_FILE', 'OTA_HASH_MISMATCH'],
    ['image/1.quality.json', 'OTA_MISSING_FILE', 'OTA_HASH_MISMATCH'],
    ['director/1.targets.json', 'OTA_MISSING_FILE', 'OTA_HASH_MISMATCH'],
    [`image/${manifest}`, 'OTA_MISSING_FILE', 'OTA_HASH_MISMATCH'],
  ] as const;
  for (const [path, missing, damaged] of rows) {
    const gone = newDevice(company, 'pump-1').check({ answers: { [path]: undefined } });
    assert.equal(gone.code, missing, path);
    const bent = newDevice(company, 'pump-1').check({ answers: { [path]: Buffer.from('{"a":1} ') } });
    assert.equal(bent.code, damaged, path);
  }
  assert.equal(device.check({ answers: { 'image/1.quality.json': undefined } }).code, 'OTA_MISSING_FILE');
  const again = device.check();
  assert.equal(again.code, 'approved');
  assert.deepEqual(again.requests.slice(4), ['image/1.quality.json', `image/${manifest}`]);
});

test('TEST-OTA-183 REQ-OTA-NET-05, REQ-OTA-ROLL-03: a timestamp that lives longer than a week: counts in a bundle, not from the network', () => {
  const { company, device } = approvedRelease();
  company.publishTimestamp({ life: 30 * day });
  const { code, requests } = device.check();
  assert.equal(code, 'OTA_TIMESTAMP_LIFE');
  assert.ok(!requests.includes('image/1.snapshot.json'));
  assert.equal(device.check({ source: 'bundle' }).code, 'approved');
  assert.equal(device.check({ offline: true }).code, 'OTA_TIMESTAMP_LIFE');
  assert.equal(device.check({ offline: true, source: 'bundle' }).code, 'approved');
});

test('TEST-OTA-184 REQ-OTA-ROLL-06: signed moments: raise the lower bound, judge expiry even if the clock stands still, and end with the root', () => {
  const { company, device } = approvedRelease();
  device.check();
  assert.equal(device.state.timeLowerBound, start);
  company.function('quality').expires = start + 5 * day;
  company.approve('quality', 14);
  company.publish();
  company.now = start + 6 * day;
  company.publishTimestamp();
  company.publishDirectorTimestamp('pump-1');
  const late = device.check({ now: 0 });
  assert.equal(late.code, 'OTA_EXPIRED');
  assert.equal(device.state.timeLowerBound, start + 6 * day);
  // A stolen timestamp key cannot lock the device out for longer than the offline root says.
  company.publishTimestamp({ issued: start + 400 * day });
  assert.equal(device.check({ now: 0 }).code, 'OTA_EXPIRED');
  assert.equal(device.state.timeLowerBound, start + 6 * day);
});

test('TEST-OTA-185 REQ-OTA-ROLL-06: a director timestamp newer than an image role: the role counts as expired, whatever the clock says', () => {
  const { company, device } = approvedRelease();
  company.now = start + 2 * day;
  company.publishDirectorTimestamp('pump-1');
  assert.equal(device.check({ now: start }).code, 'OTA_EXPIRED');
});

test('TEST-OTA-186 REQ-OTA-SIGN-03: director and image repository that do not agree: refused', () => {
  const { company, device } = approvedRelease();
  company.assign('pump-1', 12, { bytes: company.release(12, { notes: 'another' }) });
  assert.equal(device.check().code, 'OTA_AGREEMENT');
  company.assign('pump-1', 12, { product: 'ventilator' });
  assert.equal(device.check().code, 'OTA_WRONG_PRODUCT');
  company.assign('pump-1', 77);
  const unapproved = device.check();
  assert.equal(unapproved.code, 'OTA_NOT_APPROVED');
  assert.ok(!unapproved.requests.some((path) => path.includes('77.json')));
  const wrong = company.release(15, { version: 16 });
  company.approveByAll(15);
  company.publish();
  company.assign('pump-1', 15, { bytes: wrong });
  assert.equal(device.check().code, 'OTA_AGREEMENT');
});

test('TEST-OTA-187 REQ-OTA-SIGN-03: a director that names nothing: no verdict to install, and the held manifest is dropped', () => {
  const { company, device } = approvedRelease();
  device.check();
  assert.ok(device.state.manifest);
  company.assign('pump-1', undefined);
  assert.equal(device.check().code, 'none');
  assert.equal(device.state.manifest, undefined);
});

test('TEST-OTA-188 REQ-OTA-APPLY-03, REQ-OTA-ROLL-02: power lost before each state is durable: the next check ends the same', () => {
  for (let keepsMax = 0; keepsMax <= 4; keepsMax += 1) {
    const { company, device } = approvedRelease();
    device.check();
    company.image = { ...company.image, timestamp: [newSigner()] };
    company.publishRoot(company.image.root);
    company.withdraw('quality', 12);
    company.approveByAll(13);
    company.publish();
    company.assign('pump-1', 12);
    const cut = device.check({ keepsMax });
    assert.equal(cut.code, keepsMax < 4 ? 'power lost' : 'OTA_WITHDRAWN');
    if (keepsMax >= 2) assert.notEqual(device.check({ offline: true }).code, 'approved');
    assert.equal(device.check().code, 'OTA_WITHDRAWN');
    assert.equal(device.kept()['quality'], 2);
  }
});

test('TEST-OTA-189 REQ-OTA-POL-01: device records: only signed ones with a higher number replace the held one', () => {
  const { company, device } = approvedRelease();
  const { identity, state } = device;
  const next = company.deviceRecord('pump-1', { number: 2, market: 'eu' });
  const updated = updateDeviceRecord(state, next, identity);
  assert.ok(updated.ok);
  const held = heldDeviceRecord(updated.value);
  assert.ok(held.ok && held.value.market === 'eu');
  const refused = [
    company.deviceRecord('pump-1', { number: 1, market: 'eu' }),
    company.deviceRecord('pump-2', { number: 9 }),
    company.deviceRecord('pump-1', { number: 9 }, [newSigner()]),
    '{}',
  ];
  for (const record of refused) assert.equal(updateDeviceRecord(updated.value, record, identity).ok, false);
  assert.deepEqual(updateDeviceRecord(updated.value, next, identity), updated);
  const root = company.imageFiles.get('1.root.json');
  const text = Buffer.from(root ?? []).toString('utf8');
  const swapped = newTrustState({
    identity,
    imageRoot: text,
    directorRoot: text,
    deviceRecord: next,
    builtAt: start,
  });
  assert.ok(!swapped.ok && swapped.error.code === 'OTA_WRONG_BINDING');
});

test('TEST-OTA-190 REQ-OTA-SIGN-05: provisioning keys that a newer root no longer names: the held record installs nothing', () => {
  const { company, device } = approvedRelease();
  company.provisioning = [newSigner()];
  company.publishRoot(company.image.root);
  assert.equal(device.check().code, 'OTA_DEVICE_RECORD');
  const next = updateDeviceRecord(
    device.state,
    company.deviceRecord('pump-1', { number: 2 }),
    device.identity,
  );
  assert.ok(next.ok);
  device.state = next.value;
  assert.equal(device.check().code, 'approved');
});

test('TEST-OTA-199 REQ-OTA-ROLL-02: a timestamp, signed by its stolen key, that names an older snapshot: refused before that is asked for', () => {
  const { company, device } = approvedRelease();
  company.publish();
  device.check();
  company.imageVersion.snapshot = 1;
  company.publishTimestamp();
  const { code, requests } = device.check();
  assert.equal(code, 'OTA_ROLLBACK_METADATA');
  assert.ok(!requests.includes('image/1.snapshot.json'));
  assert.deepEqual([device.kept()['timestamp'], device.kept()['snapshot']], [2, 2]);
});

test('TEST-OTA-200 REQ-OTA-SIGN-05, REQ-OTA-ROLL-02: new timestamp keys alone: forget the numbers of timestamp and snapshot, and no name may leave the snapshot meanwhile', () => {
  const { company, device } = approvedRelease();
  company.imageVersion.snapshot = 2 ** 40;
  company.imageVersion.timestamp = 2 ** 40;
  company.publish();
  assert.equal(device.check().code, 'approved');
  company.image = { ...company.image, timestamp: [newSigner()] };
  company.publishRoot(company.image.root);
  company.imageVersion.snapshot = 5;
  company.imageVersion.timestamp = 5;
  const targets = company.imageFiles.get('1.targets.json');
  assert.ok(targets);
  company.publishSnapshot({ targets });
  company.publishTimestamp();
  assert.equal(device.check().code, 'OTA_ROLLBACK_METADATA');
  assert.deepEqual([device.kept()['timestamp'], device.kept()['engineering']], [undefined, 1]);
  company.publish();
  assert.equal(device.check().code, 'approved');
  assert.deepEqual([device.kept()['timestamp'], device.kept()['snapshot']], [7, 7]);
});
