/** Generations of online keys: made once, never an old one again, destroyed only when a newer one is in force. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { PublicKey } from '@airlock/trust';
import { makeOnlineKeys, openKeyring, parsePurpose } from '../src/adapters/key-folder.ts';
import { nextOnlineKeys, retireOnlineKeys } from '../src/adapters/key-generations.ts';

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
  const take = async (inForce: readonly string[]) => {
    const made = await nextOnlineKeys(folder, passphrase, purpose.value, new Set(inForce));
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
  const wrong = await nextOnlineKeys(folder, 'another passphrase', purpose.value, new Set(ids(first.value)));
  assert.ok(!wrong.ok && wrong.error.code === 'API_KEYS');
  // In force now, and the first ones were left behind: they must never come again.
  const third = await take(second);
  assert.ok(third.every((keyId) => !second.includes(keyId) && !ids(first.value).includes(keyId)));
  const names = await readdir(folder);
  assert.equal(names.length, 6);
  const none = await retireOnlineKeys(folder, purpose.value, new Set(['f'.repeat(64)]));
  assert.deepEqual(none, { ok: true, value: [] }, 'nothing is in force: nothing is destroyed');
  const retired = await retireOnlineKeys(folder, purpose.value, new Set(second));
  assert.ok(retired.ok);
  assert.deepEqual(retired.value.toSorted(), ['image.pump.snapshot.json', 'image.pump.timestamp.json']);
  const left = await readdir(folder);
  assert.deepEqual(left.toSorted(), names.filter((name) => /\.[23]\.json$/.test(name)).toSorted());
  // The keyring of a server that ran all the time opens what was made beside it.
  const made = await nextOnlineKeys(folder, passphrase, purpose.value, new Set(second));
  assert.ok(made.ok);
  const keys = Object.values(made.value);
  assert.equal(keyring.value.signers({ keys, threshold: 2 })?.length, 2);
});
