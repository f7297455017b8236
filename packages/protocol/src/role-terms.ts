/**
 * How long a role lives, when its renewal is due, and when its end is worth a word. One home for signers and servers.
 *
 * Pure. TUF says when a role ends, not when it began; the life is the one that the kind of role is given (DESIGN
 * "Expiry"). Due at a third of the life remaining; alarms at a half, a quarter, seven days, and the end.
 */
import type { UtcSeconds } from '@airlock/trust';

export const alarms = ['half', 'quarter', '7 days', 'expired'] as const;
export type Alarm = (typeof alarms)[number];

const daySeconds = 24 * 3600;
const lastCallSeconds = 7 * daySeconds;

/**
 * The life of a role that people sign. `strict`: the root's minimum knows class C, whose functions are looked at twice
 * as often.
 */
export function roleLifeSeconds(role: string, strict: boolean): number {
  if (role === 'root') return 365 * daySeconds;
  if (role === 'targets') return 180 * daySeconds;
  return (strict ? 90 : 180) * daySeconds;
}

/** The moment from which a renewal is due: a third of the life is left for those who must sign it. */
export function renewalDue(expires: UtcSeconds, lifeSeconds: number): UtcSeconds {
  return expires - Math.floor(lifeSeconds / 3);
}

/** The strongest alarm that applies; undefined: more than half of the life is left. */
export function alarmOf(expires: UtcSeconds, lifeSeconds: number, now: UtcSeconds): Alarm | undefined {
  const left = expires - now;
  if (left <= 0) return 'expired';
  // A role that lives a week or less would be alarmed from its first day.
  if (left <= lastCallSeconds && lifeSeconds > 2 * lastCallSeconds) return '7 days';
  if (left <= lifeSeconds / 4) return 'quarter';
  return left <= lifeSeconds / 2 ? 'half' : undefined;
}
