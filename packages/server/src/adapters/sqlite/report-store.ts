/** Reports, log entries, heads and findings in SQL: what devices said, kept as they signed it. */
import { formatInstant } from '@airlock/trust';
import type { DeviceReport, LogEntry } from '@airlock/protocol';
import type { Kysely, Selectable } from 'kysely';
import type { ReportStore, StoredEntry, StoredReport } from '../../ports/store.ts';
import { seconds } from './role-store.ts';
import type { Tables } from './tables.ts';

/** Stored only after the schema was checked: what is read back was parsed once already. */
function storedReport(row: Selectable<Tables['reports']>): StoredReport {
  const report = JSON.parse(row.report) as DeviceReport;
  return { received: seconds(row.received), envelope: row.envelope, report };
}

function storedEntry(row: Selectable<Tables['log_entries']>): StoredEntry {
  return {
    generation: row.generation,
    sequence: row.sequence,
    sha256: row.sha256,
    entry: JSON.parse(row.entry) as LogEntry,
  };
}

export function reportStore(db: Kysely<Tables>): ReportStore {
  const reportsOf = (device: string) => db.selectFrom('reports').where('reports.device', '=', device);
  return {
    async addReport({ received, envelope, report }) {
      const values = {
        device: report.device,
        boot_id: report.bootId,
        sequence: report.sequence,
        received: formatInstant(received),
        envelope,
        report: JSON.stringify(report),
      };
      const answer = await db
        .insertInto('reports')
        .values(values)
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst();
      return answer.numInsertedOrUpdatedRows === 1n;
    },
    async markLatest({ device, bootId, sequence }) {
      const row = await reportsOf(device)
        .select('id')
        .where('boot_id', '=', bootId)
        .where('sequence', '=', sequence)
        .executeTakeFirstOrThrow();
      await db
        .insertInto('latest_reports')
        .values({ device, report: row.id })
        .onConflict((conflict) => conflict.column('device').doUpdateSet({ report: row.id }))
        .execute();
    },
    async latestReport(device) {
      const row = await reportsOf(device)
        .innerJoin('latest_reports', 'latest_reports.report', 'reports.id')
        .selectAll('reports')
        .executeTakeFirst();
      return row && storedReport(row);
    },
    async keepReports(device, count) {
      const last = await reportsOf(device)
        .select('id')
        .orderBy('id', 'desc')
        .offset(count)
        .limit(1)
        .executeTakeFirst();
      if (last === undefined) return;
      const latest = db.selectFrom('latest_reports').select('report').where('device', '=', device);
      await db
        .deleteFrom('reports')
        .where('device', '=', device)
        .where('id', '<=', last.id)
        .where('id', 'not in', latest)
        .execute();
    },
    async reports(device, count) {
      const query = db.selectFrom('reports').selectAll().where('device', '=', device);
      return (await query.orderBy('id', 'desc').limit(count).execute()).map(storedReport);
    },
    ...logQueries(db),
  };
}

type ReportQueries = 'addReport' | 'markLatest' | 'latestReport' | 'keepReports' | 'reports';

function logQueries(db: Kysely<Tables>): Omit<ReportStore, ReportQueries> {
  const entries = (device: string) => db.selectFrom('log_entries').selectAll().where('device', '=', device);
  return {
    async addLogEntry(device, { entry, ...row }) {
      await db
        .insertInto('log_entries')
        .values({ device, ...row, entry: JSON.stringify(entry) })
        .execute();
    },
    async logRange(device, generation, first, last) {
      const rows = await entries(device)
        .where('generation', '=', generation)
        .where('sequence', '>=', first)
        .where('sequence', '<=', last)
        .execute();
      return rows.map(storedEntry);
    },
    async lastLogEntry(device) {
      const query = entries(device).orderBy('generation', 'desc').orderBy('sequence', 'desc').limit(1);
      const row = await query.executeTakeFirst();
      return row && storedEntry(row);
    },
    async logEntries(device, after, count) {
      const newest = db
        .selectFrom('log_entries')
        .select(({ fn }) => fn.max('generation').as('generation'))
        .where('device', '=', device);
      const query = entries(device).where('generation', '=', newest).where('sequence', '>', after);
      return (await query.orderBy('sequence').limit(count).execute()).map(storedEntry);
    },
    async putLogHead(device, sequence, envelope) {
      await db
        .insertInto('log_heads')
        .values({ device, sequence, envelope })
        .onConflict((conflict) => conflict.column('device').doUpdateSet({ sequence, envelope }))
        .execute();
    },
    async logHead(device) {
      const query = db.selectFrom('log_heads').select(['sequence', 'envelope']);
      return await query.where('device', '=', device).executeTakeFirst();
    },
    async addFinding(device, { kind, sequence, detail, found }) {
      await db
        .insertInto('log_findings')
        .values({ device, kind, sequence, detail, found: formatInstant(found) })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    },
    async findings(device) {
      const rows = await db
        .selectFrom('log_findings')
        .select(['kind', 'sequence', 'detail', 'found'])
        .where('device', '=', device)
        .orderBy('found')
        .execute();
      return rows.map((row) => ({ ...row, found: seconds(row.found) }));
    },
  };
}
