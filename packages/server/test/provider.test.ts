/**
 * Signing in at an identity provider: a real one in a process of its own, a browser, and a program that waits on its own
 * machine; and what does not sign anybody in.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseEntry } from '@airlock/audit';
import { peopleLimits } from '@airlock/protocol';
import { Browser } from './support/browser.ts';
import { bearer, giveSession, giveToken, giveUser } from './support/people.ts';
import { type Answer, ask, makeWorld, must, type World } from './support/world.ts';

const callbackPath = '/api/v1/sign-in/provider/callback';
const sessionCookie = '__Host-airlock-session';
const clientSecret = 'the secret of this client';
const grants = [
  {
    value: 'pump-quality',
    roles: ['approver'],
    functions: ['infusion-pump/quality'],
    products: ['infusion-pump'],
  },
  { value: 'fleet', roles: ['operator'], functions: [], products: ['*'] },
] as const;

let world: World;
let provider: ChildProcess;
let issuer: string;
let providerFile: string;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const people: Record<string, Record<string, unknown>> = {
  'sub-ada': { preferred_username: 'Ada', name: 'Dr. Ada Quill', groups: ['pump-quality', 'other'] },
  'sub-eve': { preferred_username: 'eve', name: 'Eve Stranger', groups: ['visitors'] },
  'sub-bo': { preferred_username: 'bo', name: 'Bo Lind', groups: ['fleet'] },
};

async function tellProvider(): Promise<void> {
  const { certificateFile, keyFile } = world.config.peopleListener;
  const port = Number(new URL(issuer).port);
  const redirectUrl = `${world.server.peopleUrl}${callbackPath}`;
  const facts = { port, certificateFile, keyFile, clientId: 'airlock', clientSecret, redirectUrl, people };
  await writeFile(providerFile, JSON.stringify(facts));
}

before(async () => {
  const [providerPort, peoplePort] = [await freePort(), await freePort()];
  issuer = `https://localhost:${providerPort}`;
  world = await makeWorld({
    peoplePort,
    identityProvider: (folder) => ({
      issuer,
      clientId: 'airlock',
      clientSecretFile: path.join(folder, 'client.secret'),
      authorityFile: path.join(folder, 'clients.pem'),
      redirectUrl: `https://127.0.0.1:${peoplePort}${callbackPath}`,
      scope: 'openid profile groups',
      grants: grants.map(({ value, roles, functions, products }) => ({
        value,
        roles: [...roles],
        functions: [...functions],
        products: [...products],
      })),
    }),
    files: { 'client.secret': `${clientSecret}\n` },
  });
  providerFile = path.join(world.folder, 'provider.json');
  await tellProvider();
  const program = fileURLToPath(new URL('./support/identity-provider.mjs', import.meta.url));
  provider = spawn(process.execPath, [program, providerFile], { stdio: ['pipe', 'pipe', 'ignore'] });
  if (provider.stdout === null) throw new Error('no output of the provider');
  await once(provider.stdout, 'data');
});
after(async () => {
  const ended = once(provider, 'close');
  provider.stdin?.end();
  await ended;
  await world.close();
});

const url = (at: string): string => world.server.peopleUrl + at;

/** A program: it waits at a port of its own machine (nothing listens there in these tests) and keeps a verifier. */
async function startProgram(): Promise<{ address: string; state: string; verifier: string; port: number }> {
  const verifier = randomBytes(32).toString('base64url');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  const port = 40_000;
  const body = { carrier: 'bearer', port, challenge };
  const started = await must(
    ask(url('/api/v1/sign-in/provider'), world.authority.certificate, { method: 'POST', body }),
    200,
  );
  return { address: String(started.body['address']), state: String(started.body['state']), verifier, port };
}

const finish = (code: string | null, verifier: string): Promise<Answer> =>
  ask(url('/api/v1/sign-in/provider/session'), world.authority.certificate, {
    method: 'POST',
    body: { code: code ?? '', verifier },
  });

/** The whole way of a program; answers the address at which its browser arrives on its own machine. */
async function arrive(login: string, started: { readonly address: string }, browser = newBrowser()) {
  const atHome = (address: string) => address.startsWith('http://127.0.0.1:40000/');
  const { url: last, answer } = await browser.go(started.address, started.address, login, atHome);
  assert.ok(atHome(last), `${last}: ${answer?.bytes.toString().slice(0, 300)}`);
  return new URL(last).searchParams;
}

const newBrowser = () => new Browser(world.authority.certificate);
const refused = (answer: Answer, status: number, code: string) =>
  assert.deepEqual([answer.status, answer.body['code']], [status, code], answer.bytes.toString());

async function acts(from: number) {
  const { body } = await must(world.people('GET', `/api/v1/audit/entries?first=${from}&limit=500`), 200);
  return (body['entries'] as string[]).map((leaf) => {
    const entry = parseEntry(Buffer.from(leaf));
    assert.ok(entry.ok);
    return entry.value;
  });
}
const entryCount = async (): Promise<number> => (await acts(0)).length;

test('TEST-OTA-1350 REQ-OTA-POL-08, REQ-OTA-POL-07: a person signs in at a real identity provider for a program: a user with the roles that the claims map to, a session under PKCE, state and nonce, an entry for each; no secret in any address', async () => {
  const from = await entryCount();
  const started = await startProgram();
  const asked = new URL(started.address).searchParams;
  assert.equal(asked.get('code_challenge_method'), 'S256');
  for (const name of ['state', 'nonce', 'code_challenge']) assert.match(asked.get(name) ?? '', /^[\w-]{43}$/);
  const browser = newBrowser();
  const arrived = await arrive('sub-ada', started, browser);
  assert.equal(arrived.get('state'), started.state);
  const made = await must(finish(arrived.get('code'), started.verifier), 200);
  assert.deepEqual(
    [made.body['user'], made.body['name'], made.body['roles'], made.body['functions'], made.body['products']],
    ['ada', 'Dr. Ada Quill', ['approver'], ['infusion-pump/quality'], ['infusion-pump']],
  );
  const secret = String(made.body['secret']);
  assert.match(secret, /^airlock_session_/);
  assert.ok(
    !browser.history.join(' ').includes(secret) && !browser.history.join(' ').includes(started.verifier),
  );
  const me = await must(world.people('GET', '/api/v1/session', { headers: bearer(secret) }), 200);
  assert.deepEqual([me.body['user'], me.body['by']], ['ada', 'session']);
  const told = await acts(from);
  assert.deepEqual(
    told.map(({ act }) => act),
    ['user.add', 'session.begin'],
  );
  assert.equal(told[1]?.actor, told[0]?.subject['user']);
  assert.ok(!JSON.stringify(told).includes('Quill'));
});

test('TEST-OTA-1351 REQ-OTA-POL-08: a code that is used twice, with another verifier, after its time, and an answer that is brought twice: no session', async () => {
  const [first, second, third] = [await startProgram(), await startProgram(), await startProgram()];
  const stolen = await arrive('sub-ada', first);
  refused(await finish(stolen.get('code'), second.verifier), 401, 'API_PROVIDER_ANSWER');
  await must(finish(stolen.get('code'), first.verifier), 200);
  refused(await finish(stolen.get('code'), first.verifier), 401, 'API_PROVIDER_ANSWER');
  const browser = newBrowser();
  const late = await arrive('sub-ada', second, browser);
  const callback = browser.history.findLast((step) => step.includes(callbackPath)) ?? '';
  const again = await ask(callback.replace('GET ', ''), world.authority.certificate);
  refused(again, 401, 'API_PROVIDER_ANSWER');
  world.clock.moved += peopleLimits.providerSeconds;
  try {
    refused(await finish(late.get('code'), second.verifier), 401, 'API_PROVIDER_ANSWER');
    const tooLate = await ask(
      url(`${callbackPath}?code=x&state=${third.state}`),
      world.authority.certificate,
    );
    refused(tooLate, 401, 'API_PROVIDER_ANSWER');
  } finally {
    world.clock.moved -= peopleLimits.providerSeconds;
  }
});

test('TEST-OTA-1352 REQ-OTA-POL-08: an answer with a code of another sign-in, without a code, of another issuer and refused by the person: the program learns that it failed, nobody is signed in', async () => {
  const answerOf = async (change: (query: URLSearchParams) => void) => {
    const started = await startProgram();
    const browser = newBrowser();
    const atCallback = (address: string) => address.includes(`${callbackPath}?`);
    const { url: last } = await browser.go(started.address, started.address, 'sub-ada', atCallback);
    const address = new URL(last);
    change(address.searchParams);
    const answer = await ask(address.href, world.authority.certificate);
    const arrived = new URL(String(answer.headers['location'])).searchParams;
    assert.deepEqual([arrived.get('code'), arrived.get('state')], [null, started.state]);
    return arrived.get('error');
  };
  const other = await startProgram();
  const atCallback = (address: string) => address.includes(`${callbackPath}?`);
  const { url: foreign } = await newBrowser().go(other.address, other.address, 'sub-bo', atCallback);
  // The code of another sign-in: its verifier does not fit (PKCE).
  const code = new URL(foreign).searchParams.get('code') ?? '';
  assert.equal(await answerOf((query) => query.set('code', code)), 'API_PROVIDER_ANSWER');
  assert.equal(await answerOf((query) => query.delete('code')), 'API_PROVIDER_ANSWER');
  assert.equal(await answerOf((query) => query.set('iss', 'https://evil.example')), 'API_PROVIDER_ANSWER');
  assert.equal(await answerOf((query) => query.delete('iss')), 'API_PROVIDER_ANSWER');
  const denied = (query: URLSearchParams) => {
    query.delete('code');
    query.set('error', 'access_denied');
  };
  assert.equal(await answerOf(denied), 'API_PROVIDER_ANSWER');
  assert.equal(await answerOf(() => undefined).catch(() => 'a code'), 'a code', 'unchanged, it signs in');
});

test('TEST-OTA-1353 REQ-OTA-POL-08: a browser signs in at the identity provider: cookies are HttpOnly, Secure, SameSite=Strict and of this host alone; the answer in another browser, or in none, signs nobody in', async () => {
  const own = world.server.peopleUrl;
  const begin = async (browser: Browser) => {
    const start = await browser.send('POST', url('/api/v1/sign-in/provider'), own, { carrier: 'cookie' });
    assert.equal(start.status, 200, start.bytes.toString());
    return String(start.body['address']);
  };
  const browser = newBrowser();
  const atEnd = (address: string) => address === `${own}/`;
  const { url: last, answer } = await browser.go(await begin(browser), own, 'sub-ada', atEnd);
  assert.equal(last, `${own}/`, answer?.bytes.toString() ?? '');
  const cookie = browser.cookie(own, sessionCookie);
  for (const part of [/; Path=\//, /; HttpOnly/, /; Secure/, /; SameSite=Strict/, /; Max-Age=43200/])
    assert.match(cookie?.text ?? '', part);
  assert.ok(!/Domain=/i.test(cookie?.text ?? ''));
  const me = await browser.send('GET', url('/api/v1/session'), own);
  assert.deepEqual([me.status, me.body['user']], [200, 'ada']);

  // Login CSRF: the attacker's own answer, brought to somebody else's browser.
  const attacker = newBrowser();
  const atFinish = (address: string) => address.includes('/sign-in/provider/finish?');
  const { url: forged } = await attacker.go(await begin(attacker), own, 'sub-bo', atFinish);
  const victim = newBrowser();
  const address = await begin(victim);
  assert.ok(address.startsWith(issuer));
  refused(await victim.send('GET', forged, own), 401, 'API_PROVIDER_ANSWER');
  refused(await newBrowser().send('GET', forged, own), 401, 'API_PROVIDER_ANSWER');
  assert.equal(victim.cookie(own, sessionCookie), undefined);
});

test('TEST-OTA-1354 REQ-OTA-POL-08, REQ-OTA-POL-07: somebody without a role, with a name that is taken, removed, and with other groups than before: refused, refused, refused, changed with an entry', async () => {
  const errorOf = async (login: string) => (await arrive(login, await startProgram())).get('error');
  assert.equal(await errorOf('sub-eve'), 'API_NO_ROLE');
  await giveUser(world.config, 'bo');
  assert.equal(await errorOf('sub-bo'), 'API_CONFLICT');
  const from = await entryCount();
  people['sub-ada'] = { ...people['sub-ada'], groups: ['fleet'] };
  await tellProvider();
  const started = await startProgram();
  const made = await must(finish((await arrive('sub-ada', started)).get('code'), started.verifier), 200);
  assert.deepEqual([made.body['roles'], made.body['functions']], [['operator'], []]);
  const change = (await acts(from)).find(({ act }) => act === 'user.change');
  assert.deepEqual([change?.before?.['roles'], change?.after?.['roles']], [['approver'], ['operator']]);

  // No group any more: the roles go at once, also from the session that is open.
  people['sub-ada'] = { ...people['sub-ada'], groups: [] };
  await tellProvider();
  assert.equal(await errorOf('sub-ada'), 'API_NO_ROLE');
  const old = await world.people('GET', '/api/v1/devices', { headers: bearer(String(made.body['secret'])) });
  refused(old, 403, 'API_FORBIDDEN');

  const admin = bearer(await giveSession(world.config, 'tester'));
  await must(world.people('DELETE', '/api/v1/users/ada', { headers: admin }), 204);
  people['sub-ada'] = { ...people['sub-ada'], groups: ['fleet'] };
  await tellProvider();
  assert.equal(await errorOf('sub-ada'), 'API_NO_ROLE');
});

test('TEST-OTA-1355 REQ-OTA-POL-08: an API token of a person of the identity provider, who did not sign in for a month: no longer counts', async () => {
  const owner = { issuer, subject: 'sub-cid' };
  const lastSignIn = Math.floor(Date.now() / 1000);
  await giveUser(world.config, 'cid', { provider: owner, roles: ['viewer'], lastSignIn });
  const headers = bearer(await giveToken(world.config, 'cid'));
  await must(world.people('GET', '/api/v1/products', { headers }), 200);
  world.clock.moved += peopleLimits.providerAbsenceSecondsMax + 1;
  try {
    refused(await world.people('GET', '/api/v1/products', { headers }), 401, 'API_UNAUTHORIZED');
  } finally {
    world.clock.moved -= peopleLimits.providerAbsenceSecondsMax + 1;
  }
});

const airlock = fileURLToPath(new URL('../../cli/bin/airlock.mjs', import.meta.url));

test('TEST-OTA-1370 REQ-OTA-POL-08: the program airlock signs in at the identity provider: it waits on its own machine, refuses an answer of another sign-in, keeps the session for its owner alone, and prints no secret', async () => {
  const home = path.join(world.folder, 'home');
  const run = (...argv: string[]) => spawn(process.execPath, [airlock, '--home', home, ...argv]);
  const textOf = (child: ReturnType<typeof run>) => {
    const said = { text: '' };
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data) => (said.text += String(data)));
    return said;
  };
  const tokenFile = path.join(world.folder, 'join.token');
  await writeFile(tokenFile, await giveToken(world.config, 'tester'));
  const authority = ['--authority', path.join(world.folder, 'clients.pem')];
  const joined = run('join', world.server.peopleUrl, ...authority, '--token-file', tokenFile);
  const said = textOf(joined);
  await once(joined, 'close');
  assert.equal(joined.exitCode, 0, said.text);

  people['sub-dora'] = { preferred_username: 'dora', name: 'Dora Fox', groups: ['fleet'] };
  await tellProvider();
  const login = run('login');
  const shown = textOf(login);
  while (!/https:\/\/localhost:\S+/.test(shown.text)) await once(login.stderr, 'data');
  const address = /https:\/\/localhost:\S+/.exec(shown.text)?.[0] ?? '';
  const atHome = (to: string) => to.startsWith('http://127.0.0.1:');
  const { url: last } = await newBrowser().go(address, address, 'sub-dora', atHome);
  const forged = new URL(last);
  forged.searchParams.set('state', 'of-somebody-else');
  assert.equal((await fetch(forged)).status, 400);
  assert.equal((await fetch(last)).status, 200);
  await once(login, 'close');
  assert.equal(login.exitCode, 0, shown.text);
  assert.match(shown.text, /Signed in as dora \(Dora Fox\): operator/);
  const file = path.join(home, 'session.json');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const { secret } = JSON.parse(await readFile(file, 'utf8')) as { secret: string };
  assert.ok(secret.startsWith('airlock_session_') && !shown.text.includes(secret));
  const list = run('device', 'list');
  const listed = textOf(list);
  await once(list, 'close');
  assert.equal(list.exitCode, 0, listed.text);
  const refusedNow = run('user', 'list');
  const why = textOf(refusedNow);
  await once(refusedNow, 'close');
  assert.match(why.text, /API_FORBIDDEN: dora may not/, 'the session counts, not the token beside it');
});
