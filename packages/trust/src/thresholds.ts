/** Reading sets of functions with their thresholds: in a policy, in the root's minimum and in a manifest. */
import type { Field } from './fields.ts';
import { trustLimits } from './limits.ts';
import type { FunctionThresholds, SafetyClass } from './types.ts';

const safetyClasses = ['A', 'B', 'C'] as const;

export function readSafetyClass(field: Field): SafetyClass {
  return field.choice(safetyClasses);
}

/** `{"engineering":1,"quality":2}`: names by pattern, thresholds from 1, at least `functionsMin` of them. */
export function readThresholds(field: Field, functionsMin = 0): FunctionThresholds {
  const entries = field.entries(trustLimits.functionsMax);
  if (entries.length < functionsMin) field.refuse(`must name at least ${functionsMin} functions`);
  return Object.fromEntries(
    entries.map(([name, threshold]) => [
      threshold.named(name),
      threshold.integer(1, trustLimits.keysPerRoleMax),
    ]),
  );
}

/** `classes` and `markets` of a policy or a minimum; each class named must ask `functionsPerClassMin` functions. */
export function readClassesAndMarkets(
  field: Field,
  functionsPerClassMin: number,
): {
  readonly classes: Readonly<Partial<Record<SafetyClass, FunctionThresholds>>>;
  readonly markets: Readonly<Record<string, FunctionThresholds>>;
} {
  const classes = field.at('classes');
  classes.object(safetyClasses);
  const found: Partial<Record<SafetyClass, FunctionThresholds>> = {};
  for (const safetyClass of safetyClasses) {
    const entry = classes.optional(safetyClass);
    if (entry !== undefined) found[safetyClass] = readThresholds(entry, functionsPerClassMin);
  }
  const markets = field
    .at('markets')
    .entries(trustLimits.marketsMax)
    .map(([name, entry]): [string, FunctionThresholds] => [entry.named(name), readThresholds(entry)]);
  return { classes: found, markets: Object.fromEntries(markets) };
}
