/**
 * Applicability: each refusal of DESIGN "Manifest" with its own code, as one table row, and one property over all of them.
 * Keeps true: a release that does not fit is refused before a byte is written. Leaves approval to check.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkApplicability, type DeviceFacts, type Manifest } from '@airlock/trust';
import * as fc from 'fast-check';
import { sampleManifest, verdict } from './support/samples.ts';

const sha256 = 'e'.repeat(64);

function facts(changes: Partial<DeviceFacts> = {}): DeviceFacts {
  return {
    product: 'infusion-pump',
    hardware: ['hw:rev2'],
    bootedGroup: 'A',
    bootedVersion: 11,
    confirmedVersion: 11,
    floor: 11,
    bootloaderVersion: 2,
    slots: { rootfs: { A: 100, B: 262_144 }, app: { A: 100, B: 4096 } },
    secureBootTrusted: ['key-2022', 'key-2024'],
    secureBootRevoked: ['key-2019'],
    fallbackReads: [3, 4],
    hasDataHook: false,
    ...changes,
  };
}

type Row = [string, Partial<Manifest>, Partial<DeviceFacts>, string];

function checkRows(rows: readonly Row[]): void {
  for (const [what, manifest, device, expected] of rows) {
    assert.equal(
      verdict(checkApplicability(sampleManifest(manifest), facts(device), sha256)),
      expected,
      what,
    );
  }
}

test('TEST-OTA-143 REQ-OTA-MAN-03: a release, for another product, hardware or slot: refused with its code', () => {
  assert.deepEqual(checkApplicability(sampleManifest(), facts(), sha256), {
    ok: true,
    value: { group: 'B' },
  });
  checkRows([
    ['product', { product: 'ventilator' }, {}, 'OTA_WRONG_PRODUCT product'],
    ['hardware', { compat: ['hw:rev3', 'hw:rev22'] }, {}, 'OTA_INCOMPATIBLE compat'],
    ['no hardware', {}, { hardware: [] }, 'OTA_INCOMPATIBLE compat'],
    ['one shared entry', { compat: ['hw:rev9', 'hw:rev2'] }, { hardware: ['x', 'hw:rev2'] }, 'ok'],
    ['pinned to the running slot', { slot: 'A' }, {}, 'OTA_SLOT_RUNNING slot'],
    ['pinned to the other slot', { slot: 'B' }, {}, 'ok'],
    ['pinned, group B runs', { slot: 'B' }, { bootedGroup: 'B' }, 'OTA_SLOT_RUNNING slot'],
  ]);
  const wide = { rootfs: { A: 262_144, B: 0 }, app: { A: 4096, B: 0 } };
  const inB = checkApplicability(sampleManifest(), facts({ bootedGroup: 'B', slots: wide }), sha256);
  assert.deepEqual(inB, { ok: true, value: { group: 'A' } });
});

test('TEST-OTA-144 REQ-OTA-MAN-01, REQ-OTA-APPLY-05: images, longer than the slot, unknown or left out: refused', () => {
  const [rootfs, app] = sampleManifest().images;
  assert.ok(rootfs && app);
  const slots = { rootfs: { A: 2 ** 40, B: 262_143 }, app: { A: 2 ** 40, B: 4095 } };
  checkRows([
    ['exactly fits', {}, {}, 'ok'],
    ['one byte over', {}, { slots: { ...facts().slots, ...slots } }, 'OTA_SLOT_TOO_SMALL images[0].len'],
    [
      'the second one',
      {},
      { slots: { ...facts().slots, app: slots.app } },
      'OTA_SLOT_TOO_SMALL images[1].len',
    ],
    [
      'unknown',
      { images: [rootfs, app, { ...app, component: 'fpga' }] },
      {},
      'OTA_UNKNOWN_COMPONENT images[2].component',
    ],
    [
      'a name of the prototype',
      { images: [{ ...app, component: 'toString' }] },
      {},
      'OTA_UNKNOWN_COMPONENT images[0].component',
    ],
    ['left out', { images: [rootfs] }, {}, 'OTA_UNKNOWN_COMPONENT images'],
  ]);
});

test('TEST-OTA-145 REQ-OTA-ROLL-01, REQ-OTA-MAN-04: versions, not above the floor or below what is required: refused', () => {
  const floor = 'OTA_NOT_ABOVE_FLOOR version';
  checkRows([
    ['the same version', { version: 11 }, {}, floor],
    ['an older one', { version: 1 }, {}, floor],
    ['below the floor, above what runs', { version: 12 }, { floor: 12 }, floor],
    ['a floor that a restored disk lowered', { version: 11 }, { floor: 5 }, floor],
    ['above', { version: 12 }, {}, 'ok'],
    ['repair: the confirmed manifest itself', { version: 11 }, { repair: sha256, bootedVersion: 10 }, 'ok'],
    ['repair: another manifest of that version', { version: 11 }, { repair: 'f'.repeat(64) }, floor],
    ['repair: a higher version', { version: 12 }, { repair: 'f'.repeat(64), bootedVersion: 10 }, 'ok'],
    ['installed too old', {}, { bootedVersion: 2 }, 'OTA_REQUIRES requires.installedMin'],
    ['installed just right', {}, { bootedVersion: 3 }, 'ok'],
    ['boot loader too old', {}, { bootloaderVersion: 1 }, 'OTA_REQUIRES requires.bootloaderMin'],
    ['nothing required', { requires: {} }, { bootedVersion: 0, bootloaderVersion: 0 }, 'ok'],
  ]);
});

test('TEST-OTA-146 REQ-OTA-KEYS-01, REQ-OTA-APPLY-08: boot keys not trusted, or data the fallback cannot read: refused', () => {
  const data = (writes: number) => ({ data: { writes, reads: [writes], reversible: false } });
  checkRows([
    [
      'a key that the fuses do not hold',
      { secureBoot: ['key-2024', 'key-2099'] },
      {},
      'OTA_SECURE_BOOT_KEY secureBoot[1]',
    ],
    [
      'a fused key that policy revoked',
      { secureBoot: ['key-2022'] },
      { secureBootRevoked: ['key-2022'] },
      'OTA_SECURE_BOOT_KEY secureBoot[0]',
    ],
    [
      'policy cannot add',
      { secureBoot: ['key-2024'] },
      { secureBootTrusted: [] },
      'OTA_SECURE_BOOT_KEY secureBoot[0]',
    ],
    ['no secure boot', { secureBoot: ['key-2099'] }, { secureBootTrusted: undefined }, 'ok'],
    [
      'no secure boot, revoked',
      { secureBoot: ['key-2019'] },
      { secureBootTrusted: undefined },
      'OTA_SECURE_BOOT_KEY secureBoot[0]',
    ],
    ['no boot chain in the release', { secureBoot: [] }, {}, 'ok'],
    ['data the fallback cannot read', data(5), {}, 'OTA_DATA_SCHEMA data.writes'],
    ['data, fallback not known', data(3), { fallbackReads: undefined }, 'OTA_DATA_SCHEMA data.writes'],
    ['data, with a hook', data(5), { hasDataHook: true }, 'ok'],
    ['data the fallback reads', data(3), {}, 'ok'],
  ]);
  const { data: _data, ...dataless } = sampleManifest();
  assert.ok(checkApplicability(dataless, facts({ fallbackReads: undefined }), sha256).ok);
});

test('TEST-OTA-147 REQ-OTA-APPLY-01: applicability, any facts: the group to write is never the running one', () => {
  const group = fc.constantFrom('A' as const, 'B' as const);
  const some = fc.record({
    bootedGroup: group,
    floor: fc.nat(20),
    confirmedVersion: fc.nat(20),
    bootedVersion: fc.nat(20),
    hasDataHook: fc.boolean(),
  });
  fc.assert(
    fc.property(
      some,
      fc.integer({ min: 1, max: 20 }),
      fc.constantFrom('A', 'B', 'inactive'),
      (device, version, slot) => {
        const slots = { rootfs: { A: 2 ** 30, B: 2 ** 30 }, app: { A: 2 ** 30, B: 2 ** 30 } };
        const result = checkApplicability(
          sampleManifest({ version, slot }),
          facts({ ...device, slots }),
          sha256,
        );
        if (!result.ok) return;
        assert.notEqual(result.value.group, device.bootedGroup);
        assert.ok(slot === 'inactive' || slot === result.value.group);
        assert.ok(version > device.floor && version > device.confirmedVersion);
      },
    ),
  );
});
