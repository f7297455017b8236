/**
 * Scenarios 1, 2 and 14: a real software tree of more than 100 MB is installed, the next version over it, and the
 * confirmed device is then unplugged again and again.
 */
import { payloadBytes } from '../images.ts';
import { readRecord } from '../virtual-device/device-view.ts';
import { readBootFile } from '../virtual-device/boot-file.ts';
import { confirmedStartsDefault } from '@airlock/agent';
import type { Device } from '../world/device.ts';
import { addDevice, addRelease, type Found, type Run, said, scenario } from './run.ts';

/** Room in the slot beside the payload: agent, programs and filler of an image take 3 MB. */
const slotSpareBytes = 16 << 20;
const installMsMax = 90_000;
const unplugs = 6;

export interface InstallInput {
  /** A file or folder, or one for each version. */
  readonly from: string;
  readonly to: string;
}

export async function installsLane(run: Run, input: InstallInput): Promise<void> {
  const payloads = await Promise.all([payloadBytes(input.from), payloadBytes(input.to)]);
  const device = await addDevice(run, 'pump-1', { slotBytes: Math.max(...payloads) + slotSpareBytes });
  device.virtual.powerOn();
  await scenario(
    run,
    {
      number: '1',
      requirement: 'REQ-OTA-VERIFY-01',
      done: 'a signed and approved release is installed, booted, tested, confirmed',
    },
    async () => await install(run, device, 2, input.from),
  );
  await scenario(
    run,
    { number: '2', requirement: 'REQ-OTA-ROLL-01', done: 'the next version is installed over it' },
    async () => await install(run, device, 3, input.to),
  );
  await scenario(
    run,
    {
      number: '14',
      requirement: 'REQ-OTA-ROLL-07',
      done: `a confirmed device is unplugged ${unplugs} times before its agent starts`,
    },
    async () => await unplug(device),
  );
}

async function install(run: Run, device: Device, version: number, payload: string): Promise<Found> {
  await addRelease(run, { version, payload });
  await run.company.assign(device.id, version);
  const entry = await device.waitForCode('OTA_CONFIRMED', { version, limitMs: installMsMax });
  const record = await device.virtual.waitFor('the record to be idle', 20_000, () => {
    const now = readRecord(device.folder.stateFolder);
    return now?.state === 'Idle' ? now : undefined;
  });
  const { confirmed } = record;
  const found = said(entry, `runs version ${confirmed.version} from group ${confirmed.group}`);
  const right = confirmed.version === version && record.floor === version;
  return right ? found : { ...found, fault: `confirmed ${confirmed.version}, floor ${record.floor}` };
}

async function unplug(device: Device): Promise<Found> {
  const { virtual, folder, log } = device;
  const before = readRecord(folder.stateFolder);
  await virtual.killAgent();
  const started: (string | undefined)[] = [];
  for (let count = 0; count < unplugs; count += 1) started.push(await virtual.unplugBeforeAgentStarts());
  const left = (await readBootFile(folder.bootFile))?.left[before?.confirmed.group ?? 'A'];
  const from = log.look().length;
  virtual.powerOn();
  const entry = await device.waitForCode('OTA_BOOT', { from });
  const after = await virtual.waitFor('the starts to be restored', 20_000, async () => {
    const state = await readBootFile(folder.bootFile);
    const group = before?.confirmed.group ?? 'A';
    return state?.left[group] === confirmedStartsDefault ? state : undefined;
  });
  const record = readRecord(folder.stateFolder);
  const stayed =
    started.every((group) => group === before?.confirmed.group) &&
    record?.confirmed.version === before?.confirmed.version &&
    after.order[0] === before?.confirmed.group;
  const more = `${left} starts were left, ${confirmedStartsDefault} again; still version ${record?.confirmed.version}`;
  return {
    ...said(entry, more),
    where: 'testbench/src/virtual-device/boot-loader.ts#decideBoot',
    ...(stayed ? {} : { fault: `started ${started.join(', ')}` }),
  };
}
