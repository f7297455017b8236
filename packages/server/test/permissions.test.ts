/**
 * Every route of the management API with every role, and with everything that must not count: the table of routes says
 * what is allowed, and the running server is asked.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  everyProduct,
  isUserRole,
  type Permission,
  peopleLimits,
  permissions,
  permissionsOf,
  type UserRole,
  userRoles,
} from '@airlock/protocol';
import { addGuard } from '../src/adapters/http/guard.ts';
import { createListener } from '../src/adapters/http/listener.ts';
import type { Context } from '../src/app/context.ts';
import { judgeGrant } from '../src/core/callers.ts';
import { type RouteRule, routeTable } from '../src/core/routes.ts';
import {
  bearer,
  everyRole,
  everyTokenPermission,
  giveSession,
  giveToken,
  giveUser,
} from './support/people.ts';
import {
  addDevice,
  type Answer,
  ask,
  functionFile,
  imageRoot,
  makeWorld,
  must,
  product,
  publishProduct,
  type World,
} from './support/world.ts';

let world: World;
let admin: Record<string, string>;

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  await addDevice(world, 'pump-1');
  admin = bearer(await giveSession(world.config, 'tester'));
});
after(async () => {
  await world.close();
});

const values: Readonly<Record<string, string>> = {
  product,
  role: 'quality',
  device: 'pump-1',
  version: '1',
  sha256: '0'.repeat(64),
  user: 'nobody-here',
  name: 'nothing',
  '*': '1.root.json',
};

/** An address of a route, with things in it that are there. */
function addressOf(route: string, change: Readonly<Record<string, string>> = {}): [string, string] {
  const [method = '', url = ''] = route.split(' ');
  const all = { ...values, ...change };
  return [method, url.replaceAll(/:([a-z0-9]+)|\*/g, (whole, name?: string) => all[name ?? whole] ?? whole)];
}

async function use(route: string, headers: Record<string, string>, change = {}): Promise<Answer> {
  const [method, url] = addressOf(route, change);
  const body = method === 'GET' || method === 'DELETE' ? {} : { body: {} };
  return await ask(world.server.peopleUrl + url, world.authority.certificate, { method, headers, ...body });
}

/** The codes with which the guard refuses; anything else - also that something is not there - came past it. */
const guardCodes: readonly unknown[] = ['API_UNAUTHORIZED', 'API_FORBIDDEN', 'API_PERSON', 'API_SCOPE'];
const outcomeOf = ({ body }: Answer): unknown =>
  guardCodes.includes(body['code']) ? body['code'] : 'let in';

/** What the table says of a caller. */
function expected(rule: RouteRule, held: ReadonlySet<Permission>, by: 'session' | 'api-token'): string {
  const { needs, person } = rule;
  if (needs === 'public') return 'let in';
  if (person === true && by === 'api-token') return 'API_PERSON';
  return needs === 'signed-in' || held.has(needs) ? 'let in' : 'API_FORBIDDEN';
}

const routes = Object.entries(routeTable);
/** It ends the session that it is asked with. */
const signOut = 'DELETE /api/v1/session';

async function walk(role: UserRole): Promise<void> {
  const functions = [`${product}/quality`];
  await giveUser(world.config, `one-${role}`, { roles: [role], functions });
  const held = permissionsOf([role]);
  const session = bearer(await giveSession(world.config, `one-${role}`));
  // Written into the store with more than its user has: the user's roles are the limit.
  const token = bearer(await giveToken(world.config, `one-${role}`));
  let letIn = 0;
  for (const [route, rule] of routes) {
    const [bySession, byToken] = [expected(rule, held, 'session'), expected(rule, held, 'api-token')];
    assert.equal(outcomeOf(await use(route, token)), byToken, `${route} by API token of ${role}`);
    if (route === signOut) continue;
    assert.equal(outcomeOf(await use(route, session)), bySession, `${route} by session of ${role}`);
    if (bySession === 'let in' && rule.needs !== 'public') letIn += 1;
  }
  assert.ok(letIn > 3, 'some routes were reached at all');
  assert.equal(outcomeOf(await use(signOut, session)), 'let in');
  assert.equal(outcomeOf(await use('GET /api/v1/session', session)), 'API_UNAUTHORIZED', 'signed out');
}

test('TEST-OTA-1330 REQ-OTA-POL-08, REQ-OTA-OPS-03: every route, asked for by a session and by an API token of every role: let in or refused as the table says', async () => {
  for (const role of everyRole) await walk(role);
});

test('TEST-OTA-1338 REQ-OTA-POL-08, REQ-OTA-OPS-03: every route, asked for by nobody, with nonsense, an ended or revoked API token, an ended or idle session, of a user who is removed or unknown, and with a session as a token of another kind: refused but where nobody is asked', async () => {
  const now = Math.floor(Date.now() / 1000);
  const { config } = world;
  await giveUser(config, 'gone', { removed: now });
  const idle = now - peopleLimits.sessionIdleSecondsMax;
  const session = await giveSession(config, 'tester');
  const none: Record<string, Record<string, string>> = {
    nobody: {},
    nonsense: bearer('let me in'),
    'a guess': bearer(`airlock_${'A'.repeat(43)}`),
    'another scheme': { authorization: `Basic ${Buffer.from('tester:x').toString('base64')}` },
    'an ended API token': bearer(await giveToken(config, 'tester', { expires: now })),
    'a revoked API token': bearer(await giveToken(config, 'tester', { revoked: now })),
    'an ended session': bearer(await giveSession(config, 'tester', { expires: now })),
    'an idle session': bearer(await giveSession(config, 'tester', { lastUsed: idle })),
    'a session of a removed user': bearer(await giveSession(config, 'gone')),
    'an API token of a removed user': bearer(await giveToken(config, 'gone')),
    'a session of nobody': bearer(await giveSession(config, 'never-made')),
    'a session cut short': bearer(session.slice(0, -1)),
    'a session under the name of a token': bearer(session.replace('session_', '')),
    'an API token as a cookie': { cookie: `__Host-airlock-session=${await giveToken(config, 'tester')}` },
  };
  for (const [kind, headers] of Object.entries(none)) {
    for (const [route, { needs }] of routes) {
      const answer = await use(route, headers);
      const wanted = needs === 'public' ? 'let in' : 'API_UNAUTHORIZED';
      assert.equal(outcomeOf(answer), wanted, `${route} by ${kind}`);
      assert.ok(!answer.bytes.toString().includes('airlock_'), 'no secret in an answer');
    }
    const nowhere = await use('GET /api/v1/no-such-route', headers);
    assert.equal(nowhere.status, 401, 'strangers are not told which routes there are');
  }
});

test('TEST-OTA-1339 REQ-OTA-POL-08: every permission alone, as an API token of a user who has them all: let in exactly where the table asks for it', async () => {
  for (const permission of everyTokenPermission) {
    const token = bearer(await giveToken(world.config, 'tester', { permissions: [permission] }));
    for (const [route, rule] of routes) {
      // Proposals of a function that is not the caller's, and what is the whole fleet's, are another test's.
      const wanted =
        rule.of === 'function' && rule.needs === permission
          ? 'API_SCOPE'
          : expected(rule, new Set([permission]), 'api-token');
      assert.equal(outcomeOf(await use(route, token)), wanted, `${route} by ${permission}`);
    }
  }
});

test('TEST-OTA-1340 REQ-OTA-POL-08: a route that stands in no table, and a table with a route that is not there: the server does not start', async () => {
  const quiet = { info: () => undefined, error: () => undefined };
  const listen = () => createListener({ tls: {}, bodyBytesMax: 1000, requestMs: 0, logger: quiet });
  const app = listen();
  const guard = await addGuard(app, {} as Context);
  assert.throws(
    () => app.get('/api/v1/new-and-open', async () => 'x'),
    /GET \/api\/v1\/new-and-open has no row/,
  );
  assert.throws(() => app.post('/health', async () => 'x'), /POST \/health has no row/);
  assert.throws(() => guard.requireWhole(), /names what is not there: GET \/health, /);
  await app.close();
});

test('TEST-OTA-1341 REQ-OTA-POL-08: the table of roles, looked at: each permission is held by a role and needed by a route, who manages users may do nothing else, who reads changes nothing, and no role holds everything', () => {
  const needed = new Set(routes.map(([, { needs }]) => needs));
  for (const permission of Object.keys(permissions)) {
    const holders = everyRole.filter((role) => [...permissionsOf([role])].includes(permission as Permission));
    assert.ok(holders.length > 0, `${permission} is held by nobody`);
    // What it adds stands in the guard: whose function may be presented.
    if (permission !== 'ceremonies:write') assert.ok(needed.has(permission as Permission), permission);
  }
  assert.deepEqual([...permissionsOf(['administrator'])], ['users:read', 'users:write']);
  for (const role of ['auditor', 'viewer'] as const) {
    assert.ok(![...permissionsOf([role])].some((permission) => permission.endsWith(':write')), role);
  }
  for (const role of Object.keys(userRoles).filter(isUserRole)) {
    assert.ok(permissionsOf([role]).size < Object.keys(permissions).length / 2 + 1, role);
  }
  const changing = routes.filter(([route, { needs }]) => !route.startsWith('GET') && needs !== 'public');
  for (const [route, { needs }] of changing) {
    assert.ok(needs === 'signed-in' || needs.endsWith(':write'), `${route} changes something under ${needs}`);
  }
});

test('TEST-OTA-1342 REQ-OTA-OPS-03: a user who is let in for another product: sees neither product, device, release nor log, cannot register or create beside their own, and nothing of the fleet', async () => {
  const roles = everyRole.filter((role) => role !== 'administrator' && role !== 'auditor');
  await giveUser(world.config, 'other', { roles, products: ['ventilator'] });
  const other = bearer(await giveSession(world.config, 'other'));
  const mine = bearer(await giveToken(world.config, 'tester', { products: [product] }));
  for (const [route, rule] of routes) {
    const { of, needs } = rule;
    if (needs === 'public' || needs === 'signed-in' || needs.startsWith('users') || needs === 'audit:read')
      continue;
    const answer = await use(route, other);
    if (of === 'fleet') assert.equal(answer.body['code'], 'API_SCOPE', route);
    if (of === 'product' || of === 'device') {
      assert.deepEqual([answer.status, answer.body['code']], [404, 'API_NOT_FOUND'], route);
      const absent = await use(route, other, { product: 'no-such', device: 'no-such' });
      const text = (bytes: Buffer) => bytes.toString().replaceAll(/infusion-pump|pump-1|no-such/g, 'X');
      assert.equal(text(answer.bytes), text(absent.bytes), `${route}: what is there looks like what is not`);
    }
  }
  const lists = async (headers: Record<string, string>) => [
    (await must(world.people('GET', '/api/v1/products', { headers }), 200)).body['products'],
    (await must(world.people('GET', '/api/v1/devices', { headers }), 200)).body['devices'],
  ];
  assert.deepEqual(await lists(other), [[], []]);
  const seen = (await lists(mine)).map((list) => (Array.isArray(list) ? list.length : 0));
  assert.deepEqual(seen, [1, 1], 'a token for one product sees that one');
  const device = await must(world.people('GET', '/api/v1/devices/pump-1'), 200);
  const again = {
    record: device.body['record'],
    certificate: 'xx',
    logKey: { keytype: 'ed25519', scheme: 'x', keyval: { public: 'x' } },
  };
  const registered = await world.people('POST', '/api/v1/devices', { headers: other, body: again });
  assert.deepEqual([registered.status, registered.body['field']], [404, 'product']);
  const made = { product, root: imageRoot(world) };
  const created = await world.people('POST', '/api/v1/products', { headers: other, body: made });
  assert.deepEqual([created.status, created.body['code']], [404, 'API_NOT_FOUND']);
});

test('TEST-OTA-1343 REQ-OTA-POL-08, REQ-OTA-POL-02: a signed role, presented by whoever stands in another function, in none, in the same one, and by a holder of keys: refused, also to reserve and to take away, refused, taken, taken; under another role’s name: refused', async () => {
  const file = functionFile(world, 'quality', 1, []);
  const send = async (headers: Record<string, string>, role = 'quality') => {
    const url = `/api/v1/products/${product}/proposals/${role}`;
    return await world.people('PUT', url, { headers, body: { file } });
  };
  const sessionOf = async (user: string, change: object) => {
    await giveUser(world.config, user, change);
    return bearer(await giveSession(world.config, user));
  };
  const approver = (functions: readonly string[]) => ({ roles: ['approver'], functions });
  const engineer = await sessionOf('in-engineering', approver([`${product}/engineering`]));
  const elsewhere = await sessionOf('in-another', approver(['ventilator/quality']));
  const quality = await sessionOf('in-quality', approver([`${everyProduct}/quality`]));
  const url = `/api/v1/products/${product}/proposals/quality`;
  for (const headers of [engineer, elsewhere]) {
    const refused = [
      await send(headers),
      await world.people('DELETE', url, { headers }),
      await world.people('PUT', `${url}/reservation`, { headers, body: {} }),
    ];
    for (const { status, body } of refused) assert.deepEqual([status, body['code']], [403, 'API_SCOPE']);
  }
  // The path alone says which role it is, whatever the body names, and the file must be of that one.
  const named = { headers: quality, body: { file, role: 'engineering', product: 'ventilator' } };
  assert.equal((await world.people('PUT', url, named)).body['code'], 'API_BAD_REQUEST');
  const foreign = { headers: quality, body: { file: functionFile(world, 'engineering', 1, []) } };
  assert.equal((await world.people('PUT', url, foreign)).status, 422);
  for (const role of ['root', 'targets', 'engineering']) {
    assert.equal((await send(quality, role)).body['code'], 'API_SCOPE', role);
  }
  assert.equal((await send(quality)).status, 200);
  const holder = await sessionOf('holder', { roles: ['key-holder'] });
  assert.equal((await send(holder)).status, 200);
});

test('TEST-OTA-1344 REQ-OTA-POL-08, REQ-OTA-POL-02: grants with two functions of a product, a function that is none, an approver without one, products beside all of them, and a role of the fleet for one product: refused with the field named; nothing is stored', async () => {
  const grant = (change: object) => ({
    roles: ['viewer'] as ['viewer'],
    functions: [],
    products: [product],
    ...change,
  });
  const cases: [object, string][] = [
    [{ functions: [`${product}/quality`, `${product}/engineering`] }, 'functions'],
    [{ functions: ['*/quality', `${product}/engineering`], products: ['*'] }, 'functions'],
    [{ functions: [`${product}/targets`] }, 'functions'],
    [{ roles: ['approver'] }, 'functions'],
    [{ functions: ['ventilator/quality'] }, 'products'],
    [{ products: [] }, 'products'],
    [{ products: ['*', product] }, 'products'],
    [{ roles: ['administrator'] }, 'products'],
    [{ roles: ['auditor', 'viewer'] }, 'products'],
  ];
  const users = async () => (await must(world.people('GET', '/api/v1/users'), 200)).body['users'];
  const held = await users();
  for (const [change, field] of cases) {
    const body = { user: 'wrong', name: 'Wrong Grant', ...grant(change) };
    const answer = await world.people('POST', '/api/v1/users', { headers: admin, body });
    assert.deepEqual(
      [answer.status, answer.body['code'], answer.body['field']],
      [422, 'API_GRANT', field],
      JSON.stringify(change),
    );
  }
  assert.deepEqual(await users(), held);
  assert.ok(judgeGrant(grant({})).ok);
});
