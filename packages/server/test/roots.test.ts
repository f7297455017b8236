/**
 * Image roots: rotated, lost and handed back. Goal: keys change without a gap; after a restore the roots come back one
 * by one, and only a signed file - never a number - holds back publication.
 */
import assert from 'node:assert/strict';
import { cp, rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { checkImageRepository, newRepositoryState } from '@airlock/trust';
import {
  addDevice,
  type Answer,
  approve,
  functionFile,
  imageRoot,
  makeRelease,
  makeSigner,
  makeWorld,
  must,
  product,
  propose,
  publishProduct,
  uploadRelease,
  type World,
} from './support/world.ts';

let world: World;
let pinned = '';
const release = makeRelease(2);
const second = makeSigner();
const third = makeSigner();
const missingUrl = `/api/v1/products/${product}/missing/root`;
const handBack = (file: string) => world.people('PUT', missingUrl, { body: { file } });
const view = async () => (await must(world.people('GET', `/api/v1/products/${product}`), 200)).body;
const missing = (answer: Answer) => answer.body['missing'] as Record<string, unknown>[];

/** What a signer's machine or a device accepts that was given `root` and sees the server now. */
async function verifiedRoot(root: string): Promise<number> {
  const state = newRepositoryState({ repository: 'image', product }, root);
  assert.ok(state.ok);
  const now = world.clock.now();
  const steps = checkImageRepository({ product, state: state.value, now, source: 'network' });
  let next = steps.next();
  while (next.done !== true) {
    if (next.value.kind === 'keep') next = steps.next(undefined);
    else {
      const url = `/api/v1/products/${product}/tuf/${next.value.path}`;
      const file = await world.people('GET', url);
      next = steps.next(file.status === 200 ? file.bytes : undefined);
    }
  }
  assert.ok(next.value.ok, next.value.ok ? '' : next.value.error.message);
  return next.value.value.root.version;
}

before(async () => {
  world = await makeWorld();
  pinned = imageRoot(world);
  await publishProduct(world, pinned);
  await uploadRelease(world, release);
  await approve(world, 1, [release]);
  await addDevice(world, 'pump-1');
});
after(async () => {
  await world.close();
});

test('TEST-OTA-800 REQ-OTA-SIGN-05: the image root, rotated to another root key: waits for the old and the new key, then whoever holds the old root follows', async () => {
  const { root } = world.keys;
  const skipped = await propose(world, 'root', imageRoot(world, 3, [root, second], second));
  assert.equal(skipped.body['code'], 'API_VERSION_USED');
  const file = (signers: Parameters<typeof imageRoot>[2]) => imageRoot(world, 2, signers, second);
  const stranger = await propose(world, 'root', file([third]));
  assert.equal(stranger.body['code'], 'OTA_BAD_SIGNATURE');
  const open = await must(propose(world, 'root', file([second])), 200);
  assert.equal(open.body['state'], 'open');
  assert.equal(await verifiedRoot(pinned), 1);
  const etag = String(open.headers['etag']);
  const both = await world.people('PUT', `/api/v1/products/${product}/proposals/root`, {
    body: { file: file([root, second]) },
    headers: { 'if-match': etag },
  });
  assert.equal(both.body['state'], 'published', both.bytes.toString());
  assert.equal(await verifiedRoot(pinned), 2);
  const again = await propose(world, 'quality', functionFile(world, 'quality', 2, [release]));
  assert.equal(again.body['state'], 'published');
  assert.equal(await verifiedRoot(pinned), 2);
});

test('TEST-OTA-801 REQ-OTA-OPS-03, REQ-OTA-POL-08: a restored server that lost three roots, shown the second of them first: names the first, publishes nothing, and goes on when all are back', async () => {
  await world.server.close();
  const { folder } = world.config;
  await cp(folder, `${folder}.backup`, { recursive: true });
  await world.restart();
  const lost = [
    imageRoot(world, 3, [second], second),
    imageRoot(world, 4, [second], second),
    imageRoot(world, 5, [second, third], third),
  ] as const;
  for (const file of lost) await must(propose(world, 'root', file), 200);
  assert.equal(await verifiedRoot(pinned), 5);
  await world.server.close();
  await rm(folder, { recursive: true });
  await cp(`${folder}.backup`, folder, { recursive: true });
  await world.restart();
  assert.equal((await view())['rootVersion'], 2);

  // Not signed by the root in force: proves nothing, blocks nothing.
  assert.equal((await handBack(imageRoot(world, 5, [third], third))).body['code'], 'OTA_BAD_SIGNATURE');
  assert.deepEqual((await view())['missing'], []);

  const shown = await must(handBack(lost[1]), 200);
  assert.deepEqual(
    missing(shown).map(({ file, version, evidence }) => [file, version, evidence]),
    [['3.root.json', 4, 'signer']],
  );
  const held = await propose(world, 'quality', functionFile(world, 'quality', 3, [release]));
  assert.equal(held.body['code'], 'API_RESTORED');
  assert.match(String(held.body['message']), /3\.root\.json/);
  assert.equal((await world.people('DELETE', missingUrl)).status, 409, 'a proof cannot be dismissed');

  const first = await must(handBack(lost[0]), 200);
  assert.deepEqual(
    missing(first).map(({ file }) => file),
    ['4.root.json'],
  );
  assert.deepEqual(missing(await must(handBack(lost[0]), 200)).length, 1, 'the same again changes nothing');
  assert.deepEqual(missing(await must(handBack(lost[1]), 200)), []);
  // Nobody claimed the last one: the file itself is enough.
  assert.deepEqual(missing(await must(handBack(lost[2]), 200)), []);
  assert.equal((await view())['rootVersion'], 5);
  const next = await propose(world, 'quality', functionFile(world, 'quality', 3, [release]));
  assert.equal(next.body['state'], 'published');
  assert.equal(await verifiedRoot(pinned), 5);
});
