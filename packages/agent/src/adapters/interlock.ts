/**
 * The Interlock port: asks the device's own software whether an update may go on now (REQ-OTA-POL-06).
 *
 * The program is called as `COMMAND fetch|activate|reboot|consent VERSION NAME`. Exit code 0 is a yes. Everything
 * else - another code, a crash, a hang, a program that is missing - is a no, with the first line of its output as the
 * reason: a pump in use must not restart because its interlock is broken.
 * `none` is the integrator's explicit word that the device may be updated at any time. It allows every step, but
 * consents to nothing: with nobody to ask, an operator's consent cannot be had.
 */
import type { Interlock } from '../ports/platform.ts';
import { failureOf, runProgram } from './programs.ts';

export interface InterlockProgram {
  readonly command: readonly string[];
  readonly timeLimitSeconds: number;
}

export function programInterlock(program: InterlockProgram | 'none'): Interlock {
  if (program === 'none') {
    return { allows: async () => ({ allowed: true }), consents: async () => false };
  }
  const ask = async (
    what: string,
    release: { version: number; name: string },
  ): Promise<string | undefined> => {
    const { command, timeLimitSeconds } = program;
    const outcome = await runProgram({
      command: [...command, what, String(release.version), release.name],
      timeLimitSeconds,
    });
    return failureOf(outcome, timeLimitSeconds);
  };
  return {
    allows: async (what, release) => {
      const reason = await ask(what, release);
      return reason === undefined ? { allowed: true } : { allowed: false, reason: `interlock: ${reason}` };
    },
    consents: async (release) => (await ask('consent', release)) === undefined,
  };
}
