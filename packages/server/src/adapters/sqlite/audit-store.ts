/** The audit log, pseudonyms and statements in SQL. Hashes are stored as hex, so that people can read them. */
import { formatInstant } from '@airlock/trust';
import { CompiledQuery, type Kysely, type Selectable } from 'kysely';
import type { AuditStore, StatementRow } from '../../ports/audit-store.ts';
import { Raced } from '../../ports/store.ts';
import { seconds } from './role-store.ts';
import type { Tables } from './tables.ts';

const hexPerHash = 64;
const toHex = (hash: Uint8Array): string => Buffer.from(hash).toString('hex');
const fromHex = (hex: string): Uint8Array => Buffer.from(hex, 'hex');

function splitEdge(text: string): Uint8Array[] {
  return Array.from({ length: text.length / hexPerHash }, (_, at) =>
    fromHex(text.slice(at * hexPerHash, (at + 1) * hexPerHash)),
  );
}

/**
 * An append has 0.2 ms of CPU in all, and building a query takes Kysely a third of that: these are written down. They run
 * in the transaction of `db` like any other.
 */
const written = {
  head: 'select origin, size, edge, time from audit_head',
  move: 'update audit_head set size = ?, edge = ?, time = ? where size = ?',
  entry: 'insert into audit_entries (position, leaf) values (?, ?)',
  node: 'insert into audit_nodes (level, position, hash) values (?, ?, ?)',
  pseudonym: 'select pseudonym from pseudonyms where actor = ?',
} as const;

export function auditStore(db: Kysely<Tables>): AuditStore {
  const run = async <Row>(query: keyof typeof written, ...values: readonly (string | number)[]) =>
    await db.executeQuery<Row>(CompiledQuery.raw(written[query], [...values]));
  return {
    async auditHead() {
      const [row] = (await run<Tables['audit_head']>('head')).rows;
      if (row === undefined) return undefined;
      return { origin: row.origin, size: row.size, edge: splitEdge(row.edge), time: seconds(row.time) };
    },
    async startAudit(origin, now) {
      const values = { id: 1, origin, size: 0, edge: '', time: formatInstant(now) };
      await db.insertInto('audit_head').values(values).execute();
    },
    async appendAudit({ leaf, head, nodes }) {
      const position = head.size - 1;
      const edge = head.edge.map(toHex).join('');
      const moved = await run('move', head.size, edge, formatInstant(head.time), position);
      if (moved.numAffectedRows !== 1n) throw new Raced();
      await run('entry', position, leaf);
      for (const { level, index, hash } of nodes) await run('node', level, index, toHex(hash));
    },
    async auditLeaves(from, count) {
      const query = db.selectFrom('audit_entries').select('leaf').where('position', '>=', from);
      const rows = await query.orderBy('position').limit(count).execute();
      return rows.map(({ leaf }) => leaf);
    },
    async auditNodes(level, from, count) {
      const query = db.selectFrom('audit_nodes').select('hash').where('level', '=', level);
      const rows = await query.where('position', '>=', from).orderBy('position').limit(count).execute();
      return rows.map(({ hash }) => fromHex(hash));
    },
    async pseudonym(actor) {
      return (await run<{ pseudonym: string }>('pseudonym', actor)).rows[0]?.pseudonym;
    },
    async addPseudonym(actor, pseudonym) {
      await db.insertInto('pseudonyms').values({ actor, pseudonym }).execute();
    },
    ...statementQueries(db),
  };
}

function statementRow(row: Selectable<Tables['statements']>): StatementRow {
  const { signed_sha256: signedSha256, key_id: keyId, release, ...rest } = row;
  return { ...rest, signedSha256, keyId, ...(release === null ? {} : { release }) };
}

function statementQueries(
  db: Kysely<Tables>,
): Pick<AuditStore, 'addStatement' | 'statements' | 'statementsAbout'> {
  const of = (product: string) =>
    db.selectFrom('statements').selectAll().where('product', '=', product).orderBy('entry');
  return {
    async addStatement({ signedSha256, keyId, release = null, ...row }) {
      await db
        .insertInto('statements')
        .values({ ...row, release, signed_sha256: signedSha256, key_id: keyId })
        .execute();
    },
    async statements(product, role, version) {
      const query = of(product).where('role', '=', role).where('version', '=', version);
      return (await query.execute()).map(statementRow);
    },
    async statementsAbout(product, release) {
      return (await of(product).where('release', '=', release).execute()).map(statementRow);
    },
  };
}
