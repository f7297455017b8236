/**
 * A log that may not be there yet: the file is gone and the partition full, or the medium does not give it out.
 *
 * Keeps true: no fault of the log keeps a device from starting, confirming or rolling back; opening is tried again at
 * each entry, so that the first one that can be kept is; a result that turns out to be there already is not told a
 * second time. What a log is, `event-log.ts` says.
 */
import { DiskError, type Disk } from '../ports/disk.ts';
import { firstPrevious } from './log-cell.ts';
import { isResult, openEventLog, type EventLog, type LogEvent } from './event-log.ts';

/** What a log that was lost begins with. */
export const logLost = { code: 'OTA_LOG_GAP', reason: 'the log was lost and begins anew' } as const;

/** Opens the log, or promises to; creates it when it is missing. */
export async function openPatientLog(disk: Disk, folder: string, cells: number): Promise<EventLog> {
  try {
    return await openEventLog(disk, folder, cells);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    return awaitedLog(() => openEventLog(disk, folder, cells));
  }
}

function awaitedLog(open: () => Promise<EventLog>): EventLog {
  let opened: EventLog | undefined;
  /** One opening at a time; a later one may succeed. */
  let opening: Promise<EventLog> | undefined;
  const log = async (): Promise<EventLog> => {
    opening ??= open().finally(() => {
      opening = undefined;
    });
    return await opening;
  };
  return {
    head: () => opened?.head() ?? { sequence: 0, sha256: firstPrevious },
    async append(event: LogEvent) {
      const ready = opened ?? (await log());
      if (ready.begunAnew && ready.head().sequence === 0 && event.code !== logLost.code)
        await ready.append({ time: event.time, bootId: event.bootId, ...logLost });
      // Asked for while nobody could know.
      const result = isResult(event) && event.attempt !== undefined && ready.hasResult(event.attempt);
      const isLoss = event.code === 'OTA_STATE_LOST' || event.code === 'OTA_STATE_RESTORED';
      const loss = isLoss && opened === undefined && ready.newestIs(event.code, event.reason);
      opened = ready;
      if (!result && !loss) await ready.append(event);
    },
    hasResult: (attempt) => opened?.hasResult(attempt) ?? false,
    sha256Of(sequence) {
      if (opened === undefined) throw new RangeError(`entry ${sequence} is not in the log`);
      return opened.sha256Of(sequence);
    },
    newestIs: (code, reasonBegins) => opened?.newestIs(code, reasonBegins) ?? false,
    after: async (sequence, entriesMax) => (await opened?.after(sequence, entriesMax)) ?? [],
    // Not known; the first entry after it opened says so.
    begunAnew: false,
    uploaded: () => opened?.uploaded() ?? 0,
    setUploaded: (sequence) => opened?.setUploaded(sequence),
    async close() {
      await opened?.close();
    },
  };
}
