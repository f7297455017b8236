/**
 * People at the command line, against the real server: the first user of a home, signing in at a terminal, users, API
 * tokens, a home of one's own; and every wrong input, which is one line and changes nothing.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { CliIo } from '../src/io.ts';
import { runAirlock } from '../src/main.ts';
import { type RunningServer, startServer } from '../src/server-program.ts';
import { hashFolder } from './support/company.ts';

let folder: string;
let server: RunningServer;
let apiUrl: string;
const passphrase = 'correct horse battery staple';

interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** With a person who types these answers, or with nobody. */
async function run(argv: readonly string[], answers?: readonly string[], env = {}): Promise<Outcome> {
  const said = { out: '', err: '' };
  const left = [...(answers ?? [])];
  const ask = (question: string) => {
    said.err += question;
    return Promise.resolve(left.shift() ?? '');
  };
  const io: CliIo = {
    cwd: folder,
    env: { AIRLOCK_HOME: join(folder, 'home'), ...env },
    out: (text) => void (said.out += text),
    err: (text) => void (said.err += text),
    bars: false,
    now: () => Math.floor(Date.now() / 1000),
    ...(answers === undefined ? {} : { terminal: { ask, askSecret: ask } }),
  };
  const status = await runAirlock(argv, io);
  assert.deepEqual(left, [], 'every answer was asked for');
  return { status, ...said };
}

async function well(outcome: Promise<Outcome>): Promise<Outcome> {
  const got = await outcome;
  assert.equal(got.status, 0, got.err);
  return got;
}

const at = (...parts: string[]): string => join(folder, ...parts);
const textOf = async (...parts: string[]): Promise<string> => (await readFile(at(...parts), 'utf8')).trim();
const modeOf = async (...parts: string[]): Promise<number> => (await stat(at(...parts))).mode & 0o777;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'airlock-people-'));
  const init = ['init', '--demo', '--administrator', 'boss', '--host', 'localhost', '--json'];
  const made = await well(run(init, undefined, { AIRLOCK_PASSPHRASE: passphrase }));
  ({ apiUrl } = JSON.parse(made.out) as { apiUrl: string });
  for (const file of ['token', 'administrator.secret']) {
    assert.equal(await modeOf('home', file), 0o600, file);
    assert.ok(!(made.out + made.err).includes(await textOf('home', file)), `${file} is not printed`);
  }
  server = await startServer(at('home/server/config.json'));
});
after(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

const password = 'a password that was typed';

test('TEST-OTA-1371 REQ-OTA-POL-08, REQ-OTA-OPS-01: the first user of a home: its API token works at once and cannot manage users; with the one-time secret the person signs in, choosing a password; two that differ change nothing', async () => {
  await well(run(['product', 'list']));
  const early = await run(['user', 'add', 'eve', '--name', 'Eve', '--role', 'viewer']);
  assert.equal(early.status, 1);
  assert.match(early.err, /^airlock: API_PERSON: boss\/home is an API token/);
  const secret = await textOf('home', 'administrator.secret');
  const state = await hashFolder(at('home/tls'));
  const differ = await run(['login', '--user', 'boss'], [secret, password, `${password}!`]);
  assert.match(differ.err, /CLI_PASSPHRASE_DIFFERS/);
  const wrong = await run(['login', '--user', 'boss'], ['not the secret']);
  assert.deepEqual([wrong.status, /API_SIGN_IN/.test(wrong.err)], [1, true], wrong.err);
  const signed = await well(run(['login', '--user', 'boss'], [secret, password, password]));
  assert.match(signed.out, /^Signed in as boss \(boss\): administrator, .*; until 20/);
  assert.equal(await modeOf('home', 'session.json'), 0o600);
  const { secret: session } = JSON.parse(await textOf('home', 'session.json')) as { secret: string };
  for (const hidden of [secret, password, session]) assert.ok(!(signed.out + signed.err).includes(hidden));
  const used = await run(['login', '--user', 'boss'], [secret]);
  assert.match(used.err, /API_SIGN_IN/, 'for one time only');
  assert.equal(await hashFolder(at('home/tls')), state);
});

test('TEST-OTA-1372 REQ-OTA-POL-08, REQ-OTA-POL-07: users by the command line: added with a secret in a file, listed, given and deprived of roles, given a new secret, removed; a person joins from a machine of their own and is signed out again', async () => {
  const ada = ['user', 'add', 'ada', '--name', 'Dr. Ada Quill', '--role', 'approver'];
  const grant = ['--function', 'infusion-pump/quality', '--secret-out', 'ada.secret', '--reason', 'HR-7'];
  const added = await well(run([...ada, ...grant]));
  assert.match(
    added.out,
    /^Made the user ada \(Dr\. Ada Quill\): approver, stands in infusion-pump\/quality, for infusion-pump/,
  );
  assert.equal(await modeOf('ada.secret'), 0o600);
  assert.ok(!added.out.includes(await textOf('ada.secret')));
  assert.match(
    (await well(run(['user', 'list']))).out,
    /ada +Dr\. Ada Quill +approver +infusion-pump\/quality +infusion-pump +one-time secret/,
  );

  const join_ = [
    '--home',
    'ada',
    'join',
    apiUrl,
    '--authority',
    'home/tls/server-authority.pem',
    '--user',
    'ada',
  ];
  const own = 'the password of ada, typed'.replace('ada', 'Quill');
  const joined = await well(run(join_, [await textOf('ada.secret'), own, own]));
  assert.match(joined.out, /Signed in as ada/);
  await well(run(['--home', 'ada', 'product', 'list']));
  assert.match(
    (await run(['--home', 'ada', 'device', 'list'])).err,
    /API_FORBIDDEN: ada may not see devices/,
  );
  const changed = await well(
    run(['user', 'role', 'ada', '--add', 'viewer', '--drop', 'approver', '--clear-functions']),
  );
  assert.match(
    changed.out,
    /before: .*approver, stands in .*\nnow: +ada \(Dr\. Ada Quill\): viewer, for infusion-pump\n/,
  );
  await well(run(['--home', 'ada', 'device', 'list']));
  const next = 'another one that is typed';
  await well(run(['--home', 'ada', 'password'], [own, next, next]));
  await well(run(['--home', 'ada', 'logout']));
  const out = await run(['--home', 'ada', 'product', 'list']);
  assert.match(
    out.err,
    /^airlock: CLI_SIGNED_OUT: nobody is signed in at https:\/\/localhost.* Remedy: Run airlock login\.\n$/,
  );
  await well(run(['--home', 'ada', 'login', '--user', 'ada'], [next]));
  await well(run(['user', 'secret', 'ada', '--secret-out', 'again.secret']));
  assert.match((await run(['--home', 'ada', 'product', 'list'])).err, /API_UNAUTHORIZED/);
  await writeFile(at('new.password'), `${own}\n`);
  const files = ['--password-file', 'again.secret', '--new-password-file', 'new.password'];
  await well(run(['--home', 'ada', 'login', '--user', 'ada', ...files]));
  await well(run(['user', 'end-sessions', 'ada']));
  assert.match((await run(['--home', 'ada', 'product', 'list'])).err, /API_UNAUTHORIZED/);
  await well(run(['user', 'remove', 'ada', '--reason', 'left']));
  assert.match((await run([...ada, ...grant.slice(0, 2)])).err, /API_CONFLICT: the id ada was given before/);
});

test('TEST-OTA-1373 REQ-OTA-POL-08, REQ-OTA-OPS-01: API tokens by the command line: into a file of one’s own, used by a home, listed without the secret, revoked; a session that has ended is passed over for the token beside it', async () => {
  const ask = ['token', 'new', 'ci', '--permission', 'products:read', '--days', '30'];
  const made = await well(run([...ask, '--out', 'ci.token']));
  assert.equal(await modeOf('ci.token'), 0o600);
  const secret = await textOf('ci.token');
  assert.ok(!made.out.includes(secret));
  const authority = ['--authority', 'home/tls/server-authority.pem'];
  await well(run(['--home', 'ci', 'join', apiUrl, ...authority, '--token-file', 'ci.token']));
  assert.match((await run(['--home', 'ci', 'device', 'list'])).err, /API_FORBIDDEN: boss\/ci may not/);
  const session = {
    schema: 'airlock-session/1',
    user: 'boss',
    secret: 'gone',
    expires: '2026-01-01T00:00:00Z',
  };
  await writeFile(at('ci/session.json'), JSON.stringify(session));
  await well(run(['--home', 'ci', 'product', 'list']));
  await writeFile(at('ci/session.json'), JSON.stringify({ ...session, extra: 1 }));
  assert.match(
    (await run(['--home', 'ci', 'product', 'list'])).err,
    /CLI_HOME_DAMAGED: .*session\.json: extra/,
  );
  await writeFile(at('ci/session.json'), JSON.stringify(session));
  const list = await well(run(['token', 'list']));
  assert.match(list.out, /ci +products:read +\* +until 20/);
  assert.ok(!list.out.includes(secret));
  await well(run(['token', 'revoke', 'ci', '--reason', 'reinstalled']));
  assert.match((await run(['--home', 'ci', 'product', 'list'])).err, /API_UNAUTHORIZED/);
  const printed = await well(run([...ask.slice(0, 2), 'other', ...ask.slice(3)]));
  assert.match(printed.out, /\n {2}airlock_[\w-]{43}\n$/);
});

test('TEST-OTA-1374 REQ-OTA-OPS-01, REQ-OTA-POL-08: a role, a permission, days, a user and a password that are wrong, missing or not to be had: one line each, nothing changed, no secret in it', async () => {
  const cases: [readonly string[], RegExp, number][] = [
    [
      ['user', 'add', 'x', '--name', 'X', '--role', 'king'],
      /CLI_USAGE: --role must be one of administrator, /,
      2,
    ],
    [['user', 'add', 'x', '--name', 'X'], /CLI_USAGE: option --role is needed/, 2],
    [['user', 'add', 'x', '--role', 'viewer'], /CLI_USAGE: option --name is needed/, 2],
    [['user', 'add', 'X', '--name', 'X', '--role', 'viewer'], /API_BAD_REQUEST: user: /, 1],
    [
      ['user', 'add', 'x', '--name', 'X', '--role', 'approver'],
      /API_GRANT: functions: an approver stands in/,
      1,
    ],
    [['user', 'role', 'boss', '--drop', 'viewer'], /CLI_USAGE: boss does not have the role viewer/, 2],
    [['user', 'role', 'boss', '--add', 'viewer'], /API_SELF: boss cannot do this to themselves/, 1],
    [['user', 'role', 'ghost', '--add', 'viewer'], /CLI_USAGE: the server has no user ghost/, 2],
    [['user', 'remove', 'ghost'], /API_NOT_FOUND: there is no user ghost/, 1],
    [
      ['token', 'new', 'a', '--permission', 'all', '--days', '3'],
      /CLI_USAGE: --permission must be one of products:read, /,
      2,
    ],
    [['token', 'new', 'a', '--permission', 'products:read'], /CLI_USAGE: option --days is needed/, 2],
    [
      ['token', 'new', 'a', '--permission', 'products:read', '--days', '400'],
      /CLI_NUMBER: --days must be .* to 366/,
      2,
    ],
    [
      ['token', 'new', 'a', '--permission', 'users:write', '--days', '3'],
      /API_GRANT: permissions: users:write is for a person/,
      1,
    ],
    [['token', 'revoke', 'ghost'], /API_NOT_FOUND: boss has no token ghost/, 1],
    [['login', '--user', 'boss'], /CLI_PASSPHRASE_NEEDED: a password is needed/, 2],
    [['login', '--user', 'boss', '--password-file', 'none'], /CLI_FILE_MISSING: there is no file .*none/, 2],
    [
      ['--home', 'new', 'join', apiUrl, '--authority', 'home/tls/server-authority.pem'],
      /CLI_USAGE: option --user or --token-file is needed/,
      2,
    ],
    [['--home', 'none', 'login'], /CLI_NO_HOME/, 2],
  ];
  const users = async () => (await well(run(['user', 'list', '--json']))).out;
  const kept = async () => [
    await hashFolder(at('home/keys')),
    await textOf('home', 'session.json'),
    await users(),
  ];
  const state = await kept();
  for (const [argv, line, status] of cases) {
    const got = await run(argv);
    assert.match(got.err, line);
    assert.deepEqual([got.status, got.out, got.err.trim().split('\n').length], [status, '', 1], got.err);
  }
  const short = await run(['password'], [password, 'short', 'short']);
  assert.match(short.err, /API_PASSWORD: newPassword: must have at least 15 characters/);
  assert.ok(!short.err.includes(password));
  const init = await run(['--home', 'third', 'init', '--demo', '--administrator', 'The Boss']);
  assert.match(init.err, /CLI_USAGE: --administrator must be lower-case/);
  assert.deepEqual(await kept(), state);
});
