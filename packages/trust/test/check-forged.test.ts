/** Role files that are validly signed and that tuf-js accepts, refused by their form: whoever holds the key. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { approvedRelease } from './support/device.ts';
import { forgeQualityRaw, forgeTargets, objectOf, targetEntry, targetsOf } from './support/forging.ts';
import { type Json, sha256 } from './support/signing.ts';

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
