/**
 * When a role's expiry is worth a word: at half of its life, at a quarter, and seven days before its end.
 *
 * Pure. TUF says when a role ends, not when it began; the life is the one that the kind of role is given.
 */
import type { UtcSeconds } from '@airlock/trust';

export type Alarm = 'expired' | '7 days' | 'quarter' | 'half';

const daySeconds = 24 * 3600;
const lastCallSeconds = 7 * daySeconds;

/** The strongest alarm that applies; undefined: more than half of the life is left. */
export function alarmOf(expires: UtcSeconds, lifeSeconds: number, now: UtcSeconds): Alarm | undefined {
  const left = expires - now;
  if (left <= 0) return 'expired';
  // A role that lives a week or less would be alarmed from its first day.
  if (left <= lastCallSeconds && lifeSeconds > 2 * lastCallSeconds) return '7 days';
  if (left <= lifeSeconds / 4) return 'quarter';
  return left <= lifeSeconds / 2 ? 'half' : undefined;
}
