/**
 * The Interlock port: asks the device's own software whether an update may go on now (REQ-OTA-POL-06).
 *
 * The program is called as `COMMAND fetch|activate|reboot|consent VERSION NAME`. Exit code 0 is a yes. Everything
 * else - another code, a crash, a hang, a program that is missing - is a no, with the first line of its output as the
 * reason: a pump in use must not restart because its interlock is broken.
 * It is told `COMMAND trial|confirmed|rolled-back VERSION NAME` as well: exit code 0 means that it took note, and anything
 * else is an error that the agent logs and that blocks nothing.
 * `none` is the integrator's explicit word that the device may be updated at any time. It allows every step, but
 * consents to nothing: with nobody to ask, an operator's consent cannot be had. There is nobody to tell either.
 */
import type { Interlock } from '../ports/platform.ts';
import { failureOf, runProgram } from './programs.ts';

export interface InterlockProgram {
  readonly command: readonly string[];
  readonly timeLimitSeconds: number;
}

/** Thrown when the interlock did not take note of what it was told. */
export class InterlockError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InterlockError';
  }
}

export function programInterlock(program: InterlockProgram | 'none'): Interlock {
  if (program === 'none') {
    return {
      allows: async () => ({ allowed: true }),
      consents: async () => false,
      tell: async () => undefined,
    };
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
    tell: async (news, release) => {
      const reason = await ask(news, release);
      if (reason !== undefined) throw new InterlockError(`the interlock ${reason}`);
    },
    consents: async (release) => (await ask('consent', release)) === undefined,
  };
}
