/**
 * Watchdog of the virtual device: hardware that resets it, behind a plain file that the agent takes for the kernel's.
 *
 * It keeps true what a real one does: a byte starts and feeds it, only a `V` as the newest byte stops it, and neither
 * the end of a process nor a stopped one does. For a trial the boot loader has armed it already: the kernel feeds it
 * until somebody opens it, for so long and no longer (`watchdog.open_timeout`), so that a group whose agent never
 * starts is reset as well. Outside a trial it does not run until it is opened. Leaves resetting to `virtual-device.ts`.
 */
import { readFileSync, writeFileSync } from 'node:fs';

export interface WatchdogSeconds {
  /** From the newest byte to the reset. */
  readonly timeoutSeconds: number;
  /** From the start of a trial's kernel to the first byte. */
  readonly openSecondsMax: number;
}

/** A start of Node on a busy machine takes some seconds; three tries shall still fit well into a test's patience. */
export const watchdogDefault: WatchdogSeconds = { timeoutSeconds: 10, openSecondsMax: 10 };

const stopByte = 'V';

export class VirtualWatchdog {
  readonly #file: string;
  readonly #seconds: WatchdogSeconds;
  #phase: 'off' | 'armed by the boot loader' | 'running' = 'off';
  #sinceMs: number;
  #bytes = 0;

  /** A boot: whatever an earlier one wrote is gone. */
  constructor(options: { file: string; seconds: WatchdogSeconds; trial: boolean }) {
    this.#file = options.file;
    this.#seconds = options.seconds;
    this.#sinceMs = performance.now();
    writeFileSync(this.#file, '');
    if (options.trial) this.#phase = 'armed by the boot loader';
  }

  /** An agent starts in this boot: how long testbench looked at the device since the last one ended does not count. */
  goOn(): void {
    this.#look();
    this.#sinceMs = performance.now();
  }

  /** Whether anybody opened it in this boot. */
  get opened(): boolean {
    this.#look();
    return this.#bytes > 0;
  }

  /** Whether it will reset the device unless somebody does something. */
  get runs(): boolean {
    this.#look();
    return this.#phase !== 'off';
  }

  /** Why it resets the device now; undefined while it does not. */
  bite(): string | undefined {
    this.#look();
    const passedSeconds = (performance.now() - this.#sinceMs) / 1000;
    const { timeoutSeconds, openSecondsMax } = this.#seconds;
    if (this.#phase === 'running' && passedSeconds > timeoutSeconds)
      return `watchdog not fed for ${timeoutSeconds} s`;
    if (this.#phase === 'armed by the boot loader' && passedSeconds > openSecondsMax)
      return `watchdog of the boot loader not opened within ${openSecondsMax} s`;
    return undefined;
  }

  #look(): void {
    const text = readFileSync(this.#file, 'latin1');
    if (text.length === this.#bytes) return;
    this.#bytes = text.length;
    this.#sinceMs = performance.now();
    this.#phase = text.endsWith(stopByte) ? 'off' : 'running';
  }
}
