/**
 * A watchdog of the Linux kernel behind its device file, such as `/dev/watchdog0`.
 *
 * Keeps true: opening starts it, each byte feeds it, and only `V` followed by closing ends it: an agent that is killed
 * or ends by itself leaves it running. Nothing here can set its timeout, since Node has no ioctl; the platform does
 * (`wdctl -s`, or a module parameter), and what the kernel says in sysfs is believed where it is shorter.
 * Leaves when to open, feed and close to `executor-watchdog.ts`.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Watchdog, WatchdogError } from '../ports/platform.ts';

export interface DeviceWatchdogOptions {
  readonly file: string;
  /** What the platform set. */
  readonly timeoutSeconds: number;
  /** Where the kernel describes its watchdogs; another place for tests. */
  readonly sysfsFolder?: string;
}

const feedByte = Buffer.from('.');
/** The kernel's "magic close": without it, closing does not stop the watchdog. */
const stopByte = Buffer.from('V');

export function deviceWatchdog(options: DeviceWatchdogOptions): Watchdog {
  const { file } = options;
  let handle: FileHandle | undefined;
  const write = async (bytes: Buffer): Promise<void> => {
    const held = handle;
    if (held === undefined) throw new WatchdogError(`${file}: not open`);
    await attempt(file, async () => await held.write(bytes));
  };
  return {
    open: async () => {
      const timeoutSeconds = await readTimeout(options);
      // Not created where it is missing, and no waiting for a reader where it is a pipe.
      const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;
      handle ??= await attempt(file, async () => await open(file, flags));
      await write(feedByte);
      return timeoutSeconds;
    },
    feed: async () => await write(feedByte),
    close: async () => {
      if (handle === undefined) return;
      await write(stopByte);
      const held = handle;
      handle = undefined;
      await attempt(file, async () => await held.close());
    },
  };
}

/** Throws WatchdogError when the watchdog could never be stopped again. */
async function readTimeout(options: DeviceWatchdogOptions): Promise<number> {
  const name = basename(options.file);
  // `/dev/watchdog` is the old name of the first one.
  const facts = join(options.sysfsFolder ?? '/sys/class/watchdog', name === 'watchdog' ? 'watchdog0' : name);
  if ((await readNumber(join(facts, 'nowayout'))) === 1) {
    // Closed or not, it would reset the device some time after the trial (REQ-OTA-POL-06).
    throw new WatchdogError(
      `${options.file}: nowayout is set, so that it could not be stopped after the trial`,
    );
  }
  const held = await readNumber(join(facts, 'timeout'));
  return held === undefined || held < 1 ? options.timeoutSeconds : Math.min(held, options.timeoutSeconds);
}

/** undefined where the kernel was built without it (`CONFIG_WATCHDOG_SYSFS`). */
async function readNumber(file: string): Promise<number | undefined> {
  try {
    const text = (await readFile(file, 'utf8')).trim();
    return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}

async function attempt<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'it cannot be used';
    throw new WatchdogError(`${file}: expected the device file of a watchdog (${reason})`);
  }
}
