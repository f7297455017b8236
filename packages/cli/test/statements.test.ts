/**
 * Signing with a statement, against a server whose audit log is honest first and lies then. Goal: what a signature means
 * is shown before the secret is asked for, and no history but the one that was seen is signed over.
 */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openStatement, readStatementUnverified } from '@airlock/audit';
import { readRole } from '@airlock/trust';
import { logOfPolicy } from '../src/audit-memory.ts';
import { Home } from '../src/home.ts';
import { prepareStatement } from '../src/stating.ts';
import { Stop } from '../src/stop.ts';
import {
  type Company,
  type Desk,
  makeCompany,
  now,
  passphrase,
  removeCompany,
  sitDown,
} from './support/company.ts';

let company: Company;
before(async () => {
  company = await makeCompany();
});
after(async () => {
  await removeCompany(company);
});

const made = [
  [
    '--name',
    '1.2.0',
    '--compat',
    'hw:rev2',
    '--change-record',
    'CR-1',
    '--impact',
    'none',
    '--touches',
    'none',
    '--link',
    'https://qms.example/CR-1',
    '--author',
    'bo',
  ],
  ['--regulatory', 'letter to file', '--image', 'rootfs=image'],
].flat();

async function withReleases(desk: Desk, ...versions: readonly number[]): Promise<void> {
  await writeFile(join(desk.folder, 'image'), 'bytes of an image');
  for (const version of versions) {
    const outcome = await desk.run('release', 'create', 'pump', String(version), ...made);
    assert.equal(outcome.status, 0, outcome.err);
  }
}

const approve = (version: number) => ['release', 'approve', 'pump', String(version), '--as', 'quality'];
const statementsAt = (desk: Desk) => desk.server.log.statements.get('quality') ?? [];
const codeIn = (err: string): string => /airlock: ([A-Z_]+): /.exec(err)?.[1] ?? err;

test('TEST-OTA-1176 REQ-OTA-POL-04, REQ-OTA-POL-10: an approval, a withdrawal and a renewal: each sends a statement of the same key, whose name and meaning were shown before the passphrase was asked for; the copy stays here', async (t) => {
  const desk = await sitDown(t, company);
  await withReleases(desk, 5);
  const size = desk.server.log.leaves.length;
  const approved = await desk.type(['5', passphrase], ...approve(5));
  assert.equal(approved.status, 0, approved.err);
  const shown = approved.err.indexOf(
    'Your signature will say: "approved for release", Dr. Ada Quill <ada>, after entry 5',
  );
  assert.ok(shown > 0 && shown < approved.err.indexOf('Passphrase for'), approved.err);
  assert.match(
    approved.out,
    /Signed by Dr\. Ada Quill, 2027-01-15T08:00:00Z; entry 5 of the audit log simulated\.example/,
  );
  const withdrawal = ['release', 'withdraw', 'pump', '5', '--as', 'quality', '--reason', 'CAPA-7'];
  assert.equal((await desk.type(['5', passphrase], ...withdrawal)).status, 0);
  assert.equal((await desk.type(['renew', passphrase], 'renew', 'pump', '--as', 'quality')).status, 0);
  assert.equal(desk.server.log.leaves.length, size + 3);
  const said = statementsAt(desk).map(({ statement }) => {
    const view = readRole(desk.server.roles.get('targets') ?? new Uint8Array());
    assert.ok(view.ok && view.value.kind === 'targets');
    const keys = view.value.functions.find(({ name }) => name === 'quality')?.keys ?? [];
    const opened = openStatement(Buffer.from(statement), keys);
    assert.ok(opened.ok, opened.ok ? '' : opened.error.message);
    return opened.value.statement;
  });
  assert.deepEqual(
    said.map(({ meaning, reason, roleVersion, release, checkpoint, time }) => [
      meaning,
      reason,
      roleVersion,
      release?.version,
      checkpoint.size,
      time,
    ]),
    [
      ['approved for release', '', 2, 5, 5, now],
      ['withdrawn', 'CAPA-7', 3, 5, 6, now],
      ['renewed', '', 4, undefined, 7, now],
    ],
  );
  assert.ok(said.every(({ signer }) => signer.name === 'Dr. Ada Quill' && signer.holder === 'ada'));
  const kept = await readdir(join(desk.home, 'statements'));
  const texts = await Promise.all(
    kept.map(async (name) => await readFile(join(desk.home, 'statements', name), 'utf8')),
  );
  assert.deepEqual(
    texts.toSorted(),
    statementsAt(desk)
      .map(({ statement }) => statement)
      .toSorted(),
  );
});

test('TEST-OTA-1177 REQ-OTA-POL-04: what a signature means, named by the signer: stands in the statement; another word is refused', async (t) => {
  const desk = await sitDown(t, company);
  await withReleases(desk, 5);
  const wrong = await desk.run(...approve(5), '--yes', '--meaning', 'seen');
  assert.deepEqual([wrong.status, codeIn(wrong.err)], [2, 'CLI_USAGE']);
  const reviewed = await desk.run(...approve(5), '--yes', '--meaning', 'reviewed', '--json');
  assert.equal(reviewed.status, 0, reviewed.err);
  const told = JSON.parse(reviewed.out) as Record<string, unknown>;
  assert.deepEqual(
    [told['meaning'], told['auditEntry'], told['time']],
    ['reviewed', 5, '2027-01-15T08:00:00Z'],
  );
  const [one] = statementsAt(desk);
  const statement = readStatementUnverified(Buffer.from(one?.statement ?? ''));
  assert.ok(statement.ok && statement.value.meaning === 'reviewed');
});

test('TEST-OTA-1178 REQ-OTA-POL-07, REQ-OTA-POL-10: a server that rewrote, shortened or re-keyed its audit log since this machine looked: refused before a passphrase is asked for, nothing signed, nothing changed', async (t) => {
  const lies: readonly [string, (desk: Desk) => void, string][] = [
    ['rewritten', (desk) => desk.server.log.rewrite(2), 'OTA_AUDIT_FORK'],
    [
      'rewritten and longer',
      (desk) => (desk.server.log.rewrite(4), desk.server.log.append('more')),
      'OTA_AUDIT_FORK',
    ],
    ['shorter', (desk) => desk.server.log.restore(4), 'OTA_AUDIT_FORK'],
    ['of another key', (desk) => desk.server.log.stealIdentity(), 'AUDIT_SIGNATURE'],
  ];
  const desk = await sitDown(t, company);
  await withReleases(desk, 5);
  assert.equal((await desk.run('audit', 'show', 'pump')).status, 0);
  const leaves = [...desk.server.log.leaves];
  for (const [what, lie, code] of lies) {
    desk.server.log.leaves = [...leaves];
    lie(desk);
    const hash = await desk.hashHome();
    const refused = await desk.type(['5', passphrase], ...approve(5));
    assert.deepEqual([refused.status, codeIn(refused.err)], [1, code], what);
    assert.ok(!refused.err.includes('Passphrase'), what);
    assert.equal(await desk.hashHome(), hash, what);
    assert.deepEqual(statementsAt(desk), []);
  }
});

test('TEST-OTA-1179 REQ-OTA-POL-07: a server that was restored, whose log is shorter than what was seen: followed anew only by a person who says why; the old checkpoint stays, and signing goes on', async (t) => {
  const desk = await sitDown(t, company);
  await withReleases(desk, 5);
  const needless = await desk.type(['restart'], 'audit', 'restart', 'pump', '--reason', 'x');
  assert.equal(codeIn(needless.err), 'CLI_AUDIT_LOG');
  desk.server.log.restore(3);
  const restart = ['audit', 'restart', 'pump', '--reason', 'INC-12: backup of Monday'];
  for (const [answers, code] of [
    [undefined, 'CLI_CONFIRMATION'],
    [['yes'], 'CLI_DECLINED'],
  ] as const) {
    const declined =
      answers === undefined ? await desk.run(...restart) : await desk.type(answers, ...restart);
    assert.equal(codeIn(declined.err), code);
  }
  const silent = await desk.type(['restart'], 'audit', 'restart', 'pump', '--reason', ' ');
  assert.equal(codeIn(silent.err), 'CLI_USAGE');
  assert.equal(codeIn((await desk.run(...approve(5), '--yes')).err), 'OTA_AUDIT_FORK');
  const done = await desk.type(['restart'], ...restart);
  assert.equal(done.status, 0, done.err);
  assert.match(done.err, /WARNING: only a server that was restored/);
  assert.ok((await readdir(join(desk.home, 'audit'))).some((name) => name.endsWith('.5.forked.json')));
  assert.match(
    await readFile(join(desk.home, 'key-use.jsonl'), 'utf8'),
    /audit restart: 5 entries seen before, 3 now.*INC-12/,
  );
  assert.equal((await desk.run(...approve(5), '--yes')).status, 0);
});

test('TEST-OTA-1180 REQ-OTA-POL-04, REQ-OTA-POL-07: a server that takes a signature and leaves its entry out of the log, invents one, or hides the statement: the signer is told that the signature is not on record', async (t) => {
  const desk = await sitDown(t, company);
  await withReleases(desk, 5, 6, 7);
  desk.server.log.forgetful = true;
  const forgotten = await desk.run(...approve(5), '--yes');
  assert.deepEqual([forgotten.status, codeIn(forgotten.err)], [1, 'AUDIT_PROOF']);
  assert.match(forgotten.err, /the signature was sent, but the audit log does not show it/);
  desk.server.log.inventive = true;
  const invented = await desk.run(...approve(7), '--yes');
  assert.deepEqual([invented.status, codeIn(invented.err)], [1, 'AUDIT_PROOF']);
  assert.match(invented.err, /entry 0 is not what the log of 5 holds there/);
  desk.server.log.forgetful = false;
  desk.server.log.inventive = false;
  desk.server.log.take = () => undefined;
  const hidden = await desk.run(...approve(6), '--yes');
  assert.deepEqual([hidden.status, codeIn(hidden.err)], [1, 'AUDIT_PROOF']);
});

test('TEST-OTA-1181 REQ-OTA-POL-08, REQ-OTA-POL-04: class C that is no demo, passphrase in the environment or a file with a person there: refused for approving, withdrawing and renewing; typed, it is asked for anew at each signing', async (t) => {
  const strict = await makeCompany({ demo: false });
  t.after(async () => await removeCompany(strict));
  const desk = await sitDown(t, strict);
  await withReleases(desk, 5, 6);
  const acts = [
    approve(5),
    ['release', 'withdraw', 'pump', '5', '--as', 'quality', '--reason', 'x'],
    ['renew', 'pump', '--as', 'quality'],
  ];
  for (const act of acts) {
    const inEnvironment = await desk.unattended(['5', passphrase], ...act);
    assert.deepEqual([inEnvironment.status, codeIn(inEnvironment.err)], [1, 'CLI_UNATTENDED'], act.join(' '));
    const inFile = await desk.type(
      ['5', passphrase],
      '--passphrase-file',
      join(desk.folder, 'passphrase'),
      ...act,
    );
    assert.equal(codeIn(inFile.err), 'CLI_UNATTENDED');
  }
  assert.deepEqual(statementsAt(desk), []);
  for (const version of [5, 6]) {
    const typed = await desk.type([String(version), passphrase], ...approve(version));
    assert.equal(typed.status, 0, typed.err);
    assert.equal(typed.err.split('Passphrase for').length, 2, 'asked once, in each act');
  }
  const absent = await desk.type(['renew'], 'renew', 'pump', '--as', 'quality');
  assert.deepEqual([absent.status, codeIn(absent.err)], [1, 'KEY_PASSPHRASE'], 'nothing is remembered');
  assert.equal(statementsAt(desk).length, 2);
});

test('TEST-OTA-1182 REQ-OTA-POL-08, REQ-OTA-POL-09: a product of class A whose minimum and policy know class C as well, no demo, passphrase from a file: refused as for class C', async (t) => {
  const mixed = await makeCompany({
    demo: false,
    safetyClass: 'A',
    minimum: ['A=engineering,quality', 'C=engineering,quality', 'us='],
  });
  t.after(async () => await removeCompany(mixed));
  const desk = await sitDown(t, mixed);
  await withReleases(desk, 5);
  const refused = await desk.run(...approve(5), '--yes');
  assert.deepEqual([refused.status, codeIn(refused.err)], [1, 'CLI_UNATTENDED']);
  assert.match(refused.err, /class C/);
});

test('TEST-OTA-1183 REQ-OTA-POL-04: a policy that names no audit log, or not whose the key is: nothing can be stated, and both are said', async (t) => {
  const desk = await sitDown(t, company);
  const text = await readFile(join(desk.home, 'products/pump/policy.json'), 'utf8');
  const policy = JSON.parse(text) as Parameters<typeof logOfPolicy>[1];
  const { auditKey: _key, auditOrigin: _origin, ...without } = policy;
  const stopped = (code: string) => (error: unknown) => error instanceof Stop && error.failure.code === code;
  assert.throws(() => logOfPolicy('pump', without), stopped('CLI_AUDIT_LOG'));
  const api = { checkpoint: () => assert.fail('not asked') } as never;
  const nobody = { product: 'pump', policy, keyId: 'f'.repeat(64) };
  await assert.rejects(prepareStatement(new Home(desk.home), api, nobody), stopped('CLI_HOLDER'));
});

test('TEST-OTA-1189 REQ-OTA-POL-04, REQ-OTA-POL-07: the signatures about a release, shown by a machine that verifies them: printed name, time and meaning of each as proven; one that the log does not hold, or whose role is another, says why not', async (t) => {
  const desk = await sitDown(t, company);
  await withReleases(desk, 5);
  const none = await desk.run('release', 'signatures', 'pump', '5');
  assert.match(none.out, /nobody signed/);
  for (const name of ['quality', 'engineering']) {
    await desk.run('release', 'approve', 'pump', '5', '--as', name, '--yes', '--meaning', 'reviewed');
  }
  const withdrawal = ['release', 'withdraw', 'pump', '5', '--as', 'quality', '--yes', '--reason', 'CAPA-7'];
  assert.equal((await desk.run(...withdrawal)).status, 0);
  const shown = await desk.run('release', 'signatures', 'pump', '5');
  assert.equal(shown.status, 0, shown.err);
  for (const line of [
    /quality: "reviewed" by Dr\. Ada Quill <ada>, 2027-01-15T08:00:00Z\n {2}proven: entry 5 of the audit log/,
    /engineering: "reviewed" by Bo Lind <bo>.*\n {2}proven: entry 6/,
    /quality: "withdrawn" by Dr\. Ada Quill <ada>, .*, because: CAPA-7\n {2}proven: entry 7/,
  ]) {
    assert.match(shown.out, line);
  }
  assert.ok(!shown.out.includes('NOT PROVEN'));
  const { files } = desk.server;
  // The one version is another role; the other has another role before it.
  const honest = files.get('2.quality.json') ?? new Uint8Array();
  files.set('2.quality.json', files.get('2.engineering.json') ?? honest);
  const moved = await desk.run('release', 'signatures', 'pump', '5', '--json');
  const { signatures } = JSON.parse(moved.out) as {
    signatures: { proven: boolean; why?: { code: string } }[];
  };
  assert.deepEqual(
    signatures.map(({ proven, why }) => why?.code ?? proven),
    ['STATEMENT_OTHER', 'STATEMENT_OTHER', true],
  );
  files.set('2.quality.json', honest);
  desk.server.log.inventive = true;
  const invented = await desk.run('release', 'signatures', 'pump', '5');
  assert.equal(invented.out.split('proven: entry').length, 4, 'entries of the same words hide nothing');
});
