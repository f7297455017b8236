/** Placeholder: replaced within the hour; only its signatures count. */
import type { GroupLetter } from '@airlock/trust';
import type { DeviceState } from './core/record.ts';
import type { AgentPorts, AgentSettings } from './settings.ts';

/** What one poll came to. */
export type PollOutcome =
  /** Nothing new, nothing written. */
  | { readonly kind: 'idle' }
  /** Something waits: interlock, window, consent, back-off or unexpired metadata; nothing was changed. */
  | { readonly kind: 'waiting'; readonly reason: string }
  /** A release was refused before an attempt began. */
  | { readonly kind: 'refused'; readonly code: string; readonly reason: string }
  /** An attempt ended. */
  | { readonly kind: 'ended'; readonly code: string; readonly version: number; readonly reason: string }
  /** The device restarts (real platforms never return this). */
  | { readonly kind: 'restarting' }
  /** The server or the medium failed; tried again later. */
  | { readonly kind: 'failed'; readonly code: string; readonly reason: string };

export interface AgentStatus {
  readonly bootedGroup: GroupLetter;
  readonly record: DeviceState | undefined;
  readonly inTrial: boolean;
  readonly inFallback: boolean;
  readonly logHead: { readonly sequence: number; readonly sha256: string };
}

export interface Agent {
  /** First act of a process: reads the state, restores starts, goes on with what the record says. Call it once. */
  boot(): Promise<void>;
  /** One check-in and whatever follows from it. */
  poll(): Promise<PollOutcome>;
  /** Polls with jitter and back-off until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  status(): AgentStatus;
}

export function createAgent(_options: {
  readonly ports: AgentPorts;
  readonly settings: AgentSettings;
}): Agent {
  throw new Error('not written yet');
}
