/**
 * The agent's sleep between two polls: ended early when somebody asks for a poll, or when what is waited for lets go.
 *
 * Keeps true: whoever wakes it all day makes it poll no more often than every ten seconds; while a release waits, what
 * it waits for is asked again every minute, and when the window opens, so that no window is slept through; asking again
 * asks no server.
 */
import type { PollingAgent } from './executor-poll.ts';
import type { Clock } from './ports/platform.ts';
import { tuningDefault, type AgentSettings } from './settings.ts';

/** A screen that asks again and again must not become load at the server. */
const wakeMillisecondsMin = 10_000;

export class Naps {
  readonly #clock: Clock;
  #asked = false;
  #stop: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends this rest, or the next one if a poll runs now. */
  wake(): void {
    this.#asked = true;
    this.#stop?.abort();
  }

  /** Rests for so long, or until woken. */
  async rest(ms: number, signal: AbortSignal): Promise<void> {
    const begunMs = this.#clock.monotonicMs();
    await this.#sleep(ms, signal);
    await this.#notTooSoon(begunMs, ms, signal);
  }

  /** The same while a release waits: also ended by the first answer that lets it go on. */
  async waiting(
    agent: Pick<PollingAgent, 'mayGoOn' | 'waiting' | 'now'>,
    settings: AgentSettings,
    seconds: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { waitingSecondsMax } = { ...tuningDefault, ...settings.tuning };
    const begunMs = this.#clock.monotonicMs();
    for (let leftMs = 1000 * seconds; leftMs > 0 && !signal.aborted; ) {
      const { opens } = agent.waiting();
      const opensMs = opens === undefined ? leftMs : Math.max(1000, 1000 * (opens - agent.now()));
      const ms = Math.min(leftMs, 1000 * waitingSecondsMax, opensMs);
      await this.#sleep(ms, signal);
      leftMs -= ms;
      // The poll asks again: of what a yes means, nothing is decided here.
      if (this.#asked || (leftMs > 0 && !signal.aborted && (await agent.mayGoOn()))) break;
    }
    await this.#notTooSoon(begunMs, 1000 * seconds, signal);
  }

  async #notTooSoon(begunMs: number, ms: number, signal: AbortSignal): Promise<void> {
    const restMs = Math.min(ms, wakeMillisecondsMin) - (this.#clock.monotonicMs() - begunMs);
    if (this.#asked && restMs > 0 && !signal.aborted) await this.#clock.sleep(restMs, signal);
    this.#asked = false;
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#asked) return;
    const stop = new AbortController();
    this.#stop = stop;
    await this.#clock.sleep(ms, AbortSignal.any([signal, stop.signal]));
    this.#stop = undefined;
  }
}
