/** What a signer is shown of a manifest: all of it, and never the same for two manifests that differ. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalBytes, parseManifest } from '@airlock/trust';
import fc from 'fast-check';
import { manifestLines } from '../src/core/manifest-lines.ts';

const sha256 = 'f'.repeat(64);

type Json = Record<string, unknown>;

const sample: Json = {
  schema: 'airlock-manifest/1',
  product: 'pump',
  version: 6,
  name: '2.4.0',
  udi: '(01)00844588003288',
  safetyClass: 'C',
  compat: ['hw:rev2', 'hw:rev3'],
  slot: 'inactive',
  requires: { installedMin: 4 },
  images: [{ component: 'rootfs', len: 1_500_000, hash: 'a'.repeat(64) }],
  data: { writes: 3, reads: [2, 3], reversible: true },
  secureBoot: ['boot-key-1'],
  change: {
    record: 'CR-1',
    impact: {
      assessment: 'none',
      safety: false,
      effectiveness: false,
      cybersecurity: false,
      labelling: false,
    },
    regulatory: { decision: 'letter to file', reference: '' },
    links: ['https://qms.example/CR-1'],
  },
  authors: ['bo'],
  emergency: false,
  urgency: { level: 'routine' },
  selfTest: { timeLimitSeconds: 300, critical: ['motor', 'alarm'] },
  sbom: { len: 100, hash: 'b'.repeat(64) },
  notes: '',
  demand: { clinical: 1 },
  critical: [],
};

/** Every object and list inside, with itself. */
function places(value: unknown): (Json | unknown[])[] {
  if (Array.isArray(value)) return [value, ...value.flatMap(places)];
  if (typeof value !== 'object' || value === null) return [];
  return [value as Json, ...Object.values(value).flatMap(places)];
}

const keys = fc.oneof(
  fc.string({ maxLength: 6 }),
  fc.constantFrom('a.b', '__proto__', 'len', 'data', 'requires', 'unknown field a', 'x[0]', '*'),
);
const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom(
    '',
    ' ',
    '<none>',
    '"',
    'a, b',
    'a\nb',
    'a / b',
    '\\u{a}',
    '\\',
    'hw:rev2\u200b',
    'a  b',
    '5',
    'no',
  ),
);
const values = fc.oneof(
  texts,
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(5, true, null, [], {}, [''], [[]]),
);

/** The sample with up to three places changed, entries added or taken away; valid or not. */
const manifests = fc
  .array(fc.tuple(fc.nat(), fc.nat(), keys, values, fc.constantFrom('set', 'add', 'drop')), { maxLength: 3 })
  .map((changes) => {
    const manifest = structuredClone(sample);
    for (const [where, which, key, given, how] of changes) {
      const value = structuredClone(given);
      const all = places(manifest);
      const place = all[where % all.length] ?? manifest;
      if (Array.isArray(place)) {
        if (how === 'drop') place.splice(which % Math.max(1, place.length), 1);
        else place.splice(which % (place.length + 1), how === 'set' ? 1 : 0, value);
      } else {
        const names = Object.keys(place);
        const name = how === 'add' ? key : (names[which % Math.max(1, names.length)] ?? key);
        if (how === 'drop') delete place[name];
        else
          Object.defineProperty(place, name, { value, enumerable: true, configurable: true, writable: true });
      }
    }
    return manifest;
  });

const canonical = (value: unknown) => Buffer.from(canonicalBytes(value)).toString('utf8');

function differ(a: unknown, b: unknown): void {
  fc.pre(canonical(a) !== canonical(b));
  assert.notEqual(manifestLines(a, sha256), manifestLines(b, sha256));
}

test('TEST-OTA-1040 REQ-OTA-POL-10: any two manifests that differ, shown to their signer: the lines differ as well, apart from the hash', () => {
  assert.ok(parseManifest(canonicalBytes(sample)).ok);
  fc.assert(
    fc.property(manifests, (one) => differ(sample, one)),
    { numRuns: 1500 },
  );
  fc.assert(
    fc.property(manifests, manifests, (one, other) => differ(one, other)),
    { numRuns: 1500 },
  );
  // One place, two values: the closest that two manifests can be.
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(sample), 'x-note'), values, values, (key, one, other) =>
      differ({ ...sample, [key]: one }, { ...sample, [key]: other }),
    ),
    { numRuns: 3000 },
  );
});

test('TEST-OTA-1041 REQ-OTA-POL-10: a safety-relevant or unknown field, changed by the server: a row of its own says so', () => {
  const shown = manifestLines(
    {
      ...sample,
      requires: {},
      data: { writes: 4, reads: [4], reversible: false },
      slot: 'B',
      selfTest: { timeLimitSeconds: 300, critical: [] },
      secureBoot: ['boot-key-0'],
      'x-dose': { 'max.rate': 9, hidden: 'a\u200bb\u001b[2K' },
    },
    sha256,
  );
  for (const row of [
    /^ {2}installed release at least +<any>$/m,
    /^ {2}data change reversible +no$/m,
    /^ {2}slot +B$/m,
    /^ {2}critical self-test +<none>$/m,
    /^ {2}secure boot key 1 +boot-key-0$/m,
    /^ {2}also to be approved by clinical +1 of this function$/m,
    /^ {2}SBOM, sha256 +b{64}$/m,
    /^ {2}unknown field x-dose\["max\.rate"\] 9$/m,
    /^ {2}unknown field x-dose\.hidden +"a\\u\{200b\}b\\u\{1b\}\[2K"$/m,
  ]) {
    assert.match(shown, row);
  }
  const lines = manifestLines({ ...sample, notes: 'one\n  product   other', version: 7 }, sha256, {
    version: 6,
    manifest: { ...sample, 'x-old': 1 },
  });
  assert.match(lines, /^ {2}product +pump$/m);
  assert.match(lines, /^ {33}\| \\u\{20\}\\u\{20\}product/m);
  assert.match(lines, /^\* release +7$/m);
  assert.match(lines, /^\* notes +one$/m);
  assert.match(lines, /^- unknown field x-old +1$/m);
  assert.equal([...lines.matchAll(/^\* \w/gm)].length, 2);
});
