/** Users, sessions, API tokens and waiting sign-ins in SQL. Lists are JSON, moments are text. */
import { isPermission, isUserRole } from '@airlock/protocol';
import { formatInstant } from '@airlock/trust';
import type { Kysely, Selectable } from 'kysely';
import type { ApiTokenRow, PendingRow, PeopleStore, SessionRow, UserRow } from '../../ports/people-store.ts';
import { seconds } from './role-store.ts';
import type { Tables } from './tables.ts';

function list(text: string): string[] {
  const value: unknown = JSON.parse(text);
  return Array.isArray(value) ? value.map(String) : [];
}

function userRow(row: Selectable<Tables['users']>): UserRow {
  const { issuer, subject, password, secret_until: until, last_sign_in: last, removed } = row;
  return {
    user: row.user,
    name: row.name,
    roles: list(row.roles).filter(isUserRole),
    functions: list(row.functions),
    products: list(row.products),
    ...(issuer === null || subject === null ? {} : { provider: { issuer, subject } }),
    ...(password === null ? {} : { password }),
    ...(until === null ? {} : { secretUntil: seconds(until) }),
    created: seconds(row.created),
    ...(last === null ? {} : { lastSignIn: seconds(last) }),
    ...(removed === null ? {} : { removed: seconds(removed) }),
  };
}

function sessionRow(row: Selectable<Tables['sessions']>): SessionRow {
  const { created, expires, last_used: used, ...rest } = row;
  return { ...rest, created: seconds(created), expires: seconds(expires), lastUsed: seconds(used) };
}

function apiTokenRow(row: Selectable<Tables['api_tokens']>): ApiTokenRow {
  const { user, name, sha256, revoked } = row;
  return {
    user,
    name,
    sha256,
    permissions: list(row.permissions).filter(isPermission),
    products: list(row.products),
    created: seconds(row.created),
    expires: seconds(row.expires),
    ...(revoked === null ? {} : { revoked: seconds(revoked) }),
  };
}

function pendingRow(row: Selectable<Tables['sign_ins']>): PendingRow {
  const { state_sha256: stateSha256, verifier, nonce, expires, binding_sha256: binding } = row;
  const { port, challenge, user, code_sha256: codeSha256 } = row;
  return {
    stateSha256,
    verifier,
    nonce,
    expires: seconds(expires),
    ...(binding === null ? {} : { bindingSha256: binding }),
    ...(port === null ? {} : { port }),
    ...(challenge === null ? {} : { challenge }),
    ...(user === null || codeSha256 === null ? {} : { proven: { user, codeSha256 } }),
  };
}

const moment = (at: number | undefined): string | null => (at === undefined ? null : formatInstant(at));

function userStore(db: Kysely<Tables>): Pick<PeopleStore, 'user' | 'userOfProvider' | 'users' | 'putUser'> {
  const all = db.selectFrom('users').selectAll();
  return {
    async user(user) {
      const row = await all.where('user', '=', user).executeTakeFirst();
      return row === undefined ? undefined : userRow(row);
    },
    async userOfProvider(issuer, subject) {
      const row = await all.where('issuer', '=', issuer).where('subject', '=', subject).executeTakeFirst();
      return row === undefined ? undefined : userRow(row);
    },
    async users() {
      return (await all.orderBy('user').execute()).map(userRow);
    },
    async putUser(row) {
      const values = {
        user: row.user,
        name: row.name,
        roles: JSON.stringify(row.roles),
        functions: JSON.stringify(row.functions),
        products: JSON.stringify(row.products),
        issuer: row.provider?.issuer ?? null,
        subject: row.provider?.subject ?? null,
        password: row.password ?? null,
        secret_until: moment(row.secretUntil),
        created: formatInstant(row.created),
        last_sign_in: moment(row.lastSignIn),
        removed: moment(row.removed),
      };
      await db
        .insertInto('users')
        .values(values)
        .onConflict((conflict) => conflict.column('user').doUpdateSet(values))
        .execute();
    },
  };
}

type Sessions =
  | 'session'
  | 'addSession'
  | 'useSession'
  | 'removeSession'
  | 'removeSessionsOf'
  | 'sweepSessions';

function sessionStore(db: Kysely<Tables>): Pick<PeopleStore, Sessions> {
  return {
    async session(sha256) {
      const query = db.selectFrom('sessions').selectAll().where('sha256', '=', sha256);
      const row = await query.executeTakeFirst();
      return row === undefined ? undefined : sessionRow(row);
    },
    async addSession({ created, expires, lastUsed, ...row }) {
      const times = { created: formatInstant(created), expires: formatInstant(expires) };
      const values = { ...row, ...times, last_used: formatInstant(lastUsed) };
      await db.insertInto('sessions').values(values).execute();
    },
    async useSession(sha256, now) {
      const query = db.updateTable('sessions').set({ last_used: formatInstant(now) });
      await query.where('sha256', '=', sha256).execute();
    },
    async removeSession(sha256) {
      const gone = await db.deleteFrom('sessions').where('sha256', '=', sha256).executeTakeFirst();
      return gone.numDeletedRows > 0n;
    },
    async removeSessionsOf(user, except = '') {
      // A sign-in at the provider that is proven and not fetched yet would become one of them.
      await db.deleteFrom('sign_ins').where('user', '=', user).execute();
      const query = db.deleteFrom('sessions').where('user', '=', user).where('sha256', '!=', except);
      return Number((await query.executeTakeFirst()).numDeletedRows);
    },
    async sweepSessions(now) {
      await db.deleteFrom('sessions').where('expires', '<=', formatInstant(now)).execute();
    },
  };
}

function apiTokenStore(db: Kysely<Tables>): Pick<PeopleStore, 'apiToken' | 'apiTokensOf' | 'putApiToken'> {
  const all = db.selectFrom('api_tokens').selectAll();
  return {
    async apiToken(sha256) {
      const row = await all.where('sha256', '=', sha256).executeTakeFirst();
      return row === undefined ? undefined : apiTokenRow(row);
    },
    async apiTokensOf(user) {
      return (await all.where('user', '=', user).orderBy('name').execute()).map(apiTokenRow);
    },
    async putApiToken(row) {
      const values = {
        user: row.user,
        name: row.name,
        sha256: row.sha256,
        permissions: JSON.stringify(row.permissions),
        products: JSON.stringify(row.products),
        created: formatInstant(row.created),
        expires: formatInstant(row.expires),
        revoked: moment(row.revoked),
      };
      await db
        .insertInto('api_tokens')
        .values(values)
        .onConflict((conflict) => conflict.columns(['user', 'name']).doUpdateSet(values))
        .execute();
    },
  };
}

type Pending =
  | 'addPending'
  | 'pending'
  | 'pendingByCode'
  | 'countPending'
  | 'removePending'
  | 'provePending'
  | 'sweepPending';

function pendingStore(db: Kysely<Tables>): Pick<PeopleStore, Pending> {
  const all = db.selectFrom('sign_ins').selectAll();
  return {
    async addPending(row) {
      const values = {
        state_sha256: row.stateSha256,
        verifier: row.verifier,
        nonce: row.nonce,
        expires: formatInstant(row.expires),
        binding_sha256: row.bindingSha256 ?? null,
        port: row.port ?? null,
        challenge: row.challenge ?? null,
        user: row.proven?.user ?? null,
        code_sha256: row.proven?.codeSha256 ?? null,
      };
      await db.insertInto('sign_ins').values(values).execute();
    },
    async pending(stateSha256) {
      const row = await all.where('state_sha256', '=', stateSha256).executeTakeFirst();
      return row === undefined ? undefined : pendingRow(row);
    },
    async pendingByCode(codeSha256) {
      const row = await all.where('code_sha256', '=', codeSha256).executeTakeFirst();
      return row === undefined ? undefined : pendingRow(row);
    },
    async countPending() {
      const query = db.selectFrom('sign_ins').select((of) => of.fn.countAll<number>().as('count'));
      return (await query.executeTakeFirst())?.count ?? 0;
    },
    async removePending(stateSha256) {
      const query = db.deleteFrom('sign_ins').where('state_sha256', '=', stateSha256);
      return (await query.executeTakeFirst()).numDeletedRows > 0n;
    },
    async provePending(stateSha256, { user, codeSha256 }) {
      const query = db.updateTable('sign_ins').set({ user, code_sha256: codeSha256 });
      await query.where('state_sha256', '=', stateSha256).execute();
    },
    async sweepPending(now) {
      await db.deleteFrom('sign_ins').where('expires', '<=', formatInstant(now)).execute();
    },
  };
}

export function peopleStore(db: Kysely<Tables>): PeopleStore {
  return { ...userStore(db), ...sessionStore(db), ...apiTokenStore(db), ...pendingStore(db) };
}
