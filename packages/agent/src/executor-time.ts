/** What a poll tells the log of time: a time that the director signed, and silence that may be a freeze. */
import type { Executor } from './executor.ts';
import type { TrustClient } from './executor-trust.ts';
import type { AgentSettings } from './settings.ts';

export class TimeTold {
  readonly #silenceSecondsMax: number;
  #freezeTold = false;

  constructor({ silenceSecondsMax }: Pick<AgentSettings, 'silenceSecondsMax'>) {
    this.#silenceSecondsMax = silenceSecondsMax;
  }

  /** REQ-OTA-ROLL-03: silence is told once, until something valid is heard again. */
  async note(trust: TrustClient, executor: Pick<Executor, 'note'>): Promise<void> {
    const signed = trust.takeTimeSigned();
    if (signed !== undefined) await executor.note('OTA_TIME_SIGNED', `the director says ${signed}`);
    const silent = trust.silenceSeconds() > this.#silenceSecondsMax;
    if (silent && !this.#freezeTold) {
      const days = Math.floor(trust.silenceSeconds() / 86_400);
      await executor.note('OTA_FREEZE_SUSPECTED', `nothing valid and fresh was heard for ${days} days`);
    }
    this.#freezeTold = silent;
  }
}
