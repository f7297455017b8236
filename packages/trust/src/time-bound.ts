/**
 * What a device knows of time with no clock at all: moments that were signed, and the build time of its first image.
 *
 * Keeps true: the bound of a repository is remembered with the timestamp keys that signed it, in the memory of that
 * role, and forgotten with that memory when a root names other keys. So a moment that was signed ahead of time, by a
 * thief or by a server whose clock was wrong, ends with the keys that signed it.
 * Leaves to others: which `issued` may count at all (repository.ts), the clock and the signed time (the agent).
 */
import { own } from './repository-session.ts';
import type { UtcSeconds } from './result.ts';
import type { RepositoryState, TrustState } from './types.ts';

type Signed = Pick<TrustState, 'image' | 'director' | 'builtAt'>;

/** Time is at least this: the largest moment that either repository signed, or the build time. */
export function timeLowerBound(state: Signed): UtcSeconds {
  return Math.max(state.builtAt, issuedOf(state.image), issuedOf(state.director));
}

/**
 * What a system clock may be set to: a moment that *both* repositories have reached. The lower bound can be pushed
 * ahead by one stolen key, which then only refuses updates; a wrong system clock would reach therapy records.
 */
export function timeForClock(state: Signed): UtcSeconds {
  return Math.max(state.builtAt, Math.min(issuedOf(state.image), issuedOf(state.director)));
}

function issuedOf({ memory }: RepositoryState): UtcSeconds {
  return own(memory, 'timestamp')?.issued ?? 0;
}
