/**
 * Publishing in an image repository: what the next state would be, and whether devices would accept it.
 *
 * Keeps true: nothing is published that a device would refuse, judged by the device's own code; a role's name never
 * leaves the snapshot; role, snapshot and timestamp belong together. Pure: the caller stores the answer, all or
 * nothing.
 */
import {
  checkImageRepository,
  draftSnapshot,
  fail,
  type ImageView,
  newRepositoryState,
  ok,
  type RepositoryState,
  type Result,
  signDraft,
  type UtcSeconds,
} from '@airlock/trust';
import type { Keyring } from '../ports/platform.ts';
import type { RoleFile } from '../ports/store.ts';
import { type ImageRepository, imagePaths, rootViewOf } from './files.ts';
import { signTimestamp } from './timestamps.ts';
import { lifeSeconds, nextOnlineVersion } from './versions.ts';

/**
 * The repository with the changes in it and a new snapshot over them. `lastSnapshot` is the version last written.
 * Errors: API_ONLINE_KEYS when the root names online keys whose private halves are not here.
 */
export function withChanges(
  before: ImageRepository,
  changes: readonly RoleFile[],
  at: { readonly now: UtcSeconds; readonly keyring: Keyring },
): Result<ImageRepository> {
  const root = changes.find(({ role }) => role === 'root') ?? before.root;
  const roles = new Map(before.roles);
  for (const change of changes) if (change.role !== 'root') roles.set(change.role, change);
  const online = onlineSigners(root, at.keyring);
  if (!online.ok) return online;
  const { snapshot: _, ...rest } = before;
  if (!roles.has('targets')) return ok({ ...rest, root, roles });
  const version = nextOnlineVersion(before.snapshot?.version, at.now);
  const draft = draftSnapshot({
    repository: 'image',
    product: before.product,
    version,
    expires: at.now + lifeSeconds.imageSnapshot,
    roles: Object.fromEntries([...roles.values()].map(({ role, file }) => [role, Buffer.from(file)])),
  });
  const file = Buffer.from(signDraft(draft, online.value.snapshot)).toString();
  return ok({ ...rest, root, roles, snapshot: { role: 'snapshot', version, file } });
}

/** The signers of snapshot and timestamp that a root asks for. */
export function onlineSigners(root: RoleFile, keyring: Keyring) {
  const { roles } = rootViewOf(root.file);
  const snapshot = keyring.signers(roles.snapshot);
  const timestamp = keyring.signers(roles.timestamp);
  if (snapshot === undefined || timestamp === undefined) {
    const role = snapshot === undefined ? 'snapshot' : 'timestamp';
    const message = `root ${root.version} names ${role} keys that this server does not hold; make them with online-keys`;
    return fail('API_ONLINE_KEYS', message, `signed.roles.${role}`);
  }
  return ok({ snapshot, timestamp });
}

/**
 * Whether a device that accepted `before` would accept `after`, told by trust's own check.
 * Errors: whatever the device would say.
 */
export function rehearse(
  before: ImageRepository,
  after: ImageRepository,
  at: { readonly now: UtcSeconds; readonly keyring: Keyring },
): Result<ImageView> {
  const first = newRepositoryState({ repository: 'image', product: before.product }, before.root.file);
  if (!first.ok) return first;
  // What cannot be verified now (nothing published yet, an old snapshot) leaves the state as far as it came.
  const held = before.snapshot === undefined ? first.value : check(before, first.value, at, 0).state;
  return check(after, held, at, 1).result;
}

/** The same for a set of changes, each of which must count afterwards. */
export function rehearseAll(
  published: ImageRepository,
  after: ImageRepository,
  changes: readonly RoleFile[],
  at: { readonly now: UtcSeconds; readonly keyring: Keyring },
): Result<true> {
  // A product's first root stands alone until its targets come.
  if (after.snapshot === undefined) return ok(true);
  const view = rehearse(published, after, at);
  if (!view.ok) return view;
  for (const { role } of changes) {
    const failure = view.value.failures[role];
    if (failure !== undefined) return { ok: false, error: failure };
  }
  return ok(true);
}

function check(
  repository: ImageRepository,
  state: RepositoryState,
  at: { readonly now: UtcSeconds; readonly keyring: Keyring },
  turn: number,
): { readonly state: RepositoryState; readonly result: Result<ImageView> } {
  const online = onlineSigners(repository.root, at.keyring);
  if (!online.ok) return { state, result: online };
  const { product, snapshot } = repository;
  const version = Math.max(at.now, snapshot?.version ?? 0) + turn;
  const owner = { repository: 'image', product } as const;
  const timestamp =
    snapshot === undefined
      ? ''
      : signTimestamp({ owner, snapshot, now: at.now, signers: online.value.timestamp }, version);
  const paths = imagePaths(repository, timestamp);
  const steps = checkImageRepository({ product, state, now: at.now, source: 'network' });
  let kept = state;
  let next = steps.next();
  while (next.done !== true) {
    if (next.value.kind === 'keep') {
      kept = next.value.state;
      next = steps.next(undefined);
    } else {
      const text = paths.get(next.value.path);
      next = steps.next(text === undefined || text === '' ? undefined : Buffer.from(text));
    }
  }
  return { state: kept, result: next.value };
}
