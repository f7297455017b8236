/**
 * One repository while it is verified: the trusted store, what is kept so far, and the rules that tuf-js leaves out.
 *
 * Keeps true: tuf-js never sees a byte that is longer than its limit, has another reading, or was made for another
 * repository, product or device; a version never falls below the highest one remembered, and one number never stands
 * for two contents; no exception of tuf-js leaves this file, each becomes a code with the role's name.
 * Leaves to others: in which order files are asked for (repository.ts), what roles mean (functions.ts).
 */
import { Buffer } from 'node:buffer';
import { LengthOrHashMismatchError, UnsignedMetadataError } from '@tufjs/models/dist/error.js';
import { BadVersionError, ExpiredMetadataError, RepositoryError } from 'tuf-js/dist/error.js';
import { TrustedMetadataStore } from 'tuf-js/dist/store.js';
import { sha256Hex, tufCanonicalBytes } from './canonical.ts';
import { trustLimits } from './limits.ts';
import { plainText } from './plain-text.ts';
import { parseRaw } from './raw.ts';
import { fail, ok, type Failure, type Result, type UtcSeconds } from './result.ts';
import { checkRole, type RoleView, type RootView } from './read.ts';
import { checkRootSeparation } from './separation.ts';
import type { RepositoryState, RoleMemory } from './types.ts';
import type { Owner } from './write.ts';

/** Characters kept of what tuf-js says; its own sentences are shorter. */
const reasonCharactersMax = 300;

/** What is asked of the caller; `check.ts` makes `TrustStep`s of it. */
export type RepositoryStep =
  | {
      readonly kind: 'fetch';
      readonly repository: Owner['repository'];
      readonly path: string;
      readonly bytesMax: number;
    }
  | { readonly kind: 'keep'; readonly state: RepositoryState };

/** Bytes as the caller answers a fetch; undefined when there is no such file. */
export type Fetched = Uint8Array | undefined;

/** Mutable, and alive for one check only: `state` is always the newest that may be kept. */
export interface Session {
  readonly owner: Owner;
  readonly store: TrustedMetadataStore;
  readonly source: 'network' | 'bundle';
  state: RepositoryState;
  root: RootView;
  /** Reference time, raised by every verified `issued`. */
  now: UtcSeconds;
}

/**
 * Opens a repository from its held root, which is trusted as it stands: its expiry does not matter yet, or newer
 * roots could never be fetched (TUF 5.3.10). Errors: those of a root file, `OTA_BAD_SIGNATURE`, `OTA_WRONG_BINDING`,
 * `OTA_KEY_SHARED`.
 */
export function openSession(
  owner: Owner,
  state: RepositoryState,
  now: UtcSeconds,
  source: 'network' | 'bundle',
): Result<Session> {
  const bytes = Buffer.from(state.root);
  const root = readRoot(owner, bytes, 'root');
  if (!root.ok) return root;
  const store = guarded('root', () => new TrustedMetadataStore(bytes));
  if (!store.ok) return store;
  setClock(store.value, now);
  return ok({ owner, store: store.value, source, state, root: root.value, now });
}

/** Judges everything that follows by `now`. */
export function setNow(session: Session, now: UtcSeconds): void {
  session.now = now;
  setClock(session.store, now);
}

/** tuf-js takes the local clock in its constructor and offers no other way in; the exact version is pinned for this. */
function setClock(store: TrustedMetadataStore, now: UtcSeconds): void {
  Reflect.set(store, 'referenceTime', new Date(now * 1000));
}

/** Reads a root file and judges everything about it but its signatures. Errors: as `readBound`, `OTA_KEY_SHARED`. */
export function readRoot(owner: Owner, bytes: Uint8Array, name: string): Result<RootView> {
  const view = readBound(owner, bytes, {
    kind: 'root',
    role: 'root',
    bytesMax: trustLimits.rootBytesMax,
    name,
  });
  if (!view.ok) return view;
  const separate = checkRootSeparation(view.value.roles, owner.repository === 'director', name);
  return separate.ok ? view : separate;
}

export type ViewOf<K extends RoleView['kind']> = Extract<RoleView, { readonly kind: K }>;

/**
 * The raw checks and the binding of one role file, before tuf-js sees it. `role` is whose file it must be, `name`
 * how failures call it. Errors: those of `parseRaw` and `checkRole`, `OTA_WRONG_BINDING`.
 */
export function readBound<K extends RoleView['kind']>(
  owner: Owner,
  bytes: Uint8Array,
  expected: { readonly kind: K; readonly role: string; readonly bytesMax: number; readonly name: string },
): Result<ViewOf<K>> {
  const { kind, role, bytesMax, name } = expected;
  const value = parseRaw(bytes, bytesMax, name);
  if (!value.ok) return value;
  const view = checkRole(value.value, name, { repository: owner.repository, role });
  if (!view.ok) return view;
  const bound = checkBinding(owner, view.value, name);
  if (!bound.ok) return bound;
  if (!isKind(view.value, kind))
    return fail('OTA_WRONG_BINDING', `${name} is not a file of kind ${kind}`, name);
  return ok(view.value);
}

function isKind<K extends RoleView['kind']>(view: RoleView, kind: K): view is ViewOf<K> {
  return view.kind === kind;
}

/**
 * Another device's or product's metadata is validly signed, with versions of its own: stored, it would lock this
 * device out of its own for ever. The director's root is one for the fleet and names no device.
 */
function checkBinding(owner: Owner, view: RoleView, name: string): Result<true> {
  const product = owner.repository === 'image' ? owner.product : undefined;
  const device = owner.repository === 'director' && view.kind !== 'root' ? owner.device : undefined;
  if (view.product !== product) {
    return fail('OTA_WRONG_BINDING', `${name} is for product ${view.product}, expected ${product}`, name);
  }
  if (view.device !== device) {
    return fail('OTA_WRONG_BINDING', `${name} is for device ${view.device}, this is ${device}`, name);
  }
  return ok(true);
}

export interface Reference {
  readonly length: number;
  readonly sha256: string;
}

/** Length and hash as the referring role gives them; compared before the bytes are parsed. */
export function checkReference(reference: Reference, bytes: Uint8Array, name: string): Result<true> {
  if (matches(reference, bytes)) return ok(true);
  return fail('OTA_HASH_MISMATCH', `${name} has not the length and hash that signed metadata gives`, name);
}

export function matches(reference: Reference, bytes: Uint8Array): boolean {
  return bytes.length === reference.length && sha256Hex(bytes) === reference.sha256;
}

/**
 * Compares a role with what is remembered of it, and returns the new memory. A memory made under other keys of the
 * role itself says nothing any more: only so can a stolen key's jump to the highest number be cured (TUF 5.3.11).
 * `held` says that the file is the one kept with the memory.
 * Errors: `OTA_ROLLBACK_METADATA`, `OTA_SAME_VERSION_CHANGED`.
 */
export function checkMemory(
  memory: RoleMemory | undefined,
  view: RoleView,
  keyIds: readonly string[],
  held: boolean,
): Result<RoleMemory> {
  const remembered = memory !== undefined && sameKeys(memory.keyIds, keyIds);
  // The very file that the memory was made of: hashing its content again would tell nothing.
  if (held && remembered && memory.version === view.version) return ok(memory);
  const next = { version: view.version, signedSha256: sha256Hex(tufCanonicalBytes(view.signed)), keyIds };
  if (!remembered) return ok(next);
  const { issued } = memory;
  const { role } = view;
  if (next.version < memory.version) return rolledBack(role, next.version, memory.version);
  if (next.version === memory.version && next.signedSha256 !== memory.signedSha256) {
    return fail('OTA_SAME_VERSION_CHANGED', `${role} ${next.version} came before with another content`, role);
  }
  return ok(issued === undefined ? next : { ...next, issued });
}

function rolledBack(role: string, found: number, known: number): { ok: false; error: Failure } {
  return fail(
    'OTA_ROLLBACK_METADATA',
    `${role} has version ${found}, but version ${known} was verified before`,
    role,
  );
}

export function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((keyId, index) => keyId === b[index]);
}

/** Own properties only: `roles` and `memory` are maps, and `constructor` is a name like any other to `Object`. */
export function own<T>(map: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}

/** Runs one call into tuf-js; whatever it throws becomes a code and a message that name the role. */
export function guarded<T>(role: string, call: () => T): Result<T> {
  try {
    return ok(call());
  } catch (error) {
    // tuf-js may quote what it refuses.
    const reason =
      error instanceof Error ? plainText(error.message.slice(0, reasonCharactersMax)) : 'refused';
    return fail(codeOf(error), `${role}: ${reason}`, role);
  }
}

function codeOf(error: unknown): string {
  if (error instanceof ExpiredMetadataError) return 'OTA_EXPIRED';
  if (error instanceof UnsignedMetadataError) return 'OTA_BAD_SIGNATURE';
  if (error instanceof LengthOrHashMismatchError) return 'OTA_HASH_MISMATCH';
  // A wrong version, and a name that left the snapshot (the only plain RepositoryError that raw checks let through).
  if (error instanceof BadVersionError || error instanceof RepositoryError) return 'OTA_ROLLBACK_METADATA';
  return 'OTA_BAD_METADATA';
}
