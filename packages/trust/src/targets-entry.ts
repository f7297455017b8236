/** What stands in one target's entry: its hashes, and the director's `custom` (the assignment). */
import type { Field } from './fields.ts';
import { trustLimits } from './limits.ts';
import type { Assignment } from './types.ts';

/** Exactly one SHA-256: tuf-js takes `{}` and md5, and builds file names from whichever hash comes first. */
export function readHashes(field: Field): string {
  field.object(['sha256']);
  return field.at('sha256').sha256();
}

const minutesPerDay = 24 * 60;

/** The director's additions. They can only make the device stricter, so that an unknown one is refused, not ignored. */
export function readAssignment(field: Field): Assignment {
  field.object(['rollout', 'window', 'bytesPerSecondMax', 'consentRequired']);
  const window = field.optional('window');
  const bytesPerSecondMax = field.optional('bytesPerSecondMax');
  return {
    rollout: field.at('rollout').line(),
    ...(window === undefined ? {} : { window: readWindow(window) }),
    ...(bytesPerSecondMax === undefined
      ? {}
      : { bytesPerSecondMax: bytesPerSecondMax.integer(1, trustLimits.imageBytesMax) }),
    consentRequired: field.at('consentRequired').boolean(),
  };
}

/** `[from, to)` in minutes of the day; `from` above `to` is a window across midnight, equal ones would be none. */
function readWindow(field: Field): NonNullable<Assignment['window']> {
  field.object(['fromMinute', 'toMinute', 'days']);
  const fromMinute = field.at('fromMinute').integer(0, minutesPerDay - 1);
  const toMinute = field.at('toMinute').integer(0, minutesPerDay);
  if (fromMinute === toMinute) field.at('toMinute').refuse('must not be the same as fromMinute');
  const days = field.at('days').unique((day) => day.integer(0, 6), 7);
  if (days.length === 0) field.at('days').refuse('must name at least one day');
  return { fromMinute, toMinute, days };
}
