/**
 * What is recorded of people: an entry for each act about users, sessions and API tokens, by pseudonym, with the function
 * that the person stands in; and how a server that had other tokens before, or has lost its administrator, goes on.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { type AuditEntry, parseEntry } from '@airlock/audit';
import { runProgram } from '../src/program.ts';
import { routeTable } from '../src/core/routes.ts';
import { withStore } from '../src/server.ts';
import { bearer, giveSession, giveUser } from './support/people.ts';
import { addDevice, ask, makeWorld, must, product, publishProduct, type World } from './support/world.ts';

let world: World;
let admin: Record<string, string>;
const password = 'correct horse battery staple';

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  await giveUser(world.config, 'boss', { roles: ['administrator'] });
  admin = bearer(await giveSession(world.config, 'boss'));
});
after(async () => {
  await world.close();
});

async function entries(from = 0): Promise<AuditEntry[]> {
  const { body } = await must(world.people('GET', `/api/v1/audit/entries?first=${from}&limit=500`), 200);
  return (body['entries'] as string[]).map((leaf) => {
    const entry = parseEntry(Buffer.from(leaf));
    assert.ok(entry.ok);
    return entry.value;
  });
}

const call = async (method: string, url: string, headers: Record<string, string>, body?: object) =>
  await ask(world.server.peopleUrl + url, world.authority.certificate, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });

test('TEST-OTA-1345 REQ-OTA-POL-07, REQ-OTA-POL-08: every route about users, sessions and API tokens that changes something, used once: its entry has the actor by pseudonym, the permission, before and after, and no name; an API token acts under a pseudonym of its own', async () => {
  const grant = { roles: ['viewer'], functions: [], products: [product] };
  let secret = '';
  let session = {};
  const kept = async (answer: ReturnType<typeof call>) => {
    const got = await answer;
    const given = got.body['secret'];
    if (typeof given === 'string') secret = given;
    return got;
  };
  const signIn = { user: 'quill', carrier: 'bearer' };
  // `provider.test.ts` has the routes of the identity provider.
  const acts: [string, () => ReturnType<typeof call>, string[]][] = [
    [
      'POST /api/v1/users',
      () => kept(call('POST', '/api/v1/users', admin, { user: 'quill', name: 'Ada Quill', ...grant })),
      ['user.add'],
    ],
    [
      'POST /api/v1/sign-in',
      async () => {
        const body = { ...signIn, password: secret, newPassword: password };
        const answer = await kept(call('POST', '/api/v1/sign-in', {}, body));
        session = bearer(secret);
        return answer;
      },
      ['user.password', 'session.begin'],
    ],
    [
      'PUT /api/v1/session/password',
      () => call('PUT', '/api/v1/session/password', session, { password, newPassword: `${password}!` }),
      ['user.password'],
    ],
    [
      'POST /api/v1/tokens',
      () => call('POST', '/api/v1/tokens', session, { name: 'ci', permissions: ['devices:read'], days: 1 }),
      ['token.make'],
    ],
    ['DELETE /api/v1/tokens/:name', () => call('DELETE', '/api/v1/tokens/ci', session), ['token.revoke']],
    ['DELETE /api/v1/session', () => call('DELETE', '/api/v1/session', session), ['session.end']],
    [
      'PUT /api/v1/users/:user/roles',
      () => call('PUT', '/api/v1/users/quill/roles', admin, { ...grant, roles: ['operator'] }),
      ['user.change'],
    ],
    [
      'POST /api/v1/users/:user/secret',
      () => kept(call('POST', '/api/v1/users/quill/secret', admin)),
      ['user.secret'],
    ],
    [
      'DELETE /api/v1/users/:user/tokens/:name',
      async () => {
        const made = await must(
          call('POST', '/api/v1/sign-in', {}, { ...signIn, password: secret, newPassword: password }),
          200,
        );
        session = bearer(String(made.body['secret']));
        await must(
          call('POST', '/api/v1/tokens', session, { name: 'cd', permissions: ['devices:read'], days: 1 }),
          201,
        );
        return await call('DELETE', '/api/v1/users/quill/tokens/cd', admin);
      },
      ['user.password', 'session.begin', 'token.make', 'token.revoke'],
    ],
    [
      'DELETE /api/v1/users/:user/sessions',
      () => call('DELETE', '/api/v1/users/quill/sessions', admin),
      ['session.end'],
    ],
    ['DELETE /api/v1/users/:user', () => call('DELETE', '/api/v1/users/quill', admin), ['user.remove']],
  ];
  const routes = Object.keys(routeTable).filter((route) =>
    /\/(?:sign-in|session|users|tokens)(?:\/|$)/.test(route),
  );
  const changing = routes.filter((route) => !route.startsWith('GET') && !route.includes('/provider'));
  assert.deepEqual(
    acts.map(([route]) => route).toSorted(),
    changing.toSorted(),
    'a new route needs its entry',
  );
  for (const [route, send, expected] of acts) {
    const from = (await entries()).length;
    const answer = await send();
    assert.ok(answer.status < 300, `${route}: ${answer.status} ${answer.bytes.toString()}`);
    const made = await entries(from);
    assert.deepEqual(
      made.map(({ act }) => act),
      expected,
      route,
    );
    for (const entry of made) {
      assert.match(entry.actor, /^p-[0-9a-f]{32}$/);
      assert.ok(
        entry.permission !== undefined &&
          (entry.before !== null || entry.after !== null || entry.act === 'user.password'),
        route,
      );
      assert.ok(!/quill|boss|Ada/.test(JSON.stringify(entry)), 'no name of a person');
    }
  }
  const all = await entries();
  const added = all.find(({ act }) => act === 'user.add');
  const began = all.find(({ act }) => act === 'session.begin');
  assert.equal(began?.actor, added?.subject['user'], 'whoever signed in is who was made');
  const token = all.find(({ act }) => act === 'token.make');
  assert.ok(token?.subject['token'] !== token?.subject['user'] && token?.subject['user'] === began?.actor);
});

test('TEST-OTA-1346 REQ-OTA-POL-07, REQ-OTA-POL-08: an act of a person who stands in a function of the product, in one of another, and in none: the entry names the first one’s function, and none for the others', async () => {
  const from = (await entries()).length;
  const functions: readonly (readonly string[])[] = [[`${product}/engineering`], ['ventilator/quality'], []];
  for (const [at, held] of functions.entries()) {
    await addDevice(world, `pump-${at}`);
    await giveUser(world.config, `registrar-${at}`, { roles: ['registrar'], functions: held });
    const headers = bearer(await giveSession(world.config, `registrar-${at}`));
    await must(call('DELETE', `/api/v1/devices/pump-${at}`, headers), 204);
  }
  const revoked = (await entries(from)).filter(({ act }) => act === 'device.revoke');
  assert.deepEqual(
    revoked.map((entry) => [entry.function, entry.permission]),
    [
      ['engineering', 'devices:write'],
      [undefined, 'devices:write'],
      [undefined, 'devices:write'],
    ],
  );
  assert.equal(new Set(revoked.map(({ actor }) => actor)).size, 3);
});

test('TEST-OTA-1347 REQ-OTA-POL-08: a folder with tokens of before, that were nobody’s and had no end: they are gone when the server starts', async () => {
  const other = await makeWorld();
  const file = path.join(other.config.folder, 'data.sqlite');
  try {
    await other.server.close();
    const raw = new DatabaseSync(file);
    for (const table of ['users', 'sessions', 'api_tokens', 'sign_ins']) raw.exec(`drop table ${table}`);
    raw.exec("delete from kysely_migration where name = '0010-people'");
    raw.exec('create table tokens (name text primary key, sha256 text, permissions text, created text)');
    raw.exec("insert into tokens values ('old', 'x', 'products:read', '2026-01-01T00:00:00Z')");
    raw.close();
    await withStore(other.config, async (store) => assert.deepEqual(await store.users(), []));
    const opened = new DatabaseSync(file);
    assert.deepEqual(opened.prepare("select name from sqlite_schema where name = 'tokens'").all(), []);
    opened.close();
    await other.restart();
    const answer = await other.people('GET', '/api/v1/products');
    assert.equal(answer.status, 401);
  } finally {
    await other.close();
  }
});

test('TEST-OTA-1348 REQ-OTA-POL-08, REQ-OTA-OPS-01: the server’s own program: makes an administrator, gives one who forgot the password a new one-time secret and ends their sessions, and refuses odd ids, roles, days and what a user does not hold, in one line', async () => {
  const config = path.join(world.folder, 'config.json');
  await writeFile(config, JSON.stringify(world.config));
  const run = async (...args: string[]) => {
    let [out, err] = ['', ''];
    const around = {
      out: (text: string) => void (out += text),
      err: (text: string) => void (err += text),
      stopped: Promise.resolve(),
    };
    const status = await runProgram([...args, '--config', config], around);
    return { status, err, answer: status === 0 ? (JSON.parse(out) as Record<string, unknown>) : {} };
  };
  const made = await run('administrator', '--user', 'root-of-it');
  assert.deepEqual([made.status, made.answer['roles']], [0, ['administrator']], made.err);
  await giveUser(world.config, 'forgetful', { roles: ['viewer'], products: [product] });
  const old = bearer(await giveSession(world.config, 'forgetful'));
  const again = await run('administrator', '--user', 'forgetful', '--roles', 'administrator');
  assert.deepEqual(again.answer['roles'], ['administrator', 'viewer']);
  assert.equal((await call('GET', '/api/v1/session', old)).status, 401);
  const body = {
    user: 'forgetful',
    carrier: 'bearer',
    password: again.answer['secret'],
    newPassword: password,
  };
  assert.equal((await call('POST', '/api/v1/sign-in', {}, body)).status, 200);
  await giveUser(world.config, 'left', { removed: 1 });
  await giveUser(world.config, 'viewer', { roles: ['viewer'] });
  const token = ['token', '--user', 'viewer', '--name', 'x', '--permissions', 'products:read', '--days'];
  const wrong: [string[], RegExp][] = [
    [['administrator'], /--user: needs/],
    [['administrator', '--user', 'Ada'], /--user: needs/],
    [['administrator', '--user', 'ok', '--roles', 'king'], /--roles: unknown "king"/],
    [['administrator', '--user', 'left'], /--user: left was removed/],
    [[...token, '0'], /--days: needs/],
    [[...token, '999'], /--days: needs/],
    [[...token, '1', '--user', 'ghost'], /no user ghost/],
    [[...token, '1', '--permissions', 'devices:write'], /permissions: hold one that viewer does not have/],
    [[...token, '1', '--permissions', 'users:write'], /users:write is for a person/],
  ];
  for (const [args, line] of wrong) {
    const { status, err } = await run(...args);
    assert.equal(status, 1, args.join(' '));
    assert.match(err, line);
    assert.equal(err.trim().split('\n').length, 1);
  }
});
