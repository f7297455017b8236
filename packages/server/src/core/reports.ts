/** A device's reports, one against the other: which tells what the device is now, how many are kept and taken. */
import type { StoredReport } from '../ports/store.ts';

/**
 * Reports kept of one device: the newest by arrival, as many as one page of the API shows. A report says what a device
 * is; what happened to it is in its log, which is kept. About 5 kB each.
 */
export const reportsKeptMax = 500;

/**
 * Reports taken from one device in an hour. An update makes some thirty of them; more come from a broken device, or
 * from somebody with its keys who wants to fill the disk.
 */
export const reportRate = { perWindow: 240, windowSeconds: 3600 } as const;

type Told = Pick<StoredReport, 'received'> & {
  readonly report: Pick<StoredReport['report'], 'bootId' | 'sequence' | 'time'>;
};

/**
 * Whether a report that came in tells a newer state than the newest so far. The device counts, over restarts too, so
 * that one which was on its way longer does not count - but a device that lost its log counts from the beginning: what
 * it said later, by its clock, is newer as well. An old report that was recorded and is sent again is neither.
 */
export function supersedes(next: Told, before: Told): boolean {
  if (next.report.sequence > before.report.sequence) return true;
  if (next.report.bootId === before.report.bootId) return next.report.time > before.report.time;
  return moment(next) > moment(before);
}

/** A clock that once ran ahead must not make everything after it look old. */
function moment({ received, report }: Told): number {
  return Math.min(received, report.time);
}
