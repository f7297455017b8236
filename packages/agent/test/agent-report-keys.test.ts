/** What a report says for the plan of the keys: what the device has heard of, and which keys its boot chain trusts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceReport } from '@airlock/protocol';
import { SimDevice, World } from './support/sim-device.ts';

async function reported(keys: string[] | undefined): Promise<DeviceReport> {
  const world = new World();
  world.secureBootKeys = keys;
  const device = await SimDevice.provisioned(world);
  world.company.release(2);
  world.company.publish(2);
  await device.settle();
  const { signed } = JSON.parse(world.reports.at(-1) ?? '{}') as { signed: DeviceReport };
  return signed;
}

test('TEST-OTA-1235 REQ-OTA-KEYS-02, REQ-OTA-LOG-01: a report of a device with secure boot, without, and with more keys than fit: tells the keys, tells that there are none, and does not tell half of them', async () => {
  const report = await reported(['sb-1', 'sb-2', 'sb-1']);
  assert.deepEqual(report.secureBoot, { trusted: ['sb-1', 'sb-2'] });
  const { heard } = report;
  assert.ok(heard !== undefined);
  assert.deepEqual([heard.imageRoot, heard.directorRoot], [1, 1]);
  assert.ok(heard.targets >= 1);
  assert.deepEqual((await reported(undefined)).secureBoot, {});
  const many = Array.from({ length: 65 }, (_, at) => `sb-${at}`);
  assert.equal((await reported(many)).secureBoot, undefined);
  assert.equal((await reported(['x'.repeat(129)])).secureBoot, undefined);
});
