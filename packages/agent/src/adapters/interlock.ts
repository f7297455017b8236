/**
 * The Interlock port: asks the device's own software whether an update may go on now (REQ-OTA-POL-06).
 *
 * The program is called as `COMMAND fetch|activate|reboot|consent VERSION NAME`, with the manifest's SHA-256, urgency and
 * deadline as variables. Exit code 0 is a yes. Everything else - another code, a crash, a hang, a program that is
 * missing - is a no, with the first line of its output as the reason: a pump in use must not restart because its
 * interlock is broken. To `consent` a yes prints the operator's id as its first line; without one it is a no, since
 * nobody consented.
 * It is told `COMMAND trial|confirmed|rolled-back|called-off|overdue VERSION NAME` as well: exit code 0 means that it
 * took note, and anything else is an error that the agent logs and that blocks nothing.
 * `none` is the integrator's explicit word that the device may be updated at any time. It allows every step, but
 * consents to nothing: with nobody to ask, an operator's consent cannot be had. There is nobody to tell either.
 */
import { operatorForm } from '../core/consent.ts';
import { messageOf } from '../core/operating-error.ts';
import type { Interlock, ReleaseBrief } from '../ports/platform.ts';
import { failureOf, firstLine, runProgram, type ProgramOutcome } from './programs.ts';

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
      allows: async () => ({ allowed: true, by: 'no interlock configured' }),
      consents: async () => undefined,
      tell: async () => undefined,
    };
  }
  const { command, timeLimitSeconds } = program;
  const run = async (what: string, release: ReleaseBrief): Promise<ProgramOutcome> =>
    await runProgram({
      command: [...command, what, String(release.version), release.name],
      timeLimitSeconds,
      variables: variablesOf(release),
    });
  const ask = async (what: string, release: ReleaseBrief): Promise<string | undefined> =>
    failureOf(await run(what, release), timeLimitSeconds);
  return {
    allows: async (what, release) => {
      const reason = await ask(what, release);
      const by = 'interlock program';
      return reason === undefined
        ? { allowed: true, by }
        : { allowed: false, by, reason: `interlock: ${reason}` };
    },
    tell: async (news, release) => {
      const reason = await ask(news, release);
      if (reason !== undefined) throw new InterlockError(`the interlock ${reason}`);
    },
    consents: async (release) => {
      const outcome = await run('consent', release);
      if (outcome.kind !== 'exited' || outcome.code !== 0) return undefined;
      const operator = firstLine(outcome.stdout);
      return operatorForm.test(operator) ? { operator, by: 'interlock program' } : undefined;
    },
  };
}

function variablesOf({ manifestSha256, urgency, emergency }: ReleaseBrief): Readonly<Record<string, string>> {
  return {
    AIRLOCK_MANIFEST_SHA256: manifestSha256,
    AIRLOCK_URGENCY: urgency.level,
    ...(urgency.deadline === undefined ? {} : { AIRLOCK_DEADLINE: urgency.deadline }),
    ...(emergency === undefined ? {} : { AIRLOCK_EMERGENCY: 'yes' }),
  };
}

/** Where more than one is configured: all are asked, one after the other, and every one must say yes. */
export function everyInterlock(
  interlocks: readonly Pick<Interlock, 'allows' | 'tell'>[],
): Pick<Interlock, 'allows' | 'tell'> {
  return {
    allows: async (what, release) => {
      const by: string[] = [];
      for (const interlock of interlocks) {
        const answer = await interlock.allows(what, release);
        if (!answer.allowed) return answer;
        if (answer.by !== undefined) by.push(answer.by);
      }
      return { allowed: true, by: by.join(', ') };
    },
    tell: async (news, release) => {
      const faults: string[] = [];
      for (const interlock of interlocks)
        await interlock.tell(news, release).catch((error: unknown) => faults.push(messageOf(error)));
      if (faults.length > 0) throw new InterlockError(faults.join('; '));
    },
  };
}
