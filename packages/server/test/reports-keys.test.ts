/** What reports may say for the plan of the keys, and what the management API shows of it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { addDevice, makeWorld, must, publishProduct, reportOf, type World } from './support/world.ts';

let world: World;
before(async () => {
  world = await makeWorld();
  await publishProduct(world);
});
after(async () => await world.close());

test('TEST-OTA-1237 REQ-OTA-KEYS-02, REQ-OTA-OPS-01: reports with and without what the device has heard and trusts, and past their limits: taken and shown, or refused with the field', async () => {
  const device = await addDevice(world, 'pump-1');
  const send = (sequence: number, change: object) => {
    const body = reportOf(device, sequence, { time: world.clock.now(), ...change });
    return world.device(device, '/device/v1/reports', { method: 'POST', body });
  };
  const shown = async () => {
    const { body } = await must(world.people('GET', `/api/v1/devices/${device.id}`), 200);
    return body as { recordKeyIds: string[]; reported: { report: Record<string, unknown> } };
  };
  await must(send(1, {}), 204);
  assert.equal((await shown()).reported.report['heard'], undefined, 'an older agent');
  const heard = { imageRoot: 3, directorRoot: 2, targets: 9 };
  await must(send(2, { heard, secureBoot: { trusted: ['sb-1', 'sb-2'] } }), 204);
  const view = await shown();
  assert.deepEqual(view.reported.report['heard'], heard);
  assert.deepEqual(view.reported.report['secureBoot'], { trusted: ['sb-1', 'sb-2'] });
  assert.deepEqual(view.recordKeyIds, [world.keys.provisioning.publicKey.keyId]);
  await must(send(3, { secureBoot: {} }), 204);
  const bad: readonly object[] = [
    { heard: { imageRoot: 0, directorRoot: 1, targets: 1 } },
    { heard: { imageRoot: 1, directorRoot: 1 } },
    { secureBoot: { trusted: ['sb-1', 'sb-1'] } },
    { secureBoot: { trusted: Array.from({ length: 65 }, (_, at) => `sb-${at}`) } },
    { secureBoot: { trusted: ['x'.repeat(129)] } },
    { secureBoot: { trusted: [''] } },
    { secureBoot: { trusted: [], more: true } },
  ];
  for (const [at, change] of bad.entries()) {
    const answer = await send(10 + at, change);
    assert.equal(answer.status, 400, JSON.stringify(change));
    assert.equal(answer.body['code'], 'API_BAD_REQUEST');
  }
});
