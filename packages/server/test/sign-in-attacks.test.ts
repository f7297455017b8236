/** Signing in under attack: one address against everybody, and roles that are taken away while a password is judged. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parseEntry } from '@airlock/audit';
import { peopleLimits } from '@airlock/protocol';
import { hashPassword } from '../src/core/passwords.ts';
import { bearer, giveSession, giveUser } from './support/people.ts';
import { type Answer, ask, makeWorld, must, publishProduct, type World } from './support/world.ts';

const password = 'correct horse battery staple';
let world: World;

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  await giveUser(world.config, 'admin', { roles: ['administrator'] });
});
after(async () => {
  await world.close();
});

const refused = (answer: Answer, status: number, code: string): void => {
  assert.deepEqual([answer.status, answer.body['code']], [status, code], answer.bytes.toString());
};

const post = async (body: object): Promise<Answer> =>
  await ask(`${world.server.peopleUrl}/api/v1/sign-in`, world.authority.certificate, {
    method: 'POST',
    body: { carrier: 'bearer', ...body },
  });

/** A window of tries later. */
function laterWindow(): void {
  world.clock.moved += peopleLimits.signInWindowSeconds;
}

async function sessionOf(user: string): Promise<Record<string, string>> {
  const now = world.clock.now();
  return bearer(await giveSession(world.config, user, { created: now, lastUsed: now, expires: now + 3_600 }));
}

async function entries() {
  const { body } = await must(world.people('GET', '/api/v1/audit/entries?first=0&limit=500'), 200);
  return (body['entries'] as string[]).map((leaf) => {
    const entry = parseEntry(Buffer.from(leaf));
    assert.ok(entry.ok);
    return entry.value;
  });
}

test('TEST-OTA-1375 REQ-OTA-POL-08: an address that is over its limit goes on guessing at a name: refused, and the name is not shut for everybody else', async () => {
  laterWindow();
  const hash = await hashPassword(password, Buffer.alloc(16, 5));
  await giveUser(world.config, 'pat', { password: hash });
  for (let at = 0; at < peopleLimits.signInsPerAddressMax; at += 1)
    await post({ user: `stranger-${at}`, password: 'x' });
  for (let at = 0; at < peopleLimits.signInsPerUserMax + 5; at += 1)
    refused(await post({ user: 'pat', password: 'guess' }), 429, 'API_SIGN_INS');
  assert.deepEqual(
    (await entries()).filter(({ act }) => act === 'session.block'),
    [],
  );
});

test('TEST-OTA-1376 REQ-OTA-POL-08: roles are taken away while a sign-in waits for its password to be hashed: they stay taken, and no session begins with them', async () => {
  laterWindow();
  const hash = await hashPassword(password, Buffer.alloc(16, 6));
  await giveUser(world.config, 'mal', { password: hash, roles: ['key-holder'] });
  await giveUser(world.config, 'busy', { password: hash });
  const admin = await sessionOf('admin');
  // Hashes are made one at a time: these keep the sign-in waiting.
  const busy = Array.from({ length: 4 }, () => post({ user: 'busy', password: 'guess' }));
  const signedIn = post({ user: 'mal', password });
  const grant = { roles: ['viewer'], functions: [], products: ['*'] };
  await must(world.people('PUT', '/api/v1/users/mal/roles', { headers: admin, body: grant }), 200);
  const answer = await signedIn;
  await Promise.all(busy);
  if (answer.status === 200) assert.deepEqual(answer.body['roles'], ['viewer']);
  const listed = JSON.stringify(
    (await must(world.people('GET', '/api/v1/users', { headers: admin }), 200)).body,
  );
  assert.match(listed, /"user":"mal"[^}]*"roles":\["viewer"\]/);
});
