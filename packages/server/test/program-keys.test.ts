/**
 * Rotation of online keys by the server's own program beside the running server: every key that is made or destroyed is
 * an entry of the audit log, and nothing that a root or a policy still names is destroyed.
 */
import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { type AuditEntry, openCheckpoint, parseEntry } from '@airlock/audit';
import { draftRoot, parsePublicKey, type PublicKey, signDraft } from '@airlock/trust';
import { runProgram } from '../src/program.ts';
import { makeWorld, must, publishProduct, type World } from './support/world.ts';

let world: World;
let config = '';
before(async () => {
  world = await makeWorld({ sealed: true });
  config = path.join(world.folder, 'config.json');
  await writeFile(config, JSON.stringify(world.config));
  await publishProduct(world);
});
after(async () => {
  await world.close();
});

interface Said {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

async function program(...args: string[]): Promise<Said> {
  const said = { out: '', err: '' };
  const status = await runProgram(['online-keys', ...args, '--config', config], {
    out: (text) => void (said.out += text),
    err: (text) => void (said.err += text),
    stopped: Promise.resolve(),
  });
  return { status, ...said };
}

async function next(purpose: string): Promise<Record<string, PublicKey>> {
  const said = await program('--for', purpose, '--next');
  assert.equal(said.status, 0, said.err);
  const { keys } = JSON.parse(said.out) as { keys: Record<string, Record<string, unknown>> };
  return Object.fromEntries(
    Object.entries(keys).map(([role, { keyId, ...json }]) => {
      const key = parsePublicKey(json, role);
      assert.ok(key.ok && key.value.keyId === keyId);
      return [role, key.value];
    }),
  );
}

async function retire(purpose: string): Promise<string[]> {
  const said = await program('--for', purpose, '--retire');
  assert.equal(said.status, 0, said.err);
  return (JSON.parse(said.out) as { retired: string[] }).retired;
}

async function acts(from: number): Promise<AuditEntry[]> {
  const { body } = await must(world.people('GET', `/api/v1/audit/entries?first=${from}&limit=500`), 200);
  return (body['entries'] as string[]).map((leaf) => {
    const entry = parseEntry(Buffer.from(leaf));
    assert.ok(entry.ok);
    return entry.value;
  });
}

const idsOf = (keys: Readonly<Record<string, PublicKey>>) =>
  Object.fromEntries(Object.entries(keys).map(([role, { keyId }]) => [role, keyId]));
const one = (key: PublicKey | undefined) => {
  assert.ok(key);
  return { keys: [key], threshold: 1 };
};

test('TEST-OTA-1243 REQ-OTA-POL-07, REQ-OTA-SIGN-05: the next online keys of the director, made twice, named by a root, and the old ones destroyed twice: one entry of the audit log for what was made and one for what was destroyed', async () => {
  const { length: begin } = await acts(0);
  const fresh = await next('director');
  assert.deepEqual(await next('director'), fresh);
  assert.deepEqual(await retire('director'), [], 'no root names the new ones yet');
  const root = draftRoot({
    repository: 'director',
    version: 2,
    expires: world.clock.now() + 86_400 * 300,
    roles: {
      root: one(world.keys.directorRoot.publicKey),
      targets: one(fresh['targets']),
      snapshot: one(fresh['snapshot']),
      timestamp: one(fresh['timestamp']),
    },
  });
  const body = { root: Buffer.from(signDraft(root, [world.keys.directorRoot])).toString() };
  const posted = await world.people('POST', '/api/v1/director/root', { body });
  assert.ok(posted.status < 300, posted.bytes.toString());
  const gone = ['snapshot', 'targets', 'timestamp'].map((role) => `director.${role}.json`);
  assert.deepEqual((await retire('director')).toSorted(), gone);
  assert.deepEqual(await retire('director'), []);
  const left = await readdir(path.join(world.config.folder, 'online-keys'));
  assert.ok(gone.every((name) => !left.includes(name)));
  const entries = await acts(begin);
  assert.deepEqual(
    entries.map(({ act }) => act),
    ['keys.make', 'director.root', 'keys.retire'],
  );
  const [made, , retired] = entries;
  assert.deepEqual([made?.subject, made?.after], [{ for: 'director' }, idsOf(fresh)]);
  const old = Object.entries(idsOf(world.online.director)).map(([role, keyId]) => [role, [keyId]]);
  assert.deepEqual([retired?.before, retired?.after], [Object.fromEntries(old), null]);
});

test("TEST-OTA-1244 REQ-OTA-POL-07, REQ-OTA-SIGN-05: the next key of the audit log itself: checkpoints are signed by both, and the one that a product's policy names is not destroyed; wrong calls are refused", async () => {
  const fresh = await next('audit');
  const key = fresh['checkpoint'];
  assert.ok(key !== undefined && key.keyId !== world.audit.key.keyId);
  assert.deepEqual(await retire('audit'), []);
  const { bytes } = await must(world.people('GET', '/api/v1/audit/checkpoint'), 200);
  assert.ok(openCheckpoint(bytes, world.audit).ok);
  assert.ok(openCheckpoint(bytes, { ...world.audit, key }).ok);
  assert.equal((await acts(0)).at(-1)?.act, 'keys.make');
  const both = await program('--for', 'audit', '--next', '--retire');
  assert.match(both.err, /API_CONFIG/);
  const none = await program('--for', 'image:other', '--next');
  assert.match(none.err, /API_NOT_PUBLISHED/);
});
