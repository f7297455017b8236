/**
 * Folder of one virtual device: where its slots, state, boot control and kernel files lie.
 *
 * Only paths; `VirtualDevice` and the agent's configuration are made from the same value, so that they agree.
 */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GroupLetter } from '@airlock/trust';

export interface DeviceFolder {
  readonly root: string;
  readonly configFile: string;
  readonly stateFolder: string;
  readonly bootFile: string;
  readonly slots: Readonly<Record<GroupLetter, string>>;
  /** Programs of the booted group are unpacked into `<runFolder>/<group>`. */
  readonly runFolder: string;
  readonly commandLineFile: string;
  readonly bootIdFile: string;
  /** The reboot command touches this file; the virtual device watches for it. */
  readonly rebootFile: string;
  /** What the agent takes for the kernel's watchdog. */
  readonly watchdogFile: string;
  /** Standard output and error of every agent that ran here. */
  readonly consoleFile: string;
}

export function deviceFolder(root: string, configFile: string): DeviceFolder {
  return {
    root,
    configFile,
    stateFolder: join(root, 'state'),
    bootFile: join(root, 'boot', 'boot-control'),
    slots: { A: join(root, 'slots', 'rootfs-A.img'), B: join(root, 'slots', 'rootfs-B.img') },
    runFolder: join(root, 'run'),
    commandLineFile: join(root, 'run', 'cmdline'),
    bootIdFile: join(root, 'run', 'boot_id'),
    rebootFile: join(root, 'run', 'reboot-asked-for'),
    watchdogFile: join(root, 'run', 'watchdog0'),
    consoleFile: join(root, 'console.log'),
  };
}

/** Makes the folders and two empty slots of `slotBytes` each. */
export function makeDeviceFolder(folder: DeviceFolder, slotBytes: number): void {
  for (const name of ['state', 'boot', 'slots', 'run', 'scratch'])
    mkdirSync(join(folder.root, name), { recursive: true, mode: 0o700 });
  for (const slot of Object.values(folder.slots)) {
    writeFileSync(slot, '');
    truncateSync(slot, slotBytes);
  }
}
