/**
 * Users and API tokens made by the server's own program: the way in at first, and the way back when nobody can sign in.
 *
 * Keeps true: whoever runs it has the server's folder and the passphrase of its keys, and so has everything that the
 * server has; each act is an entry of the audit log under the program's name. Secrets go to standard output, once.
 */
import { randomBytes } from 'node:crypto';
import {
  everyProduct,
  isPermission,
  isUserRole,
  peopleLimits,
  type Permission,
  permissions,
  type UserRole,
  userRoles,
} from '@airlock/protocol';
import { fail, formatInstant, ok, type Result } from '@airlock/trust';
import { draftApiToken, putApiToken } from './app/api-tokens.ts';
import { addUser, putGrant, putSecret } from './app/users.ts';
import { sameGrant } from './core/callers.ts';
import { readPassphrase, type ServerConfig } from './config.ts';
import { hashPassword, saltBytes } from './core/passwords.ts';
import { oneTimeSecretBytes, oneTimeText } from './core/secrets.ts';
import type { UserRow } from './ports/people-store.ts';
import { localActor, withLog } from './program-acts.ts';

const userPattern = /^[a-z0-9][a-z0-9._@-]{0,63}$/;
const tokenPattern = /^[a-z0-9][a-z0-9._-]{0,31}$/;
const daysPattern = /^[1-9][0-9]{0,2}$/;

function readUser(user: string | undefined): Result<string> {
  if (user !== undefined && userPattern.test(user)) return ok(user);
  const message = '--user: needs 1 to 64 lower-case letters, digits, dots, dashes, @ or _';
  return fail('API_CONFIG', message, '--user');
}

/** A list such as `products:read,devices:read`. Error: API_CONFIG naming what is not known. */
function readList<T extends string>(text: string, known: readonly T[], option: string): Result<readonly T[]> {
  const names = text.split(',').map((name) => name.trim());
  const list: readonly string[] = known;
  const stranger = names.find((name) => !list.includes(name));
  if (stranger === undefined) return ok(known.filter((name) => names.includes(name)));
  return fail(
    'API_CONFIG',
    `${option}: unknown "${stranger}", expected some of: ${known.join(', ')}`,
    option,
  );
}

const everyRole: readonly UserRole[] = Object.keys(userRoles).filter(isUserRole);
const everyPermission: readonly Permission[] = Object.keys(permissions).filter(isPermission);

export function readPermissions(text: string): Result<readonly Permission[]> {
  return readList(text, everyPermission, '--permissions');
}

/**
 * A user who manages users, with a one-time secret: new, or one that is there and gets the role and a new secret.
 * Errors: API_CONFIG, API_CONFLICT for a removed user or one of the identity provider.
 */
export async function makeAdministrator(
  config: ServerConfig,
  asked: { readonly user: string | undefined; readonly roles: string | undefined },
): Promise<
  Result<{
    readonly user: string;
    readonly roles: readonly string[];
    readonly secret: string;
    readonly secretUntil: string;
  }>
> {
  const user = readUser(asked.user);
  if (!user.ok) return user;
  const roles = readList(asked.roles ?? 'administrator', everyRole, '--roles');
  if (!roles.ok) return roles;
  const passphrase = await readPassphrase(config);
  if (!passphrase.ok) return passphrase;
  const secret = oneTimeText(randomBytes(oneTimeSecretBytes));
  const password = await hashPassword(secret, randomBytes(saltBytes));
  const put = await withLog(config, passphrase.value, async (store, now): Promise<Result<UserRow>> => {
    const held = await store.user(user.value);
    const secretUntil = now + peopleLimits.oneTimeSecretSecondsMax;
    if (held === undefined) {
      const row = newAdministrator(user.value, roles.value, now);
      const made = { ...row, password, secretUntil };
      await addUser(store, made, localActor, now);
      return ok(made);
    }
    if (held.removed !== undefined || held.provider !== undefined) {
      const why = held.removed === undefined ? 'signs in at the identity provider' : 'was removed';
      return fail('API_CONFLICT', `--user: ${held.user} ${why}: name another one`, '--user');
    }
    const next = { ...held, roles: union(held.roles, roles.value), products: [everyProduct] };
    if (!sameGrant(held, next)) {
      await putGrant(store, held, next, localActor, now);
    }
    const renewed = { ...next, password, secretUntil };
    await putSecret(store, renewed, localActor, now);
    return ok(renewed);
  });
  if (!put.ok) return put;
  if (!put.value.ok) return put.value;
  const { secretUntil = 0, roles: held } = put.value.value;
  return ok({ user: user.value, roles: held, secret, secretUntil: formatInstant(secretUntil) });
}

function union(held: readonly UserRole[], more: readonly UserRole[]): UserRole[] {
  const wanted = new Set<UserRole>([...held, ...more, 'administrator']);
  return everyRole.filter((role) => wanted.has(role));
}

function newAdministrator(user: string, roles: readonly UserRole[], now: number): UserRow {
  return {
    user,
    // Nobody's printed name is known to this program; an administrator makes users with theirs.
    name: user,
    roles: union([], roles),
    functions: [],
    products: [everyProduct],
    created: now,
  };
}

/** Errors: API_CONFIG, API_NOT_FOUND for the user, API_GRANT for what the user does not hold. */
export async function makeToken(
  config: ServerConfig,
  asked: Readonly<Record<'user' | 'name' | 'permissions' | 'days', string | undefined>>,
): Promise<
  Result<{
    readonly user: string;
    readonly name: string;
    readonly permissions: readonly string[];
    readonly expires: string;
    readonly token: string;
  }>
> {
  const user = readUser(asked.user);
  if (!user.ok) return user;
  const { name = '', days = '', permissions: list = '' } = asked;
  if (!tokenPattern.test(name)) {
    return fail(
      'API_CONFIG',
      '--name: needs 1 to 32 lower-case letters, digits, dots, dashes or _',
      '--name',
    );
  }
  const { apiTokenDaysMax: daysMax } = peopleLimits;
  if (!daysPattern.test(days) || Number(days) > daysMax) {
    return fail('API_CONFIG', `--days: needs a whole number from 1 to ${daysMax}`, '--days');
  }
  const allowed = readPermissions(list);
  if (!allowed.ok) return allowed;
  const passphrase = await readPassphrase(config);
  if (!passphrase.ok) return passphrase;
  const wanted = { name, permissions: [...allowed.value], days: Number(days) };
  const put = await withLog(config, passphrase.value, async (store, now) => {
    const row = await store.user(user.value);
    if (row === undefined || row.removed !== undefined) {
      return fail('API_NOT_FOUND', `--user: there is no user ${user.value}`, '--user');
    }
    const draft = draftApiToken(row, wanted, now);
    if (!draft.ok) return draft;
    const held = (await store.apiTokensOf(user.value)).find((one) => one.name === name);
    await putApiToken(store, draft.value.row, localActor, now, held);
    return draft;
  });
  if (!put.ok) return put;
  if (!put.value.ok) return put.value;
  const { row, secret } = put.value.value;
  const expires = formatInstant(row.expires);
  return ok({ user: user.value, name, permissions: row.permissions, expires, token: secret });
}
