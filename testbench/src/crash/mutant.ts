/** What a planted defect is. Which there are, `mutants.ts` says; how one is hunted, `hunt.ts`. */
import type { SourceChange } from './agent-sources.ts';

export interface Mutant {
  readonly name: string;
  readonly changes: readonly SourceChange[];
  /** Scenarios to try first, and whether faults of the medium are needed. */
  readonly scenarios: readonly string[];
  readonly faults?: true;
  /** States of those scenarios that are booted, where the way to the defect is long. */
  readonly statesMax?: number;
}

/** One change in one place. */
export const one = (file: string, find: string, replace: string): readonly SourceChange[] => [
  { file, find, replace },
];
