/**
 * When updates may be activated: windows of the wall clock in the device's time zone (REQ-OTA-LIMIT-01).
 *
 * Pure. The wall clock decides, since it is what the people around the device look at: whatever it shows while a
 * window is open lies in the window. So an hour that the spring change leaves out is not made up for, and a window
 * that lies within it does not open that day; an hour that the autumn change repeats is in the window both times.
 * Nothing is counted in elapsed hours, which would open a window at a time that the ward's clock does not show.
 */
import type { Assignment, UtcSeconds } from '@airlock/trust';

export type Window = NonNullable<Assignment['window']>;

const minutesPerDay = 24 * 60;
/** A window of one day a week that a clock change swallows opens two weeks later. */
const daysAhead = 15;

/** Whether the wall clock lies in every window given, at `now`, in the device's time zone (an IANA name). */
export function inWindows(
  now: UtcSeconds,
  timeZone: string,
  windows: readonly (Window | undefined)[],
): boolean {
  const given = windows.filter((window) => window !== undefined);
  if (given.length === 0) return true;
  const { dayOfWeek, hour, minute } = wallClock(now, timeZone);
  // Temporal counts Monday as 1 and Sunday as 7; a window counts Sunday as 0.
  const day = dayOfWeek % 7;
  const minutes = 60 * hour + minute;
  return given.every((window) => {
    const { fromMinute, toMinute, days } = window;
    if (fromMinute <= toMinute) return days.includes(day) && minutes >= fromMinute && minutes < toMinute;
    // Over midnight: what is past it belongs to the day on which the window opened.
    return minutes >= fromMinute ? days.includes(day) : minutes < toMinute && days.includes((day + 6) % 7);
  });
}

/**
 * The next moment at which all windows are open, after one at which they are not; undefined when there is none within
 * two weeks: two windows that never meet. Told to people, and slept towards; whether it is so is asked again then.
 */
export function nextOpening(
  now: UtcSeconds,
  timeZone: string,
  windows: readonly (Window | undefined)[],
): UtcSeconds | undefined {
  const starts = windows.flatMap((window) => (window === undefined ? [] : [window.fromMinute]));
  const candidates = [...openings(now, timeZone, starts), ...clockChanges(now, timeZone)];
  return candidates
    .filter((at) => at > now)
    .toSorted((a, b) => a - b)
    .find((at) => inWindows(at, timeZone, windows));
}

/** Every moment at which the wall clock shows one of these minutes, both times where it shows it twice. */
function* openings(now: UtcSeconds, timeZone: string, starts: readonly number[]): Generator<UtcSeconds> {
  const today = wallClock(now, timeZone).toPlainDate();
  for (let ahead = 0; ahead <= daysAhead; ahead += 1) {
    // Midnight as well: there the day of the week changes.
    for (const start of [0, ...starts]) {
      const local = today
        .add({ days: ahead })
        .toPlainDateTime({ hour: Math.floor((start % minutesPerDay) / 60), minute: start % 60 });
      for (const disambiguation of ['earlier', 'later'] as const)
        yield Math.floor(local.toZonedDateTime(timeZone, { disambiguation }).epochMilliseconds / 1000);
    }
  }
}

/** A change may put the wall clock into the middle of a window. */
function clockChanges(now: UtcSeconds, timeZone: string): readonly UtcSeconds[] {
  const change = wallClock(now, timeZone).getTimeZoneTransition('next');
  return change === null ? [] : [Math.floor(change.epochMilliseconds / 1000)];
}

function wallClock(now: UtcSeconds, timeZone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(now * 1000).toZonedDateTimeISO(timeZone);
}
