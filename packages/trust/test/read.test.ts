/**
 * Role files: what unmodified tuf-js accepts and the raw checks refuse, one table row each, and properties over bytes.
 * Leaves to check.test.ts what needs more than one file: signatures, expiry, versions against memory.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRole, draftFunction, parseRaw, publicKeyJson, readRole, trustLimits } from '@airlock/trust';
import * as fc from 'fast-check';
import {
  ed25519,
  edited,
  expires,
  put,
  sampleFiles,
  signers,
  textOf,
  utf8,
  verdict,
} from './support/samples.ts';

type Path = (string | number)[];
const files = sampleFiles();
type Name = keyof typeof files;

/** Replaces one value inside `signed` and answers the verdict, with the leading `signed.` of the field left out. */
function after(name: Name, path: Path, value: unknown): string {
  const bytes = edited(files[name], ({ signed }) => put(signed, path, value));
  return verdict(readRole(bytes)).replace(' signed.', ' ');
}

const bad = (field: string) => `OTA_BAD_METADATA ${field}`;
const qualityId = signers.quality1.publicKey.keyId;
const release = ['targets', 'quality/10.json'];

test('TEST-OTA-121 REQ-OTA-SIGN-01: role files, as written by our own drafts: read back with their meaning', () => {
  const views = Object.fromEntries(
    Object.entries(files)
      .filter(([name]) => name !== 'policy')
      .map(([name, file]) => {
        const view = readRole(file);
        assert.ok(view.ok, name);
        return [name, view.value];
      }),
  );
  assert.deepEqual(
    Object.entries(views).map(([name, view]) => [name, view.kind, view.repository, view.role, view.version]),
    [
      ['root', 'root', 'image', 'root', 1],
      ['targets', 'targets', 'image', 'targets', 1],
      ['quality', 'function', 'image', 'quality', 3],
      ['snapshot', 'snapshot', 'image', 'snapshot', 5],
      ['timestamp', 'timestamp', 'image', 'timestamp', 6],
      ['director', 'root', 'director', 'root', 1],
      ['directorTargets', 'director-targets', 'director', 'targets', 7],
    ],
  );
  const { root, targets, quality, directorTargets } = views;
  assert.ok(root?.kind === 'root' && targets?.kind === 'targets');
  assert.deepEqual(
    root.roles.root.keys.map((key) => key.keyId).sort(),
    [signers.root1, signers.root2].map((s) => s.publicKey.keyId).sort(),
  );
  assert.deepEqual(root.image?.minimum.markets, { us: {}, eu: {} });
  assert.equal(root.image?.demo, true);
  assert.deepEqual(
    targets.functions.map(({ name, threshold }) => [name, threshold]),
    [
      ['engineering', 1],
      ['quality', 2],
    ],
  );
  assert.ok(quality?.kind === 'function' && directorTargets?.kind === 'director-targets');
  assert.deepEqual(
    quality.releases.map(({ version }) => version),
    [9, 10],
  );
  assert.equal(quality.expires, expires);
  assert.equal(directorTargets.assignment?.assignment.rollout, 'r1');
});

test('TEST-OTA-122 REQ-OTA-SIGN-01: role files, what unmodified tuf-js accepts: refused by the raw checks', () => {
  const rows: [Name, Path, unknown, string][] = [
    ['quality', ['version'], -5, bad('version')],
    ['quality', ['version'], 0, bad('version')],
    ['quality', ['version'], 1.5, bad('version')],
    ['quality', ['version'], 2 ** 53, bad('version')],
    ['quality', ['version'], '3', bad('version')],
    ['quality', ['expires'], '2030-01-01T00:00:00', bad('expires')],
    ['quality', ['expires'], '2030-01-01', bad('expires')],
    ['quality', ['expires'], '2030-02-30T00:00:00Z', bad('expires')],
    ['quality', ['expires'], '2030-01-01T00:00:00.000Z', bad('expires')],
    ['quality', [...release, 'hashes'], {}, bad('targets.quality/10.json.hashes.sha256')],
    ['quality', [...release, 'hashes'], { md5: 'a'.repeat(32) }, bad('targets.quality/10.json.hashes.md5')],
    ['quality', [...release, 'hashes', 'sha512'], 'a', bad('targets.quality/10.json.hashes.sha512')],
    [
      'quality',
      [...release, 'hashes', 'sha256'],
      'A'.repeat(64),
      bad('targets.quality/10.json.hashes.sha256'),
    ],
    ['quality', [...release, 'length'], undefined, bad('targets.quality/10.json.length')],
    ['quality', [...release, 'length'], 5_000_000_000, bad('targets.quality/10.json.length')],
    ['quality', [...release, 'custom'], {}, bad('targets.quality/10.json.custom')],
    ['quality', ['delegations'], { keys: {}, roles: [] }, 'OTA_BAD_DELEGATION delegations'],
    ['directorTargets', ['delegations'], { keys: {}, roles: [] }, 'OTA_BAD_DELEGATION delegations'],
    [
      'targets',
      ['targets', 'quality/7.json'],
      { length: 1, hashes: { sha256: 'a'.repeat(64) } },
      bad('targets.quality/7.json'),
    ],
    ['targets', ['targets', 'policy.json'], undefined, 'OTA_POLICY targets'],
    ['targets', ['targets', 'policy.json', 'length'], 64_001, bad('targets.policy.json.length')],
    [
      'targets',
      ['delegations', 'roles', 0, 'terminating'],
      false,
      'OTA_BAD_DELEGATION delegations.roles[0].terminating',
    ],
    ['targets', ['delegations', 'roles', 0, 'paths'], ['*'], 'OTA_BAD_DELEGATION delegations.roles[0].paths'],
    [
      'targets',
      ['delegations', 'roles', 0, 'paths'],
      ['engineering/*', 'quality/*'],
      'OTA_BAD_DELEGATION delegations.roles[0].paths',
    ],
    [
      'targets',
      ['delegations', 'roles', 0, 'path_hash_prefixes'],
      ['a'],
      bad('delegations.roles[0].path_hash_prefixes'),
    ],
    [
      'targets',
      ['delegations', 'roles', 0, 'name'],
      'quality',
      'OTA_BAD_DELEGATION delegations.roles[0].paths',
    ],
    ['targets', ['delegations', 'roles', 0, 'name'], '../x', bad('delegations.roles[0].name')],
    ['targets', ['delegations', 'roles', 0, 'name'], 'snapshot', bad('delegations.roles[0].name')],
    ['targets', ['delegations', 'succinct_roles'], {}, 'OTA_BAD_DELEGATION delegations'],
    ['targets', ['delegations'], undefined, bad('delegations')],
    ['snapshot', ['meta', 'quality.json', 'hashes'], undefined, bad('meta.quality.json.hashes')],
    ['snapshot', ['meta', 'quality.json', 'length'], undefined, bad('meta.quality.json.length')],
    ['snapshot', ['meta', 'quality.json', 'version'], 0, bad('meta.quality.json.version')],
    [
      'snapshot',
      ['meta', '../x.json'],
      { version: 1, length: 1, hashes: { sha256: 'a'.repeat(64) } },
      bad('meta.../x.json'),
    ],
    [
      'snapshot',
      ['meta', 'quality'],
      { version: 1, length: 1, hashes: { sha256: 'a'.repeat(64) } },
      bad('meta.quality'),
    ],
    ['snapshot', ['meta', 'targets.json'], undefined, bad('meta.targets.json')],
    ['timestamp', ['meta', 'snapshot.json', 'length'], 5_000_000_000, bad('meta.snapshot.json.length')],
    ['timestamp', ['meta', 'other.json'], {}, bad('meta.other.json')],
  ];
  for (const [name, path, value, expected] of rows) {
    assert.equal(after(name, path, value), expected, JSON.stringify([name, path, value]));
  }
  const duplicate = edited(files.targets, ({ signed }) => {
    const { roles } = signed['delegations'] as { roles: unknown[] };
    roles.push(structuredClone(roles[0]));
  });
  assert.equal(verdict(readRole(duplicate)), 'OTA_BAD_DELEGATION signed.delegations.roles[2].name');
});

test('TEST-OTA-123 REQ-OTA-SIGN-04: key tables, a key under another id, twice, in another encoding or unused: refused', () => {
  const key = publicKeyJson(signers.quality1.publicKey);
  const upper = { ...key, keyval: { public: key.keyval.public.toUpperCase() } };
  const stranger = ed25519(77).publicKey;
  const id = signers.root1.publicKey.keyId;
  const rows: [Name, Path, unknown, string][] = [
    ['targets', ['delegations', 'keys', 'f'.repeat(64)], key, `delegations.keys.${'f'.repeat(64)}`],
    ['targets', ['delegations', 'keys', qualityId], upper, `delegations.keys.${qualityId}.keyval.public`],
    ['targets', ['delegations', 'keys', qualityId, 'extra'], 1, `delegations.keys.${qualityId}.extra`],
    [
      'targets',
      ['delegations', 'keys', stranger.keyId],
      publicKeyJson(stranger),
      `delegations.keys.${stranger.keyId}`,
    ],
    ['targets', ['delegations', 'keys', qualityId], undefined, 'delegations.roles[1].keyids'],
    ['root', ['roles', 'root', 'keyids'], [id, id], 'roles.root.keyids[1]'],
    ['root', ['roles', 'root', 'keyids'], [], 'roles.root.threshold'],
    ['root', ['roles', 'root', 'threshold'], 0, 'roles.root.threshold'],
    ['root', ['roles', 'root', 'threshold'], 3, 'roles.root.threshold'],
    ['root', ['roles', 'root', 'threshold'], 1.5, 'roles.root.threshold'],
    ['root', ['roles', 'root', 'x'], 1, 'roles.root.x'],
    ['root', ['roles', 'mirrors'], {}, 'roles.mirrors'],
    ['root', ['roles', 'snapshot'], undefined, 'roles.snapshot'],
    ['root', ['keys', 'zz'], key, 'keys.zz'],
    ['root', ['consistent_snapshot'], false, 'consistent_snapshot'],
    ['root', ['x-airlock', 'provisioning', 'threshold'], 2, 'x-airlock.provisioning.threshold'],
    ['root', ['x-airlock', 'provisioning', 'keys'], {}, 'x-airlock.provisioning.threshold'],
    ['root', ['x-airlock', 'provisioning'], undefined, 'x-airlock.provisioning'],
    ['root', ['x-airlock', 'minimum'], undefined, 'x-airlock.minimum'],
    ['root', ['x-airlock', 'minimum', 'classes', 'E'], {}, 'x-airlock.minimum.classes.E'],
    ['root', ['x-airlock', 'minimum', 'markets', 'us', 'quality'], 0, 'x-airlock.minimum.markets.us.quality'],
    ['root', ['x-airlock', 'demo'], 1, 'x-airlock.demo'],
    ['root', ['x-airlock', 'demo'], undefined, 'x-airlock.demo'],
  ];
  for (const [name, path, value, field] of rows) {
    // The key in digits only has no upper case; every other row must change the file.
    assert.equal(after(name, path, value), bad(field), JSON.stringify([name, path]));
  }
  const many = Object.fromEntries(
    Array.from({ length: trustLimits.keysPerFileMax }, (_, i) => ed25519(i + 100).publicKey).map((k) => [
      k.keyId,
      publicKeyJson(k),
    ]),
  );
  const crowded = edited(files.root, ({ signed }) =>
    put(signed, ['keys'], { ...many, ...(signed['keys'] as object) }),
  );
  assert.equal(verdict(readRole(crowded)), 'OTA_BAD_METADATA signed.keys');
});

test('TEST-OTA-124 REQ-OTA-SIGN-07: x-airlock, missing or saying what does not belong into the role: refused', () => {
  const rows: [Name, Path, unknown, string][] = [
    ['quality', ['x-airlock'], undefined, 'x-airlock'],
    ['quality', ['x-airlock'], 'image', 'x-airlock'],
    ['quality', ['x-airlock', 'repository'], 'other', 'x-airlock.repository'],
    ['quality', ['x-airlock', 'product'], undefined, 'x-airlock.product'],
    ['quality', ['x-airlock', 'product'], 'Pump 1', 'x-airlock.product'],
    ['quality', ['x-airlock', 'device'], 'D1', 'x-airlock.device'],
    ['quality', ['x-airlock', 'function'], 'targets', 'x-airlock.function'],
    ['quality', ['x-airlock', 'function'], 'engineering', 'targets.quality/9.json'],
    ['quality', ['x-airlock', 'issued'], 5, 'x-airlock.issued'],
    ['quality', ['x-airlock', 'demo'], true, 'x-airlock.demo'],
    ['snapshot', ['x-airlock', 'function'], 'quality', 'x-airlock.function'],
    ['timestamp', ['x-airlock', 'issued'], undefined, 'x-airlock.issued'],
    ['timestamp', ['x-airlock', 'issued'], -1, 'x-airlock.issued'],
    ['timestamp', ['x-airlock', 'issued'], expires, 'x-airlock.issued'],
    ['director', ['x-airlock', 'product'], 'infusion-pump', 'x-airlock.product'],
    ['director', ['x-airlock', 'device'], 'D1', 'x-airlock.device'],
    ['director', ['x-airlock', 'demo'], true, 'x-airlock.demo'],
    ['director', ['x-airlock', 'minimum'], {}, 'x-airlock.minimum'],
    ['directorTargets', ['x-airlock', 'device'], undefined, 'x-airlock.device'],
    ['directorTargets', ['x-airlock', 'device'], '../../x', 'x-airlock.device'],
    ['directorTargets', ['x-airlock', 'product'], 'p', 'x-airlock.product'],
    ['directorTargets', ['x-airlock', 'function'], 'p', 'x-airlock.function'],
    ['quality', ['schema'], 'airlock-report/1', 'schema'],
    ['quality', ['spec_version'], '2.0.0', 'spec_version'],
    ['quality', ['_type'], 'mirrors', '_type'],
    ['quality', ['_type'], undefined, '_type'],
  ];
  for (const [name, path, value, field] of rows) {
    assert.equal(after(name, path, value), bad(field), JSON.stringify([name, path, value]));
  }
  // TUF's canonical form has no fractions: tuf-js would throw in the middle of a check.
  assert.equal(after('quality', ['note'], { deep: [1, 0.5] }), bad('note'));
  assert.equal(after('quality', ['x-airlock', 'note'], 1e300), bad('x-airlock'));
  assert.equal(after('quality', ['x-airlock', 'note'], 'from the future'), 'ok');
  assert.equal(after('quality', ['note'], { from: 'the future' }), 'ok');
});

test('TEST-OTA-125 REQ-OTA-SIGN-07: a role file, asked for as another role or repository: refused', () => {
  const parsed = parseRaw(files.quality, 100_000, 'x');
  assert.ok(parsed.ok);
  const asked = (repository: 'image' | 'director', role: string) =>
    verdict(checkRole(parsed.value, '3.quality.json', { repository, role }));
  assert.equal(asked('image', 'quality'), 'ok');
  for (const [repository, role] of [
    ['image', 'engineering'],
    ['image', 'targets'],
    ['director', 'quality'],
  ] as const) {
    assert.equal(asked(repository, role), 'OTA_WRONG_BINDING signed.x-airlock');
  }
});

test('TEST-OTA-126 REQ-OTA-POL-06: the director, an assignment of another form or a second target: refused', () => {
  const at = (...path: Path) => ['targets', 'infusion-pump/10.json', ...path];
  const custom = (name: string) => bad(`targets.infusion-pump/10.json.custom${name}`);
  const window = { fromMinute: 1320, toMinute: 240, days: [0, 6] };
  const target = {
    length: 8,
    hashes: { sha256: 'a'.repeat(64) },
    custom: { rollout: 'x', consentRequired: true },
  };
  const rows: [Path, unknown, string][] = [
    [at('custom'), undefined, custom('')],
    [at('custom', 'rollout'), undefined, custom('.rollout')],
    [at('custom', 'consentRequired'), undefined, custom('.consentRequired')],
    [at('custom', 'skipSelfTest'), true, custom('.skipSelfTest')],
    [at('custom', 'bytesPerSecondMax'), 0, custom('.bytesPerSecondMax')],
    [at('custom', 'bytesPerSecondMax'), 1000, 'ok'],
    [at('custom', 'window'), window, 'ok'],
    [at('custom', 'window'), { ...window, fromMinute: 1440 }, custom('.window.fromMinute')],
    [at('custom', 'window'), { ...window, toMinute: 1320 }, custom('.window.toMinute')],
    [at('custom', 'window'), { ...window, days: [] }, custom('.window.days')],
    [at('custom', 'window'), { ...window, days: [7] }, custom('.window.days[0]')],
    [at('custom', 'window'), { ...window, days: [1, 1] }, custom('.window.days[1]')],
    [['targets', 'infusion-pump/11.json'], target, bad('targets')],
    [['targets'], { '../../x/1.json': target }, bad('targets.../../x/1.json')],
    [['targets'], { 'infusion-pump/01.json': target }, bad('targets.infusion-pump/01.json')],
    [['targets'], { 'infusion-pump/2147483648.json': target }, bad('targets.infusion-pump/2147483648.json')],
    [['targets'], {}, 'ok'],
    [['targets'], undefined, bad('targets')],
  ];
  for (const [path, value, expected] of rows) {
    assert.equal(after('directorTargets', path, value), expected, JSON.stringify([path, value]));
  }
});

test('TEST-OTA-127 REQ-OTA-NET-04: role files, longer than their role allows or with too many entries: refused', () => {
  const releases = Array.from({ length: trustLimits.releasesPerRoleMax + 1 }, (_, i) => [
    `quality/${i + 1}.json`,
    { length: 1, hashes: { sha256: 'a'.repeat(64) } },
  ]);
  const long = edited(files.quality, ({ signed }) => put(signed, ['targets'], Object.fromEntries(releases)));
  assert.equal(verdict(readRole(long)), 'OTA_BAD_METADATA signed.targets');
  const manySignatures = edited(files.quality, ({ signatures }) => {
    while (signatures.length <= trustLimits.signaturesMax) signatures.push({});
  });
  assert.equal(verdict(readRole(manySignatures)), 'OTA_BAD_METADATA signatures');
  const padded = (name: Name, length: number) =>
    edited(files[name], ({ signed }) => put(signed, ['pad'], 'x'.repeat(length)));
  assert.equal(verdict(readRole(padded('timestamp', 4000))), 'OTA_TOO_LARGE role file');
  assert.equal(verdict(readRole(padded('root', 64_000))), 'OTA_TOO_LARGE role file');
  assert.equal(verdict(readRole(padded('quality', 64_000))), 'ok');
  assert.equal(verdict(readRole(files.quality, '3.quality.json', 100)), 'OTA_TOO_LARGE 3.quality.json');
  assert.equal(verdict(readRole(utf8('{"signed":{},"signatures":[],"x":1}'))), 'OTA_BAD_METADATA x');
  assert.equal(verdict(readRole(utf8('{"signatures":[]}'))), 'OTA_BAD_METADATA signed');
  assert.throws(
    () => draftFunction({ product: 'p', function: 'quality', version: 1, expires: 1.5, releases: [] }),
    RangeError,
  );
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

test('TEST-OTA-128 REQ-OTA-NET-04: role files, any byte or any value changed: refused or read, never a throw', () => {
  for (const name of ['root', 'targets', 'quality', 'snapshot', 'timestamp', 'directorTargets'] as const) {
    const json: unknown = JSON.parse(textOf(files[name]));
    fc.assert(
      fc.property(fc.constantFrom(...paths(json)), fc.jsonValue({ maxDepth: 3 }), (path, value) => {
        const copy: unknown = structuredClone(json);
        put(copy, path, value);
        const bytes = utf8(JSON.stringify(copy));
        const read = readRole(bytes);
        // What is accepted is exactly what is signed: nothing was dropped or converted on the way.
        if (read.ok)
          assert.equal(
            JSON.stringify(read.value.signed),
            JSON.stringify((copy as { signed: unknown }).signed),
          );
      }),
      { numRuns: 300 },
    );
    const edit = fc.record({
      at: fc.nat(files[name].length),
      drop: fc.nat(3),
      add: fc.uint8Array({ maxLength: 3 }),
    });
    fc.assert(
      fc.property(edit, ({ at, drop, add }) => {
        const bytes = Buffer.concat([files[name].subarray(0, at), add, files[name].subarray(at + drop)]);
        const read = readRole(bytes);
        if (read.ok) assert.ok(textOf(bytes).includes(JSON.stringify(read.value.signed)));
      }),
      { numRuns: 300 },
    );
  }
  fc.assert(fc.property(fc.anything(), (value) => !checkRole(value, 'x').ok));
});
