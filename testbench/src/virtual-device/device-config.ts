/**
 * Agent configuration of a virtual device: what `airlock device add` wrote, with this device's own hardware in it.
 *
 * The CLI knows who the device is and where its server stands; slots, boot control, self-tests and the way to
 * restart are the integrator's, which testbench plays. Leaves judging the result to the agent's own strict parser.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { DeviceFolder } from './device-folder.ts';
import { watchdogDefault } from './virtual-watchdog.ts';

export interface DeviceConfigOptions {
  /** `agent.json` as the CLI wrote it. */
  readonly from: string;
  readonly folder: DeviceFolder;
  /** Another server than the provisioned one, for the scenarios that lie. */
  readonly serverUrl?: string;
  /** Another device's identity, or one that no server knows. */
  readonly identity?: { readonly certificateFile: string; readonly keyFile: string };
  readonly bytesPerSecondMax?: number;
  /** Of the virtual watchdog; absent: its default. */
  readonly watchdogTimeoutSeconds?: number;
}

/** Name of the critical self-test that every image of the demo brings. */
const pumpTestName = 'pump-motor';
/** Programs that every image of the demo brings beside the agent. */
export const pumpTestProgram = 'self-test-pump.mjs';
export const dataHookProgram = 'data-hook.mjs';

/** Writes `folder.configFile`. The fields are those of `airlock-agent-config/1`. */
export function writeDeviceConfig(options: DeviceConfigOptions): void {
  const { folder } = options;
  const given = JSON.parse(readFileSync(options.from, 'utf8')) as Record<string, unknown>;
  const server = given['server'] as Record<string, string>;
  const near = (path: string | undefined): string => resolve(dirname(options.from), path ?? '');
  const program = (name: string, ...rest: string[]): string[] => [
    process.execPath,
    join(folder.runFolder, '{group}', name),
    ...rest,
  ];
  const config = {
    ...given,
    stateFolder: folder.stateFolder,
    server: {
      ...server,
      url: options.serverUrl ?? server['url'],
      authorityFile: near(server['authorityFile']),
      certificateFile: options.identity?.certificateFile ?? near(server['certificateFile']),
      keyFile: options.identity?.keyFile ?? near(server['keyFile']),
    },
    logKeyFile: near(given['logKeyFile'] as string),
    slots: { rootfs: folder.slots },
    identity: { kind: 'tar', component: 'rootfs', member: 'airlock-image.json' },
    bootControl: { kind: 'file', file: folder.bootFile },
    selfTest: {
      tests: [
        { name: pumpTestName, command: program(pumpTestProgram), critical: true, timeLimitSeconds: 20 },
      ],
      builtInTimeLimitSeconds: 20,
    },
    dataHooks: {
      prepare: program(dataHookProgram, 'prepare', folder.root),
      commit: program(dataHookProgram, 'commit', folder.root),
      revert: program(dataHookProgram, 'revert', folder.root),
      timeLimitSeconds: 20,
    },
    interlock: 'none',
    poll: { intervalSeconds: 1 },
    limits: {
      attemptsPerReleaseMax: 3,
      ...(options.bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax: options.bytesPerSecondMax }),
    },
    watchdog: {
      file: folder.watchdogFile,
      timeoutSeconds: options.watchdogTimeoutSeconds ?? watchdogDefault.timeoutSeconds,
    },
    bootloaderVersion: 1,
    fallbackAllowed: true,
    reboot: { command: ['touch', folder.rebootFile] },
    commandLineFile: folder.commandLineFile,
    bootIdFile: folder.bootIdFile,
  };
  writeFileSync(folder.configFile, `${JSON.stringify(config, undefined, 2)}\n`);
}
