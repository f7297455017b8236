/** Devices and assignments in SQL. */
import { formatInstant } from '@airlock/trust';
import { type Kysely, type Selectable, sql } from 'kysely';
import type { DeviceRow, DeviceStore } from '../../ports/store.ts';
import { seconds } from './role-store.ts';
import type { Tables } from './tables.ts';

function deviceRow(row: Selectable<Tables['devices']> & { moment: string | null }): DeviceRow {
  return {
    device: row.device,
    product: row.product,
    record: row.record,
    recordNumber: row.record_number,
    certificateSha256: row.certificate_sha256,
    logKey: row.log_key,
    registered: seconds(row.registered),
    ...(row.revoked === null ? {} : { revoked: seconds(row.revoked) }),
    ...(row.moment === null ? {} : { lastSeen: seconds(row.moment) }),
  };
}

export function deviceStore(db: Kysely<Tables>): DeviceStore {
  const devices = () =>
    db
      .selectFrom('devices')
      .leftJoin('last_seen', 'last_seen.device', 'devices.device')
      .selectAll('devices')
      .select('last_seen.moment');
  return {
    async addDevice(row) {
      const values = {
        device: row.device,
        product: row.product,
        record: row.record,
        record_number: row.recordNumber,
        certificate_sha256: row.certificateSha256,
        log_key: row.logKey,
        registered: formatInstant(row.registered),
        revoked: null,
      };
      await db.insertInto('devices').values(values).execute();
    },
    async device(device) {
      const row = await devices().where('devices.device', '=', device).executeTakeFirst();
      return row && deviceRow(row);
    },
    async devices(after, count, products) {
      const page = devices().where('devices.device', '>', after).orderBy('devices.device').limit(count);
      const query = products === undefined ? page : page.where('devices.product', 'in', products);
      return (await query.execute()).map(deviceRow);
    },
    async setRecord(device, record, number) {
      const values = { record, record_number: number };
      await db.updateTable('devices').set(values).where('device', '=', device).execute();
    },
    async revoke(device, now) {
      const revoked = formatInstant(now);
      await db.updateTable('devices').set({ revoked }).where('device', '=', device).execute();
    },
    async setLastSeen(seen) {
      for (const [device, moment] of seen) {
        const values = { device, moment: formatInstant(moment) };
        await db
          .insertInto('last_seen')
          .values(values)
          .onConflict((conflict) => conflict.column('device').doUpdateSet(values))
          .execute();
      }
    },
    ...assignmentQueries(db),
  };
}

function assignmentQueries(
  db: Kysely<Tables>,
): Pick<DeviceStore, 'assignment' | 'putAssignment' | 'removeAssignment'> {
  return {
    async assignment(device) {
      const row = await db
        .selectFrom('assignments')
        .selectAll()
        .where('device', '=', device)
        .executeTakeFirst();
      if (row === undefined) return undefined;
      const { manifest_sha256: manifestSha256, assigned_by: assignedBy, assigned, ...rest } = row;
      return { ...rest, manifestSha256, assignedBy, assigned: seconds(assigned) };
    },
    async putAssignment(row) {
      const { manifestSha256, assignedBy, assigned, ...rest } = row;
      const values = {
        ...rest,
        manifest_sha256: manifestSha256,
        assigned_by: assignedBy,
        assigned: formatInstant(assigned),
      };
      await db
        .insertInto('assignments')
        .values(values)
        .onConflict((conflict) => conflict.column('device').doUpdateSet(values))
        .execute();
    },
    async removeAssignment(device) {
      await db.deleteFrom('assignments').where('device', '=', device).execute();
    },
  };
}

/** Whether the database is whole; asked at start. */
export async function isWhole(db: Kysely<Tables>): Promise<boolean> {
  const answer = await sql<{ quick_check: string }>`pragma quick_check(1)`.execute(db);
  return answer.rows[0]?.quick_check === 'ok';
}
