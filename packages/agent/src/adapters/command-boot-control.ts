/**
 * Boot control by an integrator's command, for boot loaders that the agent does not know itself.
 *
 * The command is called with one of `read`, `disarm G`, `arm G N`, `confirm G` behind its own arguments; G is a group
 * letter. Exit code 0 means: done, and durable, in one atomic step. `read` prints JSON:
 * `{"order":["A","B"],"trial":"B","left":{"A":16,"B":3}}`, where `trial` may be absent.
 * Whatever cannot be read strictly counts as unreadable: a guess about the boot order could arm a half-written group.
 */
import type { GroupLetter } from '@airlock/trust';
import type { BootControl, BootControlState } from '../ports/boot-control.ts';
import { failureOf, runProgram } from './programs.ts';

export interface CommandBootControlOptions {
  readonly command: readonly string[];
  readonly tries: 'counted' | 'one-shot';
  readonly armingSurvivesPowerOff: boolean;
  readonly confirmedStarts?: number;
  readonly timeLimitSeconds: number;
}

/** Thrown when the command for `disarm`, `arm` or `confirm` did not succeed: the step is not done. */
class BootControlError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BootControlError';
  }
}

/** Tries and starts are small numbers everywhere; a larger one is a broken answer. */
const countMax = 1_000_000;

export function commandBootControl(options: CommandBootControlOptions): BootControl {
  const call = async (...words: string[]): Promise<string> => {
    const outcome = await runProgram({
      command: [...options.command, ...words],
      timeLimitSeconds: options.timeLimitSeconds,
    });
    const failure = failureOf(outcome, options.timeLimitSeconds);
    if (failure !== undefined) throw new BootControlError(`boot control \`${words.join(' ')}\` ${failure}`);
    return outcome.kind === 'exited' ? outcome.stdout : '';
  };
  return {
    tries: options.tries,
    armingSurvivesPowerOff: options.armingSurvivesPowerOff,
    ...(options.confirmedStarts === undefined ? {} : { confirmedStarts: options.confirmedStarts }),
    read: async () => {
      try {
        return parseBootControlState(await call('read'));
      } catch (error) {
        if (error instanceof BootControlError) return undefined;
        throw error;
      }
    },
    disarm: async (group) => {
      await call('disarm', group);
    },
    arm: async (group, tries) => {
      await call('arm', group, String(tries));
    },
    confirm: async (group) => {
      await call('confirm', group);
    },
  };
}

/** Parses what `read` printed; undefined when it is not exactly a state. */
export function parseBootControlState(text: string): BootControlState | undefined {
  const value = parseJsonObject(text);
  if (value === undefined) return undefined;
  const { order, trial, left, ...others } = value;
  if (Object.keys(others).length > 0) return undefined;
  if (!Array.isArray(order) || !order.every(isGroup) || new Set(order).size !== order.length)
    return undefined;
  if (trial !== undefined && !isGroup(trial)) return undefined;
  const counts = parseCounts(left);
  if (counts === undefined) return undefined;
  return { order, left: counts, ...(trial === undefined ? {} : { trial }) };
}

function parseCounts(left: unknown): Partial<Record<GroupLetter, number>> | undefined {
  if (left === undefined) return {};
  if (typeof left !== 'object' || left === null || Array.isArray(left)) return undefined;
  const counts: Partial<Record<GroupLetter, number>> = {};
  for (const [group, count] of Object.entries(left) as [string, unknown][]) {
    if (!isGroup(group)) return undefined;
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > countMax)
      return undefined;
    counts[group] = count;
  }
  return counts;
}

function isGroup(value: unknown): value is GroupLetter {
  return value === 'A' || value === 'B';
}

function parseJsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return value as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
