/**
 * Leave to fetch, activate or restart now: windows, the device's own interlock, the operator's consent.
 *
 * Keeps true: every answer but a clear yes is a no - one that fails, throws or does not come included (REQ-OTA-POL-06);
 * of the device's window and the assignment's both must be open; consent is asked for activating and restarting, never
 * for fetching, where either the device or the assignment wants it. Who said what is part of the answer. Whether it is
 * worth telling is `executor-waiting.ts`'s.
 */
import type { ApprovedRelease, UtcSeconds } from '@airlock/trust';
import type { Deferrer } from './core/deferral.ts';
import { messageOf } from './core/operating-error.ts';
import { inWindows, nextOpening } from './core/windows.ts';
import { briefOf } from './executor-interlock.ts';
import type { ReleaseBrief } from './ports/platform.ts';
import type { AgentPorts, AgentSettings } from './settings.ts';

export type Leave =
  /** `by`: who and what said yes, in words for the log. */
  | { readonly granted: true; readonly by: readonly string[] }
  /** `by`: what is waited for; the same one is logged once. */
  | {
      readonly granted: false;
      readonly by: string;
      readonly deferrer?: Deferrer;
      readonly reason: string;
      /** When it is worth asking again, where that is known. */
      readonly opens?: UtcSeconds;
    };

export type Step = 'fetch' | 'activate' | 'reboot';

export interface LeaveContext {
  readonly ports: Pick<AgentPorts, 'interlock' | 'clock'>;
  readonly settings: Pick<
    AgentSettings,
    'timeZone' | 'window' | 'consentRequired' | 'interlockSecondsMax' | 'tuning'
  >;
  readonly now: UtcSeconds;
  /** Shorter than the interlock's own limit: the group is armed meanwhile. */
  readonly secondsMax?: number;
}

/** The port keeps the integrator's limit itself; one that hangs all the same is given so much more. */
const hangSecondsMax = 30;
/** The longest limit that a configuration may give a program. */
const interlockSecondsDefault = 3600;

export async function askLeave(context: LeaveContext, what: Step, release: ApprovedRelease): Promise<Leave> {
  const closed = windowLeave(context, release);
  if (!closed.granted) return closed;
  const brief = briefOf(
    { version: release.manifest.version, manifestSha256: release.manifestSha256 },
    release.manifest,
  );
  const interlock = await interlockLeave(context, what, brief);
  if (!interlock.granted) return interlock;
  const wanted = context.settings.consentRequired === true || release.assignment.consentRequired;
  if (what === 'fetch' || !wanted) return { granted: true, by: [...closed.by, ...interlock.by] };
  const consent = await consentLeave(context, brief);
  return consent.granted ? { granted: true, by: [...closed.by, ...interlock.by, ...consent.by] } : consent;
}

function windowLeave({ settings, now }: LeaveContext, { assignment }: ApprovedRelease): Leave {
  const windows = [settings.window, assignment.window];
  if (windows.every((window) => window === undefined)) return { granted: true, by: [] };
  if (inWindows(now, settings.timeZone, windows)) return { granted: true, by: ['the window is open'] };
  const opens = nextOpening(now, settings.timeZone, windows);
  return {
    granted: false,
    by: 'window',
    deferrer: 'window',
    reason: 'outside the update window',
    ...(opens === undefined ? {} : { opens }),
  };
}

async function interlockLeave(context: LeaveContext, what: Step, brief: ReleaseBrief): Promise<Leave> {
  const refused = (reason: string): Leave => ({
    granted: false,
    by: `interlock ${what}`,
    deferrer: 'interlock',
    reason,
  });
  try {
    const answer = await inTime(context, () => context.ports.interlock.allows(what, brief));
    if (answer === undefined) return refused('the interlock did not answer in time');
    if (!answer.allowed) return refused(answer.reason);
    return { granted: true, by: [answer.by ?? 'interlock'] };
  } catch (error) {
    return refused(`the interlock failed: ${messageOf(error)}`);
  }
}

async function consentLeave(context: LeaveContext, brief: ReleaseBrief): Promise<Leave> {
  const refused = (reason: string): Leave => ({ granted: false, by: 'consent', deferrer: 'consent', reason });
  try {
    const answer = await inTime(
      context,
      async () => [await context.ports.interlock.consents(brief)] as const,
    );
    if (answer === undefined) return refused('the question for consent was not answered in time');
    const [consent] = answer;
    if (consent === undefined) return refused('the operator has not consented');
    const by = consent.by === undefined ? '' : ` by ${consent.by}`;
    return { granted: true, by: [`operator ${consent.operator}${by}`] };
  } catch (error) {
    return refused(`the question for consent failed: ${messageOf(error)}`);
  }
}

/** undefined: no answer came in time, which is a no. */
async function inTime<T>(context: LeaveContext, ask: () => Promise<T>): Promise<T | undefined> {
  const { ports, settings, secondsMax } = context;
  const limit = secondsMax ?? (settings.interlockSecondsMax ?? interlockSecondsDefault) + hangSecondsMax;
  const calledOff = new AbortController();
  try {
    return await Promise.race([
      ask(),
      ports.clock.sleep(1000 * limit, calledOff.signal).then(() => undefined),
    ]);
  } finally {
    calledOff.abort();
  }
}
