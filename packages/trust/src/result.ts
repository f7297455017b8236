/**
 * Results and failures: how every package says "no" without throwing.
 *
 * Operating errors (bad input, bad signature, full disk) are values with a code from one table.
 * Programmer errors throw. This file knows no code itself; each package keeps its own table.
 */

/** Why something was refused. `code` stands in an error table; `field` is the path inside the input. */
export interface Failure {
  readonly code: string;
  /** One plain sentence: what was found and what was expected. Never a secret. */
  readonly message: string;
  /** Path of the offending field, such as `images[0].len`, or the name of the file. */
  readonly field?: string;
}

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: Failure };

export function ok<T>(value: T): Result<T> {
  return { ok: true, value };
}

export function fail(code: string, message: string, field?: string): { ok: false; error: Failure } {
  return { ok: false, error: field === undefined ? { code, message } : { code, message, field } };
}

/** One row of an error table: what people read in docs/errors.md, and where the decision is made. */
export interface ErrorEntry {
  /** What happened, in plain words. */
  readonly summary: string;
  /** What a person can do about it. */
  readonly remedy: string;
  /** `path/to/file.ts#function` that decides it; a test checks that the function is there and names the code. */
  readonly decidedIn: string;
  /** HTTP status when an API answers with it. */
  readonly httpStatus?: number;
}

export type ErrorTable = Readonly<Record<string, ErrorEntry>>;

/** Seconds since 1970-01-01T00:00:00Z. Trust never reads a clock; it is always given one of these. */
export type UtcSeconds = number;
