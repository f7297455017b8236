/** What one poll of the agent comes to, in a value that its program and the daemon can tell. */
import type { DeviceCode, WrittenCode } from '@airlock/protocol';
import type { Stop } from './executor-parts.ts';

/** What one poll came to. */
export type PollOutcome =
  /** Nothing new, nothing written. */
  | { readonly kind: 'idle' }
  /** Something waits: interlock, window, consent, back-off or unexpired metadata; nothing was changed. */
  | { readonly kind: 'waiting'; readonly reason: string }
  /** A release was refused before an attempt began. */
  | { readonly kind: 'refused'; readonly code: DeviceCode; readonly reason: string }
  /** An attempt ended. */
  | { readonly kind: 'ended'; readonly code: WrittenCode; readonly version: number; readonly reason: string }
  /** The server or the medium failed; tried again later. */
  | { readonly kind: 'failed'; readonly code: DeviceCode; readonly reason: string };

export function outcomeOf(stop: Stop): PollOutcome {
  return stop.kind === 'waiting' ? { kind: 'waiting', reason: stop.reason } : failure(stop.code, stop.reason);
}

export function failure(code: DeviceCode, reason: string): PollOutcome {
  return { kind: 'failed', code, reason };
}
