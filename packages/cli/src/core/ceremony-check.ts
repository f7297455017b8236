/**
 * Judging a ceremony file that somebody handed on: it must be exactly the act that it names, on exactly what stands.
 *
 * The files in it are compared, byte for byte, with those that `planCeremony` makes here; number and expiry are bounded.
 * A root is the next one, without a gap (TUF 5.3.5). Signatures are counted as devices count them: a root under the
 * old root and under itself, every other role under its new delegator; those of functions with their statements. Pure.
 */
import { roleLifeSeconds } from '@airlock/protocol';
import {
  canonicalBytes,
  type Draft,
  draftOf,
  fail,
  type KeysAndThreshold,
  ok,
  type PublicKey,
  readRole,
  type Result,
  type RoleChange,
  describeChange,
  describePolicyChange,
  sha256Hex,
  trustLimits,
  type UtcSeconds,
  verifyRoleFile,
} from '@airlock/trust';
import type { CeremonyAct, CeremonyFile } from './ceremony-file.ts';
import { type CeremonyPlan, type Ground, planCeremony, rolesOf, type Term } from './ceremony.ts';
import { checkStatements } from './ceremony-statements.ts';

const daySeconds = 24 * 3600;
/** Clocks of two holders differ. */
const clockSkewSecondsMax = daySeconds;
/** Numbers burnt by ceremonies that were given up; more is a fast-forward (TUF 5.3.11). */
const versionsSkippedMax = 100;

/** The file of a role that stands. */
export function heldFile({ root, image }: Ground, role: string): Uint8Array | undefined {
  if (role === 'root') return root;
  return role === 'targets' ? image?.targets : image?.functions.get(role);
}

/** The number of a role that stands; 0 for none. */
export function heldVersion(ground: Ground, role: string): number {
  const file = heldFile(ground, role);
  const view = file === undefined ? undefined : readRole(file);
  return view?.ok === true ? view.value.version : 0;
}

/** Whether class C asks for shorter lives of functions. */
function isStrict({ root }: Ground): boolean {
  const view = readRole(root);
  const image = view.ok && view.value.kind === 'root' ? view.value.image : undefined;
  return image?.minimum.classes.C !== undefined;
}

/**
 * A function whose own keys change, together with both online keys, is forgotten by every device: its numbers begin
 * anew. This is the cure when a thief signed the highest number that there is.
 */
function isForgotten(ground: Ground, act: CeremonyAct, role: string): boolean {
  const view = readRole(ground.root);
  if (!view.ok || view.value.kind !== 'root') return false;
  const { roles } = view.value;
  const replaced = (['snapshot', 'timestamp'] as const).every((name) => {
    const change = act.keys.find((entry) => entry.role === name);
    return roles[name].keys.every(({ keyId }) => change?.remove.includes(keyId) === true);
  });
  return replaced && act.holders.some((change) => change.function === role && change.remove.length > 0);
}

/** Numbers and expiries of a ceremony that begins now. `signed`: highest numbers ever signed here. */
export function nextTerms(
  ground: Ground,
  act: CeremonyAct,
  at: {
    readonly now: UtcSeconds;
    readonly signed: Readonly<Record<string, number>>;
    readonly numbers: Readonly<Record<string, number>>;
  },
): Result<Record<string, Term>> {
  const roles = rolesOf(ground, act);
  if (!roles.ok) return roles;
  const terms: Record<string, Term> = {};
  for (const role of roles.value) {
    const held = heldVersion(ground, role);
    const next = role === 'root' ? held + 1 : Math.max(held, at.signed[role] ?? 0) + 1;
    const version = at.numbers[role] ?? next;
    if (version > trustLimits.metadataVersionMax) {
      const message = `${role} has the highest number that there is; name one with --number ${role}=NUMBER`;
      return fail('CLI_PROPOSAL_VERSION', message, '--number');
    }
    terms[role] = { version, expires: at.now + roleLifeSeconds(role, isStrict(ground)) };
  }
  return ok(terms);
}

/** One role of a ceremony, with whose signatures it has and needs. */
export interface CeremonyRole {
  readonly role: string;
  readonly version: number;
  readonly expires: UtcSeconds;
  readonly draft: Draft;
  /** The file as handed on, with its signatures. */
  readonly file: Uint8Array;
  readonly changes: readonly RoleChange[];
  readonly signedBy: readonly string[];
  /** Each of these must be met: the old root and the new one, or one delegator. */
  readonly needs: readonly (KeysAndThreshold & {
    readonly by: string;
    readonly signedBy: readonly string[];
  })[];
  readonly enough: boolean;
}

export interface CheckedCeremony {
  readonly plan: CeremonyPlan;
  readonly roles: readonly CeremonyRole[];
  readonly policyChanges: readonly RoleChange[];
  /** SHA-256 over what is signed: the same on every holder's machine and on paper. */
  readonly fingerprint: string;
}

/** What this machine knows besides the ground. */
export interface CheckedAt {
  readonly now: UtcSeconds;
  /** Highest number ever signed here, by role. */
  readonly signed: Readonly<Record<string, number>>;
  /** SHA-256 of what was signed here in ceremonies, by `role number`: a number never stands for two contents. */
  readonly signedAs: Readonly<Record<string, string>>;
}

/** Under which name a number of a role is remembered with its content. */
export function numberOf({ role, version }: { readonly role: string; readonly version: number }): string {
  return `${role} ${version}`;
}

/**
 * Judges the file. Codes: those of `planCeremony`; CLI_UNEXPECTED_CHANGE when a file is not what the act makes;
 * CLI_PROPOSAL_VERSION, CLI_PROPOSAL_EXPIRY; OTA_BAD_SIGNATURE for a signature of nobody.
 */
export function checkCeremony(ground: Ground, file: CeremonyFile, at: CheckedAt): Result<CheckedCeremony> {
  const terms: Record<string, Term> = {};
  for (const [role, text] of Object.entries(file.files)) {
    const term = readTerm(ground, file, role, text, at);
    if (!term.ok) return term;
    terms[role] = term.value;
  }
  const plan = planCeremony(ground, file.act, terms);
  if (!plan.ok) return plan;
  const { drafts, policy } = plan.value;
  const extra = Object.keys(file.files).find((role) => !drafts.has(role));
  if (extra !== undefined) return unexpected(extra, 'the act does not touch it');
  if (file.policy !== policy) return unexpected('policy.json', 'it is not the policy that the act makes');
  const roles: CeremonyRole[] = [];
  for (const [role, draft] of drafts) {
    const judged = judgeRole(ground, plan.value, role, draft, file.files[role] ?? '');
    if (!judged.ok) return judged;
    const stated = checkStatements({
      ...judged.value,
      held: heldFile(ground, role),
      keys: judged.value.needs.flatMap(({ keys }) => keys),
      policy,
      statements: file.statements[role] ?? [],
    });
    if (!stated.ok) return stated;
    roles.push(judged.value);
  }
  const stray = Object.keys(file.statements).find((role) => !drafts.has(role));
  if (stray !== undefined)
    return unexpected(stray, 'it brings statements for a role that the act does not touch');
  const before = ground.image?.policy;
  const policyChanges =
    policy === undefined || before === undefined
      ? ok([])
      : describePolicyChange(Buffer.from(before), Buffer.from(policy));
  if (!policyChanges.ok) return policyChanges;
  return ok({
    plan: plan.value,
    roles,
    policyChanges: policyChanges.value,
    fingerprint: fingerprintOf(plan.value),
  });
}

/** The ground that the file itself records: for showing a ceremony that is over, never for signing. */
export function recordedGround({ owner, chain, before }: CeremonyFile): Result<Ground> {
  const root = chain.at(-1);
  if (root === undefined)
    return fail('CLI_CEREMONY_FILE', 'the file holds no root that it began with', 'chain');
  const { targets, 'policy.json': policy, ...functions } = before;
  const ground = { owner, root: Buffer.from(root) };
  if (targets === undefined || policy === undefined) return ok(ground);
  const files = Object.entries(functions).map(([name, text]): [string, Uint8Array] => [
    name,
    Buffer.from(text),
  ]);
  return ok({ ...ground, image: { targets: Buffer.from(targets), policy, functions: new Map(files) } });
}

/**
 * Roles of the file that came into force: the very content stands, or a later number over it. A function's later number
 * counts only once the ceremony's `targets` stands, and under its keys: the higher number of a thief is what a
 * ceremony may be there to end.
 */
export function rolesInForce(ground: Ground, file: CeremonyFile): string[] {
  const passed = (role: string): boolean => {
    const held = heldFile(ground, role);
    const now = held === undefined ? undefined : draftOf(held);
    const then = draftOf(Buffer.from(file.files[role] ?? ''));
    if (held === undefined || now?.ok !== true || !then.ok) return false;
    if (Buffer.from(now.value.bytesToSign).equals(then.value.bytesToSign)) return true;
    if (now.value.version <= then.value.version) return false;
    if (role === 'root' || role === 'targets') return true;
    const counted = verifyRoleFile(held, ground.image?.targets ?? new Uint8Array());
    return passed('targets') && counted.ok && counted.value.enough;
  };
  return Object.keys(file.files).filter(passed);
}

function fingerprintOf({ drafts }: CeremonyPlan): string {
  const signed = Object.fromEntries(
    [...drafts].map(([role, { bytesToSign }]) => [role, sha256Hex(bytesToSign)]),
  );
  return sha256Hex(canonicalBytes(signed));
}

function unexpected(role: string, why: string): Result<never> {
  return fail('CLI_UNEXPECTED_CHANGE', `the ceremony's ${role} is not just its act: ${why}`, role);
}

function readTerm(
  ground: Ground,
  file: CeremonyFile,
  role: string,
  text: string,
  at: CheckedAt,
): Result<Term> {
  const view = readRole(Buffer.from(text), `the ceremony's ${role}`);
  if (!view.ok) return view;
  const { version, expires } = view.value;
  const held = heldVersion(ground, role);
  if (role === 'root' && version !== held + 1) {
    const message = `the ceremony's root has number ${version}; after root ${held}, which stands here, it must be ${held + 1}`;
    return fail('CLI_PROPOSAL_VERSION', message, role);
  }
  const signed = at.signed[role] ?? 0;
  const draft = draftOf(Buffer.from(text));
  if (!draft.ok) return draft;
  const mine = at.signedAs[numberOf({ role, version })] === sha256Hex(draft.value.bytesToSign);
  const above = isForgotten(ground, file.act, role) ? 0 : held;
  const floor = Math.max(above, mine ? 0 : signed);
  const ceiling = Math.max(held, signed) + versionsSkippedMax;
  if (role !== 'root' && (version <= floor || version > ceiling)) {
    const message = `the ceremony's ${role} has number ${version}, it must be one from ${floor + 1} to ${ceiling}`;
    return fail('CLI_PROPOSAL_VERSION', message, role);
  }
  const life = roleLifeSeconds(role, isStrict(ground));
  // A role that begins with less than half of its life is alarmed from its first day: the ceremony took too long.
  if (expires < at.now + life / 2 || expires > at.now + life + clockSkewSecondsMax) {
    const days = Math.floor((expires - at.now) / daySeconds);
    const message = `the ceremony's ${role} would be valid for ${days} days, it must be ${life / daySeconds / 2} to ${life / daySeconds}`;
    return fail('CLI_PROPOSAL_EXPIRY', message, role);
  }
  return ok({ version, expires });
}

function judgeRole(
  ground: Ground,
  plan: CeremonyPlan,
  role: string,
  draft: Draft,
  text: string,
): Result<CeremonyRole> {
  const file = Buffer.from(text);
  const offered = draftOf(file);
  if (!offered.ok) return offered;
  const changes = describeChange(heldFile(ground, role), file);
  if (!Buffer.from(draft.bytesToSign).equals(offered.value.bytesToSign)) {
    const words = changes.ok ? changes.value.map((change) => change.words).join(' ') : changes.error.message;
    return unexpected(
      role,
      `signing it would do this: ${words === '' ? 'a change that has no words' : words}`,
    );
  }
  if (!changes.ok) return changes;
  const needs = [];
  for (const { by, bytes } of delegatorsOf(ground, plan, role)) {
    const counted = verifyRoleFile(file, bytes);
    if (!counted.ok) return counted;
    const { validKeyIds, threshold } = counted.value;
    needs.push({ by, keys: keysFor(bytes, role), threshold, signedBy: validKeyIds });
  }
  const signedBy = [...new Set(needs.flatMap((need) => need.signedBy))].toSorted();
  const view = readRole(file);
  if (!view.ok) return view;
  const stranger = view.value.signatures.find(({ keyId }) => !signedBy.includes(keyId));
  if (stranger !== undefined) {
    const message = `the signature of key ${stranger.keyId.slice(0, 12)} on the ceremony's ${role} is of no key that counts`;
    return fail('OTA_BAD_SIGNATURE', message, role);
  }
  const enough = needs.every((need) => need.signedBy.length >= need.threshold);
  const { version, expires } = view.value;
  return ok({ role, version, expires, draft, file, changes: changes.value, signedBy, needs, enough });
}

function delegatorsOf(
  ground: Ground,
  { drafts }: CeremonyPlan,
  role: string,
): { readonly by: string; readonly bytes: Uint8Array }[] {
  const nextRoot = drafts.get('root')?.unsigned ?? ground.root;
  if (role === 'root') {
    return [
      { by: 'the root in force', bytes: ground.root },
      { by: 'the new root', bytes: nextRoot },
    ];
  }
  if (role === 'targets') return [{ by: 'root', bytes: nextRoot }];
  return [{ by: 'targets', bytes: drafts.get('targets')?.unsigned ?? new Uint8Array() }];
}

function keysFor(delegator: Uint8Array, role: string): readonly PublicKey[] {
  const view = readRole(delegator);
  if (!view.ok) return [];
  if (view.value.kind === 'targets') {
    return view.value.functions.find(({ name }) => name === role)?.keys ?? [];
  }
  if (view.value.kind !== 'root') return [];
  const { roles } = view.value;
  return role === 'root' ? roles.root.keys : roles.targets.keys;
}
