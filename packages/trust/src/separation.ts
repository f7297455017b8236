/**
 * Separation: no key and no person stands in two places that must be apart.
 *
 * Keeps true: a function's key stands in no other function and in no top-level role; a holder stands in one function,
 * with one key, so that a threshold of two means two people; offline roles share no key with online ones; the image
 * repository and the director share no key. Sameness is judged on the DER of the public key (SPKI), because one key
 * under two ids or in two encodings would be counted twice by tuf-js.
 * Leaves to others: the shape of keys (keys.ts) and of delegations (functions.ts).
 */
import type { PublicKey } from './keys.ts';
import type { KeysAndThreshold, RootView } from './read.ts';
import { fail, ok, type Failure, type Result } from './result.ts';
import type { Policy } from './types.ts';

type RootKeys = RootView['roles'];

/**
 * A root is adopted only if its offline roles share no key with its online ones: a key that lies at the server would
 * otherwise sign roots or, in the image repository, policies. `onlineTargets` is true for the director, whose
 * `targets` is signed at the server. Errors: `OTA_KEY_SHARED`.
 */
export function checkRootSeparation(root: RootKeys, onlineTargets: boolean, subject: string): Result<true> {
  for (const [role, { keys }] of Object.entries(root)) {
    // One key under two ids would be two signatures to tuf-js.
    if (spkiSet([{ keys, threshold: 1 }]).size < keys.length)
      return shared(`${subject} names one key twice for ${role}`);
  }
  const offline = onlineTargets ? [root.root] : [root.root, root.targets];
  const online = [root.snapshot, root.timestamp, ...(onlineTargets ? [root.targets] : [])];
  const offlineKeys = spkiSet(offline);
  for (const key of online.flatMap((role) => role.keys)) {
    if (offlineKeys.has(key.spkiSha256)) {
      return shared(`${subject} names key ${short(key)} for an offline and an online role`);
    }
  }
  return ok(true);
}

/** "Two repositories" means this product's image repository and the director; role keys only. Errors: `OTA_KEY_SHARED`. */
export function checkRepositoriesApart(
  image: RootKeys,
  functions: ReadonlyMap<string, KeysAndThreshold>,
  director: RootKeys,
): Result<true> {
  const directorKeys = spkiSet(Object.values(director));
  for (const role of [...Object.values(image), ...functions.values()]) {
    for (const key of role.keys) {
      if (directorKeys.has(key.spkiSha256)) {
        return shared(`key ${short(key)} stands in the image repository and in the director`);
      }
    }
  }
  return ok(true);
}

/**
 * Keys and holders of the functions: each key in one function and in no top-level role, each held by exactly one
 * person whom the policy names for that function, each person in one function with one key.
 * Errors: `OTA_KEY_SHARED`, `OTA_POLICY` when a key has no holder.
 */
export function checkFunctionSeparation(
  root: RootKeys,
  functions: ReadonlyMap<string, KeysAndThreshold>,
  policy: Policy,
): Result<true> {
  const placeOf = new Map<string, string>();
  for (const [role, { keys }] of Object.entries(root)) {
    for (const key of keys) placeOf.set(key.spkiSha256, role);
  }
  for (const [name, { keys }] of functions) {
    for (const key of keys) {
      const place = placeOf.get(key.spkiSha256);
      if (place !== undefined) return shared(`key ${short(key)} stands in ${place} and in function ${name}`);
      placeOf.set(key.spkiSha256, name);
    }
  }
  return checkHolders(functions, policy);
}

function checkHolders(functions: ReadonlyMap<string, KeysAndThreshold>, policy: Policy): Result<true> {
  const functionOfHolder = new Map<string, string>();
  const holderOfKey = new Map<string, string>();
  for (const { keyId, holder, function: name } of policy.holders) {
    const other = functionOfHolder.get(holder);
    if (other === name) return shared(`holder ${holder} has two keys in function ${name}`);
    if (other !== undefined) return shared(`holder ${holder} stands in functions ${other} and ${name}`);
    functionOfHolder.set(holder, name);
    holderOfKey.set(keyId, holder);
  }
  for (const [name, { keys }] of functions) {
    for (const key of keys) {
      const holder = holderOfKey.get(key.keyId);
      if (holder === undefined || functionOfHolder.get(holder) !== name) {
        return fail(
          'OTA_POLICY',
          `policy.json names no holder of key ${short(key)} of function ${name}`,
          'holders',
        );
      }
    }
  }
  return ok(true);
}

function spkiSet(roles: readonly KeysAndThreshold[]): Set<string> {
  return new Set(roles.flatMap((role) => role.keys.map((key) => key.spkiSha256)));
}

function shared(message: string): { ok: false; error: Failure } {
  return fail('OTA_KEY_SHARED', message);
}

function short(key: PublicKey): string {
  return key.keyId.slice(0, 12);
}
