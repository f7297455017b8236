/**
 * How a command stops: a failed Result is carried to the one place that prints it.
 *
 * Commands are wiring: twenty steps, each of which may refuse. Decisions are made in functions that give back a
 * `Result`; `need` takes the value out or stops the command, and only `runAirlock` catches the stop. A stop always
 * carries a code of an error table; anything else that is thrown is a programmer's error.
 */
import { type Failure, fail, type Result } from '@airlock/trust';

/** The reason why a command ended early. */
export class Stop extends Error {
  readonly failure: Failure;
  constructor(failure: Failure) {
    super(failure.message);
    this.name = 'Stop';
    this.failure = failure;
  }
}

/** The value of a Result; stops the command with its failure otherwise. */
export function need<T>(result: Result<T>, field?: string): T {
  if (result.ok) return result.value;
  const { error } = result;
  throw new Stop(field !== undefined && error.field === undefined ? { ...error, field } : error);
}

/** Stops the command. `field` names the option, the file or the field inside it. */
export function stop(code: string, message: string, field?: string): never {
  throw new Stop(fail(code, message, field).error);
}

/** What an operation on files or sockets threw: its system code (`ENOENT`), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
