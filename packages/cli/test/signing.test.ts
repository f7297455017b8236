/** The decision what a signature may be set under, with the server on the attacker's side. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { roleLifeSeconds } from '@airlock/protocol';
import {
  draftFunction,
  draftTargets,
  encodePolicy,
  publicKeyFrom,
  type Signer,
  signDraft,
  signerFrom,
} from '@airlock/trust';
import fc from 'fast-check';
import { type Act, planSignature, type SigningInput } from '../src/core/signing.ts';

const now = 1_800_000_000;
const life = roleLifeSeconds('quality', true);
const hash = (letter: string) => letter.repeat(64);
const mine = signerFrom(generateKeyPairSync('ed25519').privateKey);
const colleague = signerFrom(generateKeyPairSync('ed25519').privateKey);

type Releases = Parameters<typeof draftFunction>[0]['releases'];
const held: Releases = [
  { version: 3, length: 900, sha256: hash('a') },
  { version: 4, length: 901, sha256: hash('b') },
];
const wanted = { version: 5, length: 902, sha256: hash('c') };
const meaning = 'approved for release';
const approve: Act = { kind: 'approve', meaning, ...wanted };

function role(options: {
  version: number;
  releases: Releases;
  expires?: number;
  product?: string;
  function?: string;
  by?: readonly Signer[];
}): Uint8Array {
  const draft = draftFunction({
    product: options.product ?? 'pump',
    function: options.function ?? 'quality',
    version: options.version,
    expires: options.expires ?? now + life,
    releases: options.releases,
  });
  return signDraft(draft, options.by ?? [colleague]);
}

function input(change: Partial<SigningInput> = {}): SigningInput {
  return {
    product: 'pump',
    function: 'quality',
    act: approve,
    previous: role({ version: 7, releases: held }),
    proposal: undefined,
    signedVersion: 7,
    keyId: mine.publicKey.keyId,
    now,
    lifeSeconds: life,
    ...change,
  };
}

function codeOf(given: SigningInput): string {
  const planned = planSignature(given);
  return planned.ok ? 'signs' : planned.error.code;
}

test('TEST-OTA-500 REQ-OTA-POL-10: signing, no proposal is open: exactly the named act is drafted under the next number', () => {
  const planned = planSignature(input({ signedVersion: 9 }));
  assert.ok(planned.ok);
  assert.equal(planned.value.draft.version, 10);
  const subjects = planned.value.changes.map(({ kind, subject }) => `${kind} ${subject}`);
  assert.deepEqual(subjects.toSorted(), ['added release 5', 'changed version']);
  const other = planSignature(input({ act: { kind: 'withdraw', version: 3, reason: 'CAPA-1' } }));
  assert.ok(
    other.ok &&
      other.value.changes.some(({ kind, subject }) => kind === 'removed' && subject === 'release 3'),
  );
});

test("TEST-OTA-501 REQ-OTA-POL-10: signing, a colleague's honest proposal is open: it is signed as it is, with its signatures", () => {
  const proposal = role({ version: 8, releases: [...held, wanted] });
  const planned = planSignature(input({ proposal }));
  assert.ok(planned.ok);
  assert.deepEqual(planned.value.file, proposal);
  assert.deepEqual(planned.value.signedBy, [colleague.publicKey.keyId]);
});

const hostile: [string, Uint8Array, string][] = [
  [
    'one more entry',
    role({ version: 8, releases: [...held, wanted, { version: 6, length: 1, sha256: hash('d') }] }),
    'CLI_UNEXPECTED_CHANGE',
  ],
  ['one entry less', role({ version: 8, releases: [...held.slice(1), wanted] }), 'CLI_UNEXPECTED_CHANGE'],
  [
    'a changed hash of another release',
    role({
      version: 8,
      releases: [{ version: 3, length: 900, sha256: hash('d') }, ...held.slice(1), wanted],
    }),
    'CLI_UNEXPECTED_CHANGE',
  ],
  [
    'a changed length of another release',
    role({ version: 8, releases: [{ version: 3, length: 1, sha256: hash('a') }, ...held.slice(1), wanted] }),
    'CLI_UNEXPECTED_CHANGE',
  ],
  [
    'another hash of the release that is approved',
    role({ version: 8, releases: [...held, { ...wanted, sha256: hash('e') }] }),
    'CLI_UNEXPECTED_CHANGE',
  ],
  [
    'another release than the named one',
    role({ version: 8, releases: [...held, { ...wanted, version: 6 }] }),
    'CLI_UNEXPECTED_CHANGE',
  ],
  [
    "another product's role",
    role({ version: 8, releases: [...held, wanted], product: 'ventilator' }),
    'CLI_UNEXPECTED_CHANGE',
  ],
  [
    "another function's role",
    role({ version: 8, releases: [...held, wanted], function: 'engineering' }),
    'CLI_UNEXPECTED_CHANGE',
  ],
  ['the number that was verified', role({ version: 7, releases: [...held, wanted] }), 'CLI_PROPOSAL_VERSION'],
  ['a number that is rolled back', role({ version: 2, releases: [...held, wanted] }), 'CLI_PROPOSAL_VERSION'],
  [
    'a number that ends the role',
    role({ version: Number.MAX_SAFE_INTEGER, releases: [...held, wanted] }),
    'CLI_PROPOSAL_VERSION',
  ],
  [
    'a life of ten years',
    role({ version: 8, releases: [...held, wanted], expires: now + 3650 * 86_400 }),
    'CLI_PROPOSAL_EXPIRY',
  ],
  [
    'an expiry that has passed',
    role({ version: 8, releases: [...held, wanted], expires: now - 1 }),
    'CLI_PROPOSAL_EXPIRY',
  ],
  ['no role at all', Buffer.from('{"signed":{}}'), 'OTA_BAD_METADATA'],
];

test('TEST-OTA-502 REQ-OTA-POL-10: signing, a hostile server offers a proposal that is not the act: each is refused by name', () => {
  for (const [what, proposal, code] of hostile) {
    assert.equal(codeOf(input({ proposal })), code, what);
  }
});

test('TEST-OTA-503 REQ-OTA-POL-10: signing, a role whose threshold and keys are changed is offered in place of the function: refused', () => {
  const policy = encodePolicy({
    schema: 'airlock-policy/1',
    product: 'pump',
    classes: { C: { engineering: 1, quality: 1 } },
    markets: {},
    holders: [],
    secureBootRevoked: [],
  });
  const draft = draftTargets({
    product: 'pump',
    version: 8,
    expires: now + life,
    functions: [
      { name: 'quality', keys: [publicKeyFrom(generateKeyPairSync('ed25519').publicKey)], threshold: 1 },
    ],
    policy,
  });
  assert.equal(codeOf(input({ proposal: signDraft(draft, [colleague]) })), 'CLI_UNEXPECTED_CHANGE');
});

test('TEST-OTA-504 REQ-OTA-POL-10: signing, a number was signed here before: no other content is signed under it', () => {
  const proposal = role({ version: 8, releases: [...held, wanted] });
  assert.equal(codeOf(input({ proposal, signedVersion: 8 })), 'CLI_PROPOSAL_VERSION');
  const own = planSignature(input({ signedVersion: 8 }));
  assert.ok(own.ok && own.value.draft.version === 9);
});

test('TEST-OTA-505 REQ-OTA-POL-10: signing, the key has signed the proposal already: it says so', () => {
  const proposal = role({ version: 8, releases: [...held, wanted], by: [mine] });
  assert.equal(codeOf(input({ proposal, signedVersion: 8 })), 'CLI_SIGNED_ALREADY');
});

test('TEST-OTA-506 REQ-OTA-POL-10: signing, a renewal adds or drops a release: refused, and an honest one is signed', () => {
  const act: Act = { kind: 'renew' };
  assert.equal(
    codeOf(input({ act, proposal: role({ version: 8, releases: [...held, wanted] }) })),
    'CLI_UNEXPECTED_CHANGE',
  );
  assert.equal(codeOf(input({ act, proposal: role({ version: 8, releases: [] }) })), 'CLI_UNEXPECTED_CHANGE');
  assert.equal(codeOf(input({ act, proposal: role({ version: 8, releases: held }) })), 'signs');
});

test('TEST-OTA-507 REQ-OTA-POL-10: signing, the act has no meaning (approved already, not approved, other content): refused', () => {
  const same = { version: 4, length: 901, sha256: hash('b') };
  assert.equal(codeOf(input({ act: { kind: 'approve', meaning, ...same } })), 'CLI_APPROVED_ALREADY');
  assert.equal(
    codeOf(input({ act: { kind: 'approve', meaning, ...same, sha256: hash('f') } })),
    'CLI_RELEASE_CHANGED',
  );
  assert.equal(
    codeOf(input({ act: { kind: 'withdraw', version: 5, reason: 'CAPA-1' } })),
    'CLI_NOT_APPROVED',
  );
});

test('TEST-OTA-508 REQ-OTA-POL-10: signing, any list of releases that is not the expected one: never signed', () => {
  const entry = fc.record({
    version: fc.integer({ min: 1, max: 9 }),
    length: fc.constantFrom(900, 901, 902),
    sha256: fc.constantFrom(hash('a'), hash('b'), hash('c')),
  });
  const lists = fc.uniqueArray(entry, { selector: ({ version }) => version, maxLength: 6 });
  const sorted = (releases: Releases) => JSON.stringify(releases.toSorted((a, b) => a.version - b.version));
  const expected = sorted([...held, wanted]);
  fc.assert(
    fc.property(lists, (releases) => {
      const offered = releases.map(({ version, length, sha256 }) => ({ version, length, sha256 }));
      const code = codeOf(input({ proposal: role({ version: 8, releases: offered }) }));
      assert.equal(code === 'signs', sorted(offered) === expected);
    }),
    { numRuns: 60 },
  );
  assert.equal(codeOf(input({ proposal: role({ version: 8, releases: [...held, wanted] }) })), 'signs');
});
