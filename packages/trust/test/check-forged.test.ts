/** Role files that are validly signed and that tuf-js accepts, refused by their form: whoever holds the key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { approvedRelease } from './support/device.ts';
import { forgeQualityRaw, forgeTargets, objectOf, targetEntry, targetsOf } from './support/forging.ts';
import { day, forge, type Json, sha256, signedOf, start } from './support/signing.ts';

test('TEST-OTA-157 REQ-OTA-POL-02, REQ-OTA-SIGN-04: one key in two encodings, offered as two keys of a role: refused', () => {
  const { company, device } = approvedRelease();
  const delegations = objectOf(targetsOf(company)['delegations']);
  const [signer] = company.function('quality').signers;
  assert.ok(signer);
  const { keyId, keyval } = signer.publicKey;
  const upper = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: keyval.public.toUpperCase() } };
  const pem = {
    keytype: 'ed25519',
    scheme: 'ed25519',
    keyval: { public: `-----BEGIN PUBLIC KEY-----\n${keyval.public}` },
  };
  for (const [otherId, other] of [
    ['a'.repeat(64), upper],
    ['b'.repeat(64), pem],
    ['c'.repeat(64), { ...upper, keyval }],
  ] as const) {
    const roles: unknown = delegations['roles'];
    assert.ok(Array.isArray(roles));
    const changed = roles.map((role: Json) =>
      role['name'] === 'quality' ? { ...role, keyids: [keyId, otherId], threshold: 2 } : role,
    );
    const keys = { ...objectOf(delegations['keys']), [otherId]: other };
    forgeTargets(company, { delegations: { ...delegations, keys, roles: changed } });
    assert.equal(device.check().code, 'OTA_BAD_METADATA');
    assert.equal(device.kept()['targets'], undefined);
    company.imageVersion.targets += 1;
  }
});

test("TEST-OTA-160 REQ-OTA-MAN-02, REQ-OTA-SIGN-02: role files that tuf-js accepts, forged one oddity at a time by the role's own key: each refused", () => {
  const { company, device } = approvedRelease();
  device.check();
  const bytes = company.manifest(12);
  const entry = (changes: Json) => ({
    targets: { 'quality/12.json': { ...targetEntry(bytes), ...changes } },
  });
  const odd: Json[] = [
    { version: -5 },
    { version: 2 ** 53 },
    { expires: '2027-05-01T00:00:00' },
    { expires: '2027-05-01' },
    entry({ hashes: {} }),
    entry({ hashes: { md5: 'd41d8cd98f00b204e9800998ecf8427e' } }),
    entry({ hashes: { sha256: sha256(bytes).toUpperCase() } }),
    { targets: { 'quality/12.json': { hashes: { sha256: sha256(bytes) } } } },
    {
      targets: {
        'quality/12.json': { ...targetEntry(bytes) },
        'engineering/12.json': { ...targetEntry(bytes) },
      },
    },
    { targets: { 'quality/012.json': { ...targetEntry(bytes) } } },
    { 'x-airlock': { repository: 'image', product: 'infusion-pump', function: '../x' } },
  ];
  for (const changes of odd) {
    forgeQualityRaw(company, changes);
    const { code, verdict } = device.check();
    assert.match(code, /^OTA_BAD_METADATA$/, JSON.stringify(changes));
    assert.ok(verdict?.kind === 'refused');
    assert.match(verdict.error.message, /quality|snapshot/);
    assert.equal(device.kept()['quality'], 1);
  }
});

test('TEST-OTA-168 REQ-OTA-SIGN-04, REQ-OTA-MAN-02: targets, signed by its own keys with delegations of another shape: refused, and not kept', () => {
  const { company, device } = approvedRelease();
  device.check();
  const delegations = objectOf(targetsOf(company)['delegations']);
  const roles: unknown = delegations['roles'];
  assert.ok(Array.isArray(roles));
  const [first, ...others] = roles.map(objectOf);
  const role = objectOf(first);
  const shapes: Json[] = [
    { terminating: false },
    { paths: ['engineering/*', 'quality/*'] },
    { paths: ['*'] },
    { paths: [] },
    { name: '../x' },
    { name: 'snapshot' },
    { threshold: 0 },
    { threshold: 2 },
    { keyids: ['a'.repeat(64)] },
    { path_hash_prefixes: ['00'] },
  ];
  const changed: Json[] = shapes.map((shape) => ({
    ...delegations,
    roles: [{ ...role, ...shape }, ...others],
  }));
  const succinct = { keyids: role['keyids'], threshold: 1, bit_length: 1, name_prefix: 'quality' };
  changed.push({ ...delegations, roles: [role, role, ...others] });
  changed.push({ ...delegations, roles: [], succinct_roles: succinct });
  for (const next of changed) {
    forgeTargets(company, { delegations: next });
    const { code, requests } = device.check();
    assert.match(code, /^OTA_BAD_(DELEGATION|METADATA)$/, JSON.stringify(next['roles']));
    assert.equal(device.kept()['targets'], 1);
    assert.ok(!requests.some((path) => path.includes('engineering')));
    company.imageVersion.targets += 1;
  }
});

test('TEST-OTA-201 REQ-OTA-POL-01, REQ-OTA-ROLL-02: a function that targets no longer names: its text is dropped, its numbers are not, and what demands it is refused', () => {
  const { company, device } = approvedRelease();
  company.approve('engineering', 13);
  company.publish();
  company.withdraw('engineering', 13);
  company.publish();
  device.check();
  const { file, ...engineering } = company.function('engineering');
  assert.ok(file);
  company.functions.delete('engineering');
  company.touchTargets();
  company.forged.set('engineering', file);
  company.publish();
  assert.equal(device.check().code, 'OTA_DEMAND_UNKNOWN');
  assert.equal(device.state.image.roles['engineering'], undefined);
  assert.equal(device.kept()['engineering'], engineering.version);
  company.functions.set('engineering', { ...engineering, file });
  company.touchTargets();
  company.publish();
  assert.equal(device.check().code, 'approved');
});

test('TEST-OTA-202 REQ-OTA-SIGN-07: a policy of another product, signed into this one: refused', () => {
  const { company, device } = approvedRelease();
  company.policyChanges = { product: 'ventilator' };
  company.touchTargets();
  company.publish();
  assert.equal(device.check().code, 'OTA_WRONG_BINDING');
  assert.equal(device.state.policy, undefined);
});

test("TEST-OTA-203 REQ-OTA-ROLL-03: the director's expired targets, under fresh snapshot and timestamp: install nothing", () => {
  const { company, device } = approvedRelease();
  const targets = company.directorFiles.get('1.targets.json');
  assert.ok(targets);
  company.now = start + 31 * day;
  for (const name of company.functions.keys()) company.function(name).expires = company.now + day;
  company.publish();
  company.publishDirector('pump-1', targets);
  const { code, verdict } = device.check();
  assert.equal(code, 'OTA_EXPIRED');
  assert.ok(verdict?.kind === 'refused' && verdict.error.field === 'targets');
});

test('TEST-OTA-204 REQ-OTA-SIGN-04: a snapshot with another number than its timestamp says, both signed by stolen online keys: refused, and not kept', () => {
  const { company, device } = approvedRelease();
  const snapshot = forge(
    { ...signedOf(company.imageFiles.get('1.snapshot.json')), version: 3 },
    company.image.snapshot,
  );
  const meta = { 'snapshot.json': { version: 2, ...targetEntry(snapshot) } };
  const timestamp = { ...signedOf(company.imageFiles.get('timestamp.json')), version: 2, meta };
  company.imageFiles.set('2.snapshot.json', snapshot);
  company.imageFiles.set('timestamp.json', forge(timestamp, company.image.timestamp));
  assert.equal(device.check().code, 'OTA_BAD_METADATA');
  assert.deepEqual(device.kept(), { root: 1 });
});
