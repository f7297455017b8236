/**
 * What programs of the device say to the agent and hear from it, over its local sockets: `airlock-service/1`.
 *
 * One JSON object on each line, in both directions. There is one socket for each permission; who may open it is the
 * file's owner, group and mode, which the kernel checks. What may be asked on which socket is the table below, the one
 * that the agent goes by and that the documents show. Runs in a browser: plain shapes and values.
 */
import type { GroupLetter, Manifest, UtcSeconds } from '@airlock/trust';
import type { WrittenCode } from './device-codes.ts';
import type { AttemptState, LogEntry, ReportedWaiting } from './messages.ts';

export const serviceSchema = 'airlock-service/1';

export const servicePermissions = ['status', 'log', 'install', 'consent', 'interlock'] as const;
export type ServicePermission = (typeof servicePermissions)[number];

export const serviceAsks = ['status', 'log', 'install', 'consent', 'withdraw', 'again'] as const;
export type ServiceAsk = (typeof serviceAsks)[number];

/** What may be asked on each socket. Everybody who may ask anything may see the status: it names what is asked about. */
export const serviceTable: Readonly<Record<ServicePermission, readonly ServiceAsk[]>> = {
  status: ['status'],
  log: ['status', 'log'],
  /** `install`: look now at what is assigned, instead of at the next poll. Every rule holds as for a poll. */
  install: ['status', 'install'],
  consent: ['status', 'consent', 'withdraw'],
  /** Besides, questions are asked and news is told on this one. `again`: my answer changed, ask me now. */
  interlock: ['status', 'again'],
};

export const serviceLimits = {
  /** A line of either side; a log answer is the longest, and is cut to fit. */
  lineBytesMax: 262_144,
  /** A line that a program sends: a few fields. */
  requestBytesMax: 4096,
  /** Programs that have one socket open at a time: a screen, a service tool, and what replaces them. */
  connectionsMax: 8,
  /** Entries of one log answer. */
  logEntriesMax: 200,
  reasonCharactersMax: 200,
} as const;

/** The release that is asked about, told of or waited for. */
export interface ServiceRelease {
  readonly version: number;
  readonly name: string;
  readonly manifestSha256: string;
  readonly urgency: Manifest['urgency'];
  /** Present for a release that its manifest marks so. */
  readonly emergency?: true;
}

export interface ServiceStatus {
  readonly device: string;
  readonly product: string;
  readonly agent: string;
  readonly bootedGroup: GroupLetter;
  /** Absent until the record was read. */
  readonly state?: AttemptState;
  /** `wait`: a trial runs, or the agent does not know yet. Clinical use begins only at `allowed`. */
  readonly clinicalUse: 'allowed' | 'wait';
  readonly confirmedVersion?: number;
  readonly floor?: number;
  readonly attempt?: { readonly id: string; readonly version: number };
  /** What is assigned, approved and not installed yet. */
  readonly release?: ServiceRelease;
  readonly waiting?: ReportedWaiting;
  readonly consentRequired: boolean;
  readonly consent?: {
    readonly operator: string;
    readonly manifestSha256: string;
    readonly until: UtcSeconds;
  };
  readonly lastResult?: { readonly code: WrittenCode; readonly version: number; readonly reason: string };
}

/** First line on every connection. */
export interface ServiceHello {
  readonly service: typeof serviceSchema;
  readonly permission: ServicePermission;
  readonly agent: string;
}

export type ServiceRequest =
  | { readonly id: number; readonly ask: 'status' | 'install' | 'again' }
  | { readonly id: number; readonly ask: 'log'; readonly entries?: number }
  | {
      readonly id: number;
      readonly ask: 'consent';
      readonly operator: string;
      readonly manifestSha256: string;
      readonly validSeconds?: number;
    }
  | { readonly id: number; readonly ask: 'withdraw'; readonly operator: string };

export type ServiceAnswer =
  | { readonly id: number; readonly answer: ServiceAnswers[ServiceAsk] }
  | { readonly id: number; readonly refused: { readonly code: string; readonly message: string } };

export interface ServiceAnswers {
  readonly status: ServiceStatus;
  readonly log: { readonly entries: readonly LogEntry[] };
  readonly install: { readonly asked: true };
  readonly consent: { readonly until: UtcSeconds };
  readonly withdraw: { readonly withdrawn: boolean };
  readonly again: { readonly asked: true };
}

/** On the socket `interlock`, from the agent; answered by a `ServiceReply` with the same number. */
export interface ServiceQuestion {
  readonly question: number;
  readonly may: 'fetch' | 'activate' | 'reboot';
  readonly release: ServiceRelease;
}

export interface ServiceReply {
  readonly question: number;
  readonly allowed: boolean;
  readonly reason?: string;
}

export interface ServiceNews {
  readonly news: 'trial' | 'confirmed' | 'rolled-back' | 'called-off' | 'overdue';
  readonly release: ServiceRelease;
}
