/**
 * Migrations of the embedded store, in order. A migration that was published is never changed: add the next one.
 *
 * Moments are TEXT (`YYYY-MM-DDTHH:MM:SSZ`) and JSON is TEXT, so that another SQL dialect stores the same.
 */
import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

const statements: readonly string[] = [
  `create table roles (owner text not null, role text not null, version integer not null, file text not null,
     created text not null, primary key (owner, role, version)) without rowid`,
  `create table snapshot_expiry (owner text primary key, expires text not null) without rowid`,
  `create index snapshot_expiry_expires on snapshot_expiry (expires)`,
  `create table documents (product text not null, sha256 text not null, text text not null,
     primary key (product, sha256)) without rowid`,
  `create table products (product text primary key, created text not null, revision integer not null)`,
  `create table proposals (product text not null, role text not null, version integer not null,
     revision integer not null, file text not null, proposed_by text not null, proposed text not null,
     primary key (product, role))`,
  `create table numbers (product text not null, role text not null, version integer not null,
     signed_sha256 text not null, primary key (product, role, version)) without rowid`,
  `create table missing_files (product text not null, role text not null, version integer not null,
     evidence text not null, device text, since text not null, primary key (product, role)) without rowid`,
  `create table releases (product text not null, version integer not null, manifest_sha256 text not null,
     manifest_length integer not null, name text not null, safety_class text not null, created text not null,
     created_by text not null, primary key (product, version))`,
  `create table images (sha256 text primary key, length integer not null, created text not null) without rowid`,
  `create table devices (device text primary key, product text not null, record text not null,
     record_number integer not null, certificate_sha256 text not null unique, log_key text not null,
     registered text not null, revoked text)`,
  `create table last_seen (device text primary key, moment text not null) without rowid`,
  `create table assignments (device text primary key, product text not null, release integer not null,
     manifest_sha256 text not null, custom text not null, revision integer not null, assigned text not null,
     assigned_by text not null)`,
  `create table reports (id integer primary key autoincrement, device text not null, boot_id text not null,
     sequence integer not null, received text not null, envelope text not null, report text not null,
     unique (device, boot_id, sequence))`,
  `create index reports_device on reports (device, id)`,
  `create table log_entries (device text not null, generation integer not null, sequence integer not null,
     sha256 text not null, entry text not null, primary key (device, generation, sequence)) without rowid`,
  `create table log_heads (device text primary key, sequence integer not null, envelope text not null)`,
  `create table log_findings (device text not null, kind text not null, sequence integer not null,
     detail text not null, found text not null, primary key (device, kind, sequence, detail)) without rowid`,
  `create table tokens (name text primary key, sha256 text not null unique, permissions text not null,
     created text not null)`,
];

/** The highest snapshot is asked for at each start. */
const byRole = 'create index roles_role_version on roles (role, version)';

/** Claims are kept for each device; what single devices claimed until now held products back, and is claimed again. */
const claims: readonly string[] = [
  `create table claims (product text not null, role text not null, device text not null, version integer not null,
     since text not null, dismissed text, primary key (product, role, device)) without rowid`,
  `delete from missing_files where evidence = 'device'`,
];

const timestampMark =
  'create table timestamp_mark (id integer primary key check (id = 1), version integer not null)';

/** Until now the report with the highest number was the latest. */
const latestReports: readonly string[] = [
  `create table latest_reports (device text primary key, report integer not null) without rowid`,
  `insert into latest_reports (device, report) select device, id from (select device, id, row_number() over
     (partition by device order by sequence desc, id desc) as place from reports) where place = 1`,
];

/** Leaves and nodes are written once; the head is one row that every append moves. */
const auditLog: readonly string[] = [
  `create table audit_head (id integer primary key check (id = 1), origin text not null, size integer not null,
     edge text not null, time text not null)`,
  `create table audit_entries (position integer primary key, leaf text not null)`,
  `create table audit_nodes (level integer not null, position integer not null, hash text not null,
     primary key (level, position)) without rowid`,
  `create table pseudonyms (actor text primary key, pseudonym text not null unique) without rowid`,
  `create table statements (product text not null, role text not null, version integer not null,
     signed_sha256 text not null, key_id text not null, release integer, envelope text not null,
     entry integer not null, primary key (product, role, version, signed_sha256, key_id)) without rowid`,
  `create index statements_release on statements (product, release)`,
];
/** Files that a lower number took the place of: a thief's highest number must not stay the newest for ever. */
const passedOver = `create table passed_over (owner text not null, role text not null, version integer not null,
     primary key (owner, role, version)) without rowid`;

/** Numbers of proposals that ended, and numbers that are about to be signed. */
const queue: readonly string[] = [
  'alter table numbers add column voided integer not null default 0',
  `create table reservations (product text not null, role text not null, version integer not null,
     signed_sha256 text not null, key_id text not null, until text not null, primary key (product, role)) without rowid`,
];

/**
 * Users, sessions, API tokens that belong to one, and sign-ins at the identity provider. The tokens before belonged to
 * nobody and never ended: they go with their table, so that no such door stays open.
 */
const people: readonly string[] = [
  `create table users (user text primary key, name text not null, roles text not null, functions text not null,
     products text not null, issuer text, subject text, password text, secret_until text, created text not null,
     last_sign_in text, removed text, unique (issuer, subject)) without rowid`,
  `create table sessions (sha256 text primary key, user text not null, created text not null, expires text not null,
     last_used text not null) without rowid`,
  `create index sessions_user on sessions (user)`,
  `create table api_tokens (user text not null, name text not null, sha256 text not null unique,
     permissions text not null, products text not null, created text not null, expires text not null, revoked text,
     primary key (user, name)) without rowid`,
  `create table sign_ins (state_sha256 text primary key, verifier text not null, nonce text not null,
     expires text not null, binding_sha256 text, port integer, challenge text, user text,
     code_sha256 text unique) without rowid`,
  `drop table tokens`,
];

export const migrations: Record<string, Migration> = {
  '0001-first': {
    async up(db: Kysely<unknown>): Promise<void> {
      for (const statement of statements) await sql.raw(statement).execute(db);
    },
  },
  '0002-highest-snapshot': {
    async up(db: Kysely<unknown>): Promise<void> {
      await sql.raw(byRole).execute(db);
    },
  },
  '0003-claims': {
    async up(db: Kysely<unknown>): Promise<void> {
      for (const statement of claims) await sql.raw(statement).execute(db);
    },
  },
  '0004-timestamp-mark': {
    async up(db: Kysely<unknown>): Promise<void> {
      await sql.raw(timestampMark).execute(db);
    },
  },
  '0005-latest-reports': {
    async up(db: Kysely<unknown>): Promise<void> {
      for (const statement of latestReports) await sql.raw(statement).execute(db);
    },
  },
  '0006-audit-log': {
    async up(db: Kysely<unknown>): Promise<void> {
      for (const statement of auditLog) await sql.raw(statement).execute(db);
    },
  },
  '0007-passed-over': {
    async up(db: Kysely<unknown>): Promise<void> {
      await sql.raw(passedOver).execute(db);
    },
  },
  '0008-queue': {
    async up(db: Kysely<unknown>): Promise<void> {
      for (const statement of queue) await sql.raw(statement).execute(db);
    },
  },
  '0010-people': {
    async up(db: Kysely<unknown>): Promise<void> {
      for (const statement of people) await sql.raw(statement).execute(db);
    },
  },
};
