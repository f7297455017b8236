/** Windows by the wall clock across the changes of the year, consents that end, deadlines: pure, by table and property. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ConsentBook } from '../src/core/consent.ts';
import { isOverdue } from '../src/core/deferral.ts';
import { inWindows, nextOpening, type Window } from '../src/core/windows.ts';

const at = (text: string): number => Date.parse(text) / 1000;
const everyDay = [0, 1, 2, 3, 4, 5, 6];

/** The minutes at which it is open, in UTC, from one moment to another. */
function openMinutes(window: Window, zone: string, from: string, to: string): readonly string[] {
  const open: string[] = [];
  for (let now = at(from); now < at(to); now += 60) {
    if (inWindows(now, zone, [window])) open.push(new Date(now * 1000).toISOString().slice(11, 16));
  }
  return open;
}

const span = (minutes: readonly string[]): string => `${minutes[0]} to ${minutes.at(-1)}, ${minutes.length}`;

test('TEST-OTA-1114 REQ-OTA-POL-06, REQ-OTA-LIMIT-01: a window on the days of both clock changes: open while the wall clock shows it, shorter or not at all in spring, twice in autumn', () => {
  const window = { fromMinute: 120, toMinute: 180, days: everyDay };
  // Berlin, 28 March 2027: 01:59 is followed by 03:00.
  const spring = ['2027-03-28T00:00:00Z', '2027-03-28T04:00:00Z'] as const;
  assert.deepEqual(openMinutes(window, 'Europe/Berlin', ...spring), [], 'two to three does not come');
  const around = { fromMinute: 90, toMinute: 210, days: everyDay };
  assert.equal(span(openMinutes(around, 'Europe/Berlin', ...spring)), '00:30 to 01:29, 60');
  // 31 October 2027: 02:59 is followed by 02:00 once.
  const autumn = ['2027-10-30T22:00:00Z', '2027-10-31T06:00:00Z'] as const;
  assert.equal(span(openMinutes(window, 'Europe/Berlin', ...autumn)), '00:00 to 01:59, 120');
  const half = { fromMinute: 120, toMinute: 150, days: everyDay };
  const twice = openMinutes(half, 'Europe/Berlin', ...autumn);
  assert.deepEqual(
    [span(twice.slice(0, 30)), span(twice.slice(30))],
    ['00:00 to 00:29, 30', '01:00 to 01:29, 30'],
  );
  // Havana changes at midnight: Sunday, 14 March 2027 begins at 01:00.
  const sunday = { fromMinute: 0, toMinute: 120, days: [0] };
  const havana = openMinutes(sunday, 'America/Havana', '2027-03-14T04:00:00Z', '2027-03-14T08:00:00Z');
  assert.equal(span(havana), '05:00 to 05:59, 60');
  // Lord Howe moves by half an hour.
  const howe = { fromMinute: 90, toMinute: 120, days: everyDay };
  const repeated = openMinutes(howe, 'Australia/Lord_Howe', '2027-04-03T12:00:00Z', '2027-04-03T18:00:00Z');
  assert.equal(repeated.length, 60, 'half an hour, twice');
});

test('TEST-OTA-1115 REQ-OTA-POL-06, REQ-OTA-LIMIT-01: any windows, zone and moment around a clock change: open only where the wall clock shows it, and the next opening is the first minute that is open', () => {
  const zones = [
    'Europe/Berlin',
    'America/New_York',
    'America/Havana',
    'Australia/Lord_Howe',
    'UTC',
    'Asia/Kolkata',
  ];
  const window = fc
    .record({
      fromMinute: fc.integer({ min: 0, max: 1439 }),
      toMinute: fc.integer({ min: 0, max: 1440 }),
      days: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 }),
    })
    .filter(({ fromMinute, toMinute }) => fromMinute !== toMinute);
  const changes = [
    '2027-03-14T07:00Z',
    '2027-03-28T01:00Z',
    '2027-10-31T01:00Z',
    '2027-11-07T06:00Z',
    '2027-04-03T15:00Z',
  ];
  fc.assert(
    fc.property(
      fc.array(window, { minLength: 1, maxLength: 2 }),
      fc.constantFrom(...zones),
      fc.constantFrom(...changes),
      fc.integer({ min: -1500, max: 1500 }),
      (windows, zone, change, minutes) => {
        const now = at(change) + 60 * minutes;
        // The oracle reads the wall clock by another way than the code under test.
        const open = windows.every((one) => shows(now, zone, one));
        assert.equal(inWindows(now, zone, windows), open);
        if (open) return;
        const next = nextOpening(now, zone, windows);
        const limit = next ?? now + 14 * 86_400;
        // Minute by minute is slow: the hours before the opening, and all of the first day.
        for (let at_ = now; at_ < Math.min(limit, now + 86_400); at_ += 60)
          assert.ok(!windows.every((one) => shows(at_, zone, one)), `open before ${next}`);
        if (next !== undefined) assert.ok(windows.every((one) => shows(next, zone, one)));
      },
    ),
    { numRuns: 150 },
  );
});

const formats = new Map<string, Intl.DateTimeFormat>();

function shows(now: number, timeZone: string, { fromMinute, toMinute, days }: Window): boolean {
  const format =
    formats.get(timeZone) ??
    new Intl.DateTimeFormat('en-US', {
      timeZone,
      weekday: 'short',
      hour: 'numeric',
      minute: 'numeric',
      hourCycle: 'h23',
    });
  formats.set(timeZone, format);
  const parts = Object.fromEntries(format.formatToParts(now * 1000).map(({ type, value }) => [type, value]));
  const day = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'].indexOf(parts['weekday'] ?? '');
  const minute = 60 * Number(parts['hour']) + Number(parts['minute']);
  const over = fromMinute > toMinute;
  const today = days.includes(day) && minute >= fromMinute && (over || minute < toMinute);
  return today || (over && days.includes((day + 6) % 7) && minute < toMinute);
}

test('TEST-OTA-1116 REQ-OTA-POL-06: a consent, at each moment, for its release and another, by clocks that run, stand and are set back: it counts for its manifest and no longer than it was given for', () => {
  const [mine, other] = ['a'.repeat(64), 'b'.repeat(64)];
  const begun = { now: 1000, monotonicMs: 5000 };
  const book = new ConsentBook();
  assert.equal(book.held(mine, begun), undefined, 'nobody consented');
  const consent = book.give({ operator: 'nurse-17', manifestSha256: mine }, 60, begun);
  assert.deepEqual(consent, { operator: 'nurse-17', manifestSha256: mine, given: 1000, until: 1060 });
  const after = (seconds: number, elapsed = seconds) => ({
    now: 1000 + seconds,
    monotonicMs: 5000 + 1000 * elapsed,
  });
  for (const seconds of [0, 1, 59]) assert.ok(book.held(mine, after(seconds)));
  assert.equal(book.held(other, after(1)), undefined, 'another release');
  assert.equal(book.held(mine, after(60)), undefined, 'over');
  assert.equal(book.held(mine, after(1, 60)), undefined, 'the clock stands, the process ran on');
  assert.equal(book.held(mine, after(60, 1)), undefined, 'the device slept');
  assert.equal(book.held(mine, after(-1, 1)), undefined, 'the clock was set back');
  assert.equal(book.withdraw()?.operator, 'nurse-17');
  assert.equal(book.held(mine, after(1)), undefined);
  assert.equal(book.withdraw(), undefined);
  book.give({ operator: 'nurse-17', manifestSha256: mine }, 60, begun);
  book.give({ operator: 'nurse-18', manifestSha256: other }, 60, begun);
  assert.equal(book.held(mine, after(1)), undefined, 'one at a time');
});

test('TEST-OTA-1117 REQ-OTA-POL-06: a deadline, before, at and after it, with and without somebody who defers: overdue only where somebody does', () => {
  const urgency = { level: 'safety', deadline: '2026-11-05T00:00:00Z' } as const;
  const due = at(urgency.deadline);
  for (const deferrer of ['window', 'interlock', 'consent'] as const) {
    assert.equal(isOverdue(deferrer, { urgency }, due - 1), false);
    assert.equal(isOverdue(deferrer, { urgency }, due), true);
    assert.equal(isOverdue(deferrer, { urgency: { level: 'safety' } }, due), false, 'no deadline');
  }
  assert.equal(isOverdue(undefined, { urgency }, due + 1), false, 'back-off is nobody who defers');
});
