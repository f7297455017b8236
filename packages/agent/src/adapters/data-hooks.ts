/**
 * The DataGuard port: the integrator's hooks that keep application data readable on both sides of an update.
 *
 * Each hook is called as `COMMAND ATTEMPT FROM TO` (attempt id, version before, version after), must be idempotent,
 * and succeeds only by exit code 0 within the time limit. Absent hooks succeed: then `present` is false, and trust
 * refuses releases whose data the fallback could not read.
 */
import type { DataContext, DataGuard } from '../ports/platform.ts';
import { failureOf, runProgram } from './programs.ts';

export interface DataHookPrograms {
  readonly prepare: readonly string[];
  readonly commit: readonly string[];
  readonly revert: readonly string[];
  readonly timeLimitSeconds: number;
}

/** `tell` gets one line when a hook failed: the port itself answers yes or no only. */
export function programDataGuard(
  programs: DataHookPrograms | undefined,
  tell: (line: string) => void,
): DataGuard {
  const hook = async (name: 'prepare' | 'commit' | 'revert', context: DataContext): Promise<boolean> => {
    if (programs === undefined) return true;
    const { timeLimitSeconds } = programs;
    const versions = [String(context.fromVersion), String(context.toVersion)];
    const outcome = await runProgram({
      command: [...programs[name], context.attempt, ...versions],
      timeLimitSeconds,
    });
    const failure = failureOf(outcome, timeLimitSeconds);
    if (failure !== undefined) tell(`data hook ${name} ${failure}`);
    return failure === undefined;
  };
  return {
    present: programs !== undefined,
    prepare: async (context) => await hook('prepare', context),
    commit: async (context) => await hook('commit', context),
    revert: async (context) => await hook('revert', context),
  };
}
