/**
 * Leave to fetch, activate or restart now: windows, the operator's consent, the device's own interlock.
 *
 * Keeps true: every answer but a clear yes is a no - a hook that fails or throws included (REQ-OTA-POL-06); of the
 * device's window and the assignment's both must be open; consent is asked before activation, never before fetching.
 */
import type { ApprovedRelease, UtcSeconds } from '@airlock/trust';
import { messageOf } from './core/operating-error.ts';
import { inWindows } from './core/schedule.ts';
import type { AgentPorts, AgentSettings } from './settings.ts';

export type Leave =
  | { readonly granted: true }
  /** `by`: what is waited for; the same one is logged once. */
  | { readonly granted: false; readonly by: string; readonly reason: string };

export async function askLeave(
  context: { readonly ports: AgentPorts; readonly settings: AgentSettings; readonly now: UtcSeconds },
  what: 'fetch' | 'activate' | 'reboot',
  release: ApprovedRelease,
): Promise<Leave> {
  const { ports, settings, now } = context;
  const { version, name } = release.manifest;
  if (!inWindows(now, settings.timeZone, [settings.window, release.assignment.window])) {
    return { granted: false, by: 'window', reason: 'outside the update window' };
  }
  try {
    const answer = await ports.interlock.allows(what, { version, name });
    if (!answer.allowed) return { granted: false, by: `interlock ${what}`, reason: answer.reason };
    if (what !== 'activate' || !release.assignment.consentRequired) return { granted: true };
    return (await ports.interlock.consents({ version, name }))
      ? { granted: true }
      : { granted: false, by: 'consent', reason: 'the operator has not consented' };
  } catch (error) {
    return { granted: false, by: `interlock ${what}`, reason: `the interlock failed: ${messageOf(error)}` };
  }
}
