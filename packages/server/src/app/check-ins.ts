/**
 * Check-ins and the TUF layout: what a device is sent. Reads only; last-seen is batched elsewhere.
 *
 * A check-in that shows this server to be older than the device (restored from a backup) is the one exception: it
 * notes the claim, or has online metadata signed anew, within limits: any single device may lie.
 */
import { fail, ok, type Result } from '@airlock/trust';
import type { CheckInFiles, CheckInRequest } from '@airlock/protocol';
import { checkInEtag, type Served, type Wanted, wantedFiles } from '../core/check-in.ts';
import {
  type DirectorRepository,
  type ImageRepository,
  listersOf,
  manifestPath,
  policyPath,
} from '../core/files.ts';
import { countHeld } from '../core/proposals.ts';
import { mustRewriteOnline } from '../core/restoration.ts';
import { deviceOwner, directorOwner, imageOwner } from '../core/versions.ts';
import type { DeviceRow } from '../ports/store.ts';
import { noteDeviceClaims } from './claims.ts';
import type { Context } from './context.ts';
import { renewDevice } from './director.ts';
import { renewImage } from './renewal.ts';
import { loadDirector, loadImage, timestampOf } from './repositories.ts';

/**
 * Characters of roots in one answer. A device that is further behind checks in again; it keeps each root at once.
 */
const rootCharactersMax = 2_000_000;

export type CheckInOutcome =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'files'; readonly body: CheckInFiles };

export async function checkIn(
  context: Context,
  from: { readonly device: string; readonly product: string },
  request: CheckInRequest,
): Promise<Result<CheckInOutcome>> {
  const { store } = context;
  context.seen.set(from.device, context.clock.now());
  const device = await store.device(from.device);
  if (device === undefined) return fail('API_NOT_FOUND', 'this device is not registered any more');
  const before = await servedTo(context, device);
  const rewritten = await noteOlder(context, device, request, before);
  const served = rewritten ? await servedTo(context, device) : before;
  const etag = checkInEtag(served);
  const unchanged = request.etag === etag;
  if (unchanged && !request.timestamps) return ok({ kind: 'unchanged' });
  const image = await loadImage(store, device.product);
  const director = await loadDirector(store, device.device);
  if (image === undefined || director === undefined) {
    return fail('API_NOT_PUBLISHED', `${device.product} is not published yet`);
  }
  const files = new Map<string, string>();
  const stamped = await addTimestamps(context, files, image, director);
  if (!stamped.ok) return stamped;
  if (unchanged) return ok({ kind: 'files', body: { etag, files: Object.fromEntries(files) } });
  const wanted = wantedFiles(request, served);
  const more = await addRoots(context, files, request, wanted, device.product);
  addRoles(files, wanted, image, director);
  await addDocuments(context, files, request, image, device);
  return ok({
    kind: 'files',
    body: {
      etag,
      files: Object.fromEntries(files),
      ...(wanted.deviceRecord ? { deviceRecord: device.record } : {}),
      ...(more ? { more } : {}),
    },
  });
}

async function servedTo(context: Context, device: DeviceRow): Promise<Served> {
  const image = await context.store.currentVersions(imageOwner(device.product));
  const director = await context.store.currentVersions(deviceOwner(device.device));
  const directorRoot = (await context.store.currentVersions(directorOwner)).get('root') ?? 0;
  return { image, directorRoot, director, deviceRecord: device.recordNumber };
}

/** True when something was signed anew for this device. */
async function noteOlder(
  context: Context,
  device: DeviceRow,
  request: CheckInRequest,
  served: Served,
): Promise<boolean> {
  const now = context.clock.now();
  const { rates } = context;
  await noteDeviceClaims(context, request, device, served);
  const { image, director } = served;
  let rewritten = false;
  if (
    mustRewriteOnline(request.imageSnapshot, image.get('snapshot'), now) &&
    rates.productRewrites.take(device.product, now) === undefined
  ) {
    rewritten = await renewImage(context, device.product);
  }
  const directorOlder =
    mustRewriteOnline(request.directorSnapshot, director.get('snapshot'), now) ||
    mustRewriteOnline(request.directorTargets, director.get('targets'), now);
  // The director's keys changed: what waits to be signed anew by the timer is signed now, once for each device.
  if (request.directorRoot < served.directorRoot)
    rewritten = (await signedAnew(context, device)) || rewritten;
  if (directorOlder && rates.deviceRewrites.take(device.device, now) === undefined) {
    await renewDevice(context, device.device);
    rewritten = true;
  }
  return rewritten;
}

/** True when the device's set was signed by keys that the director's root names no more, and is signed anew now. */
async function signedAnew(context: Context, { device }: DeviceRow): Promise<boolean> {
  const director = await loadDirector(context.store, device);
  if (director?.snapshot === undefined || director.targets === undefined) return false;
  const stands = [director.snapshot, director.targets].every(({ role, file }) => {
    const counted = countHeld(file, role, [director.root.file]);
    return counted.ok && counted.value.enough;
  });
  if (stands) return false;
  await renewDevice(context, device);
  return true;
}

async function addTimestamps(
  context: Context,
  files: Map<string, string>,
  image: ImageRepository,
  director: DirectorRepository,
): Promise<Result<true>> {
  // A product whose targets are not published yet serves its root; the device waits.
  if (image.snapshot !== undefined) {
    const timestamp = await timestampOf(context, image);
    if (!timestamp.ok) return timestamp;
    files.set('image/timestamp.json', timestamp.value);
  }
  const timestamp = await timestampOf(context, director);
  if (!timestamp.ok) return timestamp;
  files.set('director/timestamp.json', timestamp.value);
  return ok(true);
}

/** Newer roots, oldest first. True when some were left for the next check-in. */
async function addRoots(
  context: Context,
  files: Map<string, string>,
  request: CheckInRequest,
  wanted: Wanted,
  product: string,
): Promise<boolean> {
  let left = rootCharactersMax;
  const add = async (prefix: string, owner: string, above: number): Promise<boolean> => {
    for (const root of await context.store.rootsAbove(owner, above, 64)) {
      if (root.file.length > left) return true;
      left -= root.file.length;
      files.set(`${prefix}/${root.version}.root.json`, root.file);
    }
    return false;
  };
  const image = wanted.imageRoots && (await add('image', imageOwner(product), request.imageRoot));
  const director = wanted.directorRoots && (await add('director', directorOwner, request.directorRoot));
  return image || director;
}

function addRoles(
  files: Map<string, string>,
  wanted: Wanted,
  image: ImageRepository,
  director: DirectorRepository,
): void {
  for (const name of wanted.imageRoles) {
    const role = image.roles.get(name);
    if (role !== undefined) files.set(`image/${role.version}.${name}.json`, role.file);
  }
  const { snapshot } = image;
  if (wanted.imageSnapshot && snapshot !== undefined) {
    files.set(`image/${snapshot.version}.snapshot.json`, snapshot.file);
  }
  if (wanted.directorSnapshot && director.snapshot !== undefined) {
    files.set(`director/${director.snapshot.version}.snapshot.json`, director.snapshot.file);
  }
  if (wanted.directorTargets && director.targets !== undefined) {
    files.set(`director/${director.targets.version}.targets.json`, director.targets.file);
  }
}

/** Policy and assigned manifest, when the device does not hold these very bytes. */
async function addDocuments(
  context: Context,
  files: Map<string, string>,
  request: CheckInRequest,
  image: ImageRepository,
  device: DeviceRow,
): Promise<void> {
  const { policy } = image;
  if (policy !== undefined && policy.sha256 !== request.policy) {
    files.set(`image/${policyPath(policy.sha256)}`, policy.text);
  }
  const assignment = await context.store.assignment(device.device);
  if (assignment === undefined || assignment.manifestSha256 === request.manifest) return;
  const { release, manifestSha256 } = assignment;
  const text = await context.store.document(device.product, manifestSha256);
  // Under the first function that lists it: that is where a device asks.
  const [lister] = listersOf(image, release, manifestSha256);
  if (text === undefined || lister === undefined) return;
  files.set(`image/${manifestPath(lister, manifestSha256, release)}`, text);
}
