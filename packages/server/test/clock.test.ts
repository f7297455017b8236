/** The server's clock, set back. Goal: devices take what it serves; nothing that it numbers falls, and nothing expires. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { encodeCheckIn } from '@airlock/protocol';
import { readRole } from '@airlock/trust';
import {
  addDevice,
  approve,
  emptyCheckIn,
  makeRelease,
  makeWorld,
  must,
  publishProduct,
  type TestDevice,
  uploadRelease,
  type World,
} from './support/world.ts';

let world: World;
let device: TestDevice;

before(async () => {
  world = await makeWorld();
  await publishProduct(world);
  const release = makeRelease(2);
  await uploadRelease(world, release);
  await approve(world, 1, [release]);
  device = await addDevice(world, 'pump-1');
});
after(async () => await world.close());

/** Version and end of life of the two timestamps that the device is given. */
async function timestamps() {
  const query = encodeCheckIn({ ...emptyCheckIn, timestamps: true });
  const { body } = await must(world.device(device, `/device/v1/check-in?${query}`), 200);
  const files = new Map(Object.entries(body['files'] ?? {}));
  return ['image', 'director'].map((name) => {
    const view = readRole(Buffer.from(String(files.get(`${name}/timestamp.json`))));
    assert.ok(view.ok);
    return { version: view.value.version, expires: view.value.expires };
  });
}

function assertAbove(later: Awaited<ReturnType<typeof timestamps>>, earlier: typeof later): void {
  for (const [at, { version }] of later.entries()) {
    const past = earlier[at]?.version ?? Number.NaN;
    assert.ok(version >= past, `${version} after ${past}`);
  }
}

test("TEST-OTA-1015 REQ-OTA-ROLL-02: the server's clock set back by a day, then restarts: versions of timestamps never fall, and none grows old", async () => {
  // Long after the snapshots: they do not say how far the timestamps came.
  world.clock.moved += 2 * 86_400;
  const ahead = await timestamps();
  world.clock.moved -= 86_400;
  await world.restart();
  const back = await timestamps();
  assertAbove(back, ahead);
  world.clock.moved += 3600;
  const later = await timestamps();
  assertAbove(later, back);
  for (const [at, { expires }] of later.entries()) {
    assert.ok(expires >= (back[at]?.expires ?? Number.NaN) + 3590, 'signed anew, with a life of its own');
  }
  await world.restart();
  assertAbove(await timestamps(), later);
});
