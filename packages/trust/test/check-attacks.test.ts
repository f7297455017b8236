/**
 * What an unmodified tuf-js accepts, refused: the attacks that a reading of it found, each against the whole check.
 *
 * Each asserts the code, what is kept afterwards, and what was asked for. The attacker holds exactly the keys that the
 * test gives to `forge`.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRaw, trustLimits } from '../src/index.ts';
import { approvedRelease, newDevice } from './support/device.ts';
import { Company } from './support/repository.ts';
import { forgeQuality, forgeTargets, objectOf, targetEntry, targetsOf } from './support/forging.ts';
import { day, forge, newSigner, sha256, signedOf, start } from './support/signing.ts';

const roots = ['image/2.root.json', 'director/2.root.json'];

test('TEST-OTA-150 REQ-OTA-SIGN-01, REQ-OTA-SIGN-03: a release, approved by every function and assigned: approved after 13 requests and three kept states, and again with nothing asked anew', () => {
  const { device } = approvedRelease();
  const first = device.check();
  assert.equal(first.code, 'approved');
  assert.deepEqual(
    first.requests.map((path) => path.replace(/[0-9a-f]{64}/, '<hash>')),
    [
      ...roots,
      'image/timestamp.json',
      'image/1.snapshot.json',
      'director/timestamp.json',
      'director/1.snapshot.json',
      'image/1.targets.json',
      'image/targets/<hash>.policy.json',
      'image/1.engineering.json',
      'image/1.quality.json',
      'image/1.regulatory-us.json',
      'director/1.targets.json',
      'image/targets/engineering/<hash>.12.json',
    ],
  );
  assert.equal(first.keeps, 3);
  assert.ok(first.verdict?.kind === 'approved');
  assert.deepEqual(first.verdict.demand, { engineering: 1, quality: 1, 'regulatory-us': 1 });
  assert.equal(first.verdict.manifest.version, 12);
  assert.equal(first.verdict.validUntil, start + day);
  const again = device.check();
  assert.equal(again.code, 'approved');
  assert.deepEqual(again.requests, [...roots, 'image/timestamp.json', 'director/timestamp.json']);
  assert.equal(again.keeps, 0);
  assert.equal(device.check({ offline: true }).code, 'approved');
});

test('TEST-OTA-151 REQ-OTA-SIGN-04, REQ-OTA-POL-01: targets, listing a release path of each function itself: refused, and nothing of it is kept', () => {
  const { company, device } = approvedRelease();
  device.check();
  const bytes = company.release(13);
  company.imageFiles.set(`targets/engineering/${sha256(bytes)}.13.json`, bytes);
  const lists = ['engineering', 'quality', 'regulatory-us'].map((name) => [
    `${name}/13.json`,
    targetEntry(bytes),
  ]);
  forgeTargets(company, {
    targets: { ...Object.fromEntries(lists), ...objectOf(targetsOf(company)['targets']) },
  });
  company.assign('pump-1', 13, { bytes });
  const { code, requests } = device.check();
  assert.equal(code, 'OTA_BAD_METADATA');
  assert.equal(device.kept()['targets'], 1);
  assert.equal(device.kept()['snapshot'], 2);
  assert.ok(!requests.some((path) => path.includes('engineering')));
});

test('TEST-OTA-152 REQ-OTA-POL-02: quality, delegating its path onward to the engineering key: its role is refused, the others load', () => {
  const { company, device } = approvedRelease();
  device.check();
  const [engineer] = company.function('engineering').signers;
  assert.ok(engineer);
  const key = { keytype: 'ed25519', scheme: 'ed25519', keyval: engineer.publicKey.keyval };
  const { keyId } = engineer.publicKey;
  const role = { name: 'helper', keyids: [keyId], threshold: 1, terminating: true, paths: ['quality/*'] };
  forgeQuality(company, { delegations: { keys: { [keyId]: key }, roles: [role] } });
  company.approve('engineering', 13);
  company.publish();
  const { code, requests } = device.check();
  assert.equal(code, 'OTA_BAD_DELEGATION');
  assert.equal(device.kept()['quality'], 1);
  assert.equal(device.kept()['engineering'], 2);
  assert.ok(!requests.some((path) => path.includes('helper')));
});

test("TEST-OTA-153 REQ-OTA-SIGN-07: another device's director metadata with version 9000: refused before anything is stored, and the device's own still counts", () => {
  const { company, device } = approvedRelease();
  device.check();
  const own = new Map(company.directorFiles);
  company.directorVersion = { root: 1, targets: 8999, snapshot: 8999, timestamp: 8999 };
  company.assign('pump-2', 12);
  const { code, requests } = device.check();
  assert.equal(code, 'OTA_WRONG_BINDING');
  assert.deepEqual(requests, [...roots, 'image/timestamp.json', 'director/timestamp.json']);
  assert.deepEqual(device.kept('director'), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
  company.directorFiles = own;
  assert.equal(device.check().code, 'approved');
});

test('TEST-OTA-154 REQ-OTA-SIGN-07: image metadata of another product under the same keys: refused before anything is stored', () => {
  const { company, device } = approvedRelease();
  const other = new Company('ventilator');
  other.image = company.image;
  other.imageVersion = { root: 1, targets: 50, snapshot: 50, timestamp: 50 };
  other.publish();
  const { code } = device.check({
    answers: { 'image/timestamp.json': other.imageFiles.get('timestamp.json') },
  });
  assert.equal(code, 'OTA_WRONG_BINDING');
  assert.deepEqual(device.kept(), { root: 1 });
});

test('TEST-OTA-155 REQ-OTA-ROLL-02: the same version with other bytes, of timestamp, snapshot and function: refused, the first stays', () => {
  const { company, device } = approvedRelease();
  device.check();
  company.publishTimestamp({ version: 1, issued: start + 5 });
  assert.equal(device.check().code, 'OTA_SAME_VERSION_CHANGED');
  assert.equal(device.kept()['timestamp'], 1);

  company.imageVersion.snapshot = 0;
  company.life.snapshot = 6 * day;
  company.publish();
  assert.equal(device.check().code, 'OTA_SAME_VERSION_CHANGED');

  company.imageVersion.snapshot = 1;
  const { file, signers } = company.function('quality');
  company.forged.set('quality', forge({ ...signedOf(file), targets: {} }, signers));
  company.publish();
  const { code } = device.check();
  assert.equal(code, 'OTA_SAME_VERSION_CHANGED');
  assert.match(device.state.image.roles['quality'] ?? '', /quality\/12\.json/);
});

test('TEST-OTA-156 REQ-OTA-ROLL-02: a role that leaves the snapshot: the snapshot is refused and the held one stays', () => {
  const { company, device } = approvedRelease();
  device.check();
  const { file } = company.function('engineering');
  const targets = company.imageFiles.get('1.targets.json');
  assert.ok(file && targets);
  company.publishSnapshot({ targets, engineering: file });
  company.publishTimestamp();
  const { code, requests } = device.check();
  assert.equal(code, 'OTA_ROLLBACK_METADATA');
  assert.equal(requests.at(-1), 'director/timestamp.json');
  assert.deepEqual([device.kept()['timestamp'], device.kept()['snapshot']], [1, 1]);
  assert.equal(device.check({ offline: true }).code, 'approved');
});

test('TEST-OTA-158 REQ-OTA-ROLL-02, REQ-OTA-SIGN-05: a stolen function key that signed version 2^31: cured by a new function key together with new snapshot and timestamp keys, not by less', () => {
  const { company, device } = approvedRelease();
  device.check();
  forgeQuality(company, { version: 2 ** 31 });
  assert.equal(device.check().code, 'approved');
  assert.equal(device.kept()['quality'], 2 ** 31);

  company.forged.clear();
  company.rekey('quality', [newSigner()]);
  company.publish();
  assert.equal(device.check().code, 'OTA_ROLLBACK_METADATA', 'the old snapshot still pins the number');

  const old = [...company.image.root];
  company.image = { ...company.image, snapshot: [newSigner()], timestamp: [newSigner()] };
  company.publishRoot(old);
  company.publish();
  assert.equal(device.check().code, 'approved');
  assert.equal(device.kept()['quality'], company.function('quality').version);
});

test('TEST-OTA-159 REQ-OTA-ROLL-02, REQ-OTA-POL-05: new online keys alone: bring back neither an older role nor a withdrawn release', () => {
  const { company, device } = approvedRelease();
  device.check();
  const before = company.function('quality').file;
  company.withdraw('quality', 12);
  company.publish();
  assert.equal(device.check().code, 'OTA_WITHDRAWN');
  company.image = { ...company.image, snapshot: [newSigner()], timestamp: [newSigner()] };
  company.publishRoot(company.image.root);
  const targets = company.imageFiles.get('1.targets.json');
  const [engineering, regulatory] = [
    company.function('engineering').file,
    company.function('regulatory-us').file,
  ];
  assert.ok(before && targets && engineering && regulatory);
  company.publishSnapshot({ targets, engineering, quality: before, 'regulatory-us': regulatory });
  company.publishTimestamp();
  assert.equal(device.check().code, 'OTA_WITHDRAWN');
  assert.equal(device.kept()['quality'], 2);
  assert.equal(device.kept()['root'], 2);
});

test('TEST-OTA-161 REQ-OTA-MAN-02: a role with a duplicate JSON key, signed by its own key: refused', () => {
  const { company, device } = approvedRelease();
  const timestamp = Buffer.from(company.imageFiles.get('timestamp.json') ?? []).toString('utf8');
  const twice = timestamp.replace('"version":1,', '"version":9,"version":1,');
  assert.notEqual(twice, timestamp);
  const { code } = device.check({ answers: { 'image/timestamp.json': Buffer.from(twice) } });
  assert.equal(code, 'OTA_BAD_JSON');
  assert.deepEqual(device.kept(), { root: 1 });
});

test('TEST-OTA-162 REQ-OTA-NET-04: an unsigned root of 486 kB: refused by its length, asked for with the limit', () => {
  const { device } = approvedRelease();
  const huge = Buffer.from(JSON.stringify({ signatures: [], signed: { pad: 'x'.repeat(486_000) } }));
  const { code, requests } = device.check({ answers: { 'image/2.root.json': huge } });
  assert.equal(code, 'OTA_TOO_LARGE');
  assert.deepEqual(requests, [
    ...roots,
    'director/timestamp.json',
    'director/1.snapshot.json',
    'director/1.targets.json',
  ]);
  assert.equal(parseRaw(huge, trustLimits.rootBytesMax, 'root').ok, false);
});

test('TEST-OTA-163 REQ-OTA-NET-04: a timestamp that gives its snapshot 5 GB, signed by the stolen online key: refused, the snapshot is not asked for', () => {
  const { company, device } = approvedRelease();
  const signed = signedOf(company.imageFiles.get('timestamp.json'));
  const meta = { 'snapshot.json': { version: 1, length: 5e9, hashes: { sha256: 'a'.repeat(64) } } };
  company.imageFiles.set('timestamp.json', forge({ ...signed, meta }, company.image.timestamp));
  const { code, requests } = device.check();
  assert.equal(code, 'OTA_BAD_METADATA');
  assert.ok(!requests.includes('image/1.snapshot.json'));
});

test('TEST-OTA-164 REQ-OTA-POL-09: a policy without regulatory, and a quality threshold of 1 where the root asks 2: the minimum in the root stands', () => {
  const company = new Company();
  company.policyChanges = { markets: { us: {}, eu: {} } };
  company.approve('engineering', 12);
  company.approve('quality', 12);
  company.publish();
  company.assign('pump-1', 12);
  const device = newDevice(company, 'pump-1');
  const unapproved = device.check();
  assert.equal(unapproved.code, 'OTA_NOT_APPROVED');
  assert.ok(unapproved.verdict?.kind === 'refused');
  assert.equal(unapproved.verdict.error.field, 'regulatory-us');

  const strict = new Company();
  strict.minimum = { ...strict.minimum, classes: { C: { engineering: 1, quality: 2 } } };
  strict.publishRoot(strict.image.root);
  strict.approveByAll(12);
  strict.publish();
  strict.assign('pump-1', 12);
  assert.equal(newDevice(strict, 'pump-1').check().code, 'OTA_BELOW_MINIMUM');
});

test('TEST-OTA-165 REQ-OTA-ROLL-02: a server restored from an older backup: its lower versions are refused, what is held stays in force', () => {
  const { company, device } = approvedRelease();
  const backup = new Map(company.imageFiles);
  const director = new Map(company.directorFiles);
  device.check();
  company.approve('engineering', 13);
  company.publish();
  company.assign('pump-1', 12);
  assert.equal(device.check().code, 'approved');
  company.imageFiles = backup;
  company.directorFiles = director;
  const { code, requests } = device.check();
  assert.equal(code, 'OTA_ROLLBACK_METADATA');
  assert.deepEqual(requests, [...roots, 'image/timestamp.json', 'director/timestamp.json']);
  assert.equal(device.kept()['engineering'], 2);
  assert.equal(device.check({ offline: true }).code, 'approved');
});

test('TEST-OTA-166 REQ-OTA-POL-05, REQ-OTA-SIGN-05: a refused release: does not bring back a withdrawn one, nor a revoked online key, also after a restart', () => {
  const { company, device } = approvedRelease();
  device.check();
  const stale = new Map(company.imageFiles);
  const revoked = company.image.timestamp;
  company.withdraw('quality', 12);
  company.image = { ...company.image, timestamp: [newSigner()] };
  company.publishRoot(company.image.root);
  company.publish();
  assert.equal(device.check().code, 'OTA_WITHDRAWN');
  // The attacker serves what was before the withdrawal, and has the revoked key to sign it anew.
  for (const [path, file] of stale) company.imageFiles.set(path, file);
  company.imageVersion.timestamp = 50;
  company.imageVersion.snapshot = 1;
  company.publishTimestamp({ signers: revoked });
  const { code, requests } = device.check();
  assert.equal(code, 'OTA_BAD_SIGNATURE');
  assert.equal(requests[0], 'image/3.root.json');
  assert.equal(device.kept()['root'], 2);
  assert.equal(device.check({ offline: true }).code, 'OTA_WITHDRAWN');
});

test('TEST-OTA-167 REQ-OTA-ROLL-03: an expired function role: stops only what demands it, the others load', () => {
  const company = new Company();
  company.addFunction('regulatory-eu');
  company.minimum = {
    ...company.minimum,
    markets: { us: { 'regulatory-us': 1 }, eu: { 'regulatory-eu': 1 } },
  };
  company.policyChanges = { markets: company.minimum.markets };
  company.publishRoot(company.image.root);
  company.function('regulatory-eu').expires = start + day;
  company.approveByAll(12);
  company.publish();
  company.now = start + 2 * day;
  company.publish();
  company.assign('pump-1', 12);
  assert.equal(newDevice(company, 'pump-1').check().code, 'approved');
  const european = newDevice(company, 'pump-1', { market: 'eu' });
  const refused = european.check();
  assert.equal(refused.code, 'OTA_EXPIRED');
  assert.ok(refused.verdict?.kind === 'refused');
  assert.equal(refused.verdict.error.field, 'regulatory-eu');
});
