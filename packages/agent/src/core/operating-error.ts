/**
 * Tells faults of the world from faults of the program, where a port may throw either.
 *
 * A port throws Errors for what a medium, a program or a platform does; TypeError, RangeError and ReferenceError are
 * a programmer's and go on up, so that no defect is ever reported as a broken disk.
 */

/** The message of an operating error. Throws the given error when it is a programmer's. */
export function messageOf(error: unknown): string {
  const programmers =
    error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  if (programmers || !(error instanceof Error)) throw error;
  return error.message;
}
