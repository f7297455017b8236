/** Assigning releases to devices, and taking assignments back. What a device would refuse is refused here first. */
import type { AuditFacts } from '@airlock/audit';
import { fail, formatInstant, ok, parsePolicy, type Result } from '@airlock/trust';
import type { AssignmentPut, AssignmentView } from '@airlock/protocol';
import { checkSuits, rehearseDevice, writeDirectorSet } from '../core/assignment.ts';
import type { DirectorRepository, ImageRepository } from '../core/files.ts';
import { missingMessage } from '../core/restoration.ts';
import { lastWithdrawal } from '../core/withdrawals.ts';
import { deviceOwner, directorOwner, imageOwner } from '../core/versions.ts';
import { type AssignmentRow, type DeviceRow, Raced, type StoreParts } from '../ports/store.ts';
import { missingIn } from './claims.ts';
import { type Actor, record } from './audit.ts';
import type { Context } from './context.ts';
import { customOf, parseCustom } from './custom.ts';
import { emergencyMark } from './marks.ts';
import { directorName, storeDirectorSet, withManifest } from './director.ts';
import { loadDirector, loadImage } from './repositories.ts';

const etagOf = (row: Pick<AssignmentRow, 'revision'>): string => `"a${row.revision}"`;

export async function assignmentView(
  store: Pick<StoreParts, 'document'>,
  row: AssignmentRow,
): Promise<AssignmentView> {
  const { rollout, window, bytesPerSecondMax, consentRequired } = parseCustom(row.custom);
  return {
    device: row.device,
    product: row.product,
    release: row.release,
    manifestSha256: row.manifestSha256,
    rollout,
    ...(window === undefined ? {} : { window: { ...window, days: [...window.days] } }),
    ...(bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax }),
    consentRequired,
    ...(await emergencyMark(store, row)),
    etag: etagOf(row),
    assigned: formatInstant(row.assigned),
    assignedBy: row.assignedBy,
  };
}

export interface AssignmentRequest {
  readonly device: string;
  readonly put: AssignmentPut;
  readonly ifMatch?: string;
  readonly by: Actor;
}

/**
 * Assigns a release. Errors: API_NOT_FOUND, API_PRECONDITION(_REQUIRED) when another assignment stands, API_RESTORED,
 * API_NOT_PUBLISHED, and every reason for which the device would refuse, under the device's own code.
 */
export async function putAssignment(
  context: Context,
  request: AssignmentRequest,
): Promise<Result<AssignmentView>> {
  return await context.locks.run(deviceOwner(request.device), async () => {
    const { store } = context;
    const device = await activeDevice(context, request.device);
    if (!device.ok) return device;
    const release = await store.release(device.value.product, request.put.release);
    if (release === undefined) {
      const message = `${device.value.product} has no release ${request.put.release}`;
      return fail('API_NOT_FOUND', message, 'release');
    }
    const before = await store.assignment(request.device);
    const asked: Omit<AssignmentRow, 'revision'> = {
      device: request.device,
      product: device.value.product,
      release: release.version,
      manifestSha256: release.manifestSha256,
      custom: JSON.stringify(customOf(request.put)),
      assigned: context.clock.now(),
      assignedBy: request.by.name,
    };
    // The same again is no change: a repeated request is answered alike and signs nothing.
    if (before !== undefined && before.release === asked.release && before.custom === asked.custom) {
      return ok(await assignmentView(store, before));
    }
    const matches = checkMatch(before, request.ifMatch);
    if (!matches.ok) return matches;
    const director = await judge(context, device.value, asked);
    if (!director.ok) return director;
    const { after } = director.value;
    // The version of the director's targets: never the same again, also after an assignment was taken back.
    const row: AssignmentRow = { ...asked, revision: after.targets?.version ?? asked.assigned };
    await store.transaction(async (inside) => {
      await checkUnchanged(inside, request.device, before);
      await inside.putAssignment(row);
      await storeDirectorSet(inside, director.value.before, after, row.assigned);
      await record(inside, request.by, row.assigned, {
        act: 'assignment.set',
        subject: { device: row.device, product: row.product },
        before: before === undefined ? undefined : factsOf(before),
        after: { ...factsOf(row), ...(await emergencyMark(inside, row)) },
      });
    });
    return ok(await assignmentView(store, row));
  });
}

/** Every knob of an assignment, so that the old value stands beside the new one. */
function factsOf(row: Omit<AssignmentRow, 'revision'>): AuditFacts {
  const { rollout, window, bytesPerSecondMax, consentRequired } = parseCustom(row.custom);
  return {
    release: row.release,
    manifestSha256: row.manifestSha256,
    rollout,
    consentRequired,
    ...(bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax }),
    ...(window === undefined
      ? {}
      : {
          windowFromMinute: window.fromMinute,
          windowToMinute: window.toMinute,
          windowDays: window.days.map(String),
        }),
  };
}

/** Throws `Raced` when another assignment stands by now. */
async function checkUnchanged(
  store: StoreParts,
  device: string,
  before: AssignmentRow | undefined,
): Promise<void> {
  if ((await store.assignment(device))?.revision !== before?.revision) throw new Raced();
}

async function activeDevice(context: Context, name: string): Promise<Result<DeviceRow>> {
  const device = await context.store.device(name);
  if (device === undefined) return fail('API_NOT_FOUND', `there is no device ${name}`, 'device');
  if (device.revoked !== undefined) return fail('API_CONFLICT', `device ${name} is revoked`, 'device');
  return ok(device);
}

/** Optimistic locking: two people must not overwrite each other's choice unseen. */
function checkMatch(before: AssignmentRow | undefined, ifMatch: string | undefined): Result<true> {
  if (before === undefined) {
    if (ifMatch === undefined) return ok(true);
    return fail('API_PRECONDITION', 'the assignment that If-Match names is gone', 'if-match');
  }
  if (ifMatch === etagOf(before)) return ok(true);
  const message = `release ${before.release} is assigned; replacing it needs If-Match: ${etagOf(before)}`;
  return fail(ifMatch === undefined ? 'API_PRECONDITION_REQUIRED' : 'API_PRECONDITION', message, 'if-match');
}

async function judge(
  context: Context,
  device: DeviceRow,
  row: Omit<AssignmentRow, 'revision'>,
): Promise<Result<{ readonly before: DirectorRepository; readonly after: DirectorRepository }>> {
  const { store } = context;
  for (const name of [device.product, directorName]) {
    const missing = await missingIn(store, name);
    if (missing.length > 0)
      return fail('API_RESTORED', missingMessage(name, missing, await versionsIn(store, name)));
  }
  const image = await loadImage(store, device.product);
  const director = await loadDirector(store, device.device);
  if (image?.policy === undefined || director === undefined) {
    return fail('API_NOT_PUBLISHED', `${device.product} has published no targets yet`, 'product');
  }
  const assigned = await withManifest(store, row);
  const at = { now: row.assigned, keyring: context.keyring };
  const after = writeDirectorSet(director, assigned, at);
  if (!after.ok) return after;
  const manifest = rehearseDevice(device, image, after.value, assigned, at);
  if (!manifest.ok) return manifest;
  const policy = parsePolicy(Buffer.from(image.policy.text));
  if (!policy.ok) return policy;
  const reported = (await store.latestReport(device.device))?.report;
  const { secureBootRevoked } = policy.value;
  const suits = checkSuits(manifest.value, row.manifestSha256, device, reported, secureBootRevoked);
  if (!suits.ok) return suits;
  const seen = await checkNotSeenWithdrawn(store, image, device, row);
  if (!seen.ok) return seen;
  return ok({ before: director, after: after.value });
}

/** A release that was withdrawn and approved again: whoever saw the withdrawal refuses it for good. */
async function checkNotSeenWithdrawn(
  store: StoreParts,
  image: ImageRepository,
  device: DeviceRow,
  row: Pick<AssignmentRow, 'release' | 'manifestSha256'>,
): Promise<Result<true>> {
  for (const role of image.roles.keys()) {
    if (role === 'targets') continue;
    const history = await store.listings(imageOwner(image.product), role, row.manifestSha256);
    const withdrawal = lastWithdrawal(history);
    if (withdrawal === undefined || device.registered > withdrawal.until) continue;
    const { dropped, again } = withdrawal;
    const message = `release ${row.release} was withdrawn by ${role} ${dropped} and approved again by ${role} ${again}: a device that saw the withdrawal refuses it for good, and ${device.device} was registered before; make a release with a higher version`;
    return fail('OTA_WITHDRAWN', message, 'release');
  }
  return ok(true);
}

async function versionsIn(store: StoreParts, name: string): Promise<ReadonlyMap<string, number>> {
  return await store.currentVersions(name === directorName ? directorOwner : imageOwner(name));
}

/** Takes an assignment back: the device finishes nothing that it has not activated. */
export async function removeAssignment(
  context: Context,
  device: string,
  ifMatch: string | undefined,
  by: Actor,
): Promise<Result<true>> {
  return await context.locks.run(deviceOwner(device), async () => {
    const row = await context.store.assignment(device);
    if (row === undefined) return fail('API_NOT_FOUND', `nothing is assigned to ${device}`, 'device');
    const matches = checkMatch(row, ifMatch);
    if (!matches.ok) return matches;
    const before = await loadDirector(context.store, device);
    if (before === undefined) return fail('API_NOT_FOUND', `there is no device ${device}`, 'device');
    const at = { now: context.clock.now(), keyring: context.keyring };
    const after = writeDirectorSet(before, undefined, at);
    if (!after.ok) return after;
    await context.store.transaction(async (store) => {
      await checkUnchanged(store, device, row);
      await store.removeAssignment(device);
      await storeDirectorSet(store, before, after.value, at.now);
      const subject = { device, product: row.product };
      await record(store, by, at.now, { act: 'assignment.remove', subject, before: factsOf(row) });
    });
    return ok(true);
  });
}
