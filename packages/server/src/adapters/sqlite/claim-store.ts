/** What devices claim to hold, in SQL. Leaves to others: what a claim is worth (core/restoration.ts). */
import { formatInstant } from '@airlock/trust';
import type { Kysely, Selectable } from 'kysely';
import type { ClaimRow, ClaimStore } from '../../ports/store.ts';
import { seconds } from './role-store.ts';
import type { Tables } from './tables.ts';

function claimRow({ role, version, device, since, dismissed }: Selectable<Tables['claims']>): ClaimRow {
  const at = dismissed === null ? {} : { dismissed: seconds(dismissed) };
  return { role, version, device, since: seconds(since), ...at };
}

export function claimStore(db: Kysely<Tables>): ClaimStore {
  const of = (product: string) =>
    db.selectFrom('claims').selectAll('claims').where('claims.product', '=', product);
  return {
    async claims(product) {
      const query = of(product)
        .innerJoin('devices', 'devices.device', 'claims.device')
        .where('devices.revoked', 'is', null);
      return (await query.orderBy('role').orderBy('claims.device').execute()).map(claimRow);
    },
    async claimsBy(product, device) {
      return (await of(product).where('device', '=', device).execute()).map(claimRow);
    },
    async putClaim(product, { role, version, device, since }) {
      const said = { version, since: formatInstant(since) };
      await db
        .insertInto('claims')
        .values({ product, role, device, ...said, dismissed: null })
        // A dismissal that came meanwhile stays.
        .onConflict((conflict) => conflict.columns(['product', 'role', 'device']).doUpdateSet(said))
        .execute();
    },
    async dismissClaims(product, role, now) {
      const values = { dismissed: formatInstant(now) };
      const query = db.updateTable('claims').set(values).where('product', '=', product);
      await query.where('role', '=', role).where('dismissed', 'is', null).execute();
    },
    async removeClaims(product, role, upTo) {
      const query = db.deleteFrom('claims').where('product', '=', product).where('role', '=', role);
      await query.where('version', '<=', upTo).execute();
    },
    async countDevices(product) {
      const all = db
        .selectFrom('devices')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('revoked', 'is', null);
      const query = product === undefined ? all : all.where('product', '=', product);
      return (await query.executeTakeFirst())?.count ?? 0;
    },
  };
}
