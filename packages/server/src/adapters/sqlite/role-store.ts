/** Roles and documents in SQL: written once, never changed. See the Store port for the contract. */
import { parseInstant, formatInstant, type UtcSeconds } from '@airlock/trust';
import { type Kysely, sql } from 'kysely';
import type { RoleStore } from '../../ports/store.ts';
import type { Tables } from './tables.ts';

/** A moment read back from the store; what is no moment there is a damaged database. */
export function seconds(text: string): UtcSeconds {
  const moment = parseInstant(text);
  if (moment === undefined) throw new Error('the database holds a moment that is none');
  return moment;
}

export function roleStore(db: Kysely<Tables>): RoleStore {
  const newest = (owner: string) =>
    db
      .selectFrom('roles')
      .select(({ fn }) => ['role', fn.max('version').as('version')])
      .where('owner', '=', owner)
      .where((where) =>
        where.not(
          where.exists(
            where
              .selectFrom('passed_over')
              .select('passed_over.version')
              .whereRef('passed_over.owner', '=', 'roles.owner')
              .whereRef('passed_over.role', '=', 'roles.role')
              .whereRef('passed_over.version', '=', 'roles.version'),
          ),
        ),
      )
      .groupBy('role');
  return {
    async addRole(owner, { role, version, file }, now) {
      await db
        .insertInto('roles')
        .values({ owner, role, version, file, created: formatInstant(now) })
        .execute();
      await db
        .insertInto('passed_over')
        .columns(['owner', 'role', 'version'])
        .expression(
          db
            .selectFrom('roles')
            .select(['owner', 'role', 'version'])
            .where('owner', '=', owner)
            .where('role', '=', role)
            .where('version', '>', version),
        )
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    },
    async currentRoles(owner) {
      return await db
        .selectFrom('roles')
        .innerJoin(newest(owner).as('top'), (join) =>
          join.onRef('top.role', '=', 'roles.role').onRef('top.version', '=', 'roles.version'),
        )
        .select(['roles.role', 'roles.version', 'roles.file'])
        .where('roles.owner', '=', owner)
        .execute();
    },
    async currentVersions(owner) {
      const rows = await newest(owner).execute();
      return new Map(rows.map(({ role, version }) => [role, version]));
    },
    async role(owner, role, version) {
      const row = await db
        .selectFrom('roles')
        .select('file')
        .where('owner', '=', owner)
        .where('role', '=', role)
        .where('version', '=', version)
        .executeTakeFirst();
      return row?.file;
    },
    async rootsAbove(owner, above, count) {
      return await db
        .selectFrom('roles')
        .select(['role', 'version', 'file'])
        .where('owner', '=', owner)
        .where('role', '=', 'root')
        .where('version', '>', above)
        .orderBy('version')
        .limit(count)
        .execute();
    },
    ...expiryQueries(db),
    ...historyQueries(db),
    ...documentQueries(db),
  };
}

function expiryQueries(
  db: Kysely<Tables>,
): Pick<RoleStore, 'snapshotsExpiringBefore' | 'setExpiry' | 'expireDeviceSets'> {
  return {
    async snapshotsExpiringBefore(moment, count) {
      const rows = await db
        .selectFrom('snapshot_expiry')
        .select('owner')
        .where('expires', '<', formatInstant(moment))
        .orderBy('expires')
        .limit(count)
        .execute();
      return rows.map(({ owner }) => owner);
    },
    async setExpiry(owner, moment) {
      const expires = formatInstant(moment);
      await db
        .insertInto('snapshot_expiry')
        .values({ owner, expires })
        .onConflict((conflict) => conflict.column('owner').doUpdateSet({ expires }))
        .execute();
    },
    async expireDeviceSets(now) {
      const expires = formatInstant(now);
      await db.updateTable('snapshot_expiry').set({ expires }).where('owner', 'like', 'device:%').execute();
    },
  };
}

function historyQueries(
  db: Kysely<Tables>,
): Pick<RoleStore, 'listings' | 'highestSnapshot' | 'timestampMark' | 'raiseTimestampMark'> {
  return {
    async timestampMark() {
      const row = await db.selectFrom('timestamp_mark').select('version').executeTakeFirst();
      return row?.version ?? 0;
    },
    async raiseTimestampMark(upTo) {
      await db
        .insertInto('timestamp_mark')
        .values({ id: 1, version: upTo })
        .onConflict((conflict) =>
          conflict.column('id').doUpdateSet({ version: upTo }).where('timestamp_mark.version', '<', upTo),
        )
        .execute();
    },
    async listings(owner, role, sha256) {
      const rows = await db
        .selectFrom('roles')
        .select(['version', 'created', sql<number>`instr(file, ${sha256}) > 0`.as('listed')])
        .where('owner', '=', owner)
        .where('role', '=', role)
        .orderBy('version')
        .execute();
      return rows.map(({ version, created, listed }) => ({
        version,
        created: seconds(created),
        listed: listed === 1,
      }));
    },
    async highestSnapshot() {
      const row = await db
        .selectFrom('roles')
        .select(({ fn }) => fn.max('version').as('version'))
        .where('role', '=', 'snapshot')
        .executeTakeFirst();
      // max() of no rows is null, whatever the type of the column says.
      return row?.version ?? 0;
    },
  };
}

function documentQueries(db: Kysely<Tables>): Pick<RoleStore, 'addDocument' | 'document'> {
  return {
    async addDocument(document) {
      await db
        .insertInto('documents')
        .values(document)
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    },
    async document(product, sha256) {
      const row = await db
        .selectFrom('documents')
        .select('text')
        .where('product', '=', product)
        .where('sha256', '=', sha256)
        .executeTakeFirst();
      return row?.text;
    },
  };
}
