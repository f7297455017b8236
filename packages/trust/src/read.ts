/**
 * Role files: from a parsed JSON value to a typed view, with every check that one file allows on its own.
 *
 * Stands before tuf-js, which takes version -5, a missing zone, md5, no length, a key under two ids and role names
 * with `../`. Keeps true: versions are safe integers from 1; moments and hashes have one form and a length beside
 * them; keys have their one encoding and the id that follows from it; every role carries `x-airlock`; a function
 * or director role delegates nothing; `targets` lists the policy and nothing else, and delegates each function once,
 * terminating, with its one path; lists are bounded. A view is parsed, NOT verified.
 * Leaves to others: signatures, binding to this product and device, expiry, versions against memory, separation.
 * Unknown fields of `signed` and of `x-airlock` are kept and ignored (TUF 4.1); nowhere else.
 */
import { readSignatures } from './envelope.ts';
import { type Field, readFields } from './fields.ts';
import { parseInstant } from './instant.ts';
import { type PublicKey, readPublicKey } from './keys.ts';
import { trustLimits } from './limits.ts';
import { parseRaw } from './raw.ts';
import { fail, type Result, type UtcSeconds } from './result.ts';
import type {
  DirectorTargetsView,
  FileEntry,
  FunctionView,
  KeysAndThreshold,
  RoleCommon,
  RoleView,
  RootView,
  SnapshotView,
  TargetsView,
  TimestampView,
  TopLevelRole,
} from './role-view.ts';
import { readAssignment, readHashes } from './targets-entry.ts';
import { readClassesAndMarkets } from './thresholds.ts';
import type { RepositoryName } from './types.ts';

export type * from './role-view.ts';

const topLevelRoles = ['root', 'targets', 'snapshot', 'timestamp'] as const;

/**
 * Checks one parsed role file (see the head of this file). `name` is what a failure calls it. `expected`, when
 * given, is what was asked for: another repository's or role's file is OTA_WRONG_BINDING.
 * Codes: OTA_BAD_METADATA, OTA_BAD_DELEGATION, OTA_POLICY (targets without policy.json), OTA_WRONG_BINDING.
 */
export function checkRole(
  value: unknown,
  name: string,
  expected?: { readonly repository: RepositoryName; readonly role: string },
): Result<RoleView> {
  const checked = readFields(value, { code: 'OTA_BAD_METADATA', name }, readFile);
  if (!checked.ok || expected === undefined) return checked;
  const { repository, role } = checked.value;
  if (repository !== expected.repository || role !== expected.role) {
    const wanted = `role ${expected.role} of the ${expected.repository} repository`;
    const message = `${name}: is role ${role} of the ${repository} repository, expected ${wanted}`;
    return fail('OTA_WRONG_BINDING', message, 'signed.x-airlock');
  }
  return checked;
}

const bytesMaxByKind: Readonly<Record<RoleView['kind'], number>> = {
  root: trustLimits.rootBytesMax,
  targets: trustLimits.roleBytesMax,
  function: trustLimits.roleBytesMax,
  'director-targets': trustLimits.roleBytesMax,
  snapshot: trustLimits.roleBytesMax,
  timestamp: trustLimits.timestampBytesMax,
};

/**
 * Reads a role file of any kind: parsed and checked on its own, NOT verified. For tools that show or sign; a
 * device knows which file it asked for and gives that file's own limit as `bytesMax`.
 * Codes: those of `parseRaw` and `checkRole`.
 */
export function readRole(
  file: Uint8Array,
  name = 'role file',
  bytesMax: number = trustLimits.roleBytesMax,
): Result<RoleView> {
  const parsed = parseRaw(file, bytesMax, name);
  if (!parsed.ok) return parsed;
  const checked = checkRole(parsed.value, name);
  if (checked.ok && file.length > bytesMaxByKind[checked.value.kind]) {
    const allowed = bytesMaxByKind[checked.value.kind];
    return fail('OTA_TOO_LARGE', `${name} has ${file.length} bytes, at most ${allowed} are allowed`, name);
  }
  return checked;
}

function readFile(file: Field): RoleView {
  const view = readKind(file);
  for (const [name, value] of Object.entries(view.signed)) {
    if (hasFraction(value)) file.at('signed').at(name).refuse('holds a number that is no safe integer');
  }
  return view;
}

function readKind(file: Field): RoleView {
  file.object(['signatures', 'signed']);
  const signatures = readSignatures(file.at('signatures')).map(({ keyid, sig }) => ({ keyId: keyid, sig }));
  const field = file.at('signed');
  const signed = field.object();
  // An envelope's signature must never be one of a role; see envelope.ts.
  field.optional('schema')?.refuse('is not allowed in a role');
  const type = field.at('_type').choice(topLevelRoles);
  const specVersion = field.at('spec_version');
  if (!/^1\.0\.\d{1,3}$/.test(specVersion.text(16))) specVersion.refuse('must be of TUF 1.0');
  const common = {
    ...readBinding(field.at('x-airlock'), type),
    version: field.at('version').integer(1, trustLimits.metadataVersionMax),
    expires: readInstant(field.at('expires')),
    signatures,
    signed,
  };
  if (type === 'root') return readRoot(field, common);
  if (type === 'snapshot') return readSnapshot(field, common);
  if (type === 'timestamp') return readTimestamp(field, common);
  if (common.repository === 'director') return readDirectorTargets(field, common);
  return common.role === 'targets' ? readTargets(field, common) : readFunction(field, common);
}

/** Whether a number is in `value`, however deep, that TUF's canonical form cannot say; unknown fields may hold any. */
function hasFraction(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isSafeInteger(value);
  return typeof value === 'object' && value !== null && Object.values(value).some(hasFraction);
}

/** Whose the role is: repository with product or device, and the function's name in a function's role. */
function readBinding(field: Field, type: TopLevelRole) {
  const repository = field.at('repository').choice(['image', 'director']);
  const only = (name: string, allowed: boolean): Field | undefined => {
    const found = field.optional(name);
    if (found !== undefined && !allowed) found.refuse('does not belong into this role');
    return found;
  };
  const imageRoot = repository === 'image' && type === 'root';
  for (const name of ['minimum', 'provisioning', 'demo']) only(name, imageRoot);
  only('issued', type === 'timestamp');
  const functionName = only('function', repository === 'image' && type === 'targets')?.name();
  const role = functionName ?? type;
  if (repository === 'image') {
    only('device', false);
    return { repository, role, product: field.at('product').name() } as const;
  }
  only('product', false);
  if (type !== 'root') return { repository, role, device: field.at('device').device() } as const;
  only('device', false);
  return { repository, role } as const;
}

function readInstant(field: Field): UtcSeconds {
  const seconds = parseInstant(field.text(32));
  return seconds ?? field.refuse('must be a date of the form YYYY-MM-DDTHH:MM:SSZ');
}

/** A key table: every id is the one that follows from its key. */
function readKeyTable(field: Field, entriesMax: number): Map<string, PublicKey> {
  const table = new Map<string, PublicKey>();
  for (const [keyId, entry] of field.entries(entriesMax)) {
    const key = readPublicKey(entry);
    if (key.keyId !== keyId) entry.refuse(`stands under another id than its own, ${key.keyId}`);
    table.set(keyId, key);
  }
  return table;
}

/** Key ids and threshold of one role; ids that were used are noted in `used`. */
function readRoleKeys(
  field: Field,
  table: ReadonlyMap<string, PublicKey>,
  used: Set<string>,
): KeysAndThreshold {
  const keyIds = field.at('keyids').unique((id) => id.sha256(), trustLimits.keysPerRoleMax);
  const keys = keyIds.map((id) => {
    used.add(id);
    return table.get(id) ?? field.at('keyids').refuse(`names a key that is not in the file: ${id}`);
  });
  // A threshold above the count of keys could never be met again.
  return { keys, threshold: field.at('threshold').integer(1, keys.length) };
}

function refuseUnused(field: Field, table: ReadonlyMap<string, PublicKey>, used: ReadonlySet<string>): void {
  for (const keyId of table.keys()) if (!used.has(keyId)) field.at(keyId).refuse('is a key of no role');
}

function readRoot(field: Field, common: RoleCommon): RootView {
  if (!field.at('consistent_snapshot').boolean()) field.at('consistent_snapshot').refuse('must be true');
  const table = readKeyTable(field.at('keys'), trustLimits.keysPerFileMax);
  const roles = field.at('roles');
  roles.object(topLevelRoles);
  const used = new Set<string>();
  const read = (role: TopLevelRole) => {
    roles.at(role).object(['keyids', 'threshold']);
    return readRoleKeys(roles.at(role), table, used);
  };
  const view = {
    ...common,
    kind: 'root',
    roles: {
      root: read('root'),
      targets: read('targets'),
      snapshot: read('snapshot'),
      timestamp: read('timestamp'),
    },
  } as const;
  refuseUnused(field.at('keys'), table, used);
  return common.repository === 'image' ? { ...view, image: readImageRoot(field.at('x-airlock')) } : view;
}

function readImageRoot(airlock: Field): NonNullable<RootView['image']> {
  const minimum = airlock.at('minimum');
  minimum.object(['classes', 'markets']);
  const provisioning = airlock.at('provisioning');
  provisioning.object(['keys', 'threshold']);
  const keys = [...readKeyTable(provisioning.at('keys'), trustLimits.keysPerRoleMax).values()];
  return {
    // The minimum may ask less than two functions of a class: demand is judged together with the policy.
    minimum: readClassesAndMarkets(minimum, 0),
    provisioning: { keys, threshold: provisioning.at('threshold').integer(1, keys.length) },
    demo: airlock.at('demo').boolean(),
  };
}

function readTargets(field: Field, common: RoleCommon): TargetsView {
  const targets = field.at('targets');
  for (const name of Object.keys(targets.object())) {
    // Otherwise `targets` itself would approve a release, in the place of every function.
    if (name !== 'policy.json') targets.at(name).refuse('stands in targets beside policy.json');
  }
  const policy = targets.optional('policy.json') ?? targets.refuse('has no policy.json', 'OTA_POLICY');
  policy.object(['length', 'hashes']);
  const delegations = field.at('delegations');
  const refuse = (at: Field, message: string) => at.refuse(message, 'OTA_BAD_DELEGATION');
  if (Object.keys(delegations.object()).some((name) => name !== 'keys' && name !== 'roles')) {
    refuse(delegations, 'must have keys and roles and nothing else');
  }
  const table = readKeyTable(delegations.at('keys'), trustLimits.keysPerFileMax);
  const used = new Set<string>();
  const names = new Set<string>();
  const functions = delegations
    .at('roles')
    .array(trustLimits.functionsMax)
    .map((role) => {
      role.object(['name', 'keyids', 'threshold', 'terminating', 'paths']);
      const name = role.at('name').name();
      if (names.has(name)) refuse(role.at('name'), 'is delegated twice');
      names.add(name);
      if (!role.at('terminating').boolean()) refuse(role.at('terminating'), 'must be true');
      const paths = role
        .at('paths')
        .array()
        .map((path) => path.text(64));
      if (paths.length !== 1 || paths[0] !== `${name}/*`) refuse(role.at('paths'), `must be ["${name}/*"]`);
      const { keys, threshold } = readRoleKeys(role, table, used);
      return { name, keys, threshold };
    });
  refuseUnused(delegations.at('keys'), table, used);
  const length = policy.at('length').integer(1, trustLimits.policyBytesMax);
  return {
    ...common,
    kind: 'targets',
    functions,
    policy: { length, sha256: readHashes(policy.at('hashes')) },
  };
}

function refuseDelegations(field: Field): void {
  field.optional('delegations')?.refuse('are not allowed in this role', 'OTA_BAD_DELEGATION');
}

/** The version in a path `<prefix>/<version>.json`. */
function readPath(entry: Field, path: string): { prefix: string; version: number } {
  const match = /^([a-z][a-z0-9-]{0,31})\/([1-9]\d{0,9})\.json$/.exec(path);
  const version = Number(match?.[2]);
  if (match?.[1] === undefined || version > trustLimits.releaseVersionMax) {
    return entry.refuse('must stand under <name>/<version>.json');
  }
  return { prefix: match[1], version };
}

function readFunction(field: Field, common: RoleCommon): FunctionView {
  refuseDelegations(field);
  const releases = field
    .at('targets')
    .entries(trustLimits.releasesPerRoleMax)
    .map(([path, entry]) => {
      const { prefix, version } = readPath(entry, path);
      if (prefix !== common.role) entry.refuse(`is a path of another function than ${common.role}`);
      entry.object(['length', 'hashes']);
      const length = entry.at('length').integer(1, trustLimits.manifestBytesMax);
      return { version, length, sha256: readHashes(entry.at('hashes')) };
    });
  return { ...common, kind: 'function', releases };
}

function readDirectorTargets(field: Field, common: RoleCommon): DirectorTargetsView {
  refuseDelegations(field);
  const view = { ...common, kind: 'director-targets' } as const;
  const [target] = field.at('targets').entries(1);
  if (target === undefined) return view;
  const [path, entry] = target;
  const { prefix: product, version } = readPath(entry, path);
  entry.object(['length', 'hashes', 'custom']);
  const length = entry.at('length').integer(1, trustLimits.manifestBytesMax);
  const sha256 = readHashes(entry.at('hashes'));
  const assignment = readAssignment(entry.at('custom'));
  return { ...view, assignment: { product, version, length, sha256, assignment } };
}

function readFileEntry(entry: Field): FileEntry {
  entry.object(['version', 'length', 'hashes']);
  return {
    version: entry.at('version').integer(1, trustLimits.metadataVersionMax),
    // The device reads at most this much, whatever stands here (5 GB were believed by tuf-js).
    length: entry.at('length').integer(1, trustLimits.roleBytesMax),
    sha256: readHashes(entry.at('hashes')),
  };
}

function readSnapshot(field: Field, common: RoleCommon): SnapshotView {
  const meta = field.at('meta');
  meta.at('targets.json');
  const entriesMax = common.repository === 'image' ? trustLimits.snapshotEntriesMax : 1;
  const roles = meta.entries(entriesMax).map(([file, entry]): [string, FileEntry] => {
    const name = file.endsWith('.json') ? file.slice(0, -'.json'.length) : '';
    return [name === 'targets' ? name : entry.named(name), readFileEntry(entry)];
  });
  return { ...common, kind: 'snapshot', roles: Object.fromEntries(roles) };
}

function readTimestamp(field: Field, common: RoleCommon): TimestampView {
  const meta = field.at('meta');
  meta.object(['snapshot.json']);
  const issued = field.at('x-airlock').at('issued');
  const view = { kind: 'timestamp', issued: issued.integer(0, trustLimits.utcSecondsMax) } as const;
  // A lower bound of time beyond the expiry would make the file lock out itself and all that follow.
  if (view.issued >= common.expires) issued.refuse('must be before the expiry');
  return { ...common, ...view, snapshot: readFileEntry(meta.at('snapshot.json')) };
}
