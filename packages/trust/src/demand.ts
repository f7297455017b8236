/**
 * Demand: which functions must have approved a release before this device may install it, and with which threshold.
 *
 * Keeps true: demand = minimum in the root ∪ policy for the class ∪ policy for the market ∪ what the manifest adds;
 * nobody below the root can lower the minimum; every class asks at least two functions, so that no author approves
 * alone. An unknown class, market or function is refused, never read as "nothing is asked".
 * Leaves to others: whether the functions did approve (agreement.ts), who holds their keys (separation.ts).
 */
import { fail, ok, type Failure, type Result } from './result.ts';
import type { DeviceRecord, FunctionThresholds, Manifest, Minimum, Policy } from './types.ts';

/** Fewer would let the author of a release approve it alone. */
const functionsPerClassMin = 2;

export interface Demand {
  /** Function name to the threshold that its delegation must have at least. */
  readonly functions: FunctionThresholds;
  /** True when the policy's emergency set stood in for class and market. */
  readonly emergency: boolean;
}

/**
 * The demand for one manifest on one device. The manifest is verified by hash but not yet approved: it can only add.
 *
 * The class and the market must stand in both the root's minimum and the policy; otherwise whoever signs policies
 * could move devices to a market of which the root knows nothing. Errors: `OTA_WRONG_CLASS`, `OTA_DEMAND_UNKNOWN`,
 * `OTA_BELOW_MINIMUM`.
 */
export function computeDemand(input: {
  readonly minimum: Minimum;
  readonly policy: Policy;
  readonly record: DeviceRecord;
  readonly manifest: Manifest;
}): Result<Demand> {
  const { minimum, policy, record, manifest } = input;
  if (manifest.safetyClass !== record.safetyClass) {
    return fail(
      'OTA_WRONG_CLASS',
      `the manifest is for safety class ${manifest.safetyClass}, this device is class ${record.safetyClass}`,
      'safetyClass',
    );
  }
  const minimumClass = minimum.classes[record.safetyClass];
  const policyClass = policy.classes[record.safetyClass];
  if (minimumClass === undefined) return unknown('class', record.safetyClass, "the root's minimum");
  if (policyClass === undefined) return unknown('class', record.safetyClass, 'the policy');
  const minimumMarket = own(minimum.markets, record.market);
  const policyMarket = own(policy.markets, record.market);
  if (minimumMarket === undefined) return unknown('market', record.market, "the root's minimum");
  if (policyMarket === undefined) return unknown('market', record.market, 'the policy');

  const emergency = manifest.emergency && record.emergencyAllowed && policy.emergency !== undefined;
  const company = emergency ? [policy.emergency ?? {}] : [policyClass, policyMarket];
  const functions = union([minimumClass, minimumMarket, ...company, manifest.demand]);
  // parsePolicy asks two functions of every class and of the emergency set; whoever hands in another policy is stopped.
  if (functions.size < functionsPerClassMin) {
    return fail(
      'OTA_BELOW_MINIMUM',
      `this release asks ${functions.size} function(s), at least ${functionsPerClassMin} must approve`,
    );
  }
  return ok({ functions: Object.fromEntries([...functions].sort(byName)), emergency });
}

/**
 * The delegations that `targets` offers must be able to meet the demand: each function there, its threshold at
 * least the one demanded. tuf-js has counted signatures against the delegation's own threshold only.
 * Errors: `OTA_DEMAND_UNKNOWN`, `OTA_BELOW_MINIMUM`.
 */
export function checkOffered(
  demand: FunctionThresholds,
  offered: ReadonlyMap<string, { readonly threshold: number }>,
): Result<true> {
  for (const [name, threshold] of Object.entries(demand)) {
    const delegation = offered.get(name);
    if (delegation === undefined) {
      return fail(
        'OTA_DEMAND_UNKNOWN',
        `function ${name} is demanded, but targets does not delegate to it`,
        name,
      );
    }
    if (delegation.threshold < threshold) {
      return fail(
        'OTA_BELOW_MINIMUM',
        `function ${name} must be signed by ${threshold} keys, but targets asks ${delegation.threshold}`,
        name,
      );
    }
  }
  return ok(true);
}

/** The highest threshold wins where two sets name the same function. */
function union(sets: readonly FunctionThresholds[]): Map<string, number> {
  const joined = new Map<string, number>();
  for (const set of sets) {
    for (const [name, threshold] of Object.entries(set)) {
      joined.set(name, Math.max(threshold, joined.get(name) ?? 0));
    }
  }
  return joined;
}

/** A market named `constructor` must not be found on the prototype. */
function own(
  sets: Readonly<Record<string, FunctionThresholds>>,
  name: string,
): FunctionThresholds | undefined {
  return Object.hasOwn(sets, name) ? sets[name] : undefined;
}

function unknown(kind: string, name: string, place: string): { ok: false; error: Failure } {
  return fail('OTA_DEMAND_UNKNOWN', `${kind} ${name} of the device record is not known to ${place}`, kind);
}

function byName(a: readonly [string, number], b: readonly [string, number]): number {
  return a[0] < b[0] ? -1 : 1;
}
