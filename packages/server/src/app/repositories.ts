/** Reads repositories out of the store, and signs what is signed on demand; writes only how far timestamps came. */
import { fail, ok, type Result } from '@airlock/trust';
import { type DirectorRepository, type Document, type ImageRepository, viewOf } from '../core/files.ts';
import { onlineSigners } from '../core/publication.ts';
import { deviceOwner, directorOwner, imageOwner } from '../core/versions.ts';
import type { StoreParts } from '../ports/store.ts';
import type { TimestampRequest } from '../core/timestamps.ts';
import type { Context } from './context.ts';

/** A product's repository as published; undefined when there is no such product. */
export async function loadImage(store: StoreParts, product: string): Promise<ImageRepository | undefined> {
  // First: what is read after it may only be newer, and then the writer is told so.
  const revision = (await store.product(product))?.revision ?? 0;
  const roles = await store.currentRoles(imageOwner(product));
  const root = roles.find(({ role }) => role === 'root');
  if (root === undefined) return undefined;
  const snapshot = roles.find(({ role }) => role === 'snapshot');
  const offline = roles.filter(({ role }) => role !== 'root' && role !== 'snapshot');
  const targets = offline.find(({ role }) => role === 'targets');
  const policy = targets === undefined ? undefined : await policyOf(store, product, targets.file);
  return {
    product,
    revision,
    root,
    roles: new Map(offline.map((role) => [role.role, role])),
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(policy === undefined ? {} : { policy }),
  };
}

/** The policy that a `targets` file names, if it was uploaded. */
export async function policyOf(
  store: StoreParts,
  product: string,
  targetsFile: string,
): Promise<Document | undefined> {
  const view = viewOf(targetsFile);
  if (view.kind !== 'targets') return undefined;
  const { sha256 } = view.policy;
  const text = await store.document(product, sha256);
  return text === undefined ? undefined : { sha256, text };
}

/** A device's director metadata; undefined while the director has no root. */
export async function loadDirector(
  store: StoreParts,
  device: string,
): Promise<DirectorRepository | undefined> {
  const root = (await store.currentRoles(directorOwner)).find(({ role }) => role === 'root');
  if (root === undefined) return undefined;
  const roles = await store.currentRoles(deviceOwner(device));
  const targets = roles.find(({ role }) => role === 'targets');
  const snapshot = roles.find(({ role }) => role === 'snapshot');
  return {
    device,
    root,
    ...(targets === undefined ? {} : { targets }),
    ...(snapshot === undefined ? {} : { snapshot }),
  };
}

/** A fresh timestamp. Errors: API_NOT_PUBLISHED while there is no snapshot, API_ONLINE_KEYS. */
export async function timestampOf(
  context: Pick<Context, 'keyring' | 'clock' | 'timestamps' | 'locks' | 'store'>,
  repository: ImageRepository | DirectorRepository,
): Promise<Result<string>> {
  const { root, snapshot } = repository;
  if (snapshot === undefined) return fail('API_NOT_PUBLISHED', 'nothing is published there yet');
  const online = onlineSigners(root, context.keyring);
  if (!online.ok) return online;
  const owner =
    'product' in repository
      ? ({ repository: 'image', product: repository.product } as const)
      : ({ repository: 'director', device: repository.device } as const);
  const request = { owner, snapshot, now: context.clock.now(), signers: online.value.timestamp };
  while (context.timestamps.mustReserve(request) !== undefined) await reserve(context, request);
  return ok(context.timestamps.sign(request));
}

/** One write for all that wait; a write that fails keeps no device from its timestamp (core/timestamps.ts). */
async function reserve(
  { timestamps, locks, store }: Pick<Context, 'timestamps' | 'locks' | 'store'>,
  request: TimestampRequest,
): Promise<void> {
  await locks.run('timestamps', async () => {
    const upTo = timestamps.mustReserve(request);
    if (upTo === undefined) return;
    try {
      await store.grouped((inside) => inside.raiseTimestampMark(upTo));
    } catch {
      // The next write is tried when these are used up, not with each request.
    }
    timestamps.reserved(upTo);
  });
}
