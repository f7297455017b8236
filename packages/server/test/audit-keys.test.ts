/**
 * The audit log's key and the acts of the server's own program: made once, sealed, changed without a stop, each recorded.
 */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openCheckpoint, parseEntry } from '@airlock/audit';
import { openPrivateKey, parsePublicKey } from '@airlock/trust';
import { makeOnlineKeys } from '../src/index.ts';
import { openStore } from '../src/adapters/sqlite/database.ts';
import { record, startLog } from '../src/app/audit.ts';
import { runProgram } from '../src/program.ts';
import { makeSigner, makeWorld, must } from './support/world.ts';

async function leavesOf(folder: string) {
  const store = await openStore(path.join(folder, 'data.sqlite'));
  try {
    return (await store.auditLeaves(0, 100)).map((leaf) => {
      const entry = parseEntry(Buffer.from(leaf));
      assert.ok(entry.ok, leaf);
      return entry.value;
    });
  } finally {
    await store.close();
  }
}

test('TEST-OTA-1186 REQ-OTA-POL-07, REQ-OTA-SIGN-06: the audit key asked for twice, and tokens made and replaced, by the program: one sealed key, one name of the log, an entry for each act, no token and no name in any', async () => {
  const world = await makeWorld();
  const folder = path.join(world.folder, 'other');
  const config = path.join(world.folder, 'other.json');
  await writeFile(config, JSON.stringify({ ...world.config, folder }));
  const run = async (...args: string[]) => {
    let out = '';
    const around = {
      out: (text: string) => void (out += text),
      err: (text: string) => assert.fail(text),
      stopped: Promise.resolve(),
    };
    assert.equal(await runProgram([...args, '--config', config], around), 0);
    return JSON.parse(out) as {
      origin?: string;
      token?: string;
      secret?: string;
      keys: Record<string, Record<string, unknown>>;
    };
  };
  try {
    const first = await run('online-keys', '--for', 'audit');
    const again = await run('online-keys', '--for', 'audit');
    assert.deepEqual(again, first);
    const { keyId, ...json } = first.keys['checkpoint'] ?? {};
    const key = parsePublicKey(json, 'key');
    assert.ok(key.ok && key.value.keyId === keyId && key.value.keytype === 'ed25519');
    assert.equal(first.origin, `airlock-audit/${key.value.keyId.slice(0, 32)}`);
    const sealed = await readFile(path.join(folder, 'online-keys/audit.checkpoint.json'));
    assert.ok(openPrivateKey(sealed, 'a long test passphrase').ok);
    assert.ok(!openPrivateKey(sealed, 'another').ok);
    await run('online-keys', '--for', 'image:pump');
    const roles = ['--roles', 'auditor'];
    const admin = await run('administrator', '--user', 'ada.quill', ...roles);
    const ofAda = ['token', '--user', 'ada.quill', '--name', 'nightly', '--days', '30', '--permissions'];
    const one = await run(...ofAda, 'products:read');
    await run(...ofAda, 'products:read,audit:read');
    const entries = await leavesOf(folder);
    assert.deepEqual(
      entries.map(({ act, permission }) => [act, permission]),
      [
        ['log.start', undefined],
        ['keys.make', undefined],
        ['keys.make', undefined],
        ['user.add', undefined],
        ['token.make', undefined],
        ['token.make', undefined],
      ],
    );
    assert.equal(entries[1]?.after?.['checkpoint'], key.value.keyId);
    const [made, replaced] = entries.slice(4);
    assert.deepEqual([made?.before, replaced?.before?.['permissions']], [null, ['products:read']]);
    assert.deepEqual(replaced?.after?.['permissions'], ['products:read', 'audit:read']);
    assert.equal(made?.subject['token'], replaced?.subject['token']);
    const whole = JSON.stringify(entries);
    assert.ok(!whole.includes('quill') && !whole.includes(one.token ?? '-'));
    assert.ok(admin.secret !== undefined && !whole.includes(admin.secret));
  } finally {
    await world.close();
  }
});

test('TEST-OTA-1187 REQ-OTA-POL-07, REQ-OTA-SIGN-05: a second audit key, put beside the first while the server runs: checkpoints verify under the old and the new one, the log keeps its name', async () => {
  const world = await makeWorld({ sealed: true });
  const other = await mkdtemp(path.join(tmpdir(), 'airlock-audit-key-'));
  try {
    const before = await must(world.people('GET', '/api/v1/audit/checkpoint'), 200);
    assert.ok(openCheckpoint(before.bytes, world.audit).ok);
    const next = await makeOnlineKeys(other, 'a long test passphrase', 'audit');
    assert.ok(next.ok);
    const key = next.value['checkpoint'];
    assert.ok(key !== undefined && key.keyId !== world.audit.key.keyId);
    assert.ok(!openCheckpoint(before.bytes, { ...world.audit, key }).ok);
    const keys = path.join(world.config.folder, 'online-keys');
    await cp(path.join(other, 'audit.checkpoint.json'), path.join(keys, 'audit.checkpoint-2.json'));
    const after = await must(world.people('GET', '/api/v1/audit/checkpoint'), 200);
    const [old, fresh] = [
      openCheckpoint(after.bytes, world.audit),
      openCheckpoint(after.bytes, { ...world.audit, key }),
    ];
    assert.ok(old.ok && fresh.ok && old.value.size === fresh.value.size);
    assert.ok((await readdir(keys)).includes('audit.checkpoint.json'));
  } finally {
    await world.close();
    await rm(other, { recursive: true });
  }
});

test('TEST-OTA-1188 REQ-OTA-POL-07, REQ-OTA-ROLL-06: a server clock that is set back a little and then far, between acts: a small step is not told backwards, a large one stands in the log as it is', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'airlock-audit-clock-'));
  const store = await openStore(path.join(folder, 'data.sqlite'));
  try {
    const start = 1_800_000_000;
    await startLog(store, makeSigner().publicKey, start);
    const act = { act: 'device.revoke', subject: { device: 'pump-1' } } as const;
    for (const now of [start + 100, start + 90, start - 86_400, start + 50]) {
      await record(store, { name: 'x' }, now, act);
    }
    await store.close();
    const times = (await leavesOf(folder)).map(({ time }) => time - start);
    assert.deepEqual(times, [0, 100, 100, -86_400, 50]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
