/** The audit log, pseudonyms and statements in SQL. Hashes are stored as hex, so that people can read them. */
import { formatInstant } from '@airlock/trust';
import type { Kysely } from 'kysely';
import type { AuditStore } from '../../ports/audit-store.ts';
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

export function auditStore(db: Kysely<Tables>): AuditStore {
  return {
    async auditHead() {
      const row = await db.selectFrom('audit_head').selectAll().executeTakeFirst();
      if (row === undefined) return undefined;
      return { origin: row.origin, size: row.size, edge: splitEdge(row.edge), time: seconds(row.time) };
    },
    async startAudit(origin, now) {
      const values = { id: 1, origin, size: 0, edge: '', time: formatInstant(now) };
      await db.insertInto('audit_head').values(values).execute();
    },
    async appendAudit({ leaf, head, nodes }) {
      const position = head.size - 1;
      const values = { size: head.size, edge: head.edge.map(toHex).join(''), time: formatInstant(head.time) };
      const moved = await db
        .updateTable('audit_head')
        .set(values)
        .where('size', '=', position)
        .executeTakeFirst();
      if (moved.numUpdatedRows !== 1n) throw new Raced();
      await db.insertInto('audit_entries').values({ position, leaf }).execute();
      for (const { level, index, hash } of nodes) {
        await db
          .insertInto('audit_nodes')
          .values({ level, position: index, hash: toHex(hash) })
          .execute();
      }
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
      const query = db.selectFrom('pseudonyms').select('pseudonym').where('actor', '=', actor);
      return (await query.executeTakeFirst())?.pseudonym;
    },
    async addPseudonym(actor, pseudonym) {
      await db.insertInto('pseudonyms').values({ actor, pseudonym }).execute();
    },
    ...statementQueries(db),
  };
}

function statementQueries(db: Kysely<Tables>): Pick<AuditStore, 'addStatement' | 'statements'> {
  return {
    async addStatement({ signedSha256, keyId, ...row }) {
      await db
        .insertInto('statements')
        .values({ ...row, signed_sha256: signedSha256, key_id: keyId })
        .execute();
    },
    async statements(product, role, version) {
      const query = db.selectFrom('statements').selectAll().where('product', '=', product);
      const rows = await query
        .where('role', '=', role)
        .where('version', '=', version)
        .orderBy('entry')
        .execute();
      return rows.map(({ signed_sha256: signedSha256, key_id: keyId, ...row }) => ({
        ...row,
        signedSha256,
        keyId,
      }));
    },
  };
}
