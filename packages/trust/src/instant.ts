/** Moments as TUF writes them: `YYYY-MM-DDTHH:MM:SSZ`, no fraction, no other zone; seconds everywhere else. */
import { trustLimits } from './limits.ts';
import type { UtcSeconds } from './result.ts';

const instantPattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** `1700000000` as `2023-11-14T22:13:20Z`. Throws RangeError for what four-digit years cannot say. */
export function formatInstant(seconds: UtcSeconds): string {
  if (!Number.isSafeInteger(seconds) || seconds < 0 || seconds > trustLimits.utcSecondsMax) {
    throw new RangeError(`not a time in UTC seconds: ${seconds}`);
  }
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

/**
 * Seconds of a written moment; undefined for any other form and for dates that do not exist, which `Date` would
 * move to the next month. Moments before 1970 are refused as well: no file of ours is that old.
 */
export function parseInstant(text: string): UtcSeconds | undefined {
  if (!instantPattern.test(text)) return undefined;
  const seconds = Date.parse(text) / 1000;
  if (Number.isNaN(seconds) || seconds < 0) return undefined;
  return formatInstant(seconds) === text ? seconds : undefined;
}
