/**
 * The set of an image repository that authorises installs: `targets`, the policy, and every function's own role.
 *
 * Keeps true: an approval counts only if it stands in the function's own role, loaded as a direct child of `targets`;
 * a function whose role is missing, broken or expired stops only what demands it, the others still load; what a
 * function listed before and lists no longer is withdrawn on this device for good.
 * Leaves to others: the form of roles and delegations (read.ts), keys and holders (separation.ts), whether a release
 * is approved (agreement.ts).
 */
import { Buffer } from 'node:buffer';
import { trustLimits } from './limits.ts';
import { parsePolicy } from './policy.ts';
import {
  type FunctionView,
  type KeysAndThreshold,
  readRole,
  type SnapshotView,
  type TargetsView,
} from './read.ts';
import { type Fetched, own, type RepositoryStep, type Session } from './repository-session.ts';
import { loadRole, loadTarget, type Steps, textOf } from './repository.ts';
import { fail, ok, type Failure } from './result.ts';
import { checkFunctionSeparation } from './separation.ts';
import type { Policy } from './types.ts';

/** One function as `targets` delegates to it, and what came of loading its role. */
export interface FunctionState extends KeysAndThreshold {
  /** The verified role; also there when it is expired, which still tells what was withdrawn. */
  readonly view?: FunctionView;
  /** Why the role approves nothing now. */
  readonly failure?: Failure;
}

export interface ImageSet {
  readonly targets: TargetsView;
  readonly policy: Policy;
  readonly policyText: string;
  readonly functions: ReadonlyMap<string, FunctionState>;
  /** SHA-256 of manifests that a function dropped between the held role and the one verified now. */
  readonly dropped: readonly string[];
}

/**
 * Loads the whole set. Errors, for which nothing can be installed: those of `targets`, `OTA_EXPIRED`, `OTA_POLICY`,
 * `OTA_WRONG_BINDING`, `OTA_KEY_SHARED`. A single function's errors stand with the function.
 */
export function* loadImageSet(
  session: Session,
  snapshot: SnapshotView,
  heldPolicy: string | undefined,
): Steps<ImageSet> {
  const targets = yield* loadRole(session, snapshot, 'targets', 'targets', session.root.roles.targets);
  if (!targets.ok) return targets;
  const { view, expired } = targets.value;
  if (expired) return fail('OTA_EXPIRED', 'targets is expired at the reference time', 'targets');
  const delegations = new Map(view.functions.map(({ name, ...keys }) => [name, keys]));
  const path = `targets/${view.policy.sha256}.policy.json`;
  const policyBytes = yield* loadTarget(session, path, view.policy, heldPolicy);
  if (!policyBytes.ok) return policyBytes;
  const policy = parsePolicy(policyBytes.value);
  if (!policy.ok) return policy;
  if (policy.value.product !== view.product) {
    return fail('OTA_WRONG_BINDING', `policy.json is for product ${policy.value.product}`, 'product');
  }
  const separate = checkFunctionSeparation(session.root.roles, delegations, policy.value);
  if (!separate.ok) return separate;
  forgetRetired(session, delegations);
  const functions = new Map<string, FunctionState>();
  const dropped: string[] = [];
  for (const [name, keys] of delegations) {
    const before = own(session.state.roles, name);
    const loaded = yield* loadFunction(session, snapshot, name, keys);
    functions.set(name, { ...keys, ...loaded });
    if (loaded.view !== undefined && own(session.state.roles, name) !== before) {
      dropped.push(...droppedSince(before, loaded.view));
    }
  }
  return ok({
    targets: view,
    policy: policy.value,
    policyText: textOf(policyBytes.value),
    functions,
    dropped,
  });
}

function* loadFunction(
  session: Session,
  snapshot: SnapshotView,
  name: string,
  keys: KeysAndThreshold,
): Generator<RepositoryStep, Pick<FunctionState, 'view' | 'failure'>, Fetched> {
  const loaded = yield* loadRole(session, snapshot, 'function', name, keys);
  if (!loaded.ok) return { failure: loaded.error };
  const { view, expired } = loaded.value;
  if (!expired) return { view };
  return { view, failure: { code: 'OTA_EXPIRED', message: `function ${name} is expired`, field: name } };
}

/** Texts of functions that `targets` no longer names are dropped; their versions stay remembered. */
function forgetRetired(session: Session, delegations: ReadonlyMap<string, unknown>): void {
  const { roles } = session.state;
  const retired = Object.keys(roles).filter((name) => name !== 'targets' && !delegations.has(name));
  if (retired.length === 0) return;
  const rest = Object.entries(roles).filter(([name]) => !retired.includes(name));
  session.state = { ...session.state, roles: Object.fromEntries(rest) };
}

/** Manifests of the held role that the new one does not list any more. */
function droppedSince(heldText: string | undefined, next: FunctionView): string[] {
  if (heldText === undefined) return [];
  const held = readRole(Buffer.from(heldText));
  if (!held.ok || held.value.kind !== 'function') return [];
  const listed = new Set(next.releases.map(({ sha256 }) => sha256));
  return held.value.releases.map(({ sha256 }) => sha256).filter((sha256) => !listed.has(sha256));
}

/** The device's list of withdrawn manifests, newest last; the oldest leave it, which no role lists any more. */
export function addWithdrawn(withdrawn: readonly string[], dropped: readonly string[]): readonly string[] {
  const added = [...new Set(dropped)].filter((sha256) => !withdrawn.includes(sha256));
  return added.length === 0 ? withdrawn : [...withdrawn, ...added].slice(-trustLimits.withdrawnMax);
}
