/**
 * Scenarios 4, 5, 6, 7 and 13: the server with all its online keys is in a thief's hands.
 *
 * The device speaks to the stolen server from the beginning; it passes the truth on until it lies. The honest server
 * refuses most of these assignments itself - here it is seen that the device does not need it to.
 */
import { forgeDirector, forgeManifest, swapDirector } from '../forge.ts';
import type { Files } from '../hostile-server.ts';
import { readRecord } from '../virtual-device/device-view.ts';
import type { Release } from '../world/company.ts';
import type { Device } from '../world/device.ts';
import { forgedRelease, stealDirectorKeys } from '../world/thief.ts';
import { addDevice, addRelease, type Found, type Run, said, scenario } from './run.ts';

const otherHardware = 30;
const forged = 31;
const needsQuality = 32;
const unapproved = 33;
const withdrawn = 34;

interface Theft {
  /** Entries of the device's log when the lie was told: older answers do not count. */
  toldFrom: number;
  readonly run: Run;
  readonly device: Device;
  /** Lets the stolen director name a release; `change` may tamper further. */
  name(release: Release, change?: (answer: Files) => Files): void;
}

export async function thiefLane(run: Run): Promise<void> {
  const device = await addDevice(run, 'pump-13', { serverUrl: run.stolen.url });
  device.virtual.powerOn();
  const keys = stealDirectorKeys(run.company);
  const theft: Theft = {
    toldFrom: 0,
    run,
    device,
    name: (release, change = (answer) => answer) => {
      theft.toldFrom = device.log.look().length;
      let told: Files | undefined;
      run.stolen.lie((answer, name) => {
        if (name !== device.id) return answer;
        const now = Math.floor(Date.now() / 1000);
        const lie = { device: name, keys, release: forgedRelease(release), now };
        // One lie, told again: a new set each second would only be noise. The image repository stays true.
        told ??= forgeDirector({ answer, ...lie });
        return change({ ...told, files: { ...told.files, ...imageFiles(answer) } });
      });
    },
  };
  await scenario(
    run,
    { number: '7', requirement: 'REQ-OTA-MAN-03', done: 'a release for another hardware revision' },
    async () => {
      theft.name(await addRelease(run, { version: otherHardware, hardware: 'hw:rev9' }));
      return await refused(theft, 'OTA_INCOMPATIBLE', otherHardware);
    },
  );
  await scenario(
    run,
    { number: '4', requirement: 'REQ-OTA-SIGN-02', done: 'a manifest is forged on its way' },
    async () => {
      const release = await addRelease(run, { version: forged });
      theft.name(release, (answer) =>
        forgeManifest(answer, (text) => text.replace('no risk to a patient', 'NO risk to a patient')),
      );
      return await refused(theft, 'OTA_HASH_MISMATCH', forged);
    },
  );
  await withQuality(theft);
  await scenario(
    run,
    { number: '6', requirement: 'REQ-OTA-ROLL-01', done: 'an older version that is still approved' },
    async () => {
      theft.name(run.factory);
      return await refused(theft, 'OTA_NOT_ABOVE_FLOOR', run.factory.version);
    },
  );
  await stolenKeys(theft);
  await device.virtual.killAgent();
}

async function withQuality(theft: Theft): Promise<void> {
  const { run, device } = theft;
  const requirement = 'REQ-OTA-POL-01';
  await scenario(
    run,
    { number: '5a', requirement, done: 'a class C release without the signature of quality' },
    async () => {
      const release = await addRelease(run, { version: needsQuality, approved: false });
      await run.company.approve(needsQuality, ['engineering']);
      theft.name(release);
      return await refused(theft, 'OTA_NOT_APPROVED', needsQuality);
    },
  );
  await scenario(
    run,
    { number: '5b', requirement, done: 'the same release after quality signed' },
    async () => {
      await run.company.approve(needsQuality, ['quality']);
      // The real server hands out the images of what it assigned itself, and now it does assign it.
      await run.company.assign(device.id, needsQuality);
      return said(await device.waitForCode('OTA_CONFIRMED', { version: needsQuality, limitMs: 90_000 }));
    },
  );
}

async function stolenKeys(theft: Theft): Promise<void> {
  const { run, device } = theft;
  await scenario(
    run,
    {
      number: '13a',
      requirement: 'REQ-OTA-SIGN-03',
      done: 'stolen director keys name an image that nobody approved',
    },
    async () => {
      theft.name(await addRelease(run, { version: unapproved, approved: false }));
      return await refused(theft, 'OTA_NOT_APPROVED', unapproved);
    },
  );
  await scenario(
    run,
    {
      number: '13b',
      requirement: 'REQ-OTA-SIGN-07',
      done: "stolen director keys serve another device's metadata",
    },
    async () => {
      const keys = stealDirectorKeys(run.company);
      const from = device.log.look().length;
      run.stolen.lie((answer, name) => {
        const release = forgedRelease(run.factory);
        const now = Math.floor(Date.now() / 1000);
        return name === device.id
          ? swapDirector(answer, forgeDirector({ answer, device: 'pump-1', keys, release, now }))
          : answer;
      });
      return said(await device.waitForCode('OTA_WRONG_BINDING', { from }));
    },
  );
  await scenario(
    run,
    {
      number: '13c',
      requirement: 'REQ-OTA-POL-05',
      done: 'stolen director keys name a release that the device has seen withdrawn',
    },
    async () => {
      run.stolen.lie(undefined);
      const release = await addRelease(run, { version: withdrawn });
      await seenByDevice(theft, 'the approvals');
      await run.company.withdraw(withdrawn, 'quality');
      await seenByDevice(theft, 'the withdrawal');
      theft.name(release);
      return await refused(theft, 'OTA_WITHDRAWN', withdrawn);
    },
  );
}

/** The device has checked in, with the answer worked through, when it asks a second time from now. */
async function seenByDevice({ run, device }: Theft, what: string): Promise<void> {
  const from = run.stolen.requests.length;
  await device.virtual.waitFor(`to hear of ${what}`, 60_000, () => {
    const asked = run.stolen.requests.slice(from).filter((path) => path.includes('/check-in'));
    return asked.length >= 2 ? true : undefined;
  });
}

async function refused({ device, toldFrom }: Theft, code: string, version: number): Promise<Found> {
  const before = readRecord(device.folder.stateFolder);
  const found = said(await device.waitForCode(code, { version, limitMs: 90_000, from: toldFrom }));
  const after = readRecord(device.folder.stateFolder);
  return after?.confirmed.version === before?.confirmed.version
    ? found
    : { ...found, fault: `confirmed ${after?.confirmed.version}` };
}

function imageFiles(answer: Files): Record<string, string> {
  return Object.fromEntries(Object.entries(answer.files).filter(([path]) => path.startsWith('image/')));
}
