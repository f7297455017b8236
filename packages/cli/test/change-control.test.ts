/** Change control and the emergency path as the person who makes or signs a release meets them. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { canonicalBytes } from '@airlock/trust';
import { planCompany } from '../src/core/company.ts';
import { emergencyNotice } from '../src/core/emergency.ts';
import { parseTouches } from '../src/core/manifest-input.ts';
import {
  type Company,
  type Desk,
  makeCompany,
  passphrase,
  removeCompany,
  sitDown,
} from './support/company.ts';
import { refused } from './support/refused.ts';

const threeFunctions = ['engineering=Bo Lind <bo>', 'quality=Dr. Ada Quill <ada>', 'regulatory=Cy Ng <cy>'];

let company: Company;
before(async () => {
  company = await makeCompany({
    functions: threeFunctions,
    policy: ['us=regulatory'],
    emergency: 'engineering,quality',
  });
});
after(async () => {
  await removeCompany(company);
});

const create = [
  ['release', 'create', 'pump', '5', '--name', '1.2.0', '--compat', 'hw:rev2', '--author', 'bo'],
  ['--change-record', 'CR-1', '--impact', 'Shorter alarm\nsee RA-7', '--touches', 'safety,labelling'],
  ['--regulatory', 'Special 510(k)', '--regulatory-reference', 'K123456'],
  ['--link', 'https://qms.example/CR-1', '--link', 'DHF 77', '--image', 'rootfs=image'],
].flat();

async function withRelease(desk: Desk, ...more: readonly string[]): Promise<void> {
  await writeFile(join(desk.folder, 'image'), 'bytes of an image');
  const made = await desk.run(...create, ...more);
  assert.equal(made.status, 0, made.err);
}

const rowsOf = (text: string) =>
  text.split('\n').map((line) => line.replace(/^[ *]+/, '').replaceAll(/ {2,}/g, ': '));

test('TEST-OTA-1291 REQ-OTA-POL-03, REQ-OTA-POL-10: a release with its change control: each answer stands in what the signer is shown, before the passphrase', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  const said = await desk.type(['5', passphrase], 'release', 'approve', 'pump', '5', '--as', 'quality');
  assert.equal(said.status, 0, said.err);
  const shown = rowsOf(said.err.slice(0, said.err.indexOf('Passphrase')));
  for (const row of [
    'EMERGENCY release: no',
    'change record: CR-1',
    'impact: Shorter alarm',
    'touches safety: YES',
    'touches effectiveness: no',
    'touches cybersecurity: no',
    'touches labelling: YES',
    'regulatory decision: Special 510(k)',
    'regulatory reference: K123456',
    'link 1: https://qms.example/CR-1',
    'link 2: DHF 77',
  ]) {
    assert.ok(shown.includes(row), `${row}\n${said.err}`);
  }
  assert.doesNotMatch(said.err, /EMERGENCY: /);
});

test('TEST-OTA-1292 REQ-OTA-POL-03: areas that a release touches, none, some, misspelt or none beside some: the four answers, or one line that names them', async (t) => {
  const none = { safety: false, effectiveness: false, cybersecurity: false, labelling: false };
  assert.deepEqual(parseTouches('none'), { ok: true, value: none });
  assert.deepEqual(parseTouches('labelling, safety'), {
    ok: true,
    value: { ...none, safety: true, labelling: true },
  });
  const desk = await sitDown(t, company);
  await writeFile(join(desk.folder, 'image'), 'bytes');
  for (const wrong of ['', 'safty', 'none,safety', 'safety,,labelling', 'privacy']) {
    const argv = create.map((word) => (word === 'safety,labelling' ? wrong : word));
    await refused(desk, argv, 'CLI_MANIFEST_FIELD', 'safety, effectiveness, cybersecurity, labelling', 2);
  }
  const secret = create.map((word) => (word === 'DHF 77' ? 'https://bo:secret@qms.example/1' : word));
  await refused(desk, secret, 'OTA_MANIFEST', 'must not carry a user name or a password', 1);
});

test('TEST-OTA-1293 REQ-OTA-POL-03, REQ-OTA-POL-10: a manifest without change control that the server serves for approval: refused with the field before anything is signed', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk);
  // What is verified is remembered; from here on nothing new is.
  assert.equal((await desk.run('product', 'show', 'pump')).status, 0);
  const honest = JSON.parse(desk.server.releases.get(5) ?? '{}') as Record<string, unknown>;
  const change = honest['change'] as Record<string, unknown>;
  for (const field of ['record', 'impact', 'regulatory', 'links']) {
    const { [field]: _, ...rest } = change;
    desk.server.forgedManifests.set(5, Buffer.from(canonicalBytes({ ...honest, change: rest })).toString());
    const argv = ['release', 'approve', 'pump', '5', '--as', 'quality', '--yes'];
    await refused(desk, argv, 'OTA_MANIFEST', `change.${field}`, 1);
  }
});

test('TEST-OTA-1294 REQ-OTA-POL-01, REQ-OTA-POL-10: an emergency release, listed and approved: marked, with who stands in for whom before the passphrase, and who is missing on both paths after it', async (t) => {
  const desk = await sitDown(t, company);
  await withRelease(desk, '--emergency');
  const listed = await desk.run('release', 'list', 'pump');
  assert.match(listed.out, /C EMERGENCY/);
  const approve = (name: string) =>
    desk.type(['5', passphrase], 'release', 'approve', 'pump', '5', '--as', name);
  const first = await approve('quality');
  assert.equal(first.status, 0, first.err);
  const notice =
    'EMERGENCY: on devices whose record allows it, engineering and quality stand in for class and market; ' +
    'the minimum of the root is asked as ever.';
  const at = first.err.indexOf(notice);
  assert.ok(at >= 0 && at < first.err.indexOf('Passphrase'), first.err);
  assert.ok(rowsOf(first.err).includes('EMERGENCY release: YES'));
  assert.match(first.out, /still needs: class C: engineering; market us: regulatory/);
  assert.match(first.out, /On the emergency path, .* still missing: engineering/);
  const second = await approve('engineering');
  assert.match(second.out, /still needs: market us: regulatory/);
  assert.match(second.out, /On the emergency path, .* nobody is missing/);
});

test('TEST-OTA-1295 REQ-OTA-POL-01, REQ-OTA-POL-02: an emergency set of one function, or of functions that nobody holds: refused; a mark without such a set is told to change nothing', () => {
  const plan = (emergency: string) => {
    const base = { product: 'pump', safetyClass: 'C', markets: ['us'], thresholds: [], policy: [] } as const;
    const minimum = ['C=engineering,quality', 'us='];
    return planCompany({ ...base, functions: threeFunctions, minimum, emergency });
  };
  for (const set of ['', 'quality', 'quality:2']) {
    const planned = plan(set);
    assert.ok(!planned.ok && planned.error.field === '--emergency-set', set);
    assert.match(planned.error.message, /at least two functions/);
  }
  const unknown = plan('engineering,legal');
  assert.ok(!unknown.ok && unknown.error.message.includes('legal, which nobody holds'));
  assert.equal(plan('engineering,quality').ok, true);
  const view = { policy: {} } as Parameters<typeof emergencyNotice>[1];
  assert.match(emergencyNotice({ emergency: true }, view), /no emergency set, so everybody is asked as ever/);
  assert.equal(emergencyNotice({ emergency: false }, view), '');
});
