/** Creating, approving and withdrawing against a server over TLS that is honest first and lies then. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { draftFunction, readRole, signDraft, signerFrom } from '@airlock/trust';
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

const releaseOptions = [
  '--name',
  '1.2.0',
  '--compat',
  'hw:rev2',
  '--change-record',
  'CR-1',
  '--impact',
  'none on safety',
  '--touches',
  'none',
  '--link',
  'https://qms.example/CR-1',
  '--regulatory',
  'letter to file',
  '--author',
  'bo',
  '--image',
  'rootfs=image',
];

async function withRelease(desk: Desk, version = 5): Promise<void> {
  await writeFile(join(desk.folder, 'image'), 'bytes of an image');
  const made = await desk.run('release', 'create', 'pump', String(version), ...releaseOptions);
  assert.equal(made.status, 0, made.err);
}

function releasesOf(desk: Desk, role: string): number[] {
  const view = readRole(desk.server.roles.get(role) ?? new Uint8Array());
  assert.ok(view.ok && view.value.kind === 'function');
  return view.value.releases.map(({ version }) => version);
}

test('TEST-OTA-510 REQ-OTA-POL-10, REQ-OTA-POL-03: a release, created and approved by two functions: both roles list it and what was signed was shown', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  assert.deepEqual([...desk.server.images.values()], ['bytes of an image'.length]);
  const first = await desk.run('release', 'approve', 'pump', '5', '--as', 'quality', '--yes');
  assert.equal(first.status, 0, first.err);
  for (const shown of ['CR-1', 'letter to file', 'release 5', 'Dr. Ada Quill', 'none on safety']) {
    assert.ok(first.err.includes(shown), shown);
  }
  assert.match(first.out, /Published/);
  assert.match(first.out, /still needs: class C: engineering/);
  assert.match(first.out, /unattended/);
  const second = await desk.run('release', 'approve', 'pump', '5', '--as', 'engineering', '--yes');
  assert.equal(second.status, 0, second.err);
  assert.deepEqual([releasesOf(desk, 'quality'), releasesOf(desk, 'engineering')], [[5], [5]]);
  const record = await readFile(join(desk.home, 'key-use.jsonl'), 'utf8');
  assert.ok(
    record
      .trim()
      .split('\n')
      .every((line) => line.includes('"unattended":true')),
  );
});

test('TEST-OTA-511 REQ-OTA-POL-05: a release, approved and then withdrawn: the role no longer lists it', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  await desk.run('release', 'approve', 'pump', '5', '--as', 'quality', '--yes');
  const withdrawn = await desk.run(
    'release',
    'withdraw',
    'pump',
    '5',
    '--as',
    'quality',
    '--yes',
    '--reason',
    'CAPA-7',
  );
  assert.equal(withdrawn.status, 0, withdrawn.err);
  assert.deepEqual(releasesOf(desk, 'quality'), []);
  assert.ok((await readFile(join(desk.home, 'key-use.jsonl'), 'utf8')).includes('CAPA-7'));
  const again = await desk.run(
    'release',
    'withdraw',
    'pump',
    '5',
    '--as',
    'quality',
    '--reason',
    'x',
    '--yes',
  );
  assert.match(again.err, /CLI_NOT_APPROVED/);
});

test('TEST-OTA-822 REQ-OTA-POL-08: a signature, at the moment it arrives at the server: its use of the key is recorded already, with its reason; a withdrawal without one is refused', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  const acts: string[] = [];
  desk.server.onProposal = () => {
    const lines = readFileSync(join(desk.home, 'key-use.jsonl'), 'utf8').trim().split('\n');
    const { act, reason } = JSON.parse(lines.at(-1) ?? '{}') as Record<string, string>;
    acts.push(`${act ?? ''}: ${reason ?? ''}`);
  };
  const sign = (...argv: string[]) => desk.run('release', ...argv, '--as', 'quality', '--yes');
  assert.equal((await sign('approve', 'pump', '5')).status, 0);
  const bare = await sign('withdraw', 'pump', '5');
  assert.deepEqual([bare.status, /CLI_USAGE: .*--reason/.test(bare.err)], [2, true], bare.err);
  const blank = await sign('withdraw', 'pump', '5', '--reason', ' ');
  assert.deepEqual([blank.status, /CLI_USAGE: .*--reason/.test(blank.err)], [2, true], blank.err);
  const done = await sign('withdraw', 'pump', '5', '--reason', 'CAPA-7');
  assert.match(done.out, /Reason, in the statement and in key-use\.jsonl: CAPA-7/);
  assert.deepEqual(acts, [
    'approve release 5 as quality of pump, number 2: ',
    'withdraw release 5 as quality of pump, number 3: CAPA-7',
  ]);
});

test('TEST-OTA-512 REQ-OTA-POL-10: approving, the server slips another entry into the proposal: refused with the entry named, nothing signed', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  const thief = signerFrom(generateKeyPairSync('ed25519').privateKey);
  const first = desk.server.proposedBy(thief, 'quality', (releases) => [
    ...releases,
    { version: 66, length: 10, sha256: 'f'.repeat(64) },
  ]);
  desk.server.offer('quality', first);
  const outcome = await desk.run('release', 'approve', 'pump', '5', '--as', 'quality', '--yes');
  assert.equal(outcome.status, 1);
  assert.match(outcome.err, /CLI_UNEXPECTED_CHANGE/);
  assert.match(outcome.err, /release 66/);
  assert.ok(desk.server.requests.every((call) => !call.startsWith('PUT products')));
});

test('TEST-OTA-513 REQ-OTA-POL-10, REQ-OTA-ROLL-02: approving, the server shows an older repository than was verified here: refused, nothing changed', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk, 4);
  await withRelease(desk, 5);
  const old = desk.server.remember();
  await desk.run('release', 'approve', 'pump', '4', '--as', 'quality', '--yes');
  await desk.run('product', 'show', 'pump');
  desk.server.rollBack(old);
  const hash = await desk.hashHome();
  const outcome = await desk.run('release', 'approve', 'pump', '5', '--as', 'quality', '--yes');
  assert.equal(outcome.status, 1);
  assert.match(outcome.err, /OTA_ROLLBACK_METADATA/);
  assert.equal(await desk.hashHome(), hash);
});

test('TEST-OTA-514 REQ-OTA-POL-10: approving, the server shows another manifest than a function approved: refused', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  await desk.run('release', 'approve', 'pump', '5', '--as', 'engineering', '--yes');
  const shown = desk.server.releases.get(5) ?? '';
  desk.server.releases.set(5, shown.replace('CR-1', 'CR-9'));
  const outcome = await desk.run('release', 'approve', 'pump', '5', '--as', 'quality', '--yes');
  assert.equal(outcome.status, 1);
  assert.match(outcome.err, /CLI_RELEASE_CHANGED/);
});

test('TEST-OTA-515 REQ-OTA-POL-08: approving, a person types the passphrase and the number: signed, and recorded as attended', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  const typed = await desk.type(['5', passphrase], 'release', 'approve', 'pump', '5', '--as', 'quality');
  assert.equal(typed.status, 0, typed.err);
  const record = await readFile(join(desk.home, 'key-use.jsonl'), 'utf8');
  assert.ok(record.includes('"unattended":false'));
  assert.ok(
    !record.includes(passphrase) && !typed.err.includes(passphrase) && !typed.out.includes(passphrase),
  );
});

test('TEST-OTA-516 REQ-OTA-POL-08: approving, the person types another number, or nobody is there: nothing is signed', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  await desk.run('audit', 'show', 'pump');
  const hash = await desk.hashHome();
  const declined = await desk.type(['6', passphrase], 'release', 'approve', 'pump', '5', '--as', 'quality');
  assert.deepEqual([declined.status, /CLI_DECLINED/.test(declined.err)], [4, true]);
  const absent = await desk.run('release', 'approve', 'pump', '5', '--as', 'quality');
  assert.deepEqual([absent.status, /CLI_CONFIRMATION/.test(absent.err)], [4, true]);
  const wrong = await desk.type(
    ['5', 'wrong passphrase'],
    'release',
    'approve',
    'pump',
    '5',
    '--as',
    'quality',
  );
  assert.deepEqual([wrong.status, /KEY_PASSPHRASE: .*key\.json/s.test(wrong.err)], [1, true]);
  assert.equal(await desk.hashHome(), hash);
});

test('TEST-OTA-517 REQ-OTA-POL-10: approving, a role that ran out: the expiry is named, and renewing it is the remedy that works', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  desk.server.now = now + 91 * 86_400;
  desk.server.refresh();
  const renewed = await desk.run('renew', 'pump', '--as', 'quality', '--yes');
  assert.equal(renewed.status, 0, renewed.err);
  desk.server.now = now + 400 * 86_400;
  desk.server.refresh();
  const late = await desk.run('release', 'approve', 'pump', '5', '--as', 'quality', '--yes');
  assert.equal(late.status, 1);
  assert.match(late.err, /OTA_EXPIRED/);
});

test('TEST-OTA-518 REQ-OTA-POL-10: a signer of two, the colleague proposed the same release: the second signature completes it', async (t) => {
  const pair = await makeCompany({
    functions: ['engineering=Bo Lind <bo>', 'quality=Dr. Ada Quill <ada>', 'quality=Eve Roth <eve>'],
    thresholds: ['quality=2'],
  });
  t.after(() => removeCompany(pair));
  const desk = await sitDown(t, pair);
  await withRelease(desk);
  const first = await desk.run(
    'release',
    'approve',
    'pump',
    '5',
    '--as',
    'quality',
    '--holder',
    'ada',
    '--yes',
  );
  assert.equal(first.status, 0, first.err);
  assert.match(first.out, /Signed by 1 of 2 needed; still missing: one of Eve Roth/);
  const twice = await desk.run(
    'release',
    'approve',
    'pump',
    '5',
    '--as',
    'quality',
    '--holder',
    'ada',
    '--yes',
  );
  assert.match(twice.err, /CLI_SIGNED_ALREADY/);
  // Eve signs at a machine of her own: it has the pinned root, and no memory of what Ada signed.
  await rm(join(desk.home, 'signer'), { recursive: true });
  const second = await desk.run(
    'release',
    'approve',
    'pump',
    '5',
    '--as',
    'quality',
    '--holder',
    'eve',
    '--yes',
  );
  assert.equal(second.status, 0, second.err);
  assert.match(second.out, /Published/);
  assert.deepEqual(releasesOf(desk, 'quality'), [5]);
});

test('TEST-OTA-519 REQ-OTA-POL-10: approving a class C product that is no demo, with a passphrase from a file: refused', async (t) => {
  const real = await makeCompany({ demo: false });
  t.after(() => removeCompany(real));
  const desk = await sitDown(t, real);
  await withRelease(desk);
  await desk.run('product', 'show', 'pump');
  const hash = await desk.hashHome();
  const outcome = await desk.run('release', 'approve', 'pump', '5', '--as', 'quality', '--yes');
  assert.equal(outcome.status, 1);
  assert.match(outcome.err, /CLI_UNATTENDED/);
  assert.equal(await desk.hashHome(), hash);
  const typed = await desk.type([passphrase], 'release', 'approve', 'pump', '5', '--as', 'quality', '--yes');
  assert.equal(typed.status, 0, typed.err);
});

test('TEST-OTA-520 REQ-OTA-POL-10: a forged role put in force by stolen online keys: the signing machine refuses to go on from it', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  const thief = signerFrom(generateKeyPairSync('ed25519').privateKey);
  const forged = draftFunction({
    product: 'pump',
    function: 'quality',
    version: 2,
    expires: now + 86_400 * 30,
    releases: [],
  });
  desk.server.publish('quality', signDraft(forged, [thief]));
  const outcome = await desk.run('release', 'approve', 'pump', '5', '--as', 'quality', '--yes');
  assert.equal(outcome.status, 1);
  assert.match(outcome.err, /OTA_BAD_SIGNATURE/);
});
