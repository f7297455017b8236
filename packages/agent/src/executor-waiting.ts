/**
 * What a release waits for, told to log, server and the device's own software: once for each change of the answer.
 *
 * Keeps true: a no and a yes are logged with who or what said so, not at every poll; deferring past the deadline of a
 * manifest is escalated (`OTA_DEFERRED_PAST_DEADLINE`), once for each that defers, and forces nothing. Telling decides
 * nothing. What may go on is `executor-leave.ts`'s.
 */
import type { DeviceCode, LogFacts, ReportedWaiting } from '@airlock/protocol';
import type { ApprovedRelease, UtcSeconds } from '@airlock/trust';
import { isOverdue, type Waiting as WaitingFor } from './core/deferral.ts';
import { messageOf } from './core/operating-error.ts';
import { briefOf } from './executor-interlock.ts';
import type { Leave } from './executor-leave.ts';
import type { Interlock } from './ports/platform.ts';

export interface WaitingContext {
  readonly interlock: Interlock;
  now(): UtcSeconds;
  note(code: DeviceCode, reason: string, facts?: LogFacts): Promise<void>;
}

type Refused = Extract<Leave, { granted: false }>;
type Granted = Extract<Leave, { granted: true }>;

export class Waiting {
  readonly #context: WaitingContext;
  /** The answer that was told last. */
  #told = '';
  #waiting: WaitingFor | undefined;
  #release: ApprovedRelease | undefined;
  /** `<manifest> <who defers>`, told as overdue in this start. */
  readonly #overdueTold = new Set<string>();
  #opens: UtcSeconds | undefined;

  constructor(context: WaitingContext) {
    this.#context = context;
  }

  /** A no: told when it is another one than the last answer. `told`: somebody else told it already. */
  async defer(leave: Refused, release: ApprovedRelease | undefined, told = false): Promise<void> {
    const context = this.#context;
    const { by, deferrer, reason } = leave;
    const isNews = this.#told !== by;
    this.#told = by;
    this.#opens = leave.opens;
    this.#release = release;
    const overdue = release !== undefined && isOverdue(deferrer, release.manifest, context.now());
    const before = this.#waiting;
    this.#waiting =
      isNews || before === undefined
        ? { by, deferrer, reason, since: context.now(), overdue }
        : { ...before, overdue };
    const version = release === undefined ? {} : { version: release.manifest.version };
    const facts = deferrer === undefined ? {} : { answer: 'no', by, ...version };
    if (isNews && !told) await context.note('OTA_WAITING', reason, facts);
    if (overdue && deferrer !== undefined) await this.#escalate(release, deferrer, reason);
  }

  /** A yes: told when it was not the last answer, with everybody who said so. */
  async allow(what: 'fetch' | 'activate', leave: Granted, version: number): Promise<void> {
    const answer = `${what}: ${leave.by.join(', ')}`;
    this.#waiting = undefined;
    this.#opens = undefined;
    if (this.#told === answer) return;
    this.#told = answer;
    await this.#context.note('OTA_ALLOWED', answer, { answer: 'yes', by: leave.by.join(', '), version });
  }

  /** Nothing waits any more: what is met next is news again. */
  over(): void {
    this.#told = '';
    this.#waiting = undefined;
    this.#opens = undefined;
  }

  /** When a closed window opens, if it is that. */
  opens(): UtcSeconds | undefined {
    return this.#opens;
  }

  /** As status and report say it. */
  view(): ReportedWaiting | undefined {
    const waiting = this.#waiting;
    if (waiting === undefined) return undefined;
    const { by, reason, since, overdue } = waiting;
    const manifest = this.#release?.manifest;
    if (manifest === undefined) return { by, reason, since, overdue };
    const { version, urgency, emergency } = manifest;
    const { level, deadline } = urgency;
    return {
      by,
      reason,
      since,
      overdue,
      version,
      urgency: level,
      ...(deadline === undefined ? {} : { deadline }),
      ...(emergency ? { emergency } : {}),
    };
  }

  async #escalate(
    { manifest, manifestSha256 }: ApprovedRelease,
    deferrer: string,
    reason: string,
  ): Promise<void> {
    const what = `${manifestSha256} ${deferrer}`;
    if (this.#overdueTold.has(what)) return;
    this.#overdueTold.add(what);
    const context = this.#context;
    const { version, urgency } = manifest;
    await context.note(
      'OTA_DEFERRED_PAST_DEADLINE',
      `version ${version} (${urgency.level}) was due ${urgency.deadline ?? ''}; ${deferrer}: ${reason}`,
      { by: deferrer },
    );
    try {
      await context.interlock.tell('overdue', briefOf({ version, manifestSha256 }, manifest));
    } catch (error) {
      await context.note('OTA_INTERLOCK_NOT_TOLD', `overdue ${version}: ${messageOf(error)}`);
    }
  }
}
