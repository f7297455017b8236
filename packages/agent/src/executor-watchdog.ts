/**
 * The watchdog of a trial: opened first of all, fed while the agent lives and the trial has time, stopped at its end.
 *
 * Keeps true: outside a trial it is not running because of this agent (REQ-OTA-POL-06); in a trial nothing but this
 * process's own event loop feeds it, and never longer than all limits of the trial together, so that an agent, a
 * self-test or a whole system that hangs is reset, and the boot loader's tries run out (REQ-OTA-APPLY-04,
 * REQ-OTA-VERIFY-02). A watchdog that cannot be opened is told and stops nothing.
 */
import type { GroupLetter } from '@airlock/trust';
import { messageOf } from './core/operating-error.ts';
import { isInTrial, type DeviceState } from './core/record.ts';
import type { AgentPorts, AgentSettings } from './settings.ts';

/** Fed four times in its timeout: a late timer or a slow write is no hang. */
const feedsPerTimeout = 4;
/** Beside the programs that have limits of their own: reading, logging, one request to the server that hangs. */
const trialMarginSecondsDefault = 120;

type Limits = Pick<AgentSettings, 'builtInTimeLimitSeconds' | 'trialMarginSeconds'>;

export class TrialWatch {
  readonly #ports: Pick<AgentPorts, 'watchdog' | 'clock'>;
  readonly #settings: Limits;
  #fault: string | undefined;
  #watched = false;
  #begunMs = 0;
  #untilMs = 0;
  /** `unfed`: the device must be reset; nothing stops the watchdog any more. */
  #state: 'closed' | 'fed' | 'unfed' = 'closed';
  #stop = new AbortController();
  #feeding: Promise<void> = Promise.resolve();

  constructor(ports: Pick<AgentPorts, 'watchdog' | 'clock'>, settings: Limits) {
    this.#ports = ports;
    this.#settings = settings;
  }

  /** First act of a process whose record says that the booted group is in its trial; otherwise does nothing. */
  async begin(record: DeviceState | undefined, bootedGroup: GroupLetter): Promise<void> {
    if (record === undefined || !isInTrial(record, bootedGroup)) return;
    const timeoutSeconds = await this.#open();
    if (timeoutSeconds === undefined) return;
    this.#state = 'fed';
    this.#watched = true;
    this.#begunMs = this.#ports.clock.monotonicMs();
    this.allowSelfTest(0);
    this.#feeding = this.#feed((1000 * timeoutSeconds) / feedsPerTimeout);
  }

  /** Gives the trial the time that its self-test may take, counted from its begin; asked twice, given once. */
  allowSelfTest(seconds: number): void {
    const { builtInTimeLimitSeconds, trialMarginSeconds = trialMarginSecondsDefault } = this.#settings;
    this.#untilMs = this.#begunMs + 1000 * (seconds + builtInTimeLimitSeconds + trialMarginSeconds);
  }

  /** The trial is over: confirmed, or left by a restart that comes now. Resolves when it is stopped. */
  async end(): Promise<void> {
    if (this.#state !== 'fed') return;
    this.#stop.abort();
    // No byte may follow the one that stops it.
    await this.#feeding;
    try {
      await this.#ports.watchdog?.close();
      this.#state = 'closed';
    } catch (error) {
      this.#fault = messageOf(error);
    }
  }

  /** The restart out of a failed trial did not come: the watchdog does it. Only where it watched this trial. */
  async leaveUnfed(): Promise<void> {
    if (!this.#watched || this.#state === 'unfed') return;
    if ((await this.#open()) !== undefined) this.#state = 'unfed';
  }

  /** Why the watchdog could not be opened or stopped, once. */
  takeFault(): string | undefined {
    const fault = this.#fault;
    this.#fault = undefined;
    return fault;
  }

  async #open(): Promise<number | undefined> {
    try {
      return await this.#ports.watchdog?.open();
    } catch (error) {
      this.#fault = messageOf(error);
      return undefined;
    }
  }

  async #feed(everyMs: number): Promise<void> {
    const { watchdog, clock } = this.#ports;
    const { signal } = this.#stop;
    await clock.sleep(everyMs, signal);
    while (!signal.aborted && clock.monotonicMs() < this.#untilMs) {
      try {
        await watchdog?.feed();
      } catch (error) {
        // Not fed any more: the device is reset, and the boot is one try less.
        this.#fault = messageOf(error);
        return;
      }
      await clock.sleep(everyMs, signal);
    }
  }
}

/** How long the programs may take that run in a trial beside the self-test, each within its own limit, and the rest. */
export function marginSecondsOf(programLimitsSeconds: readonly number[]): number {
  return programLimitsSeconds.reduce((sum, seconds) => sum + seconds, trialMarginSecondsDefault);
}
