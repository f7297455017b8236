/** The director: its one root for the fleet, and each device's targets and snapshot. */
import {
  fail,
  newRepositoryState,
  ok,
  readRole,
  type Result,
  sha256Hex,
  trustLimits,
  verifyRoleFile,
} from '@airlock/trust';
import { type Assigned, writeDirectorSet } from '../core/assignment.ts';
import { type DirectorRepository, rootViewOf } from '../core/files.ts';
import { onlineSigners } from '../core/publication.ts';
import { deviceOwner, directorOwner, lifeSeconds } from '../core/versions.ts';
import { checkWhole } from '../core/whole.ts';
import { type AssignmentRow, Raced, type RoleFile, type StoreParts } from '../ports/store.ts';
import { type Actor, record } from './audit.ts';
import type { Context } from './context.ts';
import { parseCustom } from './custom.ts';
import { loadDirector, loadImage } from './repositories.ts';

/** The name under which devices' claims of a newer root of the director are noted; no product can have this name. */
export const directorName = '(director)';

export async function directorRootVersion(context: Context): Promise<number> {
  return (await context.store.currentVersions(directorOwner)).get('root') ?? 0;
}

/**
 * Takes the first or the next root of the director. Errors: those of `readRole`; OTA_WRONG_BINDING; OTA_BAD_SIGNATURE;
 * API_VERSION_USED; API_ONLINE_KEYS. The same root again changes nothing. A change of its keys marks all devices' sets.
 */
export async function postDirectorRoot(
  context: Context,
  file: string,
  by: Actor,
): Promise<Result<{ readonly rootVersion: number }>> {
  const read = readDirectorRoot(file);
  if (!read.ok) return read;
  const root = read.value;
  return await context.locks.run(directorOwner, async () => {
    const current = (await context.store.currentRoles(directorOwner)).find(({ role }) => role === 'root');
    if (current?.file === file) return ok({ rootVersion: root.version });
    const next = (current?.version ?? 0) + 1;
    if (root.version !== next) {
      return fail(
        'API_VERSION_USED',
        `the next director root must be version ${next}, this is ${root.version}`,
        'root',
      );
    }
    for (const delegator of current === undefined ? [file] : [current.file, file]) {
      const counted = verifyRoleFile(Buffer.from(file), Buffer.from(delegator));
      if (!counted.ok) return counted;
      if (counted.value.enough) continue;
      const whose = delegator === file ? 'its own' : "the current root's";
      return fail('OTA_BAD_SIGNATURE', `director root is not signed by ${whose} threshold`, 'root');
    }
    const online = onlineSigners(root, context.keyring);
    if (!online.ok) return online;
    if (context.keyring.signers(rootViewOf(file).roles.targets) === undefined) {
      return fail('API_ONLINE_KEYS', 'the root names targets keys that this server does not hold', 'root');
    }
    const apart = await checkApart(context, file);
    if (!apart.ok) return apart;
    const now = context.clock.now();
    await context.store.transaction(async (store) => {
      await store.addRole(directorOwner, root, now);
      await store.expireDeviceSets(now);
      await store.removeClaims(directorName, 'root', root.version);
      await record(store, by, now, {
        act: 'director.root',
        subject: { role: 'root', version: root.version },
        before: current === undefined ? undefined : rootFacts(current),
        after: rootFacts(root),
      });
    });
    return ok({ rootVersion: root.version });
  });
}

/** A key that a product has as well would stop every install of it (SIGN-03): no device would tell before it tried. */
async function checkApart({ store }: Context, file: string): Promise<Result<true>> {
  for (const { product } of await store.products()) {
    const image = await loadImage(store, product);
    const apart = image === undefined ? ok(true) : checkWhole(image, file);
    if (!apart.ok && apart.error.code === 'OTA_KEY_SHARED') {
      return fail('OTA_KEY_SHARED', `with ${product}: ${apart.error.message}`, 'root');
    }
  }
  return ok(true);
}

function rootFacts({ version, file }: RoleFile) {
  return { version, sha256: sha256Hex(Buffer.from(file)) };
}

function readDirectorRoot(file: string): Result<RoleFile> {
  const view = readRole(Buffer.from(file), 'root', trustLimits.rootBytesMax);
  if (!view.ok) return view;
  if (view.value.repository !== 'director' || view.value.kind !== 'root') {
    return fail('OTA_WRONG_BINDING', 'file is no root of the director', 'root');
  }
  // Any device id serves: the director's root is one for the fleet.
  const state = newRepositoryState({ repository: 'director', device: 'any' }, file);
  if (!state.ok) return state;
  return ok({ role: 'root', version: view.value.version, file });
}

/** Writes a device's set over `before`; throws `Raced` when another one was written meanwhile. */
export async function storeDirectorSet(
  store: StoreParts,
  before: DirectorRepository,
  after: DirectorRepository,
  now: number,
): Promise<void> {
  const owner = deviceOwner(before.device);
  const versions = await store.currentVersions(owner);
  if (versions.get('snapshot') !== before.snapshot?.version) throw new Raced();
  if (after.targets === undefined || after.snapshot === undefined)
    throw new TypeError('a set has both files');
  await store.addRole(owner, after.targets, now);
  await store.addRole(owner, after.snapshot, now);
  await store.setExpiry(owner, now + lifeSeconds.directorSet);
}

/** What is assigned to a device, with its manifest's bytes. */
async function assignedTo(store: StoreParts, device: string): Promise<Assigned | undefined> {
  const row = await store.assignment(device);
  return row && (await withManifest(store, row));
}

export async function withManifest(
  store: StoreParts,
  row: Omit<AssignmentRow, 'revision'>,
): Promise<Assigned> {
  const manifestText = await store.document(row.product, row.manifestSha256);
  if (manifestText === undefined)
    throw new Error(`the manifest of release ${row.release} is not in the store`);
  const { product, release, manifestSha256 } = row;
  return { row: { product, release, manifestSha256, custom: parseCustom(row.custom) }, manifestText };
}

/** Signs a device's set again, with what is assigned: before it expires, or after a restore. */
export async function renewDevice(context: Context, device: string): Promise<void> {
  await context.locks.run(deviceOwner(device), async () => {
    const before = await loadDirector(context.store, device);
    if (before === undefined) return;
    const at = { now: context.clock.now(), keyring: context.keyring };
    const after = writeDirectorSet(before, await assignedTo(context.store, device), at);
    if (!after.ok) throw new Error(`the set of ${device} cannot be signed: ${after.error.message}`);
    try {
      await context.store.transaction((store) => storeDirectorSet(store, before, after.value, at.now));
    } catch (error) {
      // Lost to another writer, who signed the set anew: that is what was wanted.
      if (!(error instanceof Raced)) throw error;
    }
  });
}
