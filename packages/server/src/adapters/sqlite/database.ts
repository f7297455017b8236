/**
 * The embedded store: one SQLite file in WAL mode with synchronous FULL, through Kysely.
 *
 * Keeps true: a promise that resolved stands for bytes that were flushed; a transaction is all or nothing, even if
 * the process is killed. There is one connection, so that a transaction sees no other write between its reads and
 * its commit. Leaves to others: what the rows mean. Only one server may use a folder: the database is locked.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { Kysely, sql, SqliteDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { Raced, type Store, type StoreParts } from '../../ports/store.ts';
import { auditStore } from './audit-store.ts';
import { claimStore } from './claim-store.ts';
import { deviceStore, isWhole } from './device-store.ts';
import { migrations } from './migrations.ts';
import { peopleStore } from './people-store.ts';
import { productStore, releaseStore } from './product-store.ts';
import { reportStore } from './report-store.ts';
import { roleStore } from './role-store.ts';
import type { Tables } from './tables.ts';

function partsOf(db: Kysely<Tables>): StoreParts {
  return {
    ...roleStore(db),
    ...productStore(db),
    ...claimStore(db),
    ...releaseStore(db),
    ...deviceStore(db),
    ...reportStore(db),
    ...peopleStore(db),
    ...auditStore(db),
  };
}

function isInput(value: unknown): value is SQLInputValue {
  return (
    value === null || ['string', 'number', 'bigint'].includes(typeof value) || value instanceof Uint8Array
  );
}

function inputs(values: readonly unknown[]): SQLInputValue[] {
  return values.map((value) => {
    if (!isInput(value)) throw new TypeError('a value that SQL does not store');
    return value;
  });
}

/** Texts that are kept prepared. The server has some hundred; lists of values of different lengths make a few more. */
const preparedMax = 512;

/**
 * The few calls that Kysely's SQLite dialect makes, on Node's own SQLite. Statements are prepared once: preparing costs
 * more than running, and an append to the audit log has 0.2 ms of CPU in all.
 */
function adapted(raw: DatabaseSync) {
  const prepared = new Map<string, { readonly statement: StatementSync; readonly reader: boolean }>();
  const prepare = (query: string) => {
    const known = prepared.get(query);
    if (known !== undefined) return known;
    const statement = raw.prepare(query);
    const made = { statement, reader: statement.columns().length > 0 };
    if (prepared.size >= preparedMax) prepared.clear();
    prepared.set(query, made);
    return made;
  };
  return {
    close: () => raw.close(),
    prepare(query: string) {
      const { statement, reader } = prepare(query);
      return {
        reader,
        all: (values: readonly unknown[]) => statement.all(...inputs(values)),
        run: (values: readonly unknown[]) =>
          // A full disk rolls back by itself; a second rollback would fail and hide why.
          query === 'rollback' && !raw.isTransaction
            ? { changes: 0, lastInsertRowid: 0 }
            : statement.run(...inputs(values)),
        iterate: (values: readonly unknown[]) => statement.iterate(...inputs(values)),
      };
    },
  };
}

/** Milliseconds that a second program (`token`, `online-keys`) waits for the server's short transactions. */
const busyMs = 5_000;

/** Opens or makes the database and brings its tables up to date. Throws when the file is damaged or newer. */
export async function openStore(path: string): Promise<Store> {
  const raw = new DatabaseSync(path, { timeout: busyMs });
  raw.exec('pragma journal_mode = wal');
  // FULL: the write-ahead log is flushed at every commit, so that what was acknowledged survives a power cut.
  raw.exec('pragma synchronous = full');
  raw.exec('pragma foreign_keys = on');
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: adapted(raw) }) });
  const provider = { getMigrations: async () => migrations };
  const { error } = await new Migrator({ db, provider }).migrateToLatest();
  if (error !== undefined) throw new Error('the database could not be brought up to date', { cause: error });
  if (!(await isWhole(db))) throw new Error('the database is damaged');
  const byCertificate = raw.prepare(
    'select device, product from devices where certificate_sha256 = ? and revoked is null',
  );
  const transaction = async <T>(work: (store: StoreParts) => Promise<T>): Promise<T> => {
    try {
      return await db.transaction().execute((inside) => work(partsOf(inside)));
    } catch (why) {
      throw isLostRace(why) ? new Raced() : why;
    }
  };
  return {
    ...partsOf(db),
    transaction,
    grouped: groupCommits(db, () => raw.isTransaction),
    deviceByCertificate(certificateSha256) {
      const row = byCertificate.get(certificateSha256);
      if (row === undefined) return undefined;
      return { device: String(row['device']), product: String(row['product']) };
    },
    async close() {
      await db.destroy();
    },
  };
}

/** SQLITE_BUSY and BUSY_SNAPSHOT: another process wrote. CONSTRAINT_PRIMARYKEY and _UNIQUE: the key was taken. */
const lostRaceCodes: ReadonlySet<unknown> = new Set([5, 517, 1555, 2067]);

function isLostRace(error: unknown): boolean {
  return error instanceof Error && lostRaceCodes.has(Reflect.get(error, 'errcode'));
}

interface Waiting {
  /** Runs the work inside the shared transaction; answers what to do once it is committed. */
  readonly run: (inside: StoreParts) => Promise<() => void>;
  readonly reject: (reason: unknown) => void;
}

/**
 * Shares one flush among the writes that wait: 437 commits a second with FULL become thousands. Everyone is answered
 * only after the commit that holds their write. Each work has a savepoint of its own.
 */
function groupCommits(db: Kysely<Tables>, inTransaction: () => boolean): Store['grouped'] {
  /** Works in one commit; more would make a check-in wait behind them. */
  const groupMax = 100;
  let waiting: Waiting[] = [];
  let running = false;

  async function drain(): Promise<void> {
    running = true;
    while (waiting.length > 0) {
      const group = waiting.slice(0, groupMax);
      waiting = waiting.slice(groupMax);
      try {
        const settle = await db.transaction().execute((inside) => runGroup(inside, group, inTransaction));
        for (const done of settle) done();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    running = false;
  }

  return (work) =>
    new Promise((resolve, reject) => {
      const run = async (inside: StoreParts) => {
        const value = await work(inside);
        return () => resolve(value);
      };
      waiting.push({ run, reject });
      if (!running) void drain();
    });
}

async function runGroup(
  inside: Kysely<Tables>,
  group: readonly Waiting[],
  inTransaction: () => boolean,
): Promise<(() => void)[]> {
  const parts = partsOf(inside);
  const settle: (() => void)[] = [];
  for (const { run, reject } of group) {
    await sql`savepoint one`.execute(inside);
    try {
      settle.push(await run(parts));
      await sql`release one`.execute(inside);
    } catch (error) {
      // A full disk ended the whole transaction, and with it what the others before wrote: nobody is told that it is.
      if (!inTransaction()) throw error;
      await sql`rollback to one`.execute(inside);
      await sql`release one`.execute(inside);
      settle.push(() => reject(error));
    }
  }
  return settle;
}
