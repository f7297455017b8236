/**
 * Who sent a request: the user behind a session or an API token, as they stand at this moment.
 *
 * Keeps true: one answer, whatever was wrong with what was shown; a removed user, a changed role, a revoked token and an
 * ended session count from the next request on. Nothing is written but, once a minute, that a session is in use.
 */
import { permissionsOf, peopleLimits } from '@airlock/protocol';
import { fail, ok, type Result } from '@airlock/trust';
import { type Caller, callerOfApiToken, callerOfSession } from '../core/callers.ts';
import { hashSecret, kindOfSecret } from '../core/secrets.ts';
import type { UserRow } from '../ports/people-store.ts';
import type { Context } from './context.ts';

/** Written no more often: the idle limit is an hour, so that a minute does not matter. */
const useSecondsMin = 60;

/** What came with a request. */
export interface Shown {
  /** The Authorization header. */
  readonly authorization: string | undefined;
  /** The session cookie; counts only without the header. */
  readonly cookie: string | undefined;
}

/** Error: API_UNAUTHORIZED. */
export async function identify(context: Context, { authorization, cookie }: Shown): Promise<Result<Caller>> {
  const bearer = authorization?.startsWith('Bearer ') === true ? authorization.slice('Bearer '.length) : '';
  const secret = authorization === undefined ? (cookie ?? '') : bearer;
  const kind = kindOfSecret(secret);
  const sha256 = hashSecret(secret);
  const inCookie = authorization === undefined;
  // Only sessions travel in cookies.
  const caller =
    kind === 'session'
      ? await ofSession(context, sha256, inCookie)
      : kind === 'api-token' && !inCookie
        ? await ofApiToken(context, sha256)
        : undefined;
  if (caller !== undefined) return ok(caller);
  const message = 'needs a session or an API token that is valid: sign in (Authorization: Bearer <secret>)';
  return fail('API_UNAUTHORIZED', message, 'authorization');
}

async function ofSession(context: Context, sha256: string, cookie: boolean): Promise<Caller | undefined> {
  const now = context.clock.now();
  const row = await context.store.session(sha256);
  if (row === undefined || row.expires <= now || row.created > now + useSecondsMin) return undefined;
  if (row.lastUsed + peopleLimits.sessionIdleSecondsMax <= now) return undefined;
  const user = await activeUser(context, row.user);
  if (user === undefined) return undefined;
  if (now - row.lastUsed >= useSecondsMin) await context.store.useSession(sha256, now);
  return callerOfSession(user, { sha256, cookie, expires: row.expires });
}

async function ofApiToken(context: Context, sha256: string): Promise<Caller | undefined> {
  const now = context.clock.now();
  const row = await context.store.apiToken(sha256);
  if (row === undefined || row.expires <= now || row.revoked !== undefined) return undefined;
  const user = await activeUser(context, row.user);
  if (user === undefined) return undefined;
  // The identity provider does not tell us who has left: their programs end with their absence.
  const seen = user.lastSignIn ?? user.created;
  const away = user.provider !== undefined && seen + peopleLimits.providerAbsenceSecondsMax <= now;
  if (away) return undefined;
  return callerOfApiToken(user, row, { sha256, cookie: false, expires: row.expires });
}

async function activeUser({ store }: Context, name: string): Promise<UserRow | undefined> {
  const user = await store.user(name);
  return user === undefined || user.removed !== undefined ? undefined : user;
}

/** Whether a token of these permissions is one that the caller may have. */
export function mayGive(user: UserRow, permissions: readonly string[]): boolean {
  const held: ReadonlySet<string> = permissionsOf(user.roles);
  return permissions.every((permission) => held.has(permission));
}
