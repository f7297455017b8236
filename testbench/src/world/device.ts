/**
 * Makes a virtual device of a company: `airlock device add`, the factory image in group A, provisioning, power.
 */
import { copyFileSync, openSync, closeSync, ftruncateSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LogEntry } from '@airlock/protocol';
import { startProcess } from '../processes.ts';
import { writeDeviceConfig } from '../virtual-device/device-config.ts';
import { type DeviceFolder, deviceFolder, makeDeviceFolder } from '../virtual-device/device-folder.ts';
import { LogReader } from '../virtual-device/device-view.ts';
import { type LifeHooks, VirtualDevice } from '../virtual-device/virtual-device.ts';
import type { WatchdogSeconds } from '../virtual-device/virtual-watchdog.ts';
import type { Company, Release } from './company.ts';

export interface MakeDeviceOptions {
  readonly company: Company;
  readonly id: string;
  readonly folder: string;
  readonly slotBytes: number;
  /** What the factory put into group A. */
  readonly factory: Release;
  /** The agent's bundle, as a program to provision with. */
  readonly agentFile: string;
  readonly volatile?: boolean;
  readonly seed?: number;
  readonly serverUrl?: string;
  readonly market?: string;
  readonly watchdog?: WatchdogSeconds;
  readonly onLine?: (line: string) => void;
  readonly bootsMax?: number;
  readonly hooks?: LifeHooks;
}

export interface Device {
  readonly id: string;
  readonly virtual: VirtualDevice;
  readonly folder: DeviceFolder;
  readonly log: LogReader;
  /** What `airlock device add` wrote. */
  readonly given: string;
  /** Waits for an entry with this code, for this version if one is given, after `from` entries. */
  waitForCode(code: string, options?: WaitOptions): Promise<LogEntry>;
}

export interface WaitOptions {
  readonly version?: number;
  readonly limitMs?: number;
  /** Entries of the log before this one do not count. */
  readonly from?: number;
}

const waitMsDefault = 90_000;

export async function makeDevice(options: MakeDeviceOptions): Promise<Device> {
  const root = join(options.folder, options.id);
  const folder = deviceFolder(root, join(root, 'agent.json'));
  const given = await options.company.addDevice(options.id, folder.slots, options.market);
  makeDeviceFolder(folder, options.slotBytes);
  putImage(options.factory.image, folder.slots.A, options.slotBytes);
  writeDeviceConfig({
    from: join(given, 'agent.json'),
    folder,
    ...(options.serverUrl === undefined ? {} : { serverUrl: options.serverUrl }),
    ...(options.watchdog === undefined ? {} : { watchdogTimeoutSeconds: options.watchdog.timeoutSeconds }),
  });
  await provision(options, folder, given);
  const virtual = new VirtualDevice({
    name: options.id,
    folder,
    volatile: options.volatile === true,
    seed: options.seed ?? 1,
    ...(options.watchdog === undefined ? {} : { watchdog: options.watchdog }),
    ...(options.onLine === undefined ? {} : { onLine: options.onLine }),
    ...(options.bootsMax === undefined ? {} : { bootsMax: options.bootsMax }),
    ...(options.hooks === undefined ? {} : { hooks: options.hooks }),
  });
  const log = new LogReader(folder.stateFolder);
  return {
    id: options.id,
    virtual,
    folder,
    log,
    given,
    waitForCode: async (code, wait = {}) =>
      await virtual.waitFor(
        `${code} for ${wait.version ?? 'any version'}`,
        wait.limitMs ?? waitMsDefault,
        () =>
          log
            .look()
            .slice(wait.from ?? 0)
            .find((entry) => entry.code === code && fits(entry, wait.version)),
      ),
  };
}

/** Refusals name the manifest in their reason, not the version as a field. */
function fits(entry: LogEntry, version: number | undefined): boolean {
  return version === undefined || entry.toVersion === undefined || entry.toVersion === version;
}

function putImage(image: string, slot: string, slotBytes: number): void {
  rmSync(slot);
  copyFileSync(image, slot);
  const descriptor = openSync(slot, 'r+');
  ftruncateSync(descriptor, slotBytes);
  closeSync(descriptor);
}

async function provision(options: MakeDeviceOptions, folder: DeviceFolder, given: string): Promise<void> {
  const { child, ended } = startProcess({
    command: process.execPath,
    args: [
      [options.agentFile, 'provision', '--config', folder.configFile, '--group', 'A'],
      ['--image-root', join(given, 'image-root.json'), '--director-root', join(given, 'director-root.json')],
      ['--device-record', join(given, 'device-record.json'), '--installed', options.factory.manifestFile],
    ].flat(),
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (piece: Buffer) => (output += piece.toString()));
  const { code } = await ended;
  if (code !== 0) throw new Error(`provisioning ${options.id} ended with ${code}: ${output.trim()}`);
}

/** One single command of the agent, as a technician runs it; answers what it printed, on both streams. */
export async function askAgent(device: Device, agentFile: string, command: string): Promise<string> {
  const { child, ended } = startProcess({
    command: process.execPath,
    args: [agentFile, command, '--config', device.folder.configFile],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (piece: Buffer) => (output += piece.toString()));
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await ended;
  await closed;
  return output.trim();
}
