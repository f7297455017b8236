/**
 * What an executor is given, and the ways in which a list of effects ends early.
 *
 * Only shapes, shared by `executor.ts` and `executor-effects.ts`.
 */
import type { DeviceCode } from '@airlock/protocol';
import type { UtcSeconds } from '@airlock/trust';
import type { Attempt } from './core/record.ts';
import type { EventLog } from './durable/event-log.ts';
import type { GroupManifests } from './durable/group-manifests.ts';
import type { RecordStore } from './durable/record-store.ts';
import type { Leave } from './executor-leave.ts';
import type { TrialWatch } from './executor-watchdog.ts';
import type { AgentPorts, AgentSettings } from './settings.ts';

/** What the verdict, computed again, means for the attempt under way. */
export type Judgement =
  | { readonly kind: 'go' }
  | { readonly kind: 'wait'; readonly reason: string }
  | { readonly kind: 'end'; readonly code: DeviceCode; readonly reason: string };

export interface ExecutorParts {
  readonly ports: AgentPorts;
  readonly settings: AgentSettings;
  readonly records: RecordStore;
  readonly manifests: GroupManifests;
  readonly log: EventLog;
  readonly watch: TrialWatch;
  /** The verdict on the attempt, on what is held, at this moment. */
  judge(attempt: Attempt): Promise<Judgement>;
  /** Whether the attempt may still be activated and restarted into; the group is `armed` already, or not yet. */
  leave(armed: boolean): Promise<Leave>;
  /** Throws TransportError. */
  reachServer(): Promise<void>;
  now(): UtcSeconds;
  /** The stricter of device and assignment. */
  bytesPerSecondMax(): number | undefined;
}

/** Why a list of effects ended early without an event. */
export interface Stop {
  readonly kind: 'waiting' | 'failed';
  readonly code: DeviceCode;
  readonly reason: string;
}
