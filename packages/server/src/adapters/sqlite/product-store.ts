/** Products, proposals, used numbers, missing files, releases and the list of images in SQL. */
import { formatInstant } from '@airlock/trust';
import type { Kysely, Selectable } from 'kysely';
import type {
  MissingRow,
  ProductStore,
  ProposalRow,
  ReleaseRow,
  ReleaseStore,
  ReservationRow,
} from '../../ports/store.ts';
import { seconds } from './role-store.ts';
import type { Tables } from './tables.ts';

function proposalRow(row: Selectable<Tables['proposals']>): ProposalRow {
  const { proposed_by: proposedBy, proposed, ...rest } = row;
  return { ...rest, proposedBy, proposed: seconds(proposed) };
}

export function productStore(db: Kysely<Tables>): ProductStore {
  return {
    async addProduct(product, now) {
      await db
        .insertInto('products')
        .values({ product, created: formatInstant(now), revision: 1 })
        .execute();
    },
    async product(product) {
      const row = await db
        .selectFrom('products')
        .selectAll()
        .where('product', '=', product)
        .executeTakeFirst();
      return row && { ...row, created: seconds(row.created) };
    },
    async products() {
      const rows = await db.selectFrom('products').selectAll().orderBy('product').execute();
      return rows.map((row) => ({
        product: row.product,
        revision: row.revision,
        created: seconds(row.created),
      }));
    },
    async raiseRevision(product, from) {
      const answer = await db
        .updateTable('products')
        .set({ revision: from + 1 })
        .where('product', '=', product)
        .where('revision', '=', from)
        .executeTakeFirst();
      return answer.numUpdatedRows === 1n;
    },
    ...proposalQueries(db),
    ...missingQueries(db),
  };
}

function proposalQueries(db: Kysely<Tables>) {
  return {
    async proposal(product: string, role: string) {
      const row = await db
        .selectFrom('proposals')
        .selectAll()
        .where('product', '=', product)
        .where('role', '=', role)
        .executeTakeFirst();
      return row && proposalRow(row);
    },
    async proposals(product: string) {
      const query = db.selectFrom('proposals').selectAll().where('product', '=', product);
      return (await query.orderBy('role').execute()).map(proposalRow);
    },
    async putProposal(row: ProposalRow) {
      const { proposedBy, proposed, ...rest } = row;
      const values = { ...rest, proposed_by: proposedBy, proposed: formatInstant(proposed) };
      await db
        .insertInto('proposals')
        .values(values)
        .onConflict((conflict) => conflict.columns(['product', 'role']).doUpdateSet(values))
        .execute();
    },
    async removeProposal(product: string, role: string) {
      await db.deleteFrom('proposals').where('product', '=', product).where('role', '=', role).execute();
    },
    async usedNumber(product: string, role: string, version: number) {
      const row = await db
        .selectFrom('numbers')
        .select(['signed_sha256', 'voided'])
        .where('product', '=', product)
        .where('role', '=', role)
        .where('version', '=', version)
        .executeTakeFirst();
      return row && { signedSha256: row.signed_sha256, voided: row.voided !== 0 };
    },
    async highestNumber(product: string, role: string) {
      const row = await db
        .selectFrom('numbers')
        .select(({ fn }) => fn.max('version').as('version'))
        .where('product', '=', product)
        .where('role', '=', role)
        .executeTakeFirst();
      // max() of no rows is null, whatever the type of the column says.
      return row?.version ?? 0;
    },
    async addNumber(product: string, role: string, version: number, signedSha256: string) {
      await db
        .insertInto('numbers')
        .values({ product, role, version, signed_sha256: signedSha256, voided: 0 })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    },
    async voidNumber(product: string, role: string, version: number) {
      await db
        .updateTable('numbers')
        .set({ voided: 1 })
        .where('product', '=', product)
        .where('role', '=', role)
        .where('version', '=', version)
        .execute();
    },
    ...reservationQueries(db),
  };
}

function reservationQueries(db: Kysely<Tables>) {
  const read = (row: Selectable<Tables['reservations']>): ReservationRow => ({
    product: row.product,
    role: row.role,
    version: row.version,
    signedSha256: row.signed_sha256,
    keyId: row.key_id,
    until: seconds(row.until),
  });
  return {
    async reservation(product: string, role: string) {
      const query = db.selectFrom('reservations').selectAll().where('product', '=', product);
      const row = await query.where('role', '=', role).executeTakeFirst();
      return row && read(row);
    },
    async reservations(product: string) {
      const query = db.selectFrom('reservations').selectAll().where('product', '=', product);
      return (await query.orderBy('role').execute()).map(read);
    },
    async putReservation({ product, role, version, signedSha256, keyId, until }: ReservationRow) {
      const values = {
        product,
        role,
        version,
        signed_sha256: signedSha256,
        key_id: keyId,
        until: formatInstant(until),
      };
      await db
        .insertInto('reservations')
        .values(values)
        .onConflict((conflict) => conflict.columns(['product', 'role']).doUpdateSet(values))
        .execute();
    },
    async removeReservation(product: string, role: string) {
      await db.deleteFrom('reservations').where('product', '=', product).where('role', '=', role).execute();
    },
  };
}

function missingQueries(db: Kysely<Tables>) {
  return {
    async missing(product: string): Promise<MissingRow[]> {
      const query = db.selectFrom('missing_files').selectAll().where('product', '=', product);
      const rows = await query.orderBy('role').execute();
      return rows.map(({ role, version, evidence, device, since }) => ({
        role,
        version,
        evidence,
        ...(device === null ? {} : { device }),
        since: seconds(since),
      }));
    },
    async putMissing(product: string, row: MissingRow) {
      const { role, version, evidence, device = null, since } = row;
      const values = { product, role, version, evidence, device, since: formatInstant(since) };
      await db
        .insertInto('missing_files')
        .values(values)
        .onConflict((conflict) => conflict.columns(['product', 'role']).doUpdateSet(values))
        .execute();
    },
    async removeMissing(product: string, role: string) {
      await db.deleteFrom('missing_files').where('product', '=', product).where('role', '=', role).execute();
    },
  };
}

function releaseRow(row: Selectable<Tables['releases']>): ReleaseRow {
  return {
    product: row.product,
    version: row.version,
    manifestSha256: row.manifest_sha256,
    manifestLength: row.manifest_length,
    name: row.name,
    safetyClass: row.safety_class,
    created: seconds(row.created),
    createdBy: row.created_by,
  };
}

export function releaseStore(db: Kysely<Tables>): ReleaseStore {
  return {
    async addRelease(row) {
      const values = {
        product: row.product,
        version: row.version,
        manifest_sha256: row.manifestSha256,
        manifest_length: row.manifestLength,
        name: row.name,
        safety_class: row.safetyClass,
        created: formatInstant(row.created),
        created_by: row.createdBy,
      };
      await db.insertInto('releases').values(values).execute();
    },
    async release(product, version) {
      const query = db.selectFrom('releases').selectAll().where('product', '=', product);
      const row = await query.where('version', '=', version).executeTakeFirst();
      return row && releaseRow(row);
    },
    async releases(product) {
      const query = db.selectFrom('releases').selectAll().where('product', '=', product);
      return (await query.orderBy('version').execute()).map(releaseRow);
    },
    async addImage(sha256, length, now) {
      await db
        .insertInto('images')
        .values({ sha256, length, created: formatInstant(now) })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    },
    async image(sha256) {
      const query = db.selectFrom('images').select('length').where('sha256', '=', sha256);
      return await query.executeTakeFirst();
    },
  };
}
