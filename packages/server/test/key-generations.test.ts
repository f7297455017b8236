/** Generations of online keys: made once, never an old one again, destroyed only when a newer one is in force. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { PublicKey } from '@airlock/trust';
import { makeOnlineKeys, openKeyring, parsePurpose } from '../src/adapters/key-folder.ts';
import { nextOnlineKeys, removeKeyFiles, retiredOnlineKeys } from '../src/adapters/key-generations.ts';

const passphrase = 'a long test passphrase';
let folder = '';
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'airlock-keys-'));
});
after(async () => await rm(folder, { recursive: true }));

const ids = (keys: Readonly<Record<string, PublicKey>>) => Object.values(keys).map(({ keyId }) => keyId);

test('TEST-OTA-1236 REQ-OTA-SIGN-05, REQ-OTA-SIGN-06: the next online keys, asked for twice, after a rotation whose old files were left behind, and retired: the same until a root names them, never an old one, and nothing in force is destroyed', async () => {
  const purpose = parsePurpose('image:pump');
  assert.ok(purpose.ok);
  const fresh: string[] = [];
  const heard = (role: string) => void fresh.push(role);
  const take = async (inForce: readonly string[]) => {
    const made = await nextOnlineKeys(folder, passphrase, purpose.value, new Set(inForce), heard);
    assert.ok(made.ok);
    return ids(made.value);
  };
  const first = await makeOnlineKeys(folder, passphrase, 'image:pump');
  assert.ok(first.ok);
  const keyring = openKeyring(folder, passphrase);
  assert.ok(keyring.ok);
  const second = await take(ids(first.value));
  assert.ok(second.every((keyId) => !ids(first.value).includes(keyId)));
  assert.deepEqual(await take(ids(first.value)), second, 'the same until a root names them');
  assert.deepEqual(fresh, ['snapshot', 'timestamp'], 'told of what is new, and not of what waited');
  const named = new Set(ids(first.value));
  const wrong = await nextOnlineKeys(folder, 'another passphrase', purpose.value, named, heard);
  assert.ok(!wrong.ok && wrong.error.code === 'API_KEYS');
  // In force now, and the first ones were left behind: they must never come again.
  const third = await take(second);
  assert.ok(third.every((keyId) => !second.includes(keyId) && !ids(first.value).includes(keyId)));
  const names = await readdir(folder);
  assert.equal(names.length, 6);
  const retire = async (inForce: readonly string[]) => {
    const found = await retiredOnlineKeys(folder, purpose.value, new Set(inForce));
    assert.ok(found.ok);
    return [...found.value.values()].flat().map(({ file }) => file);
  };
  assert.deepEqual(await retire(['f'.repeat(64)]), [], 'nothing is in force: nothing is destroyed');
  const both = await retire([...ids(first.value), ...second]);
  assert.deepEqual(both, [], 'an old key that something in force still names is kept');
  const retired = await retire(second);
  await removeKeyFiles(folder, retired);
  assert.deepEqual(retired.toSorted(), ['image.pump.snapshot.json', 'image.pump.timestamp.json']);
  const left = await readdir(folder);
  assert.deepEqual(left.toSorted(), names.filter((name) => /\.[23]\.json$/.test(name)).toSorted());
  // The keyring of a server that ran all the time opens what was made beside it.
  const made = await nextOnlineKeys(folder, passphrase, purpose.value, new Set(second), heard);
  assert.ok(made.ok);
  const keys = Object.values(made.value);
  assert.equal(keyring.value.signers({ keys, threshold: 2 })?.length, 2);
});
