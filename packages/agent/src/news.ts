/**
 * What a device last refused and waits for, out of its record and its log: `status` shows it to who stands beside it.
 *
 * Each is told once, when it is met first (executor-poll.ts), so that the time beside it is that of the telling.
 */
import type { LogEntry } from '@airlock/protocol';
import type { DeviceState } from './core/record.ts';
import { isResult } from './durable/event-log.ts';

export interface News {
  /** Why the agent waits, if nothing that came later shows that it went on. */
  readonly waiting?: { readonly reason: string; readonly time: number };
  /** The newest refusal; its reason and time unless the log has lost them. */
  readonly refused?: { readonly code: string; readonly reason?: string; readonly time?: number };
}

/** What ends waiting. After a start the agent tells anew what it waits for. */
const movesOn: ReadonlySet<string> = new Set([
  'OTA_BOOT',
  'OTA_ATTEMPT_BEGUN',
  'OTA_STAGED',
  'OTA_ALLOWED',
  'OTA_ACTIVATING',
]);

/** `entries` are the newest ones, oldest first. */
export function newsOf(record: DeviceState | undefined, entries: readonly LogEntry[]): News {
  const told = entries.findLastIndex((entry) => entry.code === 'OTA_WAITING');
  const waiting = entries[told];
  const over = entries.slice(told + 1).some((entry) => movesOn.has(entry.code) || isResult(entry));
  const code = record?.refusals.at(-1)?.code;
  const refusal = entries.findLast((entry) => entry.code === code && !isResult(entry));
  return {
    ...(waiting === undefined || over ? {} : { waiting: { reason: waiting.reason, time: waiting.time } }),
    ...(code === undefined
      ? {}
      : {
          refused: { code, ...(refusal === undefined ? {} : { reason: refusal.reason, time: refusal.time }) },
        }),
  };
}
