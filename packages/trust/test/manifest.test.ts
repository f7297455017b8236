/**
 * Manifest and policy: every field wrong in every way, extension fields, and properties over bytes and values.
 * Keeps true: refusals name the field. Leaves to applicability.test.ts whether a manifest fits a device.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  canonicalBytes,
  encodeManifest,
  encodePolicy,
  type Manifest,
  parseManifest,
  parsePolicy,
  publicKeyJson,
  type Policy,
  type Result,
  trustLimits,
} from '@airlock/trust';
import * as fc from 'fast-check';
import { put, sampleManifest, samplePolicy, signers, textOf, utf8, verdict } from './support/samples.ts';

type Path = (string | number)[];

/** The document with one value replaced (undefined: removed), written canonically. */
function changed(document: unknown, path: Path, value: unknown): Uint8Array {
  const copy: unknown = structuredClone(document);
  put(copy, path, value);
  return canonicalBytes(copy);
}

const manifestVerdict = (path: Path, value: unknown) =>
  verdict(parseManifest(changed(sampleManifest(), path, value)));

test('TEST-OTA-03 REQ-OTA-MAN-01: a manifest, length, hash, slot or compatibility missing or malformed: refused with the field', () => {
  assert.deepEqual(parseManifest(encodeManifest(sampleManifest())), { ok: true, value: sampleManifest() });
  const rows: [Path, unknown[], string][] = [
    [['images', 0, 'len'], [undefined, 0, -1, 1.5, '262144', 2 ** 53, null], 'images[0].len'],
    [
      ['images', 1, 'hash'],
      [undefined, '', 'f3ab', 'A'.repeat(64), 'a'.repeat(63), 'a'.repeat(65), 7],
      'images[1].hash',
    ],
    [
      ['images', 1, 'component'],
      [undefined, '', 'rootfs', '../x', 'Root', 'a'.repeat(33)],
      'images[1].component',
    ],
    [['images'], [undefined, [], {}, 'x'], 'images'],
    [['slot'], [undefined, 'C', 'a', '', ['A']], 'slot'],
    [['compat'], [undefined, [], 'hw:rev2', Array.from({ length: 65 }, (_, i) => `hw:${i}`)], 'compat'],
    [['compat', 1], ['', 'hw:rev2', 7, 'a\nb'], 'compat[1]'],
    [['version'], [undefined, 0, -5, 1.5, 2 ** 31, '12', null], 'version'],
    [['product'], [undefined, '', 'Infusion Pump', 'root', 'constructor'], 'product'],
  ];
  for (const [path, values, field] of rows) {
    for (const value of values) {
      const found = manifestVerdict(path, value);
      assert.equal(found, `OTA_MANIFEST ${field}`, JSON.stringify([path, value]));
    }
  }
  for (const slot of ['A', 'B', 'inactive']) assert.equal(manifestVerdict(['slot'], slot), 'ok');
  assert.equal(manifestVerdict(['version'], 2 ** 31 - 1), 'ok');
  assert.equal(manifestVerdict(['images', 0, 'len'], 1), 'ok');
});

test('TEST-OTA-132 REQ-OTA-MAN-02: a manifest, any other field missing, of another form or too long: refused with the field', () => {
  const long = 'x'.repeat(trustLimits.lineCharactersMax + 1);
  const rows: [Path, unknown[], string?][] = [
    [['schema'], [undefined, 'airlock-manifest/2', 1]],
    [['name'], [undefined, '', '   ', long, 'a\u202eb', 'a\u001b[2J']],
    [['udi'], [undefined, '']],
    [['safetyClass'], [undefined, 'D', 'c']],
    [['requires'], [undefined, [], null]],
    [
      ['requires', 'installedMin'],
      [0, -1, 2.5, 2 ** 31, '3'],
    ],
    [['requires', 'bootloaderMin'], [0]],
    [['requires', 'instaledMin'], [3]],
    [
      ['data', 'writes'],
      [undefined, -1, 1.5],
    ],
    [
      ['data', 'reads'],
      [undefined, [], [3], Array.from({ length: 65 }, (_, i) => i)],
    ],
    [
      ['data', 'reads', 1],
      ['4', 3],
    ],
    [
      ['data', 'reversible'],
      [undefined, 1],
    ],
    [['data', 'other'], [1]],
    [['secureBoot'], [undefined, 'key-2024']],
    [
      ['secureBoot', 0],
      ['', 5],
    ],
    [['authors'], [undefined, []]],
    [['authors', 0], ['']],
    [['emergency'], [undefined, 'no', 0]],
    [
      ['urgency', 'level'],
      [undefined, 'soon'],
    ],
    [
      ['urgency', 'deadline'],
      ['2027-01-01', '2027-02-30T00:00:00Z', 5],
    ],
    [['urgency', 'x'], [1]],
    [
      ['selfTest', 'timeLimitSeconds'],
      [undefined, 0, 86_401, 1.5],
    ],
    [
      ['selfTest', 'critical'],
      [undefined, 'pump-motor'],
    ],
    [['selfTest', 'x'], [1]],
    [
      ['sbom', 'len'],
      [undefined, 0],
    ],
    [
      ['sbom', 'hash'],
      [undefined, 'ff'],
    ],
    [['vex', 'url'], ['https://example.org']],
    [
      ['notes'],
      [undefined, 5, 'x'.repeat(trustLimits.notesCharactersMax + 1), 'bell \u0007', 'over\u202eride'],
    ],
    [['demand'], [undefined, []]],
    [
      ['demand', 'regulatory-us'],
      [0, 17, 1.5, '1', null],
    ],
    [['demand', 'Quality'], [1]],
    [['demand', 'targets'], [1]],
    [['critical'], [undefined, 'x']],
  ];
  for (const [path, values, field] of rows) {
    const expected =
      field ??
      path.reduce<string>(
        (at, key) => (typeof key === 'number' ? `${at}[${key}]` : at ? `${at}.${key}` : key),
        '',
      );
    for (const value of values) {
      assert.equal(manifestVerdict(path, value), `OTA_MANIFEST ${expected}`, JSON.stringify([path, value]));
    }
  }
  const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`f${i}`, 1]));
  assert.equal(manifestVerdict(['demand'], many), 'OTA_MANIFEST demand');
  for (const optional of ['data', 'sbom', 'vex']) assert.equal(manifestVerdict([optional], undefined), 'ok');
  assert.equal(manifestVerdict(['requires'], {}), 'ok');
  assert.equal(manifestVerdict(['urgency'], { level: 'routine' }), 'ok');
});

test('TEST-OTA-134 REQ-OTA-MAN-02: a manifest, extension fields: ignored unless critical names them, then refused', () => {
  const plain = sampleManifest();
  const extended = {
    ...plain,
    futureField: { deep: [1, 2] },
    images: plain.images.map((image) => ({ ...image, index: 'x' })),
  };
  assert.deepEqual(parseManifest(canonicalBytes(extended)), { ok: true, value: plain });
  const critical = canonicalBytes({ ...extended, critical: ['futureField'] });
  assert.equal(verdict(parseManifest(critical)), 'OTA_MANIFEST critical[0]');
  assert.equal(manifestVerdict(['critical'], ['a', 'a']), 'OTA_MANIFEST critical[1]');
});

test('TEST-OTA-135 REQ-OTA-MAN-02: a manifest, not canonical, not JSON, too long or too deep: refused with its code', () => {
  const reordered = utf8(JSON.stringify(sampleManifest()));
  assert.equal(verdict(parseManifest(reordered)), 'OTA_MANIFEST manifest');
  const pretty = utf8(JSON.stringify(sampleManifest(), undefined, 1));
  assert.equal(verdict(parseManifest(pretty)), 'OTA_BAD_JSON manifest');
  assert.equal(verdict(parseManifest(utf8('[]'))), 'OTA_MANIFEST manifest');
  assert.equal(verdict(parseManifest(Buffer.from([0xff]))), 'OTA_BAD_ENCODING manifest');
  const big = new Uint8Array(trustLimits.manifestBytesMax + 1);
  assert.equal(verdict(parseManifest(big)), 'OTA_TOO_LARGE manifest');
  let deep: unknown = 1;
  for (let i = 0; i < 20; i += 1) deep = [deep];
  assert.equal(manifestVerdict(['extension'], deep), 'OTA_BAD_JSON manifest');
});

test('TEST-OTA-136 REQ-OTA-POL-02: a policy, a class with fewer than two functions or a key with two holders: refused', () => {
  const policyVerdict = (path: Path, value: unknown) =>
    verdict(parsePolicy(changed(samplePolicy(), path, value)));
  assert.deepEqual(parsePolicy(encodePolicy(samplePolicy())), { ok: true, value: samplePolicy() });
  const [first] = samplePolicy().holders;
  const rows: [Path, unknown, string][] = [
    [['classes', 'C'], { quality: 2 }, 'classes.C'],
    [['classes', 'C'], {}, 'classes.C'],
    [['classes', 'D'], { quality: 1, engineering: 1 }, 'classes.D'],
    [['classes', 'C', 'quality'], 0, 'classes.C.quality'],
    [['classes', 'C', '../x'], 1, 'classes.C.../x'],
    [['classes'], undefined, 'classes'],
    [['markets'], undefined, 'markets'],
    [['markets', 'US'], {}, 'markets.US'],
    [['markets', 'us', 'regulatory-us'], 1.5, 'markets.us.regulatory-us'],
    [['emergency'], {}, 'emergency'],
    [['emergency'], { quality: 2 }, 'emergency'],
    [['holders', 1], first, 'holders[1].keyId'],
    [['holders', 1, 'keyId'], 'xx', 'holders[1].keyId'],
    [['holders', 1, 'holder'], '', 'holders[1].holder'],
    [['holders', 1, 'name'], undefined, 'holders[1].name'],
    [['holders', 1, 'function'], 'Quality', 'holders[1].function'],
    [['holders', 1, 'mail'], 'a@b', 'holders[1].mail'],
    [['holders'], {}, 'holders'],
    [['auditKey', 'scheme'], 'rsa', 'auditKey.scheme'],
    [['auditKey', 'keyid'], 'x', 'auditKey.keyid'],
    [['auditKey'], publicKeyJson(signers.root2.publicKey), 'auditKey'],
    [['auditOrigin'], 'two words', 'auditOrigin'],
    [['auditOrigin'], undefined, 'policy.json'],
    [['auditKey'], undefined, 'policy.json'],
    [['secureBootRevoked'], undefined, 'secureBootRevoked'],
    [['secureBootRevoked'], ['k', 'k'], 'secureBootRevoked[1]'],
    [['product'], 'x y', 'product'],
    [['schema'], 'airlock-policy/2', 'schema'],
    [['minimum'], {}, 'minimum'],
  ];
  for (const [path, value, field] of rows) {
    assert.equal(policyVerdict(path, value), `OTA_POLICY ${field}`, JSON.stringify([path, value]));
  }
  assert.equal(policyVerdict(['emergency'], undefined), 'ok');
  const { auditKey: _key, auditOrigin: _origin, ...without } = samplePolicy();
  assert.equal(verdict(parsePolicy(encodePolicy(without))), 'ok');
  assert.equal(verdict(parsePolicy(utf8(JSON.stringify(samplePolicy())))), 'OTA_POLICY policy.json');
  assert.equal(
    verdict(parsePolicy(new Uint8Array(trustLimits.policyBytesMax + 1))),
    'OTA_TOO_LARGE policy.json',
  );
  assert.equal(signers.quality1.publicKey.keyId, samplePolicy().holders[1]?.keyId);
});

/** Every path in a JSON value. */
function paths(value: unknown, at: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  const entries: [string | number, unknown][] = Array.isArray(value)
    ? [...value.entries()]
    : Object.entries(value);
  return [at, ...entries.flatMap(([key, entry]) => paths(entry, [...at, key]))].filter(
    (path) => path.length > 0,
  );
}

/**
 * Accepted means: written in the one way, and read as plain JSON reads it. `known` drops what the parser may ignore.
 */
function isReadPlainly(bytes: Uint8Array, parsed: Result<object>): void {
  if (!parsed.ok) return;
  const plain = JSON.parse(textOf(bytes)) as Record<string, unknown>;
  assert.deepEqual(Buffer.from(canonicalBytes(plain)), Buffer.from(bytes));
  for (const [name, value] of Object.entries(parsed.value)) {
    if (name !== 'images') assert.deepEqual(value, plain[name], name);
  }
}

test('TEST-OTA-137 REQ-OTA-MAN-02: manifest and policy, any byte or any value changed: refused, or read as plain JSON says', () => {
  const cases: [Uint8Array, unknown, (bytes: Uint8Array) => Result<object>][] = [
    [encodeManifest(sampleManifest()), sampleManifest(), parseManifest],
    [encodePolicy(samplePolicy()), samplePolicy(), parsePolicy],
  ];
  for (const [valid, document, parse] of cases) {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => isReadPlainly(bytes, parse(bytes))));
    const edit = fc.record({
      at: fc.nat(valid.length),
      drop: fc.nat(3),
      add: fc.uint8Array({ maxLength: 3 }),
    });
    fc.assert(
      fc.property(edit, ({ at, drop, add }) => {
        const bytes = Buffer.concat([valid.subarray(0, at), add, valid.subarray(at + drop)]);
        isReadPlainly(bytes, parse(bytes));
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.constantFrom(...paths(document)), fc.jsonValue({ maxDepth: 3 }), (path, value) => {
        const bytes = changed(document, path, value);
        isReadPlainly(bytes, parse(bytes));
      }),
      { numRuns: 500 },
    );
  }
});

const line = fc
  .string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
  .filter(
    (text) =>
      text.trim() !== '' && !/\p{Cc}|\p{Zl}|\p{Zp}|\p{Bidi_Control}/u.test(text) && text.isWellFormed(),
  );
const name = fc
  .stringMatching(/^[a-z][a-z0-9-]{0,10}$/)
  .filter((text) => !['root', 'targets', 'snapshot', 'timestamp', 'constructor'].includes(text));
const thresholds = fc
  .dictionary(name, fc.integer({ min: 1, max: 16 }), { maxKeys: 4 })
  .map((set) => ({ ...set }));
const sha256 = fc.stringMatching(/^[0-9a-f]{64}$/);
const version = fc.integer({ min: 1, max: 2 ** 31 - 1 });
const lines = (minLength: number) => fc.uniqueArray(line, { minLength, maxLength: 4 });

test('TEST-OTA-138 REQ-OTA-MAN-02: manifests and policies, arbitrary valid ones: the same after writing and reading', () => {
  const manifest: fc.Arbitrary<Manifest> = fc
    .record({
      schema: fc.constant('airlock-manifest/1' as const),
      product: name,
      version,
      name: line,
      udi: line,
      safetyClass: fc.constantFrom('A' as const, 'B' as const, 'C' as const),
      compat: lines(1),
      slot: fc.constantFrom('inactive' as const, 'A' as const, 'B' as const),
      requires: fc
        .record({ installedMin: version, bootloaderMin: version }, { requiredKeys: [] })
        .map((r) => ({ ...r })),
      images: fc.uniqueArray(
        fc
          .record({ component: name, len: fc.maxSafeNat().map((n) => n || 1), hash: sha256 })
          .map((i) => ({ ...i })),
        { minLength: 1, maxLength: 3, selector: (image) => image.component },
      ),
      secureBoot: lines(0),
      change: fc
        .record({
          record: line,
          impact: fc
            .record({
              assessment: line,
              safety: fc.boolean(),
              effectiveness: fc.boolean(),
              cybersecurity: fc.boolean(),
              labelling: fc.boolean(),
            })
            .map((i) => ({ ...i })),
          regulatory: fc.record({ decision: line, reference: line }).map((r) => ({ ...r })),
          links: lines(1),
        })
        .map((c) => ({ ...c })),
      authors: lines(1),
      emergency: fc.boolean(),
      urgency: fc.constantFrom(
        { level: 'routine' as const },
        { level: 'safety' as const, deadline: '2030-01-01T00:00:00Z' },
      ),
      selfTest: fc
        .record({ timeLimitSeconds: fc.integer({ min: 1, max: 86_400 }), critical: lines(0) })
        .map((s) => ({ ...s })),
      notes: line,
      demand: thresholds,
      critical: fc.constant([]),
    })
    .map((value) => ({ ...value }));
  fc.assert(
    fc.property(manifest, (value) => {
      const bytes = encodeManifest(value);
      const parsed = parseManifest(bytes);
      assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.message);
      assert.deepEqual(Buffer.from(encodeManifest(parsed.value)), Buffer.from(bytes));
    }),
  );
  const pair = fc
    .tuple(fc.integer({ min: 1, max: 16 }), thresholds)
    .map(([n, set]) => ({ quality: n, engineering: 1, ...set }));
  const policy: fc.Arbitrary<Policy> = fc
    .record({
      schema: fc.constant('airlock-policy/1' as const),
      product: name,
      classes: fc.record({ A: pair, C: pair }, { requiredKeys: [] }).map((c) => ({ ...c })),
      markets: fc.dictionary(name, thresholds, { maxKeys: 3 }).map((m) => ({ ...m })),
      holders: fc.uniqueArray(
        fc.record({ keyId: sha256, holder: line, name: line, function: name }).map((h) => ({ ...h })),
        { maxLength: 3, selector: (holder) => holder.keyId },
      ),
      secureBootRevoked: lines(0),
    })
    .map((value) => ({ ...value }));
  fc.assert(
    fc.property(policy, (value) => {
      const parsed = parsePolicy(encodePolicy(value));
      assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.message);
      assert.deepEqual(parsed.value, value);
    }),
  );
});
