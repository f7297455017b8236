/**
 * Renewal: snapshots and director sets are signed again before they expire. An act of its own, on a timer.
 *
 * Keeps true: due at one third of the life remaining; a product proven to have lost files in a restore is left alone, since a
 * new snapshot over old roles would be refused by devices that saw the new ones. What devices merely claim stops no renewal: that would let the fleet's snapshot expire. Offline roles are renewed by people.
 */
import { withChanges } from '../core/publication.ts';
import { imageOwner, lifeSeconds, ownerParts } from '../core/versions.ts';
import { Raced } from '../ports/store.ts';
import type { Context } from './context.ts';
import { renewDevice } from './director.ts';
import { writeAfter } from './publishing.ts';
import { loadImage } from './repositories.ts';

/** Owners in one turn: a turn stays short, the next one goes on. */
const ownersPerTurnMax = 200;

/** Signs a new snapshot over what is published; false when there is nothing to sign, or files are missing. */
export async function renewImage(context: Context, product: string): Promise<boolean> {
  return await context.locks.run(imageOwner(product), async () => {
    if ((await context.store.missing(product)).length > 0) return false;
    const before = await loadImage(context.store, product);
    if (before?.snapshot === undefined) return false;
    const now = context.clock.now();
    const after = withChanges(before, [], { now, keyring: context.keyring });
    if (!after.ok) throw new Error(`the snapshot of ${product} cannot be signed: ${after.error.message}`);
    try {
      await context.store.transaction((store) => writeAfter(store, before, after.value, [], now));
      return true;
    } catch (error) {
      // Lost to another writer of the product; the next turn looks again.
      if (error instanceof Raced) return false;
      throw error;
    }
  });
}

/** Renews what is due; answers how many owners were renewed. Errors of one owner do not keep the others from it. */
export async function renewDue(context: Context, report: (error: unknown) => void): Promise<number> {
  const now = context.clock.now();
  const images = await context.store.snapshotsExpiringBefore(
    now + lifeSeconds.imageSnapshot / 3,
    ownersPerTurnMax,
  );
  const devices = await context.store.snapshotsExpiringBefore(
    now + lifeSeconds.directorSet / 3,
    ownersPerTurnMax,
  );
  let renewed = 0;
  for (const owner of new Set([...images, ...devices])) {
    const { kind, name } = ownerParts(owner);
    // The longer window of devices must not renew products too early.
    if (kind === 'image' && !images.includes(owner)) continue;
    try {
      if (kind === 'image') await renewImage(context, name);
      else await renewDevice(context, name);
      renewed += 1;
    } catch (error) {
      report(error);
    }
  }
  return renewed;
}

/** Writes the batch of last-seen moments. */
export async function flushSeen(context: Context): Promise<void> {
  if (context.seen.size === 0) return;
  const batch = new Map(context.seen);
  context.seen.clear();
  await context.store.grouped((store) => store.setLastSeen(batch));
}
