/**
 * Statements and what they prove: bound to role, person, meaning and log, each seen to fail when one of them is another.
 */
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';
import { canonicalBytes, draftOf, encodePolicy, type Result, sha256Hex } from '@airlock/trust';
import * as fc from 'fast-check';
import {
  countProven,
  encodeEntry,
  matchStatement,
  openStatement,
  proveSignature,
  readStatementUnverified,
  signCheckpoint,
  type SignatureEvidence,
  signStatement,
  type Statement,
} from '../src/index.ts';
import {
  entryOf,
  evidenceOf,
  keys,
  noon,
  origin,
  policy,
  policyBytes,
  release,
  roleFile,
  statementOf,
  viewOf,
} from './support/company.ts';

const told = (result: Result<unknown>): string =>
  result.ok ? 'ok' : `${result.error.code} ${result.error.field ?? ''}`;
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code);

function signedSha256(file: Uint8Array): string {
  const draft = draftOf(file);
  if (!draft.ok) throw new Error(draft.error.message);
  return sha256Hex(draft.value.bytesToSign);
}

const role = roleFile(2, [5]);
const own = signedSha256(role);
const checkpoint = { origin, size: 3, rootSha256: 'a'.repeat(64) };
const stated = statementOf(own, { checkpoint });

test('TEST-OTA-1158 REQ-OTA-POL-04: a statement, read by the words of DSSE and in-toto alone: payload type, encoding for signing, subjects and predicate are theirs, and name, time and meaning stand in it', () => {
  for (const signer of [keys.ada, keys.bea]) {
    const person = { keyId: signer.publicKey.keyId, holder: 'x', name: 'X' };
    const envelope = signStatement({ ...stated, signer: person }, signer);
    const { payload, payloadType, signatures } = JSON.parse(Buffer.from(envelope).toString()) as {
      payload: string;
      payloadType: string;
      signatures: { keyid: string; sig: string }[];
    };
    assert.equal(payloadType, 'application/vnd.in-toto+json');
    const body = Buffer.from(payload, 'base64');
    const pae = Buffer.concat([Buffer.from(`DSSEv1 28 ${payloadType} ${body.length} `), body]);
    const { keytype, keyval } = signer.publicKey;
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(keyval.public, 'hex').toString('base64url') };
    const key =
      keytype === 'ecdsa' ? createPublicKey(keyval.public) : createPublicKey({ key: jwk, format: 'jwk' });
    const sig = Buffer.from(signatures[0]?.sig ?? '', 'base64');
    assert.ok(verify(keytype === 'ecdsa' ? 'sha256' : null, pae, key, sig));
    const statement = JSON.parse(body.toString()) as Record<string, unknown>;
    assert.equal(statement['_type'], 'https://in-toto.io/Statement/v1');
    assert.deepEqual(statement['subject'], [
      { name: 'infusion-pump/quality/2', digest: { sha256: own } },
      { name: 'infusion-pump/releases/5/manifest', digest: { sha256: release(5).sha256 } },
    ]);
    const predicate = statement['predicate'] as Record<string, unknown>;
    assert.deepEqual(predicate['signer'], person);
    assert.equal(predicate['meaning'], 'approved for release');
    assert.equal(predicate['time'], '2026-11-02T00:01:00Z');
    const opened = openStatement(envelope, [keys.ada.publicKey, keys.bea.publicKey]);
    assert.deepEqual(opened, {
      ok: true,
      value: { statement: { ...stated, signer: person }, key: signer.publicKey },
    });
    assert.deepEqual(readStatementUnverified(envelope), { ok: true, value: { ...stated, signer: person } });
  }
});

test('TEST-OTA-1159 REQ-OTA-POL-04, REQ-OTA-SIGN-02: a statement, of a stranger, by another key than it names, with any byte changed, or in another spelling: refused', () => {
  const known = [keys.ada.publicKey, keys.bea.publicKey];
  const envelope = signStatement(stated, keys.ada);
  const person = { keyId: keys.stranger.publicKey.keyId, holder: 'ada', name: 'Dr. Ada Quill' };
  const strange = signStatement({ ...stated, signer: person }, keys.stranger);
  assert.equal(told(openStatement(strange, known)), 'STATEMENT_SIGNATURE signatures');
  const text = Buffer.from(envelope).toString();
  const swapped = text.replace(keys.ada.publicKey.keyId, keys.bea.publicKey.keyId);
  assert.equal(told(openStatement(Buffer.from(swapped), known)), 'STATEMENT_SIGNATURE signatures');
  assert.throws(() => signStatement(stated, keys.bea), TypeError);
  fc.assert(
    fc.property(fc.nat(envelope.length - 1), fc.integer({ min: 32, max: 126 }), (at, code) => {
      if (envelope[at] === code) return;
      const copy = Buffer.from(envelope);
      copy[at] = code;
      assert.notEqual(codeOf(openStatement(copy, known)), 'ok');
    }),
  );
  const { payload, payloadType, signatures } = JSON.parse(text) as Record<string, unknown>;
  const twice = [...(signatures as unknown[]), ...(signatures as unknown[])];
  assert.equal(
    codeOf(openStatement(canonicalBytes({ payload, payloadType, signatures: twice }), known)),
    'STATEMENT_FORM',
  );
  assert.equal(codeOf(openStatement(Buffer.from(`${text}\n`), known)), 'STATEMENT_FORM');
  assert.equal(
    codeOf(openStatement(Buffer.from(JSON.stringify({ signatures, payload, payloadType })), known)),
    'STATEMENT_FORM',
  );
  assert.equal(codeOf(openStatement(Buffer.alloc(8001, 'x'), known)), 'STATEMENT_FORM');
});

test('TEST-OTA-1160 REQ-OTA-POL-04: what a person may state, a withdrawal without a reason, a renewal of a release, an unknown meaning, a date without zone: not even signed', () => {
  const wrong: Partial<Record<keyof Statement, unknown>>[] = [
    { meaning: 'withdrawn' },
    { meaning: 'withdrawn', reason: '  ' },
    { meaning: 'renewed' },
    { meaning: 'seen' },
    { reason: 'x'.repeat(501) },
    { reason: 'two\nlines' },
    { signer: { ...stated.signer, name: '' } },
    { signer: { ...stated.signer, name: 'Ada\u202e' } },
    { roleVersion: 0 },
    { signedSha256: 'A'.repeat(64) },
    { release: { version: 0, manifestSha256: 'a'.repeat(64) } },
    { checkpoint: { ...checkpoint, size: -1 } },
    { checkpoint: { ...checkpoint, origin: 'two words' } },
    { checkpoint: { ...checkpoint, rootSha256: '' } },
  ];
  for (const changes of wrong) {
    assert.throws(
      () => signStatement({ ...stated, ...changes } as Statement, keys.ada),
      TypeError,
      JSON.stringify(changes),
    );
  }
  const { release: _, ...whole } = stated;
  assert.throws(() => signStatement(whole, keys.ada), TypeError);
  for (const fine of [
    { ...stated, meaning: 'withdrawn', reason: 'CAPA-77' } as const,
    { ...whole, meaning: 'renewed' } as const,
    { ...stated, meaning: 'authored' } as const,
  ]) {
    assert.ok(signStatement(fine, keys.ada).length > 0);
  }
});

test('TEST-OTA-1161 REQ-OTA-POL-04, REQ-OTA-POL-10: a statement against a role, another product, function, number, content, person, meaning or a larger step than it says: refused with what differs', () => {
  const view = viewOf(role);
  const before = viewOf(roleFile(1, [])).releases;
  const judge = (changes: Partial<Statement>, from: typeof before | undefined = before, over = view) =>
    told(
      matchStatement(
        { ...stated, ...changes },
        { view: over, ...(from === undefined ? {} : { before: from }) },
        policy,
      ),
    );
  assert.equal(judge({}), 'ok');
  assert.equal(judge({ meaning: 'reviewed' }), 'ok');
  assert.equal(judge({ product: 'ventilator' }), 'STATEMENT_OTHER subject');
  assert.equal(judge({ function: 'engineering' }), 'STATEMENT_OTHER subject');
  assert.equal(judge({ roleVersion: 3 }), 'STATEMENT_OTHER subject');
  assert.equal(judge({ signedSha256: 'b'.repeat(64) }), 'STATEMENT_OTHER subject[0].digest');
  const { signer } = stated;
  assert.equal(judge({ signer: { ...signer, name: 'Somebody Else' } }), 'STATEMENT_OTHER signer.name');
  assert.equal(judge({ signer: { ...signer, holder: 'bo' } }), 'STATEMENT_OTHER signer.name');
  assert.equal(judge({ signer: { ...signer, keyId: 'c'.repeat(64) } }), 'STATEMENT_OTHER signer.keyId');
  assert.equal(judge({ checkpoint: { ...checkpoint, origin: 'other/log' } }), 'STATEMENT_OTHER checkpoint');
  assert.equal(
    judge({ release: { version: 6, manifestSha256: release(6).sha256 } }),
    'STATEMENT_OTHER meaning',
  );
  assert.equal(
    judge({ release: { version: 5, manifestSha256: release(6).sha256 } }),
    'STATEMENT_OTHER meaning',
  );
  assert.equal(judge({ meaning: 'withdrawn', reason: 'x' }), 'STATEMENT_OTHER meaning');
  assert.equal(judge({ meaning: 'withdrawn', reason: 'x' }, undefined), 'STATEMENT_OTHER meaning');
  const { release: _, ...whole } = stated;
  const renewed = { ...whole, meaning: 'renewed' } as const;
  assert.equal(told(matchStatement(renewed, { view, before }, policy)), 'STATEMENT_OTHER meaning');
  assert.equal(told(matchStatement(renewed, { view, before: view.releases }, policy)), 'ok');
  assert.equal(judge({}, [release(4)]), 'STATEMENT_OTHER meaning');
  const more = roleFile(2, [5, 6]);
  assert.equal(judge({ signedSha256: signedSha256(more) }, before, viewOf(more)), 'STATEMENT_OTHER meaning');
  const drop = roleFile(2, []);
  const withdrawn = { signedSha256: signedSha256(drop), meaning: 'withdrawn', reason: 'x' } as const;
  assert.equal(judge(withdrawn, [release(5)], viewOf(drop)), 'ok');
  assert.equal(judge(withdrawn, [release(5), release(4)], viewOf(drop)), 'STATEMENT_OTHER meaning');
  const strangers = { ...policy, holders: policy.holders.slice(1) };
  assert.equal(told(matchStatement(stated, { view, before }, strangers)), 'STATEMENT_OTHER signer.keyId');
});

test('TEST-OTA-1162 REQ-OTA-POL-04, REQ-OTA-POL-07: a proven signature, of Ed25519 and of P-256: says who, what and when, bounded by the log from both sides; a clock that disagrees is told', () => {
  for (const signer of [keys.ada, keys.bea]) {
    const evidence = evidenceOf(role, own, signer);
    const proven = proveSignature(evidence);
    assert.ok(proven.ok, told(proven));
    const { statement, notBefore, notAfter, clockAgrees, stepJudged } = proven.value;
    assert.equal(statement.signer.keyId, signer.publicKey.keyId);
    assert.deepEqual(
      [notBefore, notAfter],
      [
        { size: 5, time: noon + 4 },
        { index: 6, time: noon + 120 },
      ],
    );
    assert.deepEqual([clockAgrees, stepJudged], [true, true]);
  }
  for (const [time, agrees] of [
    [noon - 3601, false],
    [noon + 3721, false],
    [noon + 3720, true],
  ] as const) {
    const proven = proveSignature(evidenceOf(role, own, keys.ada, { time }));
    assert.ok(proven.ok && proven.value.clockAgrees === agrees, String(time));
  }
  const { previous: _, seen, ...rest } = evidenceOf(role, own);
  const less = proveSignature({ ...rest, seen: { proof: seen.proof } });
  assert.ok(less.ok && less.value.clockAgrees === undefined && !less.value.stepJudged);
});

test('TEST-OTA-1163 REQ-OTA-POL-04, REQ-OTA-POL-07: the files that prove a signature, each replaced by another that is valid in itself: nothing is proven', () => {
  const evidence = evidenceOf(role, own);
  const later = evidenceOf(role, own, keys.ada, { time: noon + 61 });
  const { checkpoint: note, entry } = evidence;
  const otherPolicy = encodePolicy({ ...policy, markets: {} });
  const forged = signCheckpoint({ origin, size: 8, root: Buffer.alloc(32, 1) }, [keys.log]);
  const rows: [string, Partial<SignatureEvidence>, string][] = [
    ['a role that ada did not sign', { role: roleFile(2, [5], [keys.bea]) }, 'OTA_BAD_SIGNATURE'],
    ['a role of another content', { role: roleFile(2, [6]) }, 'STATEMENT_OTHER'],
    ['another version before', { previous: roleFile(1, [5]) }, 'STATEMENT_OTHER'],
    ['another policy', { policy: otherPolicy }, 'STATEMENT_OTHER'],
    ['a statement that the log does not hold', { statement: later.statement }, 'STATEMENT_OTHER'],
    [
      'a checkpoint of a stranger',
      {
        checkpoint: Buffer.from(signCheckpoint({ origin, size: 8, root: Buffer.alloc(32) }, [keys.stranger])),
      },
      'AUDIT_SIGNATURE',
    ],
    ['a checkpoint of another history', { checkpoint: Buffer.from(forged) }, 'AUDIT_PROOF'],
    [
      'another entry at the place',
      { entry: { ...entry, leaf: encodeEntry(entryOf({ time: noon + 90 })) } },
      'AUDIT_PROOF',
    ],
    ['another place', { entry: { ...entry, index: 5 } }, 'AUDIT_PROOF'],
    ['no proof of what was seen', { seen: { proof: [] } }, 'AUDIT_PROOF'],
    ['another last entry seen', { seen: { ...evidence.seen, last: { ...entry, index: 4 } } }, 'AUDIT_PROOF'],
    ['the last entry of another size', { seen: { ...evidence.seen, last: { ...entry } } }, 'STATEMENT_OTHER'],
    [
      'the log of the other statement',
      { checkpoint: later.checkpoint, entry: later.entry, seen: later.seen },
      'STATEMENT_OTHER',
    ],
  ];
  for (const [what, change, code] of rows) {
    assert.equal(codeOf(proveSignature({ ...evidence, ...change })), code, what);
  }
  assert.ok(proveSignature({ ...evidence, checkpoint: note }).ok);
  // A statement that names a checkpoint with its own entry in it was not made when it says.
  const tail = evidenceOf(role, own, keys.ada, {
    checkpoint: { origin, size: 8, rootSha256: '0'.repeat(64) },
  });
  assert.equal(codeOf(proveSignature(tail)), 'AUDIT_PROOF');
});

test('TEST-OTA-1164 REQ-OTA-POL-04: a role with two valid signatures, one without its statement: the one counts for nothing in the evidence, and the threshold is not reached', () => {
  const files = { role, targets: evidenceOf(role, own).targets };
  const both = countProven(files, [evidenceOf(role, own), evidenceOf(role, own, keys.bea)]);
  assert.ok(both.ok && both.value.enough);
  assert.deepEqual([both.value.proven.length, both.value.ignored, both.value.threshold], [2, [], 2]);
  const one = countProven(files, [evidenceOf(role, own), evidenceOf(role, own)]);
  assert.ok(one.ok && !one.value.enough && one.value.proven.length === 1);
  assert.deepEqual(one.value.ignored, [{ keyId: keys.bea.publicKey.keyId, why: 'has no statement' }]);
  const none = countProven(files, []);
  assert.ok(none.ok && !none.value.enough && none.value.ignored.length === 2);
  const bad = countProven(files, [{ ...evidenceOf(role, own), policy: policyBytes.slice(1) }]);
  assert.ok(
    bad.ok &&
      bad.value.proven.length === 0 &&
      /does not hold|that holds/.test(bad.value.ignored[0]?.why ?? ''),
  );
});
