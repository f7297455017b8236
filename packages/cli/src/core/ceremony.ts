/**
 * What a ceremony signs: from the role files as this machine verified them and from one act, the only role files that
 * the act may make. Pure, on bytes.
 *
 * Keeps true (REQ-OTA-POL-10): a holder signs only files that were built here again, byte for byte; what they may
 * choose for themselves is their number and their expiry, within bounds. What a device or the server would refuse - a
 * key in two places, a threshold that nobody can reach, a demand that nobody offers - is refused before anybody signs.
 * A role whose keys lose one, or whose threshold rises, is signed anew in the same ceremony, so that no step leaves
 * a product without its approvals.
 * Leaves to others: how the ground was verified (ceremony-ground.ts), the words for people (ceremony-words.ts).
 */
import {
  checkFunctionSeparation,
  checkMinimumMet,
  checkRootSeparation,
  type Draft,
  draftFunction,
  draftRoot,
  draftTargets,
  encodePolicy,
  fail,
  type FunctionView,
  type KeysAndThreshold,
  ok,
  parsePolicy,
  type Policy,
  readRole,
  type Result,
  type RoleView,
  type RootView,
  type TargetsView,
  type UtcSeconds,
} from '@airlock/trust';
import type { CeremonyAct, CeremonyOwner, KeysChange, RootRole } from './ceremony-file.ts';
import { checkDrops } from './ceremony-statements.ts';

/** What stands now, verified on this machine. `image`: absent where only roots are known (director, no connection). */
export interface Ground {
  readonly owner: CeremonyOwner;
  readonly root: Uint8Array;
  readonly image?: {
    readonly targets: Uint8Array;
    readonly policy: string;
    readonly functions: ReadonlyMap<string, Uint8Array>;
  };
}

export interface Term {
  readonly version: number;
  readonly expires: UtcSeconds;
}

export interface CeremonyPlan {
  /** Drafts by role, `root` first, then `targets`, then functions by name. */
  readonly drafts: ReadonlyMap<string, Draft>;
  /** The policy that `targets` names, when `targets` is among the drafts. */
  readonly policy?: string;
}

type Keys = Readonly<Record<RootRole, KeysAndThreshold | undefined>>;

function refuse(message: string, field?: string): Result<never> {
  return fail('CLI_CEREMONY_ACT', message, field);
}

/** Reads what was verified before: a file that is none is a fault of the program. */
function viewOf<K extends RoleView['kind']>(file: Uint8Array, kind: K): Extract<RoleView, { kind: K }> {
  const view = readRole(file);
  if (!view.ok || !isKind(view.value, kind)) throw new TypeError(`the ground's ${kind} is none`);
  return view.value;
}

function isKind<K extends RoleView['kind']>(view: RoleView, kind: K): view is Extract<RoleView, { kind: K }> {
  return view.kind === kind;
}

/** Everything that stands now, parsed. */
interface Standing {
  readonly root: RootView;
  readonly keys: Keys;
  readonly targets?: TargetsView;
  readonly policy?: Policy;
  readonly functions: ReadonlyMap<string, FunctionView>;
}

function standingOf({ root: rootFile, image }: Ground): Standing {
  const root = viewOf(rootFile, 'root');
  const keys = { ...root.roles, provisioning: root.image?.provisioning };
  if (image === undefined) return { root, keys, functions: new Map() };
  const policy = parsePolicy(Buffer.from(image.policy));
  if (!policy.ok) throw new TypeError("the ground's policy is none");
  const functions = [...image.functions].map(([name, file]): [string, FunctionView] => [
    name,
    viewOf(file, 'function'),
  ]);
  const targets = viewOf(image.targets, 'targets');
  return { root, keys, targets, policy: policy.value, functions: new Map(functions) };
}

/** The roles that the act makes anew, in the order of `CeremonyPlan`. Code: CLI_CEREMONY_ACT. */
export function rolesOf(ground: Ground, act: CeremonyAct): Result<string[]> {
  const { root, targets, functions } = standingOf(ground);
  const targetsKeys = act.keys.some(({ role }) => role === 'targets') && ground.owner.repository === 'image';
  const makesRoot = act.keys.length > 0 || act.minimum !== undefined || act.renew.includes('root');
  const makesTargets =
    targetsKeys || act.holders.length > 0 || act.rules !== undefined || act.renew.includes('targets');
  if (!makesRoot && !makesTargets) return refuse('the act changes nothing');
  if (makesTargets && targets === undefined) {
    const what =
      ground.owner.repository === 'director' ? 'the director has no such part' : 'connect to verify it';
    return refuse(`the act touches targets, which was not verified here: ${what}`, 'act');
  }
  if (root.image === undefined && act.minimum !== undefined) {
    return refuse('only the root of a product has a minimum', 'act.minimum');
  }
  // New online keys come into force last, a new minimum first (ceremony.ts): both cannot be.
  if (act.minimum !== undefined && act.keys.some(({ role }) => role === 'snapshot' || role === 'timestamp')) {
    return refuse('a new minimum and new online keys need a ceremony each', 'act.minimum');
  }
  const signedAnew = act.holders
    .filter(({ function: name, remove, threshold }) => {
      const before = targets?.functions.find((entry) => entry.name === name);
      return before !== undefined && (remove.length > 0 || threshold > before.threshold);
    })
    .map(({ function: name }) => name)
    .filter((name) => functions.has(name));
  const stray = act.drop.find(({ function: name }) => !signedAnew.includes(name));
  if (stray !== undefined) {
    const message = `${stray.function} keeps its keys, so release ${stray.version} is withdrawn by release withdraw`;
    return refuse(message, 'act.drop');
  }
  const drops = checkDrops(act);
  if (!drops.ok) return drops;
  return ok([...(makesRoot ? ['root'] : []), ...(makesTargets ? ['targets'] : []), ...signedAnew.toSorted()]);
}

/**
 * The role files of the act, with the number and expiry that `terms` gives each. Codes: CLI_CEREMONY_ACT, and
 * trust's own for what every device would refuse (OTA_KEY_SHARED, OTA_POLICY, OTA_BELOW_MINIMUM, OTA_DEMAND_UNKNOWN).
 */
export function planCeremony(
  ground: Ground,
  act: CeremonyAct,
  terms: Readonly<Record<string, Term>>,
): Result<CeremonyPlan> {
  const standing = standingOf(ground);
  const roles = rolesOf(ground, act);
  if (!roles.ok) return roles;
  const missing = roles.value.find((role) => terms[role] === undefined);
  if (missing !== undefined) return refuse(`the ceremony has no file for ${missing}`, missing);
  const keys = changeKeys(standing, act);
  if (!keys.ok) return keys;
  const drafts = new Map<string, Draft>();
  const rootTerm = terms['root'];
  if (roles.value.includes('root') && rootTerm !== undefined) {
    const root = draftNextRoot(ground, standing, act, keys.value, rootTerm);
    if (!root.ok) return root;
    drafts.set('root', root.value);
  }
  const targetsTerm = terms['targets'];
  if (!roles.value.includes('targets') || targetsTerm === undefined) {
    // A minimum above what stands would stop every install until `targets` follows.
    const { policy } = standing;
    const met =
      policy === undefined || act.minimum === undefined
        ? ok(true)
        : checkDemands(standing, act, policy, delegationsOf(standing));
    return met.ok ? ok({ drafts }) : met;
  }
  const set = draftNextTargets(standing, act, keys.value, targetsTerm);
  if (!set.ok) return set;
  drafts.set('targets', set.value.draft);
  for (const name of roles.value.filter((role) => role !== 'root' && role !== 'targets')) {
    const held = standing.functions.get(name);
    const term = terms[name];
    if (held === undefined || term === undefined) continue;
    const made = draftNextFunction(held, act, term);
    if (!made.ok) return made;
    drafts.set(name, made.value);
  }
  return ok({ drafts, policy: set.value.policy });
}

function changeKeys({ keys, root }: Standing, act: CeremonyAct): Result<Keys> {
  const next: Record<RootRole, KeysAndThreshold | undefined> = { ...keys };
  const touched = new Set<RootRole>();
  for (const change of act.keys) {
    const before = keys[change.role];
    const field = `act.keys.${change.role}`;
    if (touched.has(change.role)) return refuse(`${change.role} is changed twice`, field);
    touched.add(change.role);
    if (before === undefined) return refuse(`this root names no ${change.role} keys`, field);
    const after = applyKeys(before, change);
    if (!after.ok) return after;
    next[change.role] = after.value;
  }
  const separate = checkRootSeparation(
    { ...root.roles, ...pick(next) },
    root.repository === 'director',
    'root',
  );
  return separate.ok ? ok(next) : separate;
}

/** The four TUF roles of a set of keys. */
function pick({ root, targets, snapshot, timestamp }: Keys) {
  if (root === undefined || targets === undefined || snapshot === undefined || timestamp === undefined) {
    throw new TypeError('a root names four roles');
  }
  return { root, targets, snapshot, timestamp };
}

function applyKeys(before: KeysAndThreshold, change: KeysChange): Result<KeysAndThreshold> {
  const { role, remove, add, threshold } = change;
  const field = `act.keys.${role}`;
  const stranger = remove.find((keyId) => before.keys.every((key) => key.keyId !== keyId));
  if (stranger !== undefined) return refuse(`${role} has no key ${stranger.slice(0, 12)}`, field);
  const kept = before.keys.filter(({ keyId }) => !remove.includes(keyId));
  const keys = [...kept, ...add];
  const spki = new Set(keys.map(({ spkiSha256 }) => spkiSha256));
  if (spki.size < keys.length) return refuse(`${role} would name one key twice`, field);
  if (threshold > keys.length || keys.length === 0) {
    return refuse(`${role} would ask ${threshold} of ${keys.length} keys, which nobody could sign`, field);
  }
  if (remove.length === 0 && add.length === 0 && threshold === before.threshold) {
    return refuse(`${role} would stay as it is`, field);
  }
  return ok({ keys, threshold });
}

/** Writers throw for what a role file cannot hold; here a person's act may ask for it. */
function drafted(role: string, write: () => Draft): Result<Draft> {
  try {
    return ok(write());
  } catch (error) {
    if (error instanceof TypeError) return refuse(error.message, role);
    throw error;
  }
}

function draftNextRoot(
  { owner }: Ground,
  { root }: Standing,
  act: CeremonyAct,
  keys: Keys,
  term: Term,
): Result<Draft> {
  const roles = pick(keys);
  const { image } = root;
  if (owner.repository === 'director' || image === undefined) {
    return drafted('root', () => draftRoot({ ...term, repository: 'director', roles }));
  }
  const { product } = owner;
  return drafted('root', () =>
    draftRoot({
      ...term,
      repository: 'image',
      product,
      roles,
      minimum: act.minimum ?? image.minimum,
      provisioning: keys.provisioning ?? image.provisioning,
      demo: image.demo,
    }),
  );
}

function draftNextTargets(
  standing: Standing,
  act: CeremonyAct,
  keys: Keys,
  term: Term,
): Result<{ draft: Draft; policy: string }> {
  const { targets, policy: held } = standing;
  if (targets === undefined || held === undefined) throw new TypeError('targets was not verified');
  const product = held.product;
  const functions = delegationsOf(standing);
  let { holders } = held;
  for (const change of act.holders) {
    const after = applyHolders(functions.get(change.function), holders, change);
    if (!after.ok) return after;
    functions.set(change.function, after.value.keys);
    holders = after.value.holders;
  }
  const { classes, markets, emergency, secureBootRevoke = [] } = act.rules ?? {};
  const { emergency: heldEmergency, ...rest } = held;
  const emergencyAfter = emergency === 'none' ? undefined : (emergency ?? heldEmergency);
  const policy: Policy = {
    ...rest,
    holders,
    ...(classes === undefined ? {} : { classes }),
    ...(markets === undefined ? {} : { markets }),
    ...(emergencyAfter === undefined ? {} : { emergency: emergencyAfter }),
    secureBootRevoked: [...new Set([...held.secureBootRevoked, ...secureBootRevoke])],
  };
  const bytes = encodePolicy(policy);
  const parsed = parsePolicy(bytes);
  if (!parsed.ok) return parsed;
  const apart = checkFunctionSeparation(pick(keys), functions, policy);
  if (!apart.ok) return apart;
  const demands = checkDemands(standing, act, policy, functions);
  if (!demands.ok) return demands;
  const list = [...functions].map(([name, entry]) => ({ name, ...entry }));
  const draft = drafted('targets', () => draftTargets({ ...term, product, functions: list, policy: bytes }));
  return draft.ok ? ok({ draft: draft.value, policy: Buffer.from(bytes).toString() }) : draft;
}

/** The delegations of `targets` after the act, or as they stand. */
function delegationsOf({ targets }: Standing): Map<string, KeysAndThreshold> {
  return new Map((targets?.functions ?? []).map(({ name, ...offered }) => [name, offered]));
}

/** What root and policy ask must be offered, and the policy never be below the root: a lower one misleads people. */
function checkDemands(
  { root }: Standing,
  act: CeremonyAct,
  policy: Policy,
  functions: ReadonlyMap<string, KeysAndThreshold>,
): Result<true> {
  const minimum = act.minimum ?? root.image?.minimum;
  return minimum === undefined ? ok(true) : checkMinimumMet(minimum, policy, functions);
}

function applyHolders(
  before: KeysAndThreshold | undefined,
  holders: Policy['holders'],
  change: CeremonyAct['holders'][number],
): Result<{ keys: KeysAndThreshold; holders: Policy['holders'] }> {
  const { function: name, remove, add, threshold } = change;
  const field = `act.holders.${name}`;
  const own = holders.filter((entry) => entry.function === name);
  const stranger = remove.find((holder) => own.every((entry) => entry.holder !== holder));
  if (stranger !== undefined) return refuse(`${stranger} holds no key of ${name}`, field);
  const gone = new Set(own.filter(({ holder }) => remove.includes(holder)).map(({ keyId }) => keyId));
  const keys = [
    ...(before?.keys ?? []).filter(({ keyId }) => !gone.has(keyId)),
    ...add.map(({ key }) => key),
  ];
  if (threshold > keys.length) {
    return refuse(`${name} would ask ${threshold} signatures of ${keys.length} holder(s)`, field);
  }
  if (before !== undefined && remove.length === 0 && add.length === 0 && threshold === before.threshold) {
    return refuse(`${name} would stay as it is`, field);
  }
  const next = [
    ...holders.filter(({ keyId }) => !gone.has(keyId)),
    ...add.map((entry) => ({
      keyId: entry.key.keyId,
      holder: entry.holder,
      name: entry.name,
      function: name,
    })),
  ];
  return ok({ keys: { keys, threshold }, holders: next });
}

function draftNextFunction(held: FunctionView, act: CeremonyAct, term: Term): Result<Draft> {
  const { role, product = '' } = held;
  const dropped = act.drop.filter(({ function: name }) => name === role).map(({ version }) => version);
  const stranger = dropped.find((version) => held.releases.every((entry) => entry.version !== version));
  if (stranger !== undefined) return refuse(`${role} does not list release ${stranger}`, 'act.drop');
  const releases = held.releases.filter(({ version }) => !dropped.includes(version));
  return drafted(role, () => draftFunction({ ...term, product, function: role, releases }));
}
