/**
 * Scenarios 3, 8, 9 and 10: releases that are signed and approved, and yet may not stay - through the real server.
 * One device meets them one after the other, and each time goes on with what it had.
 */
import { chmodSync, closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '@airlock/trust';
import { readRecord } from '../virtual-device/device-view.ts';
import type { Release } from '../world/company.ts';
import type { Device } from '../world/device.ts';
import { readServerConfig } from '../world/thief.ts';
import { addDevice, addRelease, type Found, type Run, said, scenario } from './run.ts';

const flippedVersion = 20;
const failingVersion = 24;
const brokenVersion = 25;
const bigVersion = 26;

export async function failuresLane(run: Run): Promise<void> {
  const device = await addDevice(run, 'pump-2');
  device.virtual.powerOn();
  await scenario(
    run,
    { number: '9', requirement: 'REQ-OTA-VERIFY-03', done: 'a critical self-test fails in the new version' },
    async () => {
      await addRelease(run, { version: failingVersion, selfTest: 'fails' });
      return await rolledBack(run, device, 'OTA_FAIL_SELFTEST', failingVersion);
    },
  );
  await scenario(
    run,
    {
      number: '10',
      requirement: 'REQ-OTA-APPLY-04',
      done: 'a version that never confirms: its agent does not start',
    },
    async () => {
      await addRelease(run, { version: brokenVersion, agent: 'broken' });
      const found = await rolledBack(run, device, 'OTA_FAIL_BOOT', brokenVersion);
      return { ...found, answer: `${found.answer}; the boot loader fell back after its tries` };
    },
  );
  await scenario(
    run,
    { number: '3', requirement: 'REQ-OTA-SIGN-01', done: 'one bit of the image is flipped at the server' },
    async () => {
      const release = await addRelease(run, { version: flippedVersion });
      flipBit(run, release);
      return await rolledBack(run, device, 'OTA_FAIL_HASH', flippedVersion);
    },
  );
  await scenario(
    run,
    { number: '8', requirement: 'REQ-OTA-MAN-01', done: 'the image is larger than the slot' },
    async () => {
      await addRelease(run, { version: bigVersion, fillerBytes: 20_000_000 });
      return await rolledBack(run, device, 'OTA_SLOT_TOO_SMALL', bigVersion);
    },
  );
  await device.virtual.killAgent();
}

/** Assigns, waits for the answer, and sees that the device still runs and trusts what it had. */
async function rolledBack(run: Run, device: Device, code: string, version: number): Promise<Found> {
  await run.company.assign(device.id, version);
  const found = said(await device.waitForCode(code, { version }));
  const record = await device.virtual.waitFor('the record to be idle', 30_000, () => {
    const now = readRecord(device.folder.stateFolder);
    return now?.state === 'Idle' ? now : undefined;
  });
  const { confirmed, floor } = record;
  const stayed = confirmed.version === run.factory.version && floor === run.factory.version;
  return stayed ? found : { ...found, fault: `confirmed ${confirmed.version}, floor ${floor}` };
}

/** Flips one bit in the middle of the release's image, in the server's own blob folder. */
function flipBit(run: Run, release: Release): void {
  const [image] = (JSON.parse(release.manifestText) as Manifest).images;
  const folder = join(readServerConfig(run.company).folder, 'blobs');
  const name = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find(
    (path) => image !== undefined && path.replaceAll('/', '').includes(image.hash),
  );
  if (name === undefined) throw new Error(`the server has no blob of release ${release.version}`);
  const file = join(folder, name);
  chmodSync(file, 0o600);
  const descriptor = openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  const at = Math.floor(statSync(file).size / 2);
  readSync(descriptor, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 1;
  writeSync(descriptor, byte, 0, 1, at);
  closeSync(descriptor);
}
