/**
 * The image repository alone, for signers' machines and servers: no device, no director, no verdict.
 *
 * Keeps true: both believe a repository by the same steps, in the same order and with the same memory as a device
 * does, from a root that they pinned; what they show comes from verified bytes. Signatures of a file that is not
 * published yet are counted here as tuf-js will count them.
 * Leaves to others: what a signature would change (describe.ts), who may publish (server).
 */
import { Buffer } from 'node:buffer';
import { tufCanonicalBytes } from './canonical.ts';
import { loadImageSet, type ImageSet } from './functions.ts';
import { type PublicKey, verifySignature } from './keys.ts';
import {
  type FileEntry,
  type KeysAndThreshold,
  readRole,
  type RoleView,
  type RootView,
  type TargetsView,
} from './read.ts';
import { type Fetched, openSession, type RepositoryStep, type Session } from './repository-session.ts';
import { refreshRoots, refreshSnapshot } from './repository.ts';
import { fail, ok, type Failure, type Result, type UtcSeconds } from './result.ts';
import type { Policy, RepositoryState } from './types.ts';

/** A function's verified role. */
export interface FunctionRole {
  readonly version: number;
  readonly expires: UtcSeconds;
  readonly threshold: number;
  readonly keys: readonly PublicKey[];
  /** Releases approved, each with its manifest's length and hash. */
  readonly releases: readonly FileEntry[];
}

export interface ImageView {
  /** What to keep; equal to the last state that was yielded to be kept. */
  readonly state: RepositoryState;
  readonly root: RootView;
  readonly targets: TargetsView;
  readonly policy: Policy;
  /** Exact text of policy.json, to give back as `policy` next time. */
  readonly policyText: string;
  /** By name; an expired one is here and in `failures`, since renewing it starts from what it lists. */
  readonly functions: Readonly<Record<string, FunctionRole>>;
  /** Why a function approves nothing now; a delegated one that was never published is `OTA_MISSING_FILE`. */
  readonly failures: Readonly<Record<string, Failure>>;
  /** The root is marked as a demonstration's. */
  readonly demo: boolean;
}

/**
 * Verifies a product's image repository; yields fetches and keeps as `checkTrust` does, for one repository.
 * `policy` is the held text of policy.json, if any. Errors: those of roots, timestamp, snapshot, targets and policy;
 * what was verified before an error has been yielded to be kept.
 */
export function* checkImageRepository(input: {
  readonly product: string;
  readonly state: RepositoryState;
  readonly policy?: string;
  readonly now: UtcSeconds;
  readonly source: 'network' | 'bundle';
}): Generator<RepositoryStep, Result<ImageView>, Fetched> {
  const { product, state, policy, now, source } = input;
  const opened = openSession({ repository: 'image', product }, state, now, source);
  if (!opened.ok) return opened;
  const session = opened.value;
  const roots = yield* refreshRoots(session);
  if (!roots.ok) return roots;
  const fresh = yield* refreshSnapshot(session);
  if (!fresh.ok) return fresh;
  const before = session.state;
  const set = yield* loadImageSet(session, fresh.value.snapshot, policy);
  if (session.state !== before) yield { kind: 'keep', state: session.state };
  return set.ok ? ok(viewOf(session, set.value)) : set;
}

function viewOf(session: Session, set: ImageSet): ImageView {
  const functions: [string, FunctionRole][] = [];
  const failures: [string, Failure][] = [];
  for (const [name, { keys, threshold, view, failure }] of set.functions) {
    if (failure !== undefined) failures.push([name, failure]);
    if (view === undefined) continue;
    const { version, expires, releases } = view;
    functions.push([name, { version, expires, threshold, keys, releases }]);
  }
  return {
    state: session.state,
    root: session.root,
    targets: set.targets,
    policy: set.policy,
    policyText: set.policyText,
    functions: Object.fromEntries(functions),
    failures: Object.fromEntries(failures),
    demo: session.root.image?.demo === true,
  };
}

/**
 * Counts the valid signatures of a role file under the keys that its delegator names: a root (for top-level roles,
 * and for a newer root, which must also satisfy itself) or `targets` (for a function).
 * Errors: those of `readRole` for either file, `OTA_WRONG_BINDING` when the one does not delegate to the other.
 */
export function verifyRoleFile(
  file: Uint8Array,
  delegatorFile: Uint8Array,
): Result<{ readonly validKeyIds: readonly string[]; readonly threshold: number; readonly enough: boolean }> {
  const view = readRole(file);
  if (!view.ok) return view;
  const delegator = readRole(delegatorFile, 'delegator');
  if (!delegator.ok) return delegator;
  const { repository, product, role, signed, signatures } = view.value;
  if (repository !== delegator.value.repository || product !== delegator.value.product) {
    return fail(
      'OTA_WRONG_BINDING',
      `${role} and its delegator are of different repositories or products`,
      role,
    );
  }
  const delegated = delegatedKeys(delegator.value, role);
  if (delegated === undefined) {
    return fail('OTA_WRONG_BINDING', `${delegator.value.role} does not delegate to ${role}`, role);
  }
  const message = tufCanonicalBytes(signed);
  const validKeyIds = delegated.keys
    .filter((key) => {
      const signature = signatures.find(({ keyId }) => keyId === key.keyId);
      return signature !== undefined && verifySignature(key, message, Buffer.from(signature.sig, 'hex'));
    })
    .map(({ keyId }) => keyId);
  const { threshold } = delegated;
  return ok({ validKeyIds, threshold, enough: validKeyIds.length >= threshold });
}

function delegatedKeys(delegator: RoleView, role: string): KeysAndThreshold | undefined {
  if (delegator.kind === 'targets') return delegator.functions.find(({ name }) => name === role);
  if (delegator.kind !== 'root') return undefined;
  const { roles } = delegator;
  const entry = Object.entries(roles).find(([name]) => name === role);
  return entry?.[1];
}
