/**
 * Descriptions: what a signer is shown is complete, for known entries in words and for all others generically.
 * Keeps true: no two different roles look alike. Leaves who may sign to the CLI's tests.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  canonicalBytes,
  describeChange,
  describePolicyChange,
  draftDirectorTargets,
  draftFunction,
  draftRoot,
  draftTargets,
  encodePolicy,
  publicKeyJson,
  readRole,
  type Result,
  type RoleChange,
  tufCanonicalBytes,
} from '@airlock/trust';
import * as fc from 'fast-check';
import {
  assignment,
  ed25519,
  edited,
  expires,
  imageRoot,
  put,
  sampleFiles,
  samplePolicy,
  signers,
  textOf,
  utf8,
  verdict,
} from './support/samples.ts';

const files = sampleFiles();
const product = 'infusion-pump';

/** `kind subject` of every change, in the order shown. */
function told(result: Result<RoleChange[]>): string[] {
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  return result.value.map(({ kind, subject }) => `${kind} ${subject}`);
}

const releases = (...versions: [number, string][]) =>
  versions.map(([version, digit]) => ({ version, length: 8, sha256: digit.repeat(64) }));
const quality = (version: number, list: ReturnType<typeof releases>, until = expires) =>
  draftFunction({ product, function: 'quality', version, expires: until, releases: list }).unsigned;

test('TEST-OTA-148 REQ-OTA-POL-10: a signer, two versions of a role: every added, removed and changed entry in words', () => {
  const before = quality(3, releases([8, 'a'], [9, 'b'], [10, 'c']));
  const after = quality(4, releases([9, 'b'], [10, 'd'], [11, 'e']), expires + 1);
  const change = describeChange(before, after);
  assert.deepEqual(told(change), [
    'changed expires',
    'removed release 8',
    'changed release 10',
    'added release 11',
    'changed version',
  ]);
  assert.ok(change.ok);
  const words = change.value.map((entry) => entry.words);
  assert.match(words[1] ?? '', /^Withdraws release 8 /);
  assert.match(words[2] ?? '', /^Changes the manifest of release 10 from .*c{64} to .*d{64}\.$/);
  assert.equal(words[3], `Approves release 11: 8 bytes, sha256 ${'e'.repeat(64)}.`);
  assert.deepEqual(told(describeChange(before, before)), []);
  assert.deepEqual(told(describeChange(undefined, quality(1, releases([9, 'b'])))).slice(-2), [
    'added release 9',
    'added version',
  ]);

  const [one, two] = [signers.quality1.publicKey, signers.engineering.publicKey];
  const targets = (functions: Parameters<typeof draftTargets>[0]['functions'], policy = files.policy) =>
    draftTargets({ product, version: 1, expires, functions, policy }).unsigned;
  const both = targets([
    { name: 'quality', keys: [one], threshold: 1 },
    { name: 'engineering', keys: [two], threshold: 1 },
  ]);
  const more = targets([{ name: 'quality', keys: [one, ed25519(90).publicKey], threshold: 2 }], utf8('{}'));
  assert.deepEqual(
    told(describeChange(both, more)),
    [
      `removed key ${two.keyId} of function engineering`,
      `added key ${ed25519(90).publicKey.keyId} of function quality`,
      'changed policy.json',
      'removed threshold of function engineering',
      'changed threshold of function quality',
    ].sort((a, b) => (a.split(' ').slice(1).join(' ') < b.split(' ').slice(1).join(' ') ? -1 : 1)),
  );

  const root = draftRoot(imageRoot).unsigned;
  const weaker = draftRoot({
    ...imageRoot,
    roles: { ...imageRoot.roles, root: { ...imageRoot.roles.root, threshold: 1 } },
    minimum: { classes: { C: { engineering: 1 } }, markets: { us: {}, eu: {} } },
    provisioning: { keys: [ed25519(91).publicKey], threshold: 1 },
    demo: false,
  }).unsigned;
  const rootWords = told(describeChange(root, weaker));
  for (const expected of [
    'changed demo mark',
    `added key ${ed25519(91).publicKey.keyId} of provisioning`,
    `removed key ${signers.provisioning.publicKey.keyId} of provisioning`,
    'removed root minimum for class B',
    'changed root minimum for class C',
    'changed threshold of role root',
  ]) {
    assert.ok(rootWords.includes(expected), expected);
  }
  assert.equal(rootWords.length, 6);

  const director = (changes: object) =>
    draftDirectorTargets({
      device: 'D1',
      version: 1,
      expires,
      assignment: {
        product,
        version: 10,
        length: 8,
        sha256: 'a'.repeat(64),
        assignment: { ...assignment, ...changes },
      },
    }).unsigned;
  const none = draftDirectorTargets({ device: 'D1', version: 1, expires }).unsigned;
  assert.deepEqual(
    told(describeChange(director({}), director({ bytesPerSecondMax: 9, consentRequired: true }))),
    ['added field custom.bytesPerSecondMax', 'changed field custom.consentRequired'],
  );
  assert.ok(told(describeChange(none, director({}))).includes('added release 10 of infusion-pump'));
});

test('TEST-OTA-149 REQ-OTA-POL-10: a signer, any two different roles or policies: the description is never empty', () => {
  // Fields that no version of this program knows, an order that means nothing, text that pretends to be another line.
  const strange = (edit: (signed: Record<string, unknown>) => void) =>
    edited(files.quality, ({ signed }) => edit(signed));
  const added = describeChange(
    files.quality,
    strange((signed) => put(signed, ['x-new'], { list: [1, {}], 'a.b': '\u202e\n' })),
  );
  assert.deepEqual(told(added), [
    'added field x-new.list[0]',
    'added field x-new.list[1]',
    'added field x-new["a.b"]',
  ]);
  assert.equal(added.ok && added.value.every(({ words }) => /^[\x20-\x7e]+$/.test(words)), true);
  const deep = describeChange(
    strange((s) => put(s, ['x'], { a: { b: 1 } })),
    strange((s) => put(s, ['x'], { 'a.b': 1 })),
  );
  assert.deepEqual(told(deep), ['removed field x.a.b', 'added field x["a.b"]']);
  const long = (end: string) => strange((signed) => put(signed, ['x'], 'y'.repeat(500) + end));
  const cut = describeChange(long('1'), long('2'));
  assert.ok(cut.ok && cut.value[0]?.from !== cut.value[0]?.to && cut.value[0]?.words.includes('sha256'));
  const reordered = edited(files.targets, ({ signed }) => {
    (signed['delegations'] as { roles: unknown[] }).roles.reverse();
  });
  assert.deepEqual(told(describeChange(files.targets, reordered)), ['changed order']);
  assert.deepEqual(
    told(
      describeChange(
        files.quality,
        edited(files.quality, (file) => (file.signatures = [])),
      ),
    ),
    [],
  );
  assert.equal(verdict(describeChange(files.targets, files.quality)), 'OTA_WRONG_BINDING kind');
  const otherProduct = strange((signed) => put(signed, ['x-airlock', 'product'], 'ventilator'));
  assert.equal(verdict(describeChange(files.quality, otherProduct)), 'OTA_WRONG_BINDING product');
  assert.equal(verdict(describeChange(files.director, files.root)), 'OTA_WRONG_BINDING repository');
  assert.equal(verdict(describeChange(utf8(''), files.root)), 'OTA_BAD_JSON the previous version');
  assert.equal(verdict(describeChange(undefined, utf8(''))), 'OTA_BAD_JSON the new version');

  for (const name of [
    'root',
    'director',
    'targets',
    'quality',
    'snapshot',
    'timestamp',
    'directorTargets',
  ] as const) {
    const json = JSON.parse(textOf(files[name])) as { signed: unknown };
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.nat(20),
      fc.constantFrom('a'.repeat(64), '2031-01-01T00:00:00Z', true, undefined),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...leaves(json.signed)), value), { minLength: 1, maxLength: 2 }),
        (edits) => {
          const copy = structuredClone(json);
          for (const [path, replacement] of edits) put(copy.signed, path, replacement);
          const changed = utf8(JSON.stringify(copy));
          const view = readRole(changed);
          if (!view.ok) return;
          const result = describeChange(files[name], changed);
          const same = Buffer.from(tufCanonicalBytes(copy.signed)).equals(tufCanonicalBytes(json.signed));
          if (result.ok) assert.equal(result.value.length === 0, same);
          else assert.equal(result.error.code, 'OTA_WRONG_BINDING');
        },
      ),
      { numRuns: 300 },
    );
  }

  const policy = (changes: Parameters<typeof samplePolicy>[0]) => encodePolicy(samplePolicy(changes));
  const [first, ...others] = samplePolicy().holders;
  assert.ok(first);
  assert.deepEqual(told(describePolicyChange(files.policy, files.policy)), []);
  assert.deepEqual(told(describePolicyChange(files.policy, policy({ holders: others }))), [
    `removed holder of key ${first.keyId}`,
  ]);
  assert.deepEqual(told(describePolicyChange(files.policy, policy({ secureBootRevoked: [] }))), [
    'removed revoked secure-boot key key-2019',
  ]);
  assert.deepEqual(
    told(describePolicyChange(files.policy, policy({ emergency: { engineering: 1, quality: 2 } }))),
    ['changed policy for emergencies'],
  );
  const otherKey = publicKeyJson(ed25519(92).publicKey);
  assert.deepEqual(told(describePolicyChange(files.policy, policy({ auditKey: otherKey }))), [
    'changed field auditKey.keyval.public',
  ]);
  assert.deepEqual(
    told(
      describePolicyChange(
        policy({ secureBootRevoked: ['a', 'b'] }),
        policy({ secureBootRevoked: ['b', 'a'] }),
      ),
    ),
    ['changed order'],
  );
  assert.ok(told(describePolicyChange(undefined, files.policy)).length > 5);
  assert.equal(verdict(describePolicyChange(utf8(''), files.policy)), 'OTA_BAD_JSON policy.json');
  assert.equal(verdict(describePolicyChange(undefined, canonicalBytes({}))), 'OTA_POLICY schema');
  // Two holders whose names and ids run together must not look the same.
  const [joined, split] = [
    { ...first, name: 'A", id "b', holder: 'c' },
    { ...first, name: 'A', holder: 'b", id "c' },
  ];
  assert.equal(
    told(describePolicyChange(policy({ holders: [joined] }), policy({ holders: [split] }))).length,
    1,
  );
});

/** Paths to every value in a JSON value, and to one new field beside each. */
function leaves(value: unknown, at: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [at];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value);
  const own = at.length === 0 ? [] : [at];
  return [...own, [...at, 'new'], ...entries.flatMap(([key, entry]) => leaves(entry, [...at, key]))];
}
