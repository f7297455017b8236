/**
 * Whether a policy and the delegations of `targets` hold what the minimum in the root asks, for every class and market.
 *
 * A device computes its own demand, as a union in which the minimum always stands (demand.ts): a lower policy lowers
 * nothing. This is the same rule said early, over the whole policy, by whoever is about to sign or publish it - so that
 * no policy is in force that says less than what is demanded, and none whose demand nobody could meet (POL-09).
 */
import { checkOffered } from './demand.ts';
import { fail, ok, type Failure, type Result } from './result.ts';
import type { FunctionThresholds, Minimum, Policy } from './types.ts';

interface Sets {
  /** `class C`, `market us`. */
  readonly subject: string;
  readonly minimum: FunctionThresholds | undefined;
  readonly policy: FunctionThresholds | undefined;
}

/**
 * A class or market may stand in the minimum alone, as long as it is not open yet; never in the policy alone, where
 * only the signers of policies would stand behind it. Errors: `OTA_BELOW_MINIMUM`, `OTA_DEMAND_UNKNOWN`.
 */
export function checkMinimumMet(
  minimum: Minimum,
  policy: Pick<Policy, 'classes' | 'markets' | 'emergency'>,
  offered: ReadonlyMap<string, { readonly threshold: number }>,
): Result<true> {
  for (const sets of allSets(minimum, policy)) {
    for (const set of [sets.minimum, sets.policy]) {
      const met = checkSet(sets.subject, set ?? {}, offered);
      if (!met.ok) return met;
    }
    const above = checkAbove(sets);
    if (!above.ok) return above;
  }
  return checkSet('emergencies', policy.emergency ?? {}, offered);
}

function allSets(minimum: Minimum, policy: Pick<Policy, 'classes' | 'markets'>): Sets[] {
  const classes = (['A', 'B', 'C'] as const).map((letter) => ({
    subject: `class ${letter}`,
    minimum: minimum.classes[letter],
    policy: policy.classes[letter],
  }));
  const least = new Map(Object.entries(minimum.markets));
  const asked = new Map(Object.entries(policy.markets));
  const markets = [...new Set([...least.keys(), ...asked.keys()])].map((market) => ({
    subject: `market ${market}`,
    minimum: least.get(market),
    policy: asked.get(market),
  }));
  return [...classes, ...markets];
}

function checkAbove({ subject, minimum, policy }: Sets): Result<true> {
  if (policy === undefined) return ok(true);
  if (minimum === undefined) {
    const message = `the policy names ${subject}, of which the root's minimum knows nothing: devices would refuse all of it`;
    return fail('OTA_DEMAND_UNKNOWN', message, subject);
  }
  for (const [name, least] of Object.entries(minimum)) {
    const asked = Object.hasOwn(policy, name) ? (policy[name] ?? 0) : 0;
    if (asked >= least) continue;
    return below(
      `the policy asks ${asked} of ${name} for ${subject}, the root's minimum asks ${least}`,
      subject,
    );
  }
  return ok(true);
}

function checkSet(
  subject: string,
  set: FunctionThresholds,
  offered: ReadonlyMap<string, { readonly threshold: number }>,
): Result<true> {
  const met = checkOffered(set, offered);
  if (met.ok) return met;
  const { code, message, field } = met.error;
  return fail(code, `for ${subject}: ${message}`, field);
}

function below(message: string, field: string): { ok: false; error: Failure } {
  return fail('OTA_BELOW_MINIMUM', message, field);
}
