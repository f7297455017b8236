/**
 * What devices claim to hold and this server does not: noted, judged together, shown, dismissed.
 *
 * Keeps true: one device's claim changes nothing for any other; see core/restoration.ts for what claims may do.
 */
import { fail, formatInstant, ok, type Result } from '@airlock/trust';
import type { CheckInRequest, Suspicion } from '@airlock/protocol';
import type { Served } from '../core/check-in.ts';
import {
  agreedClaims,
  aheadOfClock,
  claimState,
  lostImageRoles,
  missingFileName,
  missingFiles,
  mustNoteClaim,
  type Versions,
  withDismissals,
} from '../core/restoration.ts';
import { directorOwner, imageOwner } from '../core/versions.ts';
import type { MissingRow, StoreParts } from '../ports/store.ts';
import { type Actor, record } from './audit.ts';
import type { Context } from './context.ts';
import { directorName } from './director.ts';

/** Notes what a device's check-in shows to be lost. Writes only when it tells something new. */
export async function noteDeviceClaims(
  context: Context,
  request: CheckInRequest,
  from: { readonly product: string; readonly device: string },
  served: Served,
): Promise<void> {
  const now = context.clock.now();
  const lost = [...lostImageRoles(request, served.image), ...aheadOfClock(request, served, now)];
  await note(context, from.product, from.device, lost);
  if (request.directorRoot > served.directorRoot) {
    await note(context, directorName, from.device, [{ role: 'root', version: request.directorRoot }]);
  }
}

async function note(
  { store, clock }: Context,
  name: string,
  device: string,
  lost: readonly { readonly role: string; readonly version: number }[],
): Promise<void> {
  if (lost.length === 0) return;
  const held = await store.claimsBy(name, device);
  for (const { role, version } of lost) {
    const claim = { role, version, device, since: clock.now() };
    if (mustNoteClaim(held, claim)) await store.putClaim(name, claim);
  }
}

async function versionsIn(store: StoreParts, name: string): Promise<Versions> {
  return await store.currentVersions(name === directorName ? directorOwner : imageOwner(name));
}

async function agreedIn(store: StoreParts, name: string, published: Versions) {
  const claims = withDismissals(await store.claims(name));
  if (claims.length === 0) return { claims, agreed: [] };
  const devices = await store.countDevices(name === directorName ? undefined : name);
  return { claims, agreed: agreedClaims({ claims, devices, published }) };
}

/** What holds a product, or the director, back: files that are proven, and those that enough devices claim. */
export async function missingIn(store: StoreParts, name: string): Promise<readonly MissingRow[]> {
  const { agreed } = await agreedIn(store, name, await versionsIn(store, name));
  return missingFiles(await store.missing(name), agreed);
}

/** What devices claim, for people to see: none of it holds anything back unless it is agreed. */
export async function suspicionsIn(store: StoreParts, name: string): Promise<Suspicion[]> {
  const published = await versionsIn(store, name);
  const { claims, agreed } = await agreedIn(store, name, published);
  return claims.flatMap((claim) => {
    const { role, version, device, since } = claim;
    const state = claimState(claim, published, agreed);
    return state === undefined ? [] : [{ role, version, device, since: formatInstant(since), state }];
  });
}

/** Names in the entry of a dismissal; the number of all stands beside them. */
const devicesShownMax = 16;

/**
 * A person's word that devices lied: these devices are not heard again until what they claimed is handed back.
 * What a signed file proves cannot be dismissed.
 */
export async function dismiss(
  context: Context,
  name: string,
  role: string,
  by: Actor,
): Promise<Result<true>> {
  const { store } = context;
  const proven = (await store.missing(name)).find((row) => row.role === role);
  const claims = (await store.claims(name)).filter((claim) => claim.role === role);
  if (claims.some(({ dismissed }) => dismissed === undefined)) {
    const now = context.clock.now();
    const standing = claims.filter(({ dismissed }) => dismissed === undefined);
    const devices = standing.slice(0, devicesShownMax).map(({ device }) => device);
    const versions = standing.map(({ version }) => version);
    await store.transaction(async (inside) => {
      await inside.dismissClaims(name, role, now);
      await record(inside, by, now, {
        act: 'recovery.dismiss',
        subject: { ...(name === directorName ? {} : { product: name }), role },
        before: { claims: standing.length, highest: Math.max(...versions), devices },
      });
    });
    if (proven === undefined) return ok(true);
  }
  if (proven === undefined) return fail('API_NOT_FOUND', `no file of ${role} is missing`, 'role');
  const known = (await versionsIn(store, name)).get(role);
  const message = `a signed file proves that ${role} ${proven.version} exists: hand back ${missingFileName(proven, known)}`;
  return fail('API_CONFLICT', message, 'role');
}
