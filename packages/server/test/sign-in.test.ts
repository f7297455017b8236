/** Signing in by password, sessions and cookies, users and API tokens: what opens, what does not, and what ends. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { parseEntry } from '@airlock/audit';
import { peopleLimits } from '@airlock/protocol';
import { addressName } from '../src/core/addresses.ts';
import { checkPassword, hashPassword, judgeNewPassword } from '../src/core/passwords.ts';
import { bearer, giveSession, giveToken, giveUser } from './support/people.ts';
import {
  addDevice,
  type Answer,
  ask,
  makeWorld,
  must,
  product,
  publishProduct,
  type World,
} from './support/world.ts';

const password = 'correct horse battery staple';
let world: World;
/** Stands for a fresh session of an administrator: clocks move here. */
const admin: Record<string, string> = {};

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  await giveUser(world.config, 'admin', { roles: ['administrator'] });
});
after(async () => {
  await world.close();
});

const refused = (answer: Answer, status: number, code: string, field?: string): void => {
  assert.deepEqual([answer.status, answer.body['code']], [status, code], answer.bytes.toString());
  if (field !== undefined) assert.equal(answer.body['field'], field);
};

const post = async (body: object, headers: Record<string, string> = {}): Promise<Answer> =>
  await ask(`${world.server.peopleUrl}/api/v1/sign-in`, world.authority.certificate, {
    method: 'POST',
    body: { carrier: 'bearer', ...body },
    headers,
  });

/** A window of tries later. */
function laterWindow(): void {
  world.clock.moved += peopleLimits.signInWindowSeconds;
}

/** The secret of a session that begins now, by the clock of the world. */
async function sessionOf(user: string): Promise<Record<string, string>> {
  const now = world.clock.now();
  return bearer(await giveSession(world.config, user, { created: now, lastUsed: now, expires: now + 3_600 }));
}

const call = async (method: string, url: string, as: Record<string, string>, body?: object) => {
  const headers = as === admin ? await sessionOf('admin') : as;
  return await world.people(method, `/api/v1${url}`, { headers, ...(body === undefined ? {} : { body }) });
};

async function entries(from = 0) {
  const { body } = await must(world.people('GET', `/api/v1/audit/entries?first=${from}&limit=500`), 200);
  return (body['entries'] as string[]).map((leaf) => {
    const entry = parseEntry(Buffer.from(leaf));
    assert.ok(entry.ok);
    return entry.value;
  });
}
const entryCount = async (): Promise<number> => (await entries()).length;

/** A new user, by the API; answers the one-time secret. */
async function addUser(user: string, change: object = {}): Promise<string> {
  const grant = { roles: ['viewer'], functions: [], products: [product] };
  const body = { user, name: `Person ${user}`, ...grant, ...change };
  const made = await must(call('POST', '/users', admin, body), 201);
  return String(made.body['secret']);
}

test('TEST-OTA-1360 REQ-OTA-POL-08, REQ-OTA-OPS-01: a one-time secret, used without and with the password that follows it, twice, after its time and after a new one: opens one session, once', async () => {
  const secret = await addUser('ada');
  assert.match(secret, /^[0-9a-f]{4}(-[0-9a-f]{4}){9}$/);
  refused(await post({ user: 'ada', password: secret }), 403, 'API_ONE_TIME', 'newPassword');
  refused(await post({ user: 'ada', password: secret, newPassword: 'too short' }), 422, 'API_PASSWORD');
  refused(await post({ user: 'ada', password: secret, newPassword: secret }), 422, 'API_PASSWORD');
  const twice = await Promise.all([
    post({ user: 'ada', password: secret, newPassword: password }),
    post({ user: 'ada', password: secret, newPassword: `${password} 2` }),
  ]);
  const statuses = twice.map(({ status }) => status).toSorted((a, b) => a - b);
  assert.deepEqual(statuses, [200, 409], 'one of two at once');
  refused(await post({ user: 'ada', password: secret, newPassword: `${password} 3` }), 401, 'API_SIGN_IN');
  laterWindow();
  const late = await addUser('late');
  world.clock.moved += peopleLimits.oneTimeSecretSecondsMax;
  refused(await post({ user: 'late', password: late, newPassword: password }), 401, 'API_SIGN_IN');
  const again = await must(call('POST', '/users/late/secret', admin), 200);
  refused(await post({ user: 'late', password: late, newPassword: password }), 401, 'API_SIGN_IN');
  const body = { user: 'late', password: String(again.body['secret']), newPassword: password };
  assert.equal((await post(body)).status, 200);
  refused(
    await post({ user: 'late', password, newPassword: `${password} 2` }),
    400,
    'API_BAD_REQUEST',
    'newPassword',
  );
});

test('TEST-OTA-1361 REQ-OTA-POL-08: a wrong password, an unknown name, a removed user and one of the identity provider: one answer, byte for byte', async () => {
  laterWindow();
  const provider = { issuer: 'https://id.example.com', subject: '1' };
  await giveUser(world.config, 'elsewhere', { provider });
  const hash = await hashPassword(password, Buffer.alloc(16, 1));
  await giveUser(world.config, 'removed', { password: hash, removed: world.clock.now() });
  await giveUser(world.config, 'bo', { password: hash });
  const wrong = await post({ user: 'bo', password: 'something else' });
  refused(wrong, 401, 'API_SIGN_IN');
  for (const [user, given] of [
    ['nobody', password],
    ['removed', password],
    ['elsewhere', password],
  ] as const) {
    assert.deepEqual((await post({ user, password: given })).bytes, wrong.bytes, user);
  }
  assert.equal((await post({ user: 'bo', password })).status, 200);
  assert.ok(!wrong.bytes.toString().includes('something else'));
});

test('TEST-OTA-1362 REQ-OTA-POL-08, REQ-OTA-POL-07: guesses at one name, one after the other and all at once, known and unknown: no more are judged than the limit, the right one is refused too until the window ends, and the audit log tells it once', async () => {
  laterWindow();
  const hash = await hashPassword(password, Buffer.alloc(16, 2));
  await giveUser(world.config, 'eve', { password: hash });
  const from = await entryCount();
  const tries = Array.from({ length: peopleLimits.signInsPerUserMax + 5 }, () =>
    post({ user: 'eve', password: 'guess' }),
  );
  const codes = (await Promise.all(tries)).map(({ body }) => body['code']);
  const judged = codes.filter((code) => code === 'API_SIGN_IN').length;
  assert.equal(judged, peopleLimits.signInsPerUserMax, codes.join(' '));
  const shut = await post({ user: 'eve', password });
  refused(shut, 429, 'API_SIGN_INS');
  assert.match(String(shut.body['message']), /wait \d+ s/);
  const told = (await entries(from)).filter(({ act }) => act === 'session.block');
  assert.equal(told.length, 1);
  for (let at = 0; at < peopleLimits.signInsPerUserMax; at += 1)
    await post({ user: 'stranger', password: 'x' });
  refused(await post({ user: 'stranger', password: 'x' }), 429, 'API_SIGN_INS');
  assert.equal(
    (await entries(from)).filter(({ act }) => act === 'session.block').length,
    1,
    'of nobody: no entry',
  );
  laterWindow();
  assert.equal((await post({ user: 'eve', password })).status, 200);
});

test('TEST-OTA-1363 REQ-OTA-POL-08: guesses from one address: refused after the limit, whatever the name; two addresses of one IPv6 network count as one', async () => {
  laterWindow();
  const one = async () => await post({ user: 'nobody-at-all', password: 'x' });
  for (let at = 0; at < peopleLimits.signInsPerAddressMax; at += 1) await one();
  refused(await post({ user: 'somebody-new', password: 'x' }), 429, 'API_SIGN_INS');
  laterWindow();
  for (const [address, name] of [
    ['10.0.0.7', '10.0.0.7'],
    ['::ffff:10.0.0.7', '10.0.0.7'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
    ['2001:0DB8::1:aaaa:bbbb:cccc:dddd', '2001:db8:0:1::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ] as const) {
    assert.equal(addressName(address), name, address);
  }
});

test('TEST-OTA-1364 REQ-OTA-POL-08: a session: ends after its hours, after an hour without a request, when its person signs out, when its user is removed, and when an administrator or a new password ends it; a changed role counts at once', async () => {
  laterWindow();
  const start = world.clock.moved;
  const hash = await hashPassword(password, Buffer.alloc(16, 3));
  await giveUser(world.config, 'cid', { password: hash, roles: ['viewer'] });
  const begin = async () => {
    const made = await must(post({ user: 'cid', password }), 200);
    return bearer(String(made.body['secret']));
  };
  const here = async (headers: Record<string, string>) => (await call('GET', '/session', headers)).status;
  const used = await begin();
  for (let hour = 0; hour < 11; hour += 1) {
    world.clock.moved += peopleLimits.sessionIdleSecondsMax - 60;
    assert.equal(await here(used), 200, `in use after ${hour} hours`);
  }
  world.clock.moved += peopleLimits.sessionSecondsMax - 11 * (peopleLimits.sessionIdleSecondsMax - 60);
  assert.equal(await here(used), 401, 'after its hours, though in use');
  const idle = await begin();
  world.clock.moved += peopleLimits.sessionIdleSecondsMax;
  assert.equal(await here(idle), 401, 'idle');

  const out = await begin();
  await must(call('DELETE', '/session', out), 204);
  assert.equal(await here(out), 401, 'signed out');

  const [own, other] = [await begin(), await begin()];
  const next = 'another long password';
  refused(
    await call('PUT', '/session/password', own, { password: 'wrong', newPassword: next }),
    401,
    'API_SIGN_IN',
  );
  await must(call('PUT', '/session/password', own, { password, newPassword: next }), 204);
  assert.deepEqual([await here(own), await here(other)], [200, 401], 'a new password ends the others');

  refused(await call('GET', '/users', own), 403, 'API_FORBIDDEN');
  const auditor = { roles: ['auditor'], functions: [], products: ['*'] };
  await must(call('PUT', '/users/cid/roles', admin, auditor), 200);
  assert.equal((await call('GET', '/users', own)).status, 200, 'a new role counts at once');
  await must(call('DELETE', '/users/cid/sessions', admin), 204);
  assert.equal(await here(own), 401, 'ended by an administrator');

  const last = await sessionOf('cid');
  const token = bearer(await giveToken(world.config, 'cid', { permissions: ['products:read'] }));
  assert.deepEqual([await here(last), await here(token)], [200, 200]);
  await must(call('DELETE', '/users/cid', admin), 204);
  assert.deepEqual([await here(last), await here(token)], [401, 401], 'removed');
  refused(await post({ user: 'cid', password: next }), 401, 'API_SIGN_IN');
  world.clock.moved = start + 3_600;
});

test('TEST-OTA-1365 REQ-OTA-POL-08: a session in a cookie: HttpOnly, Secure, SameSite=Strict, of this host; what changes something needs this server’s own page as origin; the header wins over the cookie; signing out takes the cookie away', async () => {
  const hash = await hashPassword(password, Buffer.alloc(16, 4));
  await giveUser(world.config, 'dora', { password: hash, roles: ['registrar'] });
  await addDevice(world, 'pump-7');
  const answer = await must(post({ user: 'dora', password, carrier: 'cookie' }), 200);
  assert.equal(answer.body['secret'], undefined);
  const [set = ''] = [answer.headers['set-cookie'] ?? ''].flat();
  assert.match(
    set,
    /^__Host-airlock-session=airlock_session_[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
  );
  assert.equal(answer.headers['cache-control'], 'no-store');
  const cookie = { cookie: set.split(';')[0] ?? '' };
  const own = world.server.peopleUrl;
  const send = async (method: string, url: string, headers: Record<string, string>) =>
    await ask(`${own}/api/v1${url}`, world.authority.certificate, {
      method,
      headers,
      tls: { servername: 'localhost' },
    });
  assert.equal((await send('GET', '/session', cookie)).status, 200);
  for (const origin of [
    undefined,
    'null',
    'https://evil.example',
    own.replace('https', 'http'),
    `${own}.evil.example`,
  ]) {
    const headers = { ...cookie, ...(origin === undefined ? {} : { origin }) };
    refused(await send('DELETE', '/devices/pump-7', headers), 403, 'API_ORIGIN', 'origin');
  }
  const host = { ...cookie, origin: 'https://evil.example', host: 'elsewhere.example' };
  refused(await send('DELETE', '/devices/pump-7', host), 403, 'API_ORIGIN');
  refused(await send('GET', '/session', { ...cookie, ...bearer('nonsense') }), 401, 'API_UNAUTHORIZED');
  assert.equal((await send('DELETE', '/devices/pump-7', { ...cookie, origin: own })).status, 204);
  const gone = await send('DELETE', '/session', { ...cookie, origin: own });
  assert.equal(gone.status, 204);
  assert.match(
    String(gone.headers['set-cookie']),
    /^__Host-airlock-session=; (?:Max-Age=0|.*Expires=Thu, 01 Jan 1970)/,
  );
  assert.equal((await send('GET', '/session', cookie)).status, 401);
});

test('TEST-OTA-1366 REQ-OTA-POL-08, REQ-OTA-OPS-01: users: an id is given once and for ever, nobody changes or removes themselves, one of the identity provider has no password here, an odd name is refused', async () => {
  const grant = { roles: ['viewer'], functions: [], products: [product] };
  const add = async (user: string, name: string) =>
    await call('POST', '/users', admin, { user, name, ...grant });
  assert.equal((await add('flo', 'Flo Rein')).status, 201);
  refused(await add('flo', 'Another Flo'), 409, 'API_CONFLICT', 'user');
  await must(call('DELETE', '/users/flo', admin), 204);
  refused(await add('flo', 'Another Flo'), 409, 'API_CONFLICT', 'user');
  refused(await call('DELETE', '/users/flo', admin), 404, 'API_NOT_FOUND', 'user');
  for (const user of ['Ada', 'аda', '', 'a'.repeat(65), '-x', 'a/b'])
    refused(await add(user, 'X Y'), 400, 'API_BAD_REQUEST', 'user');
  for (const name of ['', '  ', 'two\nlines', 'hid\u202eden'])
    refused(await add('gus', name), 400, 'API_BAD_REQUEST', 'name');
  refused(await call('DELETE', '/users/admin', admin), 403, 'API_SELF');
  refused(await call('PUT', '/users/admin/roles', admin, { ...grant, products: ['*'] }), 403, 'API_SELF');
  refused(await call('POST', '/users/admin/secret', admin), 403, 'API_SELF');
  await giveUser(world.config, 'remote', { provider: { issuer: 'https://id.example.com', subject: '9' } });
  refused(await call('POST', '/users/remote/secret', admin), 409, 'API_CONFLICT');
  refused(await call('PUT', '/users/remote/roles', admin, grant), 409, 'API_CONFLICT');
  const own = await sessionOf('remote');
  refused(
    await call('PUT', '/session/password', own, { password, newPassword: `${password}!` }),
    409,
    'API_CONFLICT',
  );
});

test('TEST-OTA-1367 REQ-OTA-POL-08, REQ-OTA-OPS-01: API tokens: shown once, with an end, never more than their user has, also when that becomes less; no token makes a token, and none manages users', async () => {
  await giveUser(world.config, 'hal', { roles: ['viewer', 'registrar'], products: [product] });
  const hal = await sessionOf('hal');
  const make = async (change: object, headers: Record<string, string> = hal) =>
    await call('POST', '/tokens', headers, {
      name: 'ci',
      permissions: ['devices:read', 'devices:write'],
      days: 30,
      ...change,
    });
  const made = await must(make({}), 201);
  const secret = String(made.body['secret']);
  const token = bearer(secret);
  const listed = await must(call('GET', '/tokens', hal), 200);
  assert.ok(!listed.bytes.toString().includes(secret));
  assert.equal((await call('GET', '/devices', token)).status, 200);
  refused(await make({}), 409, 'API_CONFLICT', 'name');
  refused(await make({ name: 'b', permissions: ['releases:write'] }), 422, 'API_GRANT', 'permissions');
  refused(await make({ name: 'b', products: ['*'] }), 422, 'API_GRANT', 'products');
  refused(await make({ name: 'b', products: ['ventilator'] }), 422, 'API_GRANT', 'products');
  refused(await make({ name: 'b', days: 0 }), 400, 'API_BAD_REQUEST', 'days');
  refused(await make({ name: 'b', days: peopleLimits.apiTokenDaysMax + 1 }), 400, 'API_BAD_REQUEST', 'days');
  refused(await make({ name: 'b', permissions: [] }), 400, 'API_BAD_REQUEST', 'permissions');
  refused(await make({ name: 'b', permissions: ['users:write'] }, admin), 422, 'API_GRANT', 'permissions');
  refused(await make({ name: 'b' }, token), 403, 'API_PERSON');

  const grant = { roles: ['viewer'], functions: [], products: [product] };
  await must(call('PUT', '/users/hal/roles', admin, grant), 200);
  refused(await call('DELETE', '/devices/no-such', token), 403, 'API_FORBIDDEN');
  assert.equal((await call('GET', '/devices', token)).status, 200);
  await must(call('DELETE', '/users/hal/tokens/ci', admin), 204);
  refused(await call('GET', '/devices', token), 401, 'API_UNAUTHORIZED');
  await must(call('DELETE', '/tokens/ci', hal), 204);
  const again = await must(make({ permissions: ['devices:read'], days: 1 }), 201);
  const short = bearer(String(again.body['secret']));
  assert.equal((await call('GET', '/devices', short)).status, 200);
  world.clock.moved += 86_400;
  refused(await call('GET', '/devices', short), 401, 'API_UNAUTHORIZED');
  world.clock.moved -= 86_400;
});

test('TEST-OTA-1368 REQ-OTA-POL-08, REQ-OTA-SIGN-06: a password, a one-time secret, a session and an API token, looked for in every file of the server: in none; the password is kept as argon2id', async () => {
  laterWindow();
  const oneTime = await addUser('ida');
  const typed = 'a password that stands nowhere';
  const begun = await must(post({ user: 'ida', password: oneTime, newPassword: typed }), 200);
  const session = String(begun.body['secret']);
  const asked = { name: 'seek', permissions: ['devices:read'], days: 1 };
  const made = await must(call('POST', '/tokens', bearer(session), asked), 201);
  const secrets = [oneTime, typed, session, String(made.body['secret'])];
  const names = await readdir(world.config.folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile() && entry.name !== 'server.lock');
  assert.ok(files.some(({ name }) => name === 'data.sqlite'));
  let hashes = 0;
  for (const { parentPath, name } of files) {
    const bytes = await readFile(path.join(parentPath, name));
    for (const secret of secrets) assert.ok(!bytes.includes(secret), `${name} holds a secret`);
    if (bytes.includes('$argon2id$v=19$m=65536,t=3,p=4$')) hashes += 1;
  }
  assert.ok(hashes > 0);
});

test('TEST-OTA-1369 REQ-OTA-POL-08: passwords, hashed and compared: the right one only, composed and decomposed letters alike, other costs as they are stored, nothing stored and damaged: no; new ones that are short, known, named or of one letter: refused without repeating them', async () => {
  const salt = Buffer.alloc(16, 7);
  const stored = await hashPassword('pässword of Bär 15', salt);
  assert.match(stored, /^\$argon2id\$v=19\$m=65536,t=3,p=4\$/);
  assert.ok(await checkPassword('pa\u0308ssword of Ba\u0308r 15', stored));
  assert.ok(!(await checkPassword('pässword of Bär 16', stored)));
  // Of the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32 (v1.3).
  const reference = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
  assert.equal(await checkPassword('password', reference), true);
  for (const damaged of [undefined, '', 'x', stored.slice(0, -1), stored.replace('argon2id', 'argon2i')]) {
    assert.equal(await checkPassword('pässword of Bär 15', damaged), false, damaged ?? 'nothing');
  }
  const judge = (next: string) => judgeNewPassword(next, { user: 'ada', before: 'the password of before' });
  for (const wrong of [
    'fourteen chars',
    'the password of before',
    'Ada knows it by heart',
    'ababababababababab',
    '😀'.repeat(14),
  ]) {
    const judged = judge(wrong);
    assert.equal(judged.ok ? '' : judged.error.code, 'API_PASSWORD', wrong);
    assert.ok(!JSON.stringify(judged).includes(wrong));
  }
  assert.ok(judge('fifteen letters').ok);
});
