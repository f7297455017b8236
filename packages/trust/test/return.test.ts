/**
 * Returning a fleet to earlier software: only as a new release with a higher version.
 * Keeps true: what counts is the version, not the content. Leaves how the release is approved to check.test.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkApplicability, type DeviceFacts } from '@airlock/trust';
import { sampleManifest } from './support/samples.ts';

test('TEST-OTA-709 REQ-OTA-ROLL-05: earlier software, under its old version and under a higher one: refused, accepted', () => {
  const facts: DeviceFacts = {
    product: 'infusion-pump',
    hardware: ['hw:rev2'],
    bootedGroup: 'A',
    bootedVersion: 13,
    confirmedVersion: 13,
    floor: 13,
    bootloaderVersion: 2,
    slots: { rootfs: { A: 262_144, B: 262_144 }, app: { A: 4096, B: 4096 } },
    secureBootTrusted: ['key-2022', 'key-2024'],
    secureBootRevoked: [],
    fallbackReads: [3, 4],
    hasDataHook: true,
  };
  const earlier = sampleManifest({ version: 12 });
  const old = checkApplicability(earlier, facts, 'e'.repeat(64));
  assert.ok(!old.ok && old.error.code === 'OTA_NOT_ABOVE_FLOOR');
  const again = checkApplicability({ ...earlier, version: 14 }, facts, 'f'.repeat(64));
  assert.deepEqual(again, { ok: true, value: { group: 'B' } });
});
