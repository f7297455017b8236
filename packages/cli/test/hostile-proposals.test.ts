/**
 * A hostile server offers a signer a role that is not the act that the person named: through the whole command, each is
 * shown for what it is and refused before the secret is asked for, and nothing leaves the machine.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { draftFunction, readRole, sha256Hex, signDraft, signerFrom } from '@airlock/trust';
import { type Company, type Desk, makeCompany, now, removeCompany, sitDown } from './support/company.ts';

let company: Company;
before(async () => {
  company = await makeCompany();
});
after(async () => {
  await removeCompany(company);
});

const thief = signerFrom(generateKeyPairSync('ed25519').privateKey);
const day = 86_400;
const made = [
  ['--name', '1.2.0', '--compat', 'hw:rev2', '--change-record', 'CR-1', '--impact', 'none', '--author', 'bo'],
  ['--touches', 'none', '--link', 'https://qms.example/CR-1'],
  ['--regulatory', 'letter to file', '--image', 'rootfs=image'],
].flat();

type Releases = Parameters<typeof draftFunction>[0]['releases'];

/** Quality approves 4 and 5 already; 6 waits. */
async function begin(t: TestContext): Promise<Desk> {
  const desk = await sitDown(t, company);
  await writeFile(join(desk.folder, 'image'), 'bytes of an image');
  for (const version of [4, 5, 6]) {
    const created = await desk.run('release', 'create', 'pump', String(version), ...made);
    assert.equal(created.status, 0, created.err);
  }
  for (const version of ['4', '5']) {
    const approved = await desk.run('release', 'approve', 'pump', version, '--as', 'quality', '--yes');
    assert.equal(approved.status, 0, approved.err);
  }
  return desk;
}

function held(desk: Desk): { version: number; releases: Releases } {
  const view = readRole(desk.server.roles.get('quality') ?? new Uint8Array());
  assert.ok(view.ok && view.value.kind === 'function');
  return view.value;
}

/** The line that an honest approval of 6 adds. */
function line(desk: Desk, version: number): Releases[number] {
  const manifest = Buffer.from(desk.server.releases.get(version) ?? '');
  return { version, length: manifest.length, sha256: sha256Hex(manifest) };
}

interface Offer {
  readonly releases: Releases;
  /** Above the number in force. */
  readonly step?: number;
  readonly version?: number;
  readonly days?: number;
  readonly product?: string;
  readonly function?: string;
}

function offer(desk: Desk, { releases, step = 1, version, days = 90, ...names }: Offer): void {
  const draft = draftFunction({
    product: 'pump',
    function: 'quality',
    ...names,
    version: version ?? held(desk).version + step,
    expires: now + days * day,
    releases,
  });
  desk.server.offer('quality', signDraft(draft, [thief]));
}

const approve = ['release', 'approve', 'pump', '6', '--as', 'quality'];
const withdraw = ['release', 'withdraw', 'pump', '5', '--as', 'quality', '--reason', 'CAPA-7'];
const renew = ['renew', 'pump', '--as', 'quality'];
const other = { version: 66, length: 10, sha256: 'f'.repeat(64) };
const changed = (releases: Releases, version: number): Releases =>
  releases.map((entry) => (entry.version === version ? { ...entry, sha256: 'e'.repeat(64) } : entry));

interface Row {
  readonly what: string;
  readonly argv: readonly string[];
  readonly offer: (releases: Releases, six: Releases[number]) => Offer;
  readonly code: string;
  /** What must be shown of it. */
  readonly shows: RegExp;
}

const unexpected = 'CLI_UNEXPECTED_CHANGE';
const matrix: readonly Row[] = [
  {
    what: 'one line more',
    argv: approve,
    offer: (releases, six) => ({ releases: [...releases, six, other] }),
    code: unexpected,
    shows: /Approves release 66: 10 bytes, sha256 f{64}/,
  },
  {
    what: 'one line less',
    argv: approve,
    offer: (releases, six) => ({ releases: [...releases.slice(1), six] }),
    code: unexpected,
    shows: /Withdraws release 4/,
  },
  {
    what: 'a changed hash of another release',
    argv: approve,
    offer: (releases, six) => ({ releases: [...changed(releases, 4), six] }),
    code: unexpected,
    shows: /Changes the manifest of release 4 from .* to .*sha256 e{64}/,
  },
  {
    what: 'a changed hash of the release that is approved',
    argv: approve,
    offer: (releases, six) => ({ releases: [...releases, { ...six, sha256: 'e'.repeat(64) }] }),
    code: unexpected,
    shows: /Approves release 6: \d+ bytes, sha256 e{64}/,
  },
  {
    what: 'a skipped version',
    argv: approve,
    offer: (releases, six) => ({ releases: [...releases, six], step: 2 }),
    code: 'CLI_PROPOSAL_VERSION',
    shows: /number 5, not 4; signing it would do this: .*Changes version from 3 to 5.*--number 5/,
  },
  {
    what: 'the last version that there is',
    argv: approve,
    offer: (releases, six) => ({ releases: [...releases, six], version: Number.MAX_SAFE_INTEGER }),
    code: 'CLI_PROPOSAL_VERSION',
    shows: /must be 4; signing it would do this: .*Changes version from 3 to 9007199254740991/,
  },
  {
    what: 'a proposal that was kept back for three weeks',
    argv: approve,
    offer: (releases, six) => ({ releases: [...releases, six], days: 90 - 21 }),
    code: 'CLI_PROPOSAL_EXPIRY',
    shows: /valid for 69 days, it must be 75 to 90; signing it would do this: /,
  },
  {
    what: 'a life of years',
    argv: approve,
    offer: (releases, six) => ({ releases: [...releases, six], days: 3650 }),
    code: 'CLI_PROPOSAL_EXPIRY',
    shows: /valid for 3650 days/,
  },
  {
    what: "another product's role",
    argv: approve,
    offer: (releases, six) => ({ releases: [...releases, six], product: 'ventilator' }),
    code: unexpected,
    shows: /two different roles: product pump and ventilator/,
  },
  {
    what: "another function's role",
    argv: approve,
    offer: (releases, six) => ({ releases: [...releases, six], function: 'engineering' }),
    code: unexpected,
    shows: /two different roles: role quality and engineering/,
  },
  {
    what: 'a withdrawal that withdraws one more',
    argv: withdraw,
    offer: () => ({ releases: [] }),
    code: unexpected,
    shows: /Withdraws release 4.*Withdraws release 5/,
  },
  {
    what: 'a withdrawal that approves another',
    argv: withdraw,
    offer: (releases) => ({ releases: [...releases.filter(({ version }) => version !== 5), other] }),
    code: unexpected,
    shows: /Withdraws release 5.*Approves release 66/,
  },
  {
    what: 'a renewal that adds a release',
    argv: renew,
    offer: (releases) => ({ releases: [...releases, other] }),
    code: unexpected,
    shows: /not just "renew the role, unchanged".*Approves release 66/,
  },
  {
    what: 'a renewal that drops a release',
    argv: renew,
    offer: (releases) => ({ releases: releases.slice(1) }),
    code: unexpected,
    shows: /Withdraws release 4/,
  },
  {
    what: 'a renewal that swaps a manifest',
    argv: renew,
    offer: (releases) => ({ releases: changed(releases, 5) }),
    code: unexpected,
    shows: /Changes the manifest of release 5/,
  },
  {
    what: 'a renewal that skips a version',
    argv: renew,
    offer: (releases) => ({ releases, step: 7 }),
    code: 'CLI_PROPOSAL_VERSION',
    shows: /number 10, not 4; signing it would do this: .*Changes version from 3 to 10/,
  },
];

test('TEST-OTA-1254 REQ-OTA-POL-10: a hostile server offers one line more, one line less, a changed hash, a skipped version, a renewal that adds a release, and more: the whole command shows and refuses each, and nothing leaves the machine', async (t) => {
  const desk = await begin(t);
  await desk.run('audit', 'show', 'pump');
  for (const { what, argv, offer: offered, code, shows } of matrix) {
    offer(desk, offered(held(desk).releases, line(desk, 6)));
    const hash = await desk.hashHome();
    const sent = desk.server.requests.length;
    const outcome = await desk.run(...argv, '--yes');
    assert.equal(outcome.status, 1, what);
    assert.match(outcome.err, new RegExp(`airlock: ${code}: `), what);
    assert.match(outcome.err, shows, what);
    assert.equal(await desk.hashHome(), hash, what);
    const calls = desk.server.requests.slice(sent);
    assert.ok(
      calls.every((call) => call.startsWith('GET ')),
      `${what}: ${calls.join(', ')}`,
    );
  }
});

test('TEST-OTA-1255 REQ-OTA-POL-10: what is nothing but the act, offered by the same server: signed; a number that colleagues gave up before it, named by the person: signed as well, and no other one', async (t) => {
  const desk = await begin(t);
  offer(desk, { releases: [...held(desk).releases, line(desk, 6)], step: 3 });
  const wrong = await desk.run(...approve, '--number', '5', '--yes');
  assert.match(wrong.err, /CLI_PROPOSAL_VERSION: .*number 6, not 5/);
  const far = await desk.run(...approve, '--number', '104', '--yes');
  assert.match(far.err, /CLI_PROPOSAL_VERSION/);
  const signed = await desk.run(...approve, '--number', '6', '--yes');
  assert.equal(signed.status, 0, signed.err);
  assert.match(signed.err, /Changes version from 3 to 6/);
  assert.deepEqual(desk.server.reservations.length, 2, 'what is open already needs no number');
  offer(desk, { releases: held(desk).releases });
  const honest = await desk.run(...renew, '--yes');
  assert.equal(honest.status, 0, honest.err);
  assert.equal(held(desk).version, 7);
});

test('TEST-OTA-1256 REQ-OTA-POL-10: a server that gives the number to somebody else, or says that it is used: nothing is signed, no number is burnt; its yes binds the content that is signed', async (t) => {
  const desk = await begin(t);
  await desk.run('audit', 'show', 'pump');
  const hash = await desk.hashHome();
  desk.server.onReservation = () => ({
    status: 409,
    code: 'API_RESERVED',
    message: 'Eve Roth <eve> is signing quality 4 at this moment',
  });
  const taken = await desk.run(...approve, '--yes');
  assert.deepEqual([taken.status, /API_RESERVED: Eve Roth/.test(taken.err)], [1, true], taken.err);
  assert.equal(await desk.hashHome(), hash);
  assert.equal(held(desk).version, 3);
  desk.server.onReservation = () => undefined;
  const own = await desk.run(...approve, '--number', '9', '--yes');
  assert.equal(own.status, 0, own.err);
  const reserved = desk.server.reservations.at(-1);
  const view = readRole(desk.server.roles.get('quality') ?? new Uint8Array());
  assert.ok(view.ok && view.value.version === 9);
  assert.ok(typeof reserved === 'object' && reserved !== null && 'signedSha256' in reserved);
  const envelope = desk.server.log.statements.get('quality')?.at(-1)?.statement;
  const statement = JSON.parse(envelope ?? '{}') as { payload: string };
  const said = Buffer.from(statement.payload, 'base64').toString();
  assert.ok(said.includes(String(reserved.signedSha256)), 'reserved is what was signed');
});
