/** Time on a whole device: moments signed ahead, a thief who answers for the time, and the honest cases beside them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { day, start } from './support/sim-company.ts';
import { SimDevice, World } from './support/sim-device.ts';

/** A device whose clock can be set, at the newest moment that the company knows. */
async function device(): Promise<SimDevice> {
  const made = await SimDevice.provisioned(new World());
  made.world.clockSets = [];
  made.world.company.publish(undefined);
  return made;
}

async function installed(device_: SimDevice): Promise<number> {
  return (await device_.record()).confirmed.version;
}

async function refusal(device_: SimDevice): Promise<string> {
  const end = await device_.boot();
  return typeof end === 'object' && end.kind === 'refused' ? end.code : JSON.stringify(end);
}

test('TEST-OTA-1004 REQ-OTA-ROLL-06, REQ-OTA-SIGN-05: the director timestamp key stolen, signing a moment nearly a year and nearly a month ahead: the clock is not set from it, and after new online keys the update goes on', async () => {
  for (const moment of [start + 365 * day - 5, start + 30 * day - 5]) {
    const victim = await device();
    const { world } = victim;
    await victim.boot();
    world.company.stampDirector(moment);
    await refusal(victim);
    await refusal(victim);
    assert.deepEqual(world.clockSets, []);
    world.company.now = start + day;
    world.now = start + day + 10;
    world.company.rotateOnline();
    world.company.release(2);
    world.company.publish(2);
    world.timeAnswer = () => '';
    assert.equal(await victim.boot({ polls: 1 }), 'restart', 'in the first check after the new roots');
    await victim.settle();
    assert.equal(await installed(victim), 2);
    assert.deepEqual(world.clockSets, []);
  }
});

test('TEST-OTA-1005 REQ-OTA-ROLL-06: a server whose clock was 300 days ahead for one check-in, and the device restarted: new online keys and the signed time bring it back', async () => {
  const unlucky = await device();
  const { world } = unlucky;
  await unlucky.boot();
  world.company.now = start + 300 * day;
  world.company.publish(undefined);
  await unlucky.boot();
  await unlucky.boot();
  assert.deepEqual(world.clockSets, [start + 300 * day], 'what both repositories signed');
  world.company.now = start + day;
  world.company.release(2);
  world.company.publish(2);
  assert.equal(await refusal(unlucky), 'OTA_EXPIRED');
  world.company.rotateOnline();
  world.company.publish(2);
  await unlucky.settle();
  assert.equal(await installed(unlucky), 2);
  assert.ok((await unlucky.log()).some(({ code }) => code === 'OTA_TIME_SIGNED'));
});

test('TEST-OTA-1006 REQ-OTA-POL-05, REQ-OTA-ROLL-06: the director timestamp key stolen, and a clock that is right overruled by an old time: the expired release is refused, also with image metadata that the device had not seen; with the image timestamp key as well it installs', async () => {
  for (const [keys, code] of [
    [['director'], 'OTA_EXPIRED'],
    [['image'], 'OTA_EXPIRED'],
    [['director', 'image'], undefined],
  ] as const) {
    for (const seen of [true, false]) {
      const victim = await device();
      const { world } = victim;
      world.company.release(2);
      world.interlock = () => false;
      if (seen) {
        world.company.publish(2);
        await victim.boot();
      }
      // All that the thief recorded before the withdrawal.
      world.company.now = start + 3600;
      world.company.publish(2);
      world.interlock = () => true;
      world.now = start + 300 * day;
      const signers = keys.map((name) => world.company.timestampKey(name));
      world.timeAnswer = (nonce) => world.company.time(nonce, { time: start + 7200, signers });
      if (code === undefined) await victim.settle();
      else assert.equal(await refusal(victim), code);
      assert.equal(await installed(victim), code === undefined ? 2 : 1);
    }
  }
});

test('TEST-OTA-1007 REQ-OTA-ROLL-06, REQ-OTA-NET-06: a clock ten years ahead that comes back, a start in 1970, and two years on a shelf: each update installs', async () => {
  const ahead = await device();
  ahead.world.company.release(2);
  ahead.world.company.publish(2);
  ahead.world.now = start + 3650 * day;
  await ahead.settle();
  assert.equal(await installed(ahead), 2);
  ahead.world.company.now = start + 2 * day;
  ahead.world.now = start + 2 * day + 10;
  ahead.world.company.release(3);
  ahead.world.company.publish(3);
  await ahead.settle();
  assert.equal(await installed(ahead), 3);
  assert.deepEqual(ahead.world.clockSets, []);

  const without = await device();
  without.world.company.now = start + 3 * day;
  without.world.company.release(2);
  without.world.company.publish(2);
  without.world.now = 17;
  await without.settle();
  assert.equal(await installed(without), 2);

  for (const clock of [start + 730 * day, 17]) {
    const shelved = await device();
    shelved.world.company.now = start + 730 * day;
    shelved.world.now = clock;
    shelved.world.company.rotateOnline();
    shelved.world.company.release(2);
    shelved.world.company.publish(2);
    await shelved.settle();
    assert.equal(await installed(shelved), 2, `the clock says ${clock}`);
  }
});

test('TEST-OTA-1008 REQ-OTA-POL-05, REQ-OTA-ROLL-06: both timestamp keys stolen, and the same old time given at every question: it goes on within one boot, and roles expire', async () => {
  const victim = await device();
  const { world } = victim;
  world.now = start + 300 * day;
  world.timeAnswer = (nonce) => world.company.time(nonce, { time: start + 100 });
  const first = await victim.boot({ polls: 1 });
  assert.ok(typeof first === 'object' && first.kind === 'idle');
  world.monotonic += 31 * day * 1000;
  const later = await victim.agent?.poll();
  assert.ok(later?.kind === 'refused' && later.code === 'OTA_EXPIRED', JSON.stringify(later));
});

test('TEST-OTA-1009 REQ-OTA-ROLL-06, REQ-OTA-SIGN-05: a signed time, wrong ahead or wrong back, then new roots within the same boot: it ends with the keys that signed it, and the time is asked for again at once', async () => {
  const unlucky = await device();
  const { world } = unlucky;
  world.now = start + 3650 * day;
  world.timeAnswer = (nonce) => world.company.time(nonce, { time: start + 300 * day });
  const first = await unlucky.boot({ polls: 1 });
  assert.ok(typeof first === 'object' && first.kind === 'refused' && first.code === 'OTA_EXPIRED');
  world.timeAnswer = undefined;
  world.company.rotateOnline();
  world.company.publish(undefined);
  assert.deepEqual(await unlucky.agent?.poll(), { kind: 'idle' });

  const victim = await device();
  victim.world.now = start + 300 * day;
  victim.world.timeAnswer = (nonce) => victim.world.company.time(nonce, { time: start + 100 });
  await victim.boot({ polls: 1 });
  victim.world.timeAnswer = () => '';
  victim.world.company.rotateOnline();
  victim.world.company.publish(undefined);
  const after = await victim.agent?.poll();
  assert.ok(
    after?.kind === 'refused' && after.code === 'OTA_EXPIRED',
    'the clock, which is right, counts again',
  );
});
