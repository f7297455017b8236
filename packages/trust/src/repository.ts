/**
 * Verifying one repository, step by step: newer roots, then timestamp and snapshot, then single roles.
 *
 * Generators that yield what to fetch, and how much of it at most, or what to make durable now; they do no I/O.
 * Keeps true: each verified root is kept alone and at once, timestamp and snapshot together before any role is asked
 * for, so that whatever is refused later, a revoked online key stays revoked and a withdrawal stays seen. Versions
 * are remembered per role and forgotten only when that role's own keys change.
 * Leaves to others: the judgement of each file (repository-session.ts), what the roles mean (functions.ts), what is
 * installed (agreement.ts). Section numbers are those of the TUF specification 1.0.
 */
import { Buffer } from 'node:buffer';
import { trustLimits } from './limits.ts';
import {
  checkMemory,
  checkReference,
  guarded,
  matches,
  own,
  readBound,
  readRoot,
  sameKeys,
  setNow,
  type Fetched,
  type RepositoryStep,
  type Reference,
  type Session,
  type ViewOf,
} from './repository-session.ts';
import { fail, ok, type Failure, type Result } from './result.ts';
import type { KeysAndThreshold, RootView, SnapshotView, TimestampView, FileEntry } from './read.ts';
import type { RepositoryState, RoleMemory } from './types.ts';

export type Steps<T> = Generator<RepositoryStep, Result<T>, Fetched>;

export interface Fresh {
  readonly timestamp: TimestampView;
  readonly snapshot: SnapshotView;
}

/**
 * Fetches newer roots one by one until there is none (5.3). Errors leave the last good root kept.
 */
export function* refreshRoots(session: Session): Steps<true> {
  for (let count = 0; count < trustLimits.rootRotationsMax; count += 1) {
    const name = `${session.root.version + 1}.root.json`;
    const bytes = yield fetchStep(session, name, trustLimits.rootBytesMax);
    if (bytes === undefined) return ok(true);
    const adopted = adoptRoot(session, bytes, name);
    if (!adopted.ok) return adopted;
    yield { kind: 'keep', state: session.state };
  }
  return fail(
    'OTA_TOO_LARGE',
    `more than ${trustLimits.rootRotationsMax} newer roots; those verified are kept, ask again`,
    'root',
  );
}

function adoptRoot(session: Session, bytes: Uint8Array, name: string): Result<true> {
  const next = readRoot(session.owner, bytes, name);
  if (!next.ok) return next;
  // 5.3.4 signed by old and new root, 5.3.5 exactly the next version.
  const trusted = guarded('root', () => session.store.updateRoot(Buffer.from(bytes)));
  if (!trusted.ok) return trusted;
  session.state = { ...afterRotation(session.state, session.root, next.value), root: textOf(bytes) };
  session.root = next.value;
  return ok(true);
}

/** 5.3.11: new timestamp or snapshot keys forget both roles, or a thief's highest number would be final. */
function afterRotation(state: RepositoryState, old: RootView, next: RootView): RepositoryState {
  const same = (role: 'timestamp' | 'snapshot') => sameKeys(keyIdsOf(old, role), keyIdsOf(next, role));
  if (same('timestamp') && same('snapshot')) return state;
  const { timestamp: _t, snapshot: _s, memory, ...rest } = state;
  const { timestamp: _tm, snapshot: _sm, ...roles } = memory;
  return { ...rest, memory: roles };
}

/**
 * Fetches and verifies timestamp and snapshot (5.4, 5.5), and keeps both in one step if either is new.
 * A timestamp that is not served leaves the held one in force: this is how held metadata is verified again.
 * Errors: the root's or a role's own, `OTA_MISSING_FILE`, `OTA_TIMESTAMP_LIFE`, `OTA_EXPIRED`, the rollback codes.
 */
export function* refreshSnapshot(session: Session): Steps<Fresh> {
  const fetched = yield fetchStep(session, 'timestamp.json', trustLimits.timestampBytesMax);
  // 5.3.10: the final root must not be expired; what was kept until here stays.
  if (session.now >= session.root.expires) return expired('root');
  const { state: before, now } = session;
  const timestamp = acceptTimestamp(session, fetched);
  if (!timestamp.ok) return timestamp;
  const snapshot = yield* acceptSnapshot(session, timestamp.value);
  if (!snapshot.ok) {
    // Both or neither: a timestamp without its snapshot would make what is held unusable, and its moment does not
    // count, so that a stolen timestamp key cannot push time beyond what a snapshot signed by another key lives.
    session.state = before;
    setNow(session, now);
    return snapshot;
  }
  if (timestamp.value.changed || snapshot.value.changed) yield { kind: 'keep', state: session.state };
  return ok({ timestamp: timestamp.value.view, snapshot: snapshot.value.view });
}

interface Accepted<T> {
  readonly view: T;
  /** True when it is another file than the held one. */
  readonly changed: boolean;
}

function acceptTimestamp(session: Session, fetched: Fetched): Result<Accepted<TimestampView>> {
  const held = feedHeldTimestamp(session);
  const bytes = fetched ?? textBytes(session.state.timestamp);
  if (bytes === undefined) return missing('timestamp.json');
  const expected = { kind: 'timestamp', role: 'timestamp', bytesMax: trustLimits.timestampBytesMax } as const;
  const view = readBound(session.owner, bytes, { ...expected, name: 'timestamp.json' });
  if (!view.ok) return view;
  const judged = judgeTimestamp(session, view.value);
  if (!judged.ok) return judged;
  const keyIds = keyIdsOf(session.root, 'timestamp');
  const memory = checkMemory(
    own(session.state.memory, 'timestamp'),
    view.value,
    keyIds,
    fetched === undefined,
  );
  if (!memory.ok) return memory;
  // 5.4.3: an equal version (and so, by memory, an equal content) leaves the held file in force.
  const same = held !== undefined && held.version === view.value.version;
  if (same && held.expired) return expired('timestamp');
  if (!same) {
    // 5.4.2 signature, 5.4.3 versions of timestamp and snapshot, 5.4.4 expiry.
    const trusted = guarded('timestamp', () => session.store.updateTimestamp(Buffer.from(bytes)));
    if (!trusted.ok) return trusted;
    const issued = Math.max(memory.value.issued ?? 0, view.value.issued);
    remember(session, 'timestamp', { ...memory.value, issued }, { timestamp: textOf(bytes) });
  }
  // From here on nothing is judged by a time that lies before the signed moment.
  setNow(session, Math.max(session.now, view.value.issued));
  return ok({ view: view.value, changed: !same });
}

/** Feeds the held timestamp first, so that tuf-js compares with it; undefined when its keys no longer suffice. */
function feedHeldTimestamp(session: Session): { version: number; expired: boolean } | undefined {
  const bytes = textBytes(session.state.timestamp);
  if (bytes === undefined) return undefined;
  const fed = guarded('timestamp', () => session.store.updateTimestamp(Buffer.from(bytes)));
  // tuf-js takes an expired one as trusted for comparisons before it throws.
  const version = session.store.timestamp?.signed.version;
  return version === undefined ? undefined : { version, expired: !fed.ok };
}

/** What TUF does not know: `issued`, and timestamps for bundles. */
function judgeTimestamp(session: Session, view: TimestampView): Result<true> {
  const lifeSeconds = view.expires - view.issued;
  if (session.source === 'network' && lifeSeconds > trustLimits.timestampLifeSecondsMax) {
    return fail(
      'OTA_TIMESTAMP_LIFE',
      `timestamp lives ${lifeSeconds} s, at most ${trustLimits.timestampLifeSecondsMax} s count outside bundles`,
      'timestamp',
    );
  }
  // A stolen online key cannot push the lower bound of time beyond what the offline root allows for.
  return view.issued < session.root.expires ? ok(true) : expired('root');
}

function* acceptSnapshot(
  session: Session,
  timestamp: Accepted<TimestampView>,
): Steps<Accepted<SnapshotView>> {
  const reference = timestamp.view.snapshot;
  const remembered = own(session.state.memory, 'snapshot');
  const keyIds = keyIdsOf(session.root, 'snapshot');
  const held = textBytes(session.state.snapshot);
  const changed = held === undefined || !matches(reference, held);
  const name = `${reference.version}.snapshot.json`;
  const bytes = changed ? yield fetchStep(session, name, reference.length) : held;
  if (bytes === undefined) return missing(name);
  const view = judgeSnapshot(session, reference, bytes);
  if (!view.ok) return view;
  const memory = checkMemory(remembered, view.value, keyIds, !changed);
  if (!memory.ok) return memory;
  if (changed && held !== undefined) {
    // 5.5.5 compares with the old snapshot. It is trusted already; its age and version are no errors here.
    guarded('snapshot', () => session.store.updateSnapshot(Buffer.from(held), true));
  }
  const trusted = guarded('snapshot', () => session.store.updateSnapshot(Buffer.from(bytes)));
  if (!trusted.ok) return trusted;
  if (changed) remember(session, 'snapshot', memory.value, { snapshot: textOf(bytes) });
  return ok({ view: view.value, changed });
}

function judgeSnapshot(session: Session, reference: FileEntry, bytes: Uint8Array): Result<SnapshotView> {
  const name = 'snapshot';
  const whole = checkReference(reference, bytes, name);
  if (!whole.ok) return whole;
  const view = readBound(session.owner, bytes, {
    kind: 'snapshot',
    role: name,
    bytesMax: trustLimits.roleBytesMax,
    name,
  });
  if (!view.ok) return view;
  if (view.value.version !== reference.version) {
    return fail(
      'OTA_BAD_METADATA',
      `snapshot has version ${view.value.version}, timestamp says ${reference.version}`,
      name,
    );
  }
  // Also after new snapshot keys, when there is no old snapshot to compare with: a name never leaves.
  for (const role of Object.keys(session.state.memory)) {
    if (role === 'timestamp' || role === 'snapshot' || Object.hasOwn(view.value.roles, role)) continue;
    return fail('OTA_ROLLBACK_METADATA', `role ${role} was in the snapshot before and has left it`, name);
  }
  return view;
}

/** A verified role of targets kind. An expired one is verified too, and remembered; it only authorises nothing. */
export interface Loaded<T> {
  readonly view: T;
  readonly expired: boolean;
}

/**
 * Loads `targets` or, as its direct child and never by a walk, one function (5.6). Not kept by a step of its own:
 * `session.state` has it, and the caller keeps the whole set.
 * Errors: the role's own, `OTA_MISSING_FILE`, `OTA_HASH_MISMATCH`, the rollback codes, `OTA_BAD_SIGNATURE`.
 */
export function* loadRole<K extends 'targets' | 'director-targets' | 'function'>(
  session: Session,
  snapshot: SnapshotView,
  kind: K,
  role: string,
  delegated: KeysAndThreshold,
): Steps<Loaded<ViewOf<K>>> {
  const reference = own(snapshot.roles, role);
  if (reference === undefined) return fail('OTA_MISSING_FILE', `the snapshot does not list ${role}`, role);
  const held = textBytes(own(session.state.roles, role));
  const changed = held === undefined || !matches(reference, held);
  const name = `${reference.version}.${role}.json`;
  const bytes = changed ? yield fetchStep(session, name, reference.length) : held;
  if (bytes === undefined) return missing(name);
  const whole = checkReference(reference, bytes, role);
  if (!whole.ok) return whole;
  const view = readBound(session.owner, bytes, {
    kind,
    role,
    bytesMax: trustLimits.roleBytesMax,
    name: role,
  });
  if (!view.ok) return view;
  const memory = checkMemory(own(session.state.memory, role), view.value, keyIdsIn(delegated), !changed);
  if (!memory.ok) return memory;
  const delegator = kind === 'function' ? 'targets' : 'root';
  const trusted = guarded(role, () =>
    session.store.updateDelegatedTargets(Buffer.from(bytes), role, delegator),
  );
  // tuf-js judges expiry last, after hash, signatures and version.
  if (!trusted.ok && trusted.error.code !== 'OTA_EXPIRED') return trusted;
  const roles = changed ? { ...session.state.roles, [role]: textOf(bytes) } : session.state.roles;
  remember(session, role, memory.value, { roles });
  return ok({ view: view.value, expired: !trusted.ok });
}

/**
 * A target file by its hash: the held text if it is still the one meant, else fetched.
 * Errors: `OTA_MISSING_FILE`, `OTA_HASH_MISMATCH`.
 */
export function* loadTarget(
  session: Session,
  path: string,
  reference: Reference,
  heldText: string | undefined,
): Steps<Uint8Array> {
  const held = textBytes(heldText);
  if (held !== undefined && matches(reference, held)) return ok(held);
  const bytes = yield fetchStep(session, path, reference.length);
  if (bytes === undefined) return missing(path);
  const whole = checkReference(reference, bytes, path);
  return whole.ok ? ok(bytes) : whole;
}

/** The same memory of the same files leaves `session.state` the same object: nothing to keep. */
function remember(session: Session, role: string, memory: RoleMemory, files: Partial<RepositoryState>): void {
  const known = own(session.state.memory, role);
  const sameMemory = known?.version === memory.version && sameKeys(known.keyIds, memory.keyIds);
  if (sameMemory && files.roles === session.state.roles) return;
  session.state = { ...session.state, ...files, memory: { ...session.state.memory, [role]: memory } };
}

function keyIdsOf(root: RootView, role: 'timestamp' | 'snapshot'): readonly string[] {
  return keyIdsIn(root.roles[role]);
}

function keyIdsIn({ keys }: KeysAndThreshold): readonly string[] {
  return keys.map((key) => key.keyId).toSorted();
}

function fetchStep(session: Session, path: string, bytesMax: number): RepositoryStep {
  return { kind: 'fetch', repository: session.owner.repository, path, bytesMax };
}

function missing(path: string): { ok: false; error: Failure } {
  return fail('OTA_MISSING_FILE', `${path} was not served`, path);
}

/** Raw checks have shown that the bytes are UTF-8 that JSON writes the same way again. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function textBytes(text: string | undefined): Buffer | undefined {
  return text === undefined ? undefined : Buffer.from(text);
}

function expired(role: string): { ok: false; error: Failure } {
  return fail('OTA_EXPIRED', `${role} is expired at the reference time`, role);
}
