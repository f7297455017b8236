/**
 * When the next attempt may begin after one that failed, or that was for nothing (REQ-OTA-LIMIT-02).
 *
 * Keeps true: the same release is not begun again before its back-off; after attempts that were cancelled or cut off
 * none begins for a while, in this start and after the next one.
 */
import { failuresOf, wastedFree, wastedOf, type DeviceState } from './core/record.ts';
import { backoffSeconds } from './core/schedule.ts';
import type { Leave } from './executor-leave.ts';
import { tuningDefault, type AgentPorts, type AgentSettings } from './settings.ts';

export class Pause {
  readonly #ports: Pick<AgentPorts, 'clock' | 'random'>;
  readonly #settings: Pick<AgentSettings, 'tuning'>;
  /** After a failed attempt the same release is not begun again before this moment. */
  #notBefore: { readonly manifestSha256: string; readonly monotonicMs: number } | undefined;
  /** No attempt at all begins before this moment; `after`: the attempt whose end it was drawn for. */
  #pause: { readonly after: string; readonly monotonicMs: number } | undefined;

  constructor(ports: Pick<AgentPorts, 'clock' | 'random'>, settings: Pick<AgentSettings, 'tuning'>) {
    this.#ports = ports;
    this.#settings = settings;
  }

  /**
   * Whoever holds the director can assign and take back all day, and each time a group is fetched and rewritten. Drawn
   * once for each attempt that ended, and again after a start: a restart must not be a way round it.
   */
  afterWasted(record: DeviceState): void {
    const after = record.lastResult?.attempt ?? '';
    if (this.#pause?.after === after) return;
    const steps = wastedOf(record) - wastedFree;
    this.#pause = { after, monotonicMs: steps > 0 ? this.#afterBackoff(steps) : 0 };
  }

  /** Spoilt bytes are no failure of the release, but fetching them again must not become a loop. */
  afterFailure(record: DeviceState, manifestSha256: string): void {
    const failures = Math.max(1, failuresOf(record, manifestSha256), wastedOf(record));
    this.#notBefore = { manifestSha256, monotonicMs: this.#afterBackoff(failures) };
  }

  /** undefined: it may begin now. */
  refusal(manifestSha256: string): Extract<Leave, { granted: false }> | undefined {
    const now = this.#ports.clock.monotonicMs();
    const by = 'back-off';
    if (this.#pause !== undefined && this.#pause.monotonicMs > now) {
      return { granted: false, by, reason: 'back-off after attempts that were cancelled or cut off' };
    }
    const held = this.#notBefore;
    if (held?.manifestSha256 !== manifestSha256 || held.monotonicMs <= now) return undefined;
    return { granted: false, by, reason: 'back-off after a failed attempt' };
  }

  #afterBackoff(failures: number): number {
    const { backoffSecondsMin, backoffSecondsMax } = { ...tuningDefault, ...this.#settings.tuning };
    const limits = { secondsMin: backoffSecondsMin, secondsMax: backoffSecondsMax };
    const waitMs = 1000 * backoffSeconds(failures, limits, this.#ports.random.fraction());
    return this.#ports.clock.monotonicMs() + waitMs;
  }
}
