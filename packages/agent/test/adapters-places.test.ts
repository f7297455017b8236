/** One place on the medium under two names in the configuration: never written, by no program. */
import assert from 'node:assert/strict';
import { link, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { judgePlaces } from '../src/adapters/places.ts';
import { loadConfig } from '../src/compose.ts';
import { installedSlot, runAgent, testDevice } from './support/provisioned.ts';

type Device = Awaited<ReturnType<typeof testDevice>>;

async function judged(device: Device): Promise<string> {
  const config = await loadConfig(device.config);
  assert.ok(config.ok);
  const places = await judgePlaces(config.value);
  return places.ok ? 'fine' : `${places.error.code} ${places.error.message}`;
}

test('TEST-OTA-1024 REQ-OTA-APPLY-01: slots, one of them a link to the other: refused before provisioning and at every start, with both fields named', async () => {
  const device = await testDevice();
  try {
    const slotA = join(device.folder, 'slots/a');
    const slotB = join(device.folder, 'slots/b');
    await rm(slotB);
    await symlink('a', slotB);
    const expected =
      /OTA_CONFIG: slots\.rootfs\.B: expected a place of its own, found the place of slots\.rootfs\.A/;
    const refused = await runAgent(device.provisionWords);
    assert.equal(refused.code, 2, refused.stderr);
    assert.match(refused.stderr, expected);
    await rm(slotB);
    await writeFile(slotB, Buffer.alloc(8192));
    const made = await runAgent(device.provisionWords);
    assert.equal(made.code, 0, made.stderr);
    await rm(slotB);
    await symlink('a', slotB);
    for (const command of ['run', 'check']) {
      const stopped = await runAgent([command, '--config', device.config]);
      assert.equal(stopped.code, 2, stopped.stderr);
      assert.match(stopped.stderr, expected);
    }
    assert.deepEqual(await readFile(slotA), Buffer.from(installedSlot()));
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-1025 REQ-OTA-APPLY-01: slots, boot control and state, under second names: hard links, devices and folders are found out, different places are not', async () => {
  const device = await testDevice();
  const at = (name: string): string => join(device.folder, name);
  try {
    assert.equal(await judged(device), 'fine');
    await rm(at('slots/b'));
    await link(at('slots/a'), at('slots/b'));
    assert.match(await judged(device), /^OTA_CONFIG slots\.rootfs\.B: .* slots\.rootfs\.A/);
    await symlink('/dev/null', at('slots/n'));
    await device.configure({ slots: { rootfs: { A: '/dev/null', B: 'slots/n' } } });
    assert.match(await judged(device), /^OTA_CONFIG slots\.rootfs\.B: .* slots\.rootfs\.A/);
    await writeFile(at('slots/c'), 'c');
    const apart = { rootfs: { A: 'slots/a', B: 'slots/c' } };
    await symlink('slots/c', at('boot'));
    await device.configure({ slots: apart });
    assert.match(await judged(device), /^OTA_CONFIG bootControl\.file: .* slots\.rootfs\.B/);
    await rm(at('boot'));
    await symlink('slots', at('state'));
    await device.configure({ slots: { rootfs: { A: 'slots/a', B: 'slots' } } });
    assert.match(await judged(device), /^OTA_CONFIG stateFolder: .* slots\.rootfs\.B/);
  } finally {
    await device.dispose();
  }
});
