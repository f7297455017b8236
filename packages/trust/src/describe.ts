/**
 * What a signature would change, in plain words: every difference between two versions of a role or of a policy.
 *
 * Against a hostile server: the signer's machine gives the version that it verified itself and the one to be signed,
 * and shows all of this. Complete by construction: the signed part is cut into units - a release, a key of a role, a
 * threshold, an expiry - and whatever no rule claims becomes one unit per JSON leaf under its path. Every part
 * belongs to a unit, so that a field nobody thought of still appears, and never silently.
 * Texts from the file are shown escaped, so that none can look like another line or run backwards.
 */
import { Buffer } from 'node:buffer';
import { sha256Hex, tufCanonicalBytes } from './canonical.ts';
import { isObject, type JsonObject } from './fields.ts';
import { formatInstant } from './instant.ts';
import { publicKeyJson } from './keys.ts';
import { parsePolicy } from './policy.ts';
import { type KeysAndThreshold, readRole, type RoleView } from './read.ts';
import { fail, ok, type Result } from './result.ts';
import type { FunctionThresholds, Minimum, Policy } from './types.ts';

/** One difference. `words` is a full sentence; `from` and `to` are the values, escaped. */
export interface RoleChange {
  readonly kind: 'added' | 'removed' | 'changed';
  /** What it is about, such as `release 7`, `key 1f.. of quality`, `expires`. */
  readonly subject: string;
  readonly from?: string;
  readonly to?: string;
  readonly words: string;
}

/** How a unit is told: subject to value; `verbs` replace added, removed and changed. */
interface Unit {
  readonly value: string;
  readonly verbs?: { readonly added: string; readonly removed: string; readonly changed: string };
}
type Units = Map<string, Unit>;

/** Longest value shown whole; a longer one is cut, with the hash of the whole so that two never look alike. */
const shownCharactersMax = 400;

/**
 * Every change between two files of the same role, sorted by subject; with no previous file, everything is added.
 * Signatures are not compared: they are not what is signed. An empty list means that the signed parts are the same.
 * Codes: those of `readRole`; OTA_WRONG_BINDING when the files are of two different roles.
 */
export function describeChange(previous: Uint8Array | undefined, next: Uint8Array): Result<RoleChange[]> {
  const to = readRole(next, 'the new version');
  if (!to.ok) return to;
  if (previous === undefined) return ok(compare(new Map(), roleUnits(to.value)));
  const from = readRole(previous, 'the previous version');
  if (!from.ok) return from;
  for (const name of ['kind', 'repository', 'role', 'product', 'device'] as const) {
    if (from.value[name] !== to.value[name]) {
      const message = `two different roles: ${name} ${from.value[name] ?? 'none'} and ${to.value[name] ?? 'none'}`;
      return fail('OTA_WRONG_BINDING', message, name);
    }
  }
  const changes = compare(roleUnits(from.value), roleUnits(to.value));
  const same = Buffer.from(tufCanonicalBytes(from.value.signed)).equals(tufCanonicalBytes(to.value.signed));
  return ok(changes.length > 0 || same ? changes : [orderChanged]);
}

/** The only difference that units cannot show: lists whose order means nothing, written in another order. */
const orderChanged: RoleChange = {
  kind: 'changed',
  subject: 'order',
  words: 'Entries stand in another order; nothing else changes.',
};

/**
 * Every change between two policies, which `targets` names by hash only: whoever signs targets sees these as well.
 * Codes: those of `parsePolicy`.
 */
export function describePolicyChange(
  previous: Uint8Array | undefined,
  next: Uint8Array,
): Result<RoleChange[]> {
  const to = parsePolicy(next);
  if (!to.ok) return to;
  if (previous === undefined) return ok(compare(new Map(), policyUnits(to.value)));
  const from = parsePolicy(previous);
  if (!from.ok) return from;
  const changes = compare(policyUnits(from.value), policyUnits(to.value));
  const same = Buffer.from(previous).equals(next);
  return ok(changes.length > 0 || same ? changes : [orderChanged]);
}

function compare(from: Units, to: Units): RoleChange[] {
  const subjects = [...new Set([...from.keys(), ...to.keys()])].toSorted(byNumberAndName);
  return subjects.flatMap((subject): RoleChange[] => {
    const before = from.get(subject);
    const after = to.get(subject);
    if (before?.value === after?.value) return [];
    const verbs = (after ?? before)?.verbs ?? { added: 'Adds', removed: 'Removes', changed: 'Changes' };
    const old = before === undefined ? undefined : shown(before.value);
    const now = after === undefined ? undefined : shown(after.value);
    if (old === undefined) {
      return [{ kind: 'added', subject, to: now ?? '', words: `${verbs.added} ${subject}: ${now}.` }];
    }
    if (now === undefined) {
      return [{ kind: 'removed', subject, from: old, words: `${verbs.removed} ${subject} (was: ${old}).` }];
    }
    const words = `${verbs.changed} ${subject} from ${old} to ${now}.`;
    return [{ kind: 'changed', subject, from: old, to: now, words }];
  });
}

/** `release 9` before `release 10`. */
function byNumberAndName(a: string, b: string): number {
  const pad = (text: string) => text.replaceAll(/\d{1,15}/g, (digits) => digits.padStart(16, '0'));
  return pad(a) < pad(b) ? -1 : 1;
}

/** Backslash and everything outside printable ASCII escaped: no line break, no terminal command, nothing backwards. */
function shown(value: string): string {
  const escaped = value.replaceAll(
    /[^\x20-\x5b\x5d-\x7e]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  if (escaped.length <= shownCharactersMax) return escaped;
  const hash = sha256Hex(Buffer.from(value, 'utf16le'));
  return `${escaped.slice(0, shownCharactersMax)}... (${value.length} characters, sha256 ${hash})`;
}

/** `a.b` for plain names, `a["b.c"]` for all others, so that two places never have one path. */
function pathTo(path: string, name: string): string {
  if (/^[A-Za-z0-9_-]+$/.test(name)) return path === '' ? name : `${path}.${name}`;
  return `${path}[${shown(JSON.stringify(name))}]`;
}

/** One unit per leaf of what no rule claims; empty lists and objects are leaves. */
function addLeaves(units: Units, value: unknown, path: string): void {
  if (Array.isArray(value) && value.length > 0) {
    for (const [index, entry] of value.entries()) addLeaves(units, entry, `${path}[${index}]`);
  } else if (isObject(value) && Object.keys(value).length > 0) {
    for (const [name, entry] of Object.entries(value)) addLeaves(units, entry, pathTo(path, name));
  } else units.set(`field ${path}`, { value: JSON.stringify(value) });
}

/** Fields of `object` that no rule claimed. */
function addOthers(units: Units, object: JsonObject, claimed: readonly string[], path: string): void {
  for (const [name, value] of Object.entries(object)) {
    if (!claimed.includes(name)) addLeaves(units, value, pathTo(path, name));
  }
}

/** The verbs of a value that is always there. */
const setVerbs = { added: 'Sets', removed: 'Removes', changed: 'Changes' };

function roleUnits(view: RoleView): Units {
  const units: Units = new Map();
  units.set('version', { value: String(view.version), verbs: setVerbs });
  units.set('expires', { value: formatInstant(view.expires), verbs: setVerbs });
  const airlock = view.signed['x-airlock'];
  const claimed = claimRole(units, view);
  addOthers(units, view.signed, ['version', 'expires', 'x-airlock', ...claimed.signed], '');
  if (isObject(airlock)) addOthers(units, airlock, claimed.airlock, 'x-airlock');
  return units;
}

/** The units of the role's own kind; answers which fields of `signed` and of `x-airlock` they stand for. */
function claimRole(units: Units, view: RoleView): { signed: string[]; airlock: string[] } {
  switch (view.kind) {
    case 'root':
      for (const [role, keys] of Object.entries(view.roles)) addKeys(units, keys, `role ${role}`);
      if (view.image === undefined) return { signed: ['keys', 'roles'], airlock: [] };
      addKeys(units, view.image.provisioning, 'provisioning');
      addSets(units, view.image.minimum, 'root minimum');
      units.set('demo mark', { value: String(view.image.demo), verbs: setVerbs });
      return { signed: ['keys', 'roles'], airlock: ['minimum', 'provisioning', 'demo'] };
    case 'targets':
      for (const entry of view.functions) addKeys(units, entry, `function ${entry.name}`);
      units.set('policy.json', { value: fileWords(view.policy), verbs: setVerbs });
      return { signed: ['targets', 'delegations'], airlock: [] };
    case 'function':
      for (const release of view.releases) {
        const verbs = { added: 'Approves', removed: 'Withdraws', changed: 'Changes the manifest of' };
        units.set(`release ${release.version}`, { value: fileWords(release), verbs });
      }
      return { signed: ['targets'], airlock: [] };
    case 'director-targets':
      if (view.assignment !== undefined) {
        const { product, version, assignment } = view.assignment;
        const verbs = { added: 'Assigns', removed: 'Takes back', changed: 'Changes the manifest of' };
        units.set(`release ${version} of ${product}`, { value: fileWords(view.assignment), verbs });
        addLeaves(units, assignment, 'custom');
      }
      return { signed: ['targets'], airlock: [] };
    case 'snapshot':
      for (const [role, entry] of Object.entries(view.roles)) {
        units.set(`role ${role}`, { value: `version ${entry.version}, ${fileWords(entry)}` });
      }
      return { signed: ['meta'], airlock: [] };
    default: {
      const { version } = view.snapshot;
      units.set('snapshot', { value: `version ${version}, ${fileWords(view.snapshot)}`, verbs: setVerbs });
      units.set('issued', { value: formatInstant(view.issued), verbs: setVerbs });
      return { signed: ['meta'], airlock: ['issued'] };
    }
  }
}

function fileWords(file: { readonly length: number; readonly sha256: string }): string {
  return `${file.length} bytes, sha256 ${file.sha256}`;
}

/** Keys under their whole id: a short one could be met by another key. */
function addKeys(units: Units, { keys, threshold }: KeysAndThreshold, owner: string): void {
  units.set(`threshold of ${owner}`, { value: `${threshold}`, verbs: setVerbs });
  for (const key of keys) {
    units.set(`key ${key.keyId} of ${owner}`, { value: JSON.stringify(publicKeyJson(key)) });
  }
}

function addSets(units: Units, sets: Minimum, owner: string): void {
  for (const [name, set] of Object.entries(sets.classes)) {
    units.set(`${owner} for class ${name}`, { value: thresholdWords(set) });
  }
  for (const [name, set] of Object.entries(sets.markets)) {
    units.set(`${owner} for market ${name}`, { value: thresholdWords(set) });
  }
}

function thresholdWords(set: FunctionThresholds): string {
  const words = Object.entries(set).map(([name, threshold]) => `${name} (${threshold})`);
  return words.toSorted().join(', ') || 'no function';
}

function policyUnits(policy: Policy): Units {
  const units: Units = new Map();
  addSets(units, policy, 'policy');
  if (policy.emergency !== undefined) {
    units.set('policy for emergencies', { value: thresholdWords(policy.emergency) });
  }
  for (const { keyId, holder, name, function: role } of policy.holders) {
    units.set(`holder of key ${keyId}`, {
      value: `${JSON.stringify(name)}, id ${JSON.stringify(holder)}, in function ${role}`,
    });
  }
  for (const id of policy.secureBootRevoked)
    units.set(`revoked secure-boot key ${shown(id)}`, { value: 'revoked' });
  addOthers(units, { ...policy }, ['classes', 'markets', 'emergency', 'holders', 'secureBootRevoked'], '');
  return units;
}
