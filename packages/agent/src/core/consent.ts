/**
 * The operator's consent: who gave it, for which release, for how long (REQ-OTA-POL-06).
 *
 * Pure, and in memory: a consent ends with the process that was told it, so that nobody who switches a device on finds
 * an answer of yesterday standing. Keeps true: it counts for the one manifest that it was given for, and for no longer
 * than it was given for - by the clock and by what the process has run, whichever is first, since a clock that is set
 * back must not make it longer. There is one at a time, as there is one release at a time.
 */
import type { UtcSeconds } from '@airlock/trust';

/** Two clocks of the same moment. */
export interface Moment {
  readonly now: UtcSeconds;
  readonly monotonicMs: number;
}

export interface Consent {
  /** As the operator signs in at the device; a claim of the program that passes it on. */
  readonly operator: string;
  readonly manifestSha256: string;
  readonly given: UtcSeconds;
  readonly until: UtcSeconds;
}

export const operatorForm = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
export const operatorExpected = 'the id of the operator (letters, digits, . _ @ -, at most 64)';
/** A shift: whoever consented is still there. */
export const consentSecondsDefault = 8 * 3600;
/** Whoever consents may mean the weekend; beyond that nobody remembers. */
export const consentSecondsMax = 72 * 3600;

export class ConsentBook {
  #consent: Consent | undefined;
  #endsMs = 0;

  give(given: Pick<Consent, 'operator' | 'manifestSha256'>, validSeconds: number, at: Moment): Consent {
    this.#consent = { ...given, given: at.now, until: at.now + validSeconds };
    this.#endsMs = at.monotonicMs + 1000 * validSeconds;
    return this.#consent;
  }

  /** Takes back what there is; undefined when there was nothing. */
  withdraw(): Consent | undefined {
    const consent = this.#consent;
    this.#consent = undefined;
    return consent;
  }

  /** The consent for this release at this moment; one that is over, or for another release, is none. */
  held(manifestSha256: string, at: Moment): Consent | undefined {
    const consent = this.#consent;
    if (consent?.manifestSha256 !== manifestSha256) return undefined;
    const over = at.now < consent.given || at.now >= consent.until || at.monotonicMs >= this.#endsMs;
    return over ? undefined : consent;
  }
}
