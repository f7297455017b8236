/**
 * Ceremony files as a holder's machine judges them: the act and nothing else. What a colleague, a mail server or
 * whoever stood between them changed in the file must be seen and refused, and what devices would refuse is not made.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addSignature,
  draftFunction,
  draftRoot,
  encodePolicy,
  type Policy,
  parsePolicy,
  readRole,
  signDraft,
  type Signer,
} from '@airlock/trust';
import { checkCeremony, nextTerms, numberOf, rolesInForce } from '../src/core/ceremony-check.ts';
import {
  type CeremonyAct,
  type CeremonyFile,
  encodeCeremony,
  readCeremony,
} from '../src/core/ceremony-file.ts';
import { ceremonyRecord } from '../src/core/ceremony-words.ts';
import { planCeremony } from '../src/core/ceremony.ts';
import { Stop } from '../src/stop.ts';
import {
  at,
  codeOf,
  day,
  fresh,
  functionFile,
  ground,
  id,
  key,
  keys,
  makeGround,
  named,
  nothing,
  now,
  policy,
  replaceRoot,
  rootOptions,
  sign,
  start,
  stolen,
  take,
  text,
} from './support/ceremony-ground.ts';

test('TEST-OTA-1225 REQ-OTA-SIGN-05, REQ-OTA-POL-10: a ceremony handed from holder to holder: enough only when the root in force and the new root both have their thresholds', () => {
  const file = start(replaceRoot);
  assert.deepEqual(Object.keys(file.files), ['root']);
  const again = readCeremony(JSON.parse(encodeCeremony(file)), 'file');
  assert.deepEqual(again, file);
  const enough = (signed: CeremonyFile) => take(checkCeremony(ground, signed, at)).roles[0]?.enough;
  const [a, b, c] = keys.root;
  assert.ok(a && b && c);
  assert.equal(enough(sign(file, 'root', a)), false);
  // The one that goes and one that stays: the old threshold, not the new one.
  assert.equal(enough(sign(file, 'root', a, c)), false);
  // One that stays and the one that comes: the new threshold, not the old one.
  assert.equal(enough(sign(file, 'root', a, fresh)), false);
  assert.equal(enough(sign(file, 'root', a, c, fresh)), true);
  assert.equal(enough(sign(sign(file, 'root', a), 'root', b)), true);
});

test('TEST-OTA-1226 REQ-OTA-POL-10, REQ-OTA-SIGN-05: a ceremony file that was changed on its way, one change at a time: each is refused before anybody signs', () => {
  const file = start(replaceRoot);
  const other = (changes: object, version = 4) =>
    text(draftRoot({ ...rootOptions, version, expires: now + 365 * day, ...changes }).unsigned);
  const roles = { ...rootOptions.roles, root: named([...keys.root.slice(0, 2), fresh], 2) };
  const honest = file.files['root'] ?? '';
  assert.equal(other({ roles }), honest, 'the honest file, made by hand');
  const mallory = key();
  const changed: readonly (readonly [string, string, string])[] = [
    [
      'one more key',
      'CLI_UNEXPECTED_CHANGE',
      other({
        roles: {
          ...roles,
          root: named([...keys.root.slice(0, 2), fresh, mallory], 2),
        },
      }),
    ],
    [
      'threshold',
      'CLI_UNEXPECTED_CHANGE',
      other({ roles: { ...roles, root: { ...roles.root, threshold: 1 } } }),
    ],
    ['another role', 'CLI_UNEXPECTED_CHANGE', other({ roles: { ...roles, targets: named([mallory], 1) } })],
    ['online key', 'CLI_UNEXPECTED_CHANGE', other({ roles: { ...roles, snapshot: named([mallory], 1) } })],
    ['minimum', 'CLI_UNEXPECTED_CHANGE', other({ roles, minimum: { classes: {}, markets: {} } })],
    ['demo mark', 'CLI_UNEXPECTED_CHANGE', other({ roles, demo: true })],
    ['provisioning', 'CLI_UNEXPECTED_CHANGE', other({ roles, provisioning: named([mallory], 1) })],
    ['number skipped', 'CLI_PROPOSAL_VERSION', other({ roles }, 5)],
    ['number again', 'CLI_PROPOSAL_VERSION', other({ roles }, 3)],
    ['ten years', 'CLI_PROPOSAL_EXPIRY', other({ roles, expires: now + 3650 * day })],
    ['a month', 'CLI_PROPOSAL_EXPIRY', other({ roles, expires: now + 30 * day })],
    ['no root', 'OTA_BAD_JSON', '{'],
  ];
  for (const [what, code, root] of changed) {
    const judged = checkCeremony(ground, { ...file, files: { root } }, at);
    assert.equal(codeOf(judged), code, what);
  }
  const unsigned = file.files['root'] ?? '';
  const stranger = take(
    addSignature(Buffer.from(unsigned), { keyId: id(mallory), signature: mallory.sign(Buffer.from('x')) }),
  );
  assert.equal(
    codeOf(checkCeremony(ground, { ...file, files: { root: text(stranger) } }, at)),
    'OTA_BAD_SIGNATURE',
  );
  const wrong = take(
    addSignature(Buffer.from(unsigned), {
      keyId: id(keys.root[0]),
      signature: mallory.sign(Buffer.from('x')),
    }),
  );
  assert.equal(
    codeOf(checkCeremony(ground, { ...file, files: { root: text(wrong) } }, at)),
    'OTA_BAD_SIGNATURE',
  );
  // Another act under the same files, files that the act does not touch, files that it needs.
  const lied = { ...file, act: { ...nothing, renew: ['root' as const] } };
  assert.equal(codeOf(checkCeremony(ground, lied, at)), 'CLI_UNEXPECTED_CHANGE');
  const more = { ...file, files: { ...file.files, ...start({ ...nothing, renew: ['targets'] }).files } };
  assert.equal(codeOf(checkCeremony(ground, more, at)), 'CLI_UNEXPECTED_CHANGE');
  const extraPolicy = { ...file, policy: text(encodePolicy(policy)) };
  assert.equal(codeOf(checkCeremony(ground, extraPolicy, at)), 'CLI_UNEXPECTED_CHANGE');
  assert.equal(codeOf(checkCeremony(ground, { ...file, files: {} }, at)), 'CLI_CEREMONY_ACT');
});

test('TEST-OTA-1227 REQ-OTA-POL-10, REQ-OTA-SIGN-05: the drill for a stolen function key, changed on its way in targets, policy or list: refused; as it is, it takes the thief, his release and both online keys away', () => {
  const file = start(stolen);
  assert.deepEqual(Object.keys(file.files), ['root', 'targets', 'quality']);
  const checked = take(checkCeremony(ground, file, at));
  const quality = readRole(Buffer.from(file.files['quality'] ?? ''));
  assert.ok(quality.ok && quality.value.kind === 'function');
  assert.deepEqual(
    quality.value.releases.map(({ version }) => version),
    [3],
  );
  const next = take(parsePolicy(Buffer.from(file.policy ?? '')));
  assert.deepEqual(next.holders.map(({ holder }) => holder).toSorted(), ['bo', 'eve', 'kim']);
  const record = ceremonyRecord(file, checked, { nameOf: () => undefined, printed: now, published: true });
  assert.match(record, /Withdraws release 4/);
  assert.match(record, /Snapshot and timestamp keys change too/);
  assert.ok(
    record.split('\n').every((line) => line.length <= 78),
    'fits on paper',
  );

  const policyWith = (changes: Partial<Policy>) => text(encodePolicy({ ...next, ...changes }));
  const lower = policyWith({ classes: { C: { engineering: 1, 'regulatory-us': 1 } } });
  assert.equal(codeOf(checkCeremony(ground, { ...file, policy: lower }, at)), 'CLI_UNEXPECTED_CHANGE');
  const listing = (versions: readonly number[], version = 9) =>
    text(
      draftFunction({
        product: 'pump',
        function: 'quality',
        version,
        expires: now + 90 * day,
        releases: versions.map((release) => ({
          version: release,
          length: 10,
          sha256: String(release).repeat(64),
        })),
      }).unsigned,
    );
  const withQuality = (role: string) => ({ ...file, files: { ...file.files, quality: role } });
  assert.equal(codeOf(checkCeremony(ground, withQuality(listing([3])), at)), 'taken');
  for (const versions of [[3, 4], [3, 5], []]) {
    assert.equal(codeOf(checkCeremony(ground, withQuality(listing(versions)), at)), 'CLI_UNEXPECTED_CHANGE');
  }
  assert.equal(codeOf(checkCeremony(ground, withQuality(listing([3], 500)), at)), 'CLI_PROPOSAL_VERSION');
  // Lower numbers only because both online keys go with the function's key: then devices forget.
  assert.equal(codeOf(checkCeremony(ground, withQuality(listing([3], 2)), at)), 'taken');
  const kept = { ...stolen, keys: [] };
  const keptFile = start(kept);
  assert.equal(codeOf(checkCeremony(ground, keptFile, at)), 'taken');
  const low = { ...keptFile, files: { ...keptFile.files, quality: listing([3], 2) } };
  assert.equal(codeOf(checkCeremony(ground, low, at)), 'CLI_PROPOSAL_VERSION');
  const words = ceremonyRecord(keptFile, take(checkCeremony(ground, keptFile, at)), {
    nameOf: () => undefined,
    printed: now,
    published: false,
  });
  assert.match(words, /WARNING: if a key of quality was stolen/);
  assert.match(words, /NOT PUBLISHED/);
});

test('TEST-OTA-1228 REQ-OTA-SIGN-05, REQ-OTA-POL-02, REQ-OTA-POL-09: acts that no device would accept or nobody could sign: refused with the reason, before a file is made', () => {
  const holder = (name: string, signer: Signer) => ({ holder: name, name, key: signer.publicKey });
  const change = (changes: Partial<CeremonyAct['holders'][number]>): CeremonyAct => ({
    ...nothing,
    holders: [{ function: 'quality', remove: [], add: [], threshold: 1, ...changes }],
  });
  const rootKeys = (changes: Partial<CeremonyAct['keys'][number]>): CeremonyAct => ({
    ...nothing,
    keys: [{ role: 'root', remove: [], add: [], threshold: 2, ...changes }],
  });
  const [engineer] = keys.engineering;
  const [snapshot] = keys.snapshot;
  assert.ok(engineer && snapshot);
  const bad: readonly (readonly [string, string, CeremonyAct])[] = [
    ['nothing', 'CLI_CEREMONY_ACT', nothing],
    ['no change', 'CLI_CEREMONY_ACT', rootKeys({})],
    ['a key that is not there', 'CLI_CEREMONY_ACT', rootKeys({ remove: ['f'.repeat(64)] })],
    ['nobody could sign', 'CLI_CEREMONY_ACT', rootKeys({ threshold: 4 })],
    ['a key twice', 'CLI_CEREMONY_ACT', rootKeys({ add: [keys.root[0]?.publicKey ?? fresh.publicKey] })],
    ['an online key as root key', 'OTA_KEY_SHARED', rootKeys({ add: [snapshot.publicKey] })],
    ['a person in two functions', 'OTA_KEY_SHARED', change({ add: [holder('bo', fresh)] })],
    ['a key in two functions', 'OTA_POLICY', change({ add: [holder('new', engineer)] })],
    ['a person twice', 'OTA_KEY_SHARED', change({ add: [holder('ada', fresh)] })],
    ['a root key as function key', 'OTA_KEY_SHARED', change({ add: [holder('new', keys.root[0] ?? fresh)] })],
    ['a holder who is none', 'CLI_CEREMONY_ACT', change({ remove: ['bo'] })],
    ['a function without holders', 'CLI_CEREMONY_ACT', change({ remove: ['ada', 'kim'] })],
    [
      'drop without a new key',
      'CLI_CEREMONY_ACT',
      { ...nothing, renew: ['root'], drop: [{ function: 'quality', version: 4 }] },
    ],
    [
      'drop of what is not listed',
      'CLI_CEREMONY_ACT',
      { ...change({ remove: ['ada'] }), drop: [{ function: 'quality', version: 9 }] },
    ],
    [
      'a policy that nobody offers',
      'OTA_DEMAND_UNKNOWN',
      { ...nothing, rules: { classes: { C: { engineering: 1, legal: 1 } } } },
    ],
    [
      'a policy above what is offered',
      'OTA_BELOW_MINIMUM',
      { ...nothing, rules: { classes: { C: { engineering: 1, quality: 2 } } } },
    ],
    ['one function for a class', 'OTA_POLICY', { ...nothing, rules: { classes: { C: { engineering: 1 } } } }],
    [
      'a minimum above what is offered',
      'OTA_BELOW_MINIMUM',
      { ...nothing, minimum: { classes: { C: { engineering: 2 } }, markets: {} }, renew: ['targets'] },
    ],
  ];
  for (const [what, code, act] of bad) {
    const terms = nextTerms(ground, act, { now, signed: {}, numbers: {} });
    const planned = terms.ok ? planCeremony(ground, act, terms.value) : terms;
    assert.equal(codeOf(planned), code, what);
    assert.ok(!planned.ok && planned.error.message.length > 10);
  }
  const { image: _, ...rootsOnly } = ground;
  assert.equal(codeOf(nextTerms(rootsOnly, stolen, { now, signed: {}, numbers: {} })), 'CLI_CEREMONY_ACT');
  assert.equal(codeOf(nextTerms(rootsOnly, replaceRoot, { now, signed: {}, numbers: {} })), 'taken');
});

test('TEST-OTA-1229 REQ-OTA-SIGN-05, REQ-OTA-POL-10: a number of targets that was signed here for another content, a ceremony that is over, a thief at the last number: refused, seen, and led out', () => {
  const renew = start({ ...nothing, renew: ['targets'] });
  assert.equal(
    codeOf(checkCeremony(ground, renew, { ...at, signed: { targets: 6 } })),
    'CLI_PROPOSAL_VERSION',
  );
  const [role] = take(checkCeremony(ground, renew, at)).roles;
  assert.ok(role);
  assert.equal(numberOf(role), 'targets 6');
  assert.deepEqual(rolesInForce(ground, renew), []);
  const targets = signDraft(role.draft, keys.targets);
  assert.deepEqual(rolesInForce(makeGround({ targets }), renew), ['targets']);

  const last = makeGround({
    functions: new Map([
      ['engineering', functionFile('engineering', 7)],
      ['quality', functionFile('quality', Number.MAX_SAFE_INTEGER)],
    ]),
  });
  assert.equal(codeOf(nextTerms(last, stolen, { now, signed: {}, numbers: {} })), 'CLI_PROPOSAL_VERSION');
  const file = start(stolen, last, { quality: 9 });
  assert.equal(codeOf(checkCeremony(last, file, at)), 'taken');
  // The thief's higher number is no sign that the ceremony is over.
  assert.deepEqual(rolesInForce(last, file), []);
});

test('TEST-OTA-1230 REQ-OTA-OPS-01: a ceremony file with a field missing, unknown or of another form: refused by name', () => {
  const good = JSON.parse(encodeCeremony(start(stolen))) as Record<string, unknown>;
  const act = good['act'] as Record<string, unknown>;
  assert.ok(readCeremony(good, 'file'));
  const bad: readonly (readonly [string, unknown])[] = [
    ['schema', { ...good, schema: 'airlock-ceremony/2' }],
    ['owner', { ...good, owner: { repository: 'director', product: 'pump' } }],
    ['reason', { ...good, reason: '' }],
    ['reason', { ...good, reason: 'two\nlines' }],
    ['started', { ...good, started: 'today' }],
    [
      'act.keys[0].role',
      { ...good, act: { ...act, keys: [{ role: 'quality', remove: [], add: [], threshold: 1 }] } },
    ],
    [
      'act.keys[0].remove[0]',
      { ...good, act: { ...act, keys: [{ role: 'root', remove: ['ab'], add: [], threshold: 1 }] } },
    ],
    [
      'act.keys[0].threshold',
      { ...good, act: { ...act, keys: [{ role: 'root', remove: [], add: [], threshold: 0 }] } },
    ],
    ['act.extra', { ...good, act: { ...act, extra: 1 } }],
    ['files', { ...good, files: { snapshot: '{}' } }],
    ['signed', { ...good, signed: [{ keyId: 'x', name: 'x', time: 'x' }] }],
    ['chain', { ...good, chain: Array.from({ length: 65 }, () => '') }],
    ['more', { ...good, more: true }],
  ];
  for (const [field, value] of bad) {
    assert.throws(
      () => readCeremony(value, 'file'),
      (error) =>
        error instanceof Stop &&
        error.failure.code === 'CLI_CEREMONY_FILE' &&
        error.failure.message.includes(field),
      field,
    );
  }
});
