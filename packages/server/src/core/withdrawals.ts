/**
 * Withdrawn and approved again: what a device that saw the withdrawal holds against a release for good. Pure.
 *
 * A device remembers each manifest that a function listed and later dropped (trust, "withdrawn"); no later approval
 * brings it back. The server does not know what a device saw, but it knows its own history of the roles, and when the
 * device was registered: a device that came after the second approval cannot have seen the withdrawal.
 */
import type { UtcSeconds } from '@airlock/trust';
import type { Listing } from '../ports/store.ts';

export interface Withdrawal {
  /** Version of the role that dropped the release, and of the one that lists it again. */
  readonly dropped: number;
  readonly again: number;
  /** Devices registered up to this moment may have seen it. */
  readonly until: UtcSeconds;
}

/** Whether a role ever dropped the release after it had listed it; `history` lowest version first. */
export function wasWithdrawn(history: readonly Pick<Listing, 'listed'>[]): boolean {
  const first = history.findIndex(({ listed }) => listed);
  return first >= 0 && history.slice(first).some(({ listed }) => !listed);
}

/** The last time a role dropped the release and listed it again; `history` lowest version first. */
export function lastWithdrawal(history: readonly Listing[]): Withdrawal | undefined {
  let dropped: number | undefined;
  let last: Withdrawal | undefined;
  let before = false;
  for (const { version, created, listed } of history) {
    if (before && !listed) dropped = version;
    if (listed && dropped !== undefined) {
      last = { dropped, again: version, until: created };
      dropped = undefined;
    }
    before = listed;
  }
  return last;
}
