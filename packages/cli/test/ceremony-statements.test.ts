/**
 * Statements in a ceremony file, as a holder's machine judges them: a function's signature without its own, or with one
 * that says something else, is evidence that would be missing for ever, and is refused before anybody signs beside it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Statement, signStatement } from '@airlock/audit';
import { readRole, sha256Hex, type Signer } from '@airlock/trust';
import { checkCeremony, nextTerms } from '../src/core/ceremony-check.ts';
import { type CeremonyFile, encodeCeremony, readCeremony } from '../src/core/ceremony-file.ts';
import { functionAct } from '../src/core/ceremony-statements.ts';
import {
  at,
  codeOf,
  ground,
  id,
  key,
  keys,
  nothing,
  now,
  replaceRoot,
  sign,
  start,
  stolen,
  take,
  text,
} from './support/ceremony-ground.ts';

const eve = key();
const [, kim] = keys.quality;
/** Ada's key is stolen; Kim stays, Eve comes, and one of both signs. */
const drill = {
  ...stolen,
  holders: [
    {
      function: 'quality',
      remove: ['ada'],
      add: [{ holder: 'eve', name: 'Eve Stone', key: eve.publicKey }],
      threshold: 1,
    },
  ],
};

const begun = start(drill);
const signed = sign(begun, 'quality', eve);

function statementOf(file: CeremonyFile, changes: Partial<Statement> = {}): Statement {
  const view = readRole(Buffer.from(file.files['quality'] ?? ''));
  assert.ok(view.ok);
  const role = take(checkCeremony(ground, begun, at)).roles.find((entry) => entry.role === 'quality');
  assert.ok(role);
  return {
    product: 'pump',
    function: 'quality',
    roleVersion: view.value.version,
    signedSha256: sha256Hex(role.draft.bytesToSign),
    release: { version: 4, manifestSha256: '4'.repeat(64) },
    meaning: 'withdrawn',
    reason: 'test',
    signer: { keyId: id(eve), holder: 'eve', name: 'Eve Stone' },
    time: now,
    checkpoint: { origin: 'simulated.example', size: 3, rootSha256: 'a'.repeat(64) },
    ...changes,
  };
}

const envelope = (changes: Partial<Statement> = {}, signer: Signer = eve): string =>
  text(signStatement(statementOf(signed, changes), signer));
const withStatements = (quality: readonly string[]): CeremonyFile => ({ ...signed, statements: { quality } });
const judged = (file: CeremonyFile): string => codeOf(checkCeremony(ground, file, at));

test("TEST-OTA-1241 REQ-OTA-POL-04, REQ-OTA-SIGN-05: a function's role in a ceremony, signed with its statement: counts, and the file keeps it; without one, with two, of another person, meaning, content or role: refused by name", () => {
  assert.ok(kim);
  const honest = withStatements([envelope()]);
  const role = take(checkCeremony(ground, honest, at)).roles.find((entry) => entry.role === 'quality');
  assert.equal(role?.enough, true);
  assert.deepEqual(readCeremony(JSON.parse(encodeCeremony(honest)), 'file'), honest);

  const ada = keys.quality[0] ?? eve;
  const bad: readonly (readonly [string, string, readonly string[]])[] = [
    ['none', 'CLI_CEREMONY_FILE', []],
    ['two', 'CLI_CEREMONY_FILE', [envelope(), envelope({ time: now + 1 })]],
    [
      'another name',
      'STATEMENT_OTHER',
      [envelope({ signer: { keyId: id(eve), holder: 'eve', name: 'E.' } })],
    ],
    ['same list', 'STATEMENT_OTHER', [text(signStatement(renewed(), eve))]],
    ['approval', 'STATEMENT_OTHER', [envelope({ meaning: 'approved for release' })]],
    ['another content', 'STATEMENT_OTHER', [envelope({ signedSha256: 'b'.repeat(64) })]],
    ['another number', 'STATEMENT_OTHER', [envelope({ roleVersion: 77 })]],
    [
      'of the key that goes',
      'STATEMENT_SIGNATURE',
      [envelope({ signer: { keyId: id(ada), holder: 'ada', name: 'Holder ada' } }, ada)],
    ],
    [
      'of one who did not sign the role',
      'CLI_CEREMONY_FILE',
      [envelope(), envelope({ signer: { keyId: id(kim), holder: 'kim', name: 'Holder kim' } }, kim)],
    ],
    ['not one', 'STATEMENT_FORM', ['{}']],
  ];
  for (const [what, code, statements] of bad) assert.equal(judged(withStatements(statements)), code, what);
  assert.equal(
    judged({ ...honest, statements: { quality: [envelope()], engineering: [] } }),
    'CLI_UNEXPECTED_CHANGE',
  );
  const toRoot = { ...start(replaceRoot), statements: { root: [envelope()] } };
  assert.equal(judged(toRoot), 'CLI_CEREMONY_FILE', 'a root has none');
});

function renewed(): Statement {
  const { release: _, ...rest } = statementOf(signed);
  return { ...rest, meaning: 'renewed', reason: '' };
}

test('TEST-OTA-1242 REQ-OTA-POL-04, REQ-OTA-POL-10: what a ceremony makes a signer state: the same list under other keys, or the one release that goes; two at once, which no statement could say: refused before a file is made', () => {
  assert.deepEqual(functionAct(nothing, 'quality', 'CAPA-81'), { kind: 'renew', reason: 'CAPA-81' });
  assert.deepEqual(functionAct(drill, 'quality', 'CAPA-81'), {
    kind: 'withdraw',
    version: 4,
    reason: 'CAPA-81',
  });
  const both = { ...drill, drop: [3, 4].map((version) => ({ function: 'quality', version })) };
  const refused = nextTerms(ground, both, { now, signed: {}, numbers: {} });
  assert.ok(!refused.ok && refused.error.code === 'CLI_CEREMONY_ACT');
  assert.match(refused.error.message, /withdraw 4 afterwards with release withdraw/);
});
