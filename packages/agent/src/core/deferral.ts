/**
 * What an attempt waits for, and when waiting is worth an alarm: what was answered, by whom, and since when.
 *
 * Pure. Keeps true: an answer is told when it changes and not at every poll; a release with a deadline that is past is
 * escalated once for each that defers it, and never forced - nothing here says that anything may go on.
 */
import { parseInstant, type Manifest, type UtcSeconds } from '@airlock/trust';

/** What defers a release that could go on. Back-off and metadata that cannot be judged are no decisions of anybody's. */
export type Deferrer = 'window' | 'interlock' | 'consent';

export interface Waiting {
  /** `window`, `interlock fetch`, `consent`, `back-off`, `verdict`: the same one is told once. */
  readonly by: string;
  readonly deferrer: Deferrer | undefined;
  readonly reason: string;
  readonly since: UtcSeconds;
  readonly overdue: boolean;
}

/** The moment after which deferring is escalated; undefined: never. */
function deadlineOf({ urgency }: Pick<Manifest, 'urgency'>): UtcSeconds | undefined {
  return urgency.deadline === undefined ? undefined : parseInstant(urgency.deadline);
}

export function isOverdue(
  deferrer: Deferrer | undefined,
  manifest: Pick<Manifest, 'urgency'>,
  now: UtcSeconds,
): boolean {
  const deadline = deadlineOf(manifest);
  return deferrer !== undefined && deadline !== undefined && now >= deadline;
}
