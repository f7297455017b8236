/**
 * What the kernel and the system know: booted group, boot id, restart, clock, randomness, and configured facts.
 *
 * The booted group comes from the kernel's command line (`airlock.group=A`) and never from the agent's own record,
 * which may be older than the boot. Durable state is left to the Disk port.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GroupLetter } from '@airlock/trust';
import type { Clock, FloorStore, Platform, Random, SecureBoot } from '../ports/platform.ts';
import { failureOf, runProgram } from './programs.ts';

export interface PlatformOptions {
  readonly commandLineFile: string;
  readonly bootIdFile: string;
  readonly rebootCommand: readonly string[];
}

/** A restart that was asked for takes place within this time, or has failed. The core's own limit is 60 s. */
const rebootSecondsMax = 60;
/** The restart command itself only asks the system; it is not the restart. */
const rebootCommandSecondsMax = 30;
/** Kernel command lines are at most 4 KiB on the platforms supported; the kernel's id is 36 characters. */
const bootFileBytesMax = 16_384;

/** Thrown when the system does not say what it must, or does not restart. */
export class PlatformError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PlatformError';
  }
}

/** Reads the kernel's facts once. Errors: `PlatformError` naming the file and what was expected in it. */
export async function readPlatform(options: PlatformOptions): Promise<Platform> {
  const bootedGroup = bootedGroupOf(await readSmall(options.commandLineFile), options.commandLineFile);
  const bootId = (await readSmall(options.bootIdFile)).trim();
  if (!/^[0-9A-Za-z-]{8,64}$/.test(bootId)) {
    throw new PlatformError(`${options.bootIdFile}: expected the random id of this boot, 8 to 64 characters`);
  }
  return {
    bootedGroup,
    bootId,
    reboot: async () => {
      const outcome = await runProgram({
        command: options.rebootCommand,
        timeLimitSeconds: rebootCommandSecondsMax,
        leaveChildren: true,
      });
      const failure = failureOf(outcome, rebootCommandSecondsMax);
      if (failure !== undefined) throw new PlatformError(`the restart command ${failure}`);
      await sleep(rebootSecondsMax * 1000);
      throw new PlatformError(`the device did not restart within ${rebootSecondsMax} s`);
    },
  };
}

/** The letter in `airlock.group=`; two different ones are refused, since boot loaders may append to a line. */
export function bootedGroupOf(commandLine: string, file: string): GroupLetter {
  const letters = new Set(
    commandLine
      .split(/\s+/)
      .filter((word) => word.startsWith('airlock.group='))
      .map((word) => word.slice('airlock.group='.length)),
  );
  const [letter] = letters;
  if (letters.size !== 1 || (letter !== 'A' && letter !== 'B')) {
    throw new PlatformError(`${file}: expected exactly one of airlock.group=A and airlock.group=B`);
  }
  return letter;
}

async function readSmall(file: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new PlatformError(`${file}: ${error instanceof Error ? error.message : 'cannot be read'}`);
  }
  if (bytes.length > bootFileBytesMax)
    throw new PlatformError(`${file}: longer than ${bootFileBytesMax} bytes`);
  return bytes.toString('utf8');
}

/** The system's clock, and a sleep that ends early, without an error, when it is called off. */
export const systemClock: Clock = {
  now: () => Math.floor(Date.now() / 1000),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await sleep(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      if (signal?.aborted !== true) throw error;
    }
  },
};

/**
 * The system's clock, set by a program of the integrator: Node cannot. In its words `{time}` becomes Unix seconds and
 * `{instant}` the same as `2026-11-01T00:00:00Z`. `set` throws `PlatformError` when the program fails.
 */
export function programClock(program: {
  readonly setCommand: readonly string[];
  readonly timeLimitSeconds: number;
}): Clock {
  const { setCommand, timeLimitSeconds } = program;
  return {
    ...systemClock,
    set: async (time) => {
      const instant = new Date(time * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
      const command = setCommand.map((word) =>
        word.replaceAll('{time}', String(time)).replaceAll('{instant}', instant),
      );
      const failure = failureOf(await runProgram({ command, timeLimitSeconds }), timeLimitSeconds);
      if (failure !== undefined) throw new PlatformError(`the program that sets the clock ${failure}`);
    },
  };
}

/** The system's generator. */
export const systemRandom: Random = {
  bytes: (count) => new Uint8Array(randomBytes(count)),
  // 48 bits: enough for jitter, exact in a double.
  fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
};

/** The floor's only home is the record: there is no counter that it could be sealed with. */
export const recordFloorStore: FloorStore = { kind: 'record' };

/** Secure boot as the configuration states it: which keys the fuses hold differs from board to board. */
export function configuredSecureBoot(options: {
  trustedKeys: readonly string[] | undefined;
  bootloaderVersion: number;
}): SecureBoot {
  return {
    trustedKeys: async () => options.trustedKeys,
    bootloaderVersion: async () => options.bootloaderVersion,
  };
}
