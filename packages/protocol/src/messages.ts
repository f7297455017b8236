/**
 * What crosses the wire between a device and its server, as TypeScript shapes.
 *
 * States and codes on the wire are the names used in the code. JSON Schemas stand in `schemas.ts`; the limits in
 * `limits.ts`. Runs in a browser: imports types of trust only.
 */
import type { GroupLetter, UtcSeconds } from '@airlock/trust';
import type { WrittenCode } from './device-codes.ts';

export const attemptStates = [
  'Idle',
  'Fetching',
  'Staged',
  'Pending',
  'Trial',
  'Confirming',
  'Failing',
] as const;
export type AttemptState = (typeof attemptStates)[number];

/** What a device holds, so that the server sends only what is newer. Versions are 0 when nothing is held. */
export interface CheckInRequest {
  /** ETag of the last answer that was verified completely. */
  readonly etag?: string;
  readonly imageRoot: number;
  readonly directorRoot: number;
  /** Held versions of `targets` and functions, by role name. */
  readonly imageRoles: Readonly<Record<string, number>>;
  readonly imageSnapshot: number;
  readonly directorSnapshot: number;
  readonly directorTargets: number;
  /** SHA-256 of the held policy and manifest, if any. */
  readonly policy?: string;
  readonly manifest?: string;
  readonly deviceRecord: number;
  /** Ask for new timestamps even if nothing else changed. */
  readonly timestamps: boolean;
}

export type CheckInAnswer =
  | { readonly kind: 'unchanged' }
  | {
      readonly kind: 'files';
      readonly etag: string;
      /** Exact texts by TUF path: `image/2.root.json`, `image/timestamp.json`, `director/5.targets.json`,
       *  `image/targets/<sha256>.policy.json`, `image/targets/<function>/<sha256>.<version>.json`. */
      readonly files: Readonly<Record<string, string>>;
      /** A device record with a higher number, if there is one (envelope text). */
      readonly deviceRecord?: string;
    };

export interface InstalledGroup {
  readonly version: number;
  readonly manifestSha256: string;
}

export interface SelfTestResult {
  readonly passed: boolean;
  /** Name of the first critical test that failed, or `built-in` for the one that reaches the server. */
  readonly failed?: string;
  readonly reason?: string;
  readonly tests: readonly {
    readonly name: string;
    readonly critical: boolean;
    readonly outcome: 'passed' | 'failed' | 'timed-out' | 'missing' | 'waived';
    readonly durationMs: number;
  }[];
}

/** What the device says of itself; signed with its log key (envelope). */
export interface DeviceReport {
  readonly schema: 'airlock-report/1';
  readonly device: string;
  readonly product: string;
  readonly bootId: string;
  /** Grows with each report of this device; the server stores each (bootId, sequence) once. */
  readonly sequence: number;
  readonly time: UtcSeconds;
  readonly bootedGroup: GroupLetter;
  readonly confirmedGroup: GroupLetter;
  readonly installed: Readonly<Partial<Record<GroupLetter, InstalledGroup>>>;
  readonly booted: InstalledGroup;
  readonly confirmed: InstalledGroup;
  readonly floor: number;
  /** A restored disk: nothing is installed until a device record with a higher number names the floor. */
  readonly restored?: boolean;
  /** Value of the TPM's counter: the one that a device record must name to end `restored`. Absent without a TPM. */
  readonly counter?: number;
  readonly state: AttemptState;
  readonly attempt?: {
    readonly id: string;
    readonly version: number;
    readonly manifestSha256: string;
    /** Present for a release that its manifest marks so. */
    readonly emergency?: true;
  };
  /** What a release waits for that could go on, or could be looked at again; absent while nothing waits. */
  readonly waiting?: ReportedWaiting;
  /** Result of the last attempt that ended. */
  readonly lastResult?: {
    readonly attempt: string;
    readonly code: WrittenCode;
    readonly version: number;
    readonly reason: string;
  };
  readonly deviceRecord: number;
  /** Numbers held: who has not heard of a revocation is seen here. Absent: an older agent, or its trust is lost. */
  readonly heard?: { readonly imageRoot: number; readonly directorRoot: number; readonly targets: number };
  /** What the boot chain trusts. Absent: not told; `trusted` absent: the device has no secure boot. */
  readonly secureBoot?: { readonly trusted?: string[] };
  readonly agent: string;
  readonly logHead: { readonly sequence: number; readonly sha256: string };
}

export interface ReportedWaiting {
  /** `window`, `interlock fetch`, `interlock activate`, `interlock reboot`, `consent`, `back-off`, `verdict`. */
  readonly by: string;
  /** As first told: a reason that changes while the same is waited for is no news. */
  readonly reason: string;
  readonly since: UtcSeconds;
  readonly version?: number;
  readonly urgency?: 'routine' | 'security' | 'safety';
  /** `YYYY-MM-DDTHH:MM:SSZ`, of the manifest. */
  readonly deadline?: string;
  /** Whether somebody defers it past its deadline: an alarm, and never a reason to go on. */
  readonly overdue: boolean;
  /** Present for a release that its manifest marks so. */
  readonly emergency?: true;
}

/** One event in the device's log; `previous` chains it to the one before. Canonical JSON (RFC 8785) is hashed. */
export interface LogEntry {
  readonly schema: 'airlock-log-entry/1';
  readonly sequence: number;
  /** SHA-256 of the entry before; 64 zeros for the first. */
  readonly previous: string;
  readonly time: UtcSeconds;
  readonly bootId: string;
  readonly code: WrittenCode;
  readonly reason: string;
  readonly attempt?: string;
  readonly fromVersion?: number;
  readonly toVersion?: number;
  readonly facts?: LogFacts;
}

/** Small facts for service: names and numbers only, never secrets. */
export type LogFacts = Readonly<Record<string, string | number | boolean>>;

/** Signed head of a device's log (envelope): it pins everything before it. */
export interface LogHead {
  readonly schema: 'airlock-log-head/1';
  readonly device: string;
  readonly sequence: number;
  readonly sha256: string;
  readonly time: UtcSeconds;
}

export interface LogBatch {
  readonly entries: readonly LogEntry[];
  /** Envelope text of the `LogHead` for the last entry. */
  readonly head: string;
}

/** The director's answer to a request for the time (envelope, signed by the director's timestamp key). */
export interface TimeAnswer {
  readonly schema: 'airlock-time/1';
  readonly device: string;
  readonly nonce: string;
  readonly time: UtcSeconds;
}
