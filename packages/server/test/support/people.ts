/** Users, sessions and API tokens for tests: written into the store as the server itself writes them. */
import { isPermission, isUserRole, permissions, userRoles, type UserRole } from '@airlock/protocol';
import { apiTokenText, hashSecret, sessionText } from '../../src/core/secrets.ts';
import type { ServerConfig } from '../../src/index.ts';
import type { ApiTokenRow, SessionRow, UserRow } from '../../src/ports/people-store.ts';
import { withStore } from '../../src/server.ts';

/** Every role at once: a company of one person. */
export const everyRole: readonly UserRole[] = Object.keys(userRoles).filter(isUserRole);
/** All that an API token may hold. */
export const everyTokenPermission = Object.keys(permissions)
  .filter(isPermission)
  .filter((permission) => permission !== 'users:write');

const year = 365 * 86_400;
const now = (): number => Math.floor(Date.now() / 1000);

export async function giveUser(
  config: ServerConfig,
  user: string,
  change: Partial<UserRow> = {},
): Promise<UserRow> {
  const row = {
    user,
    name: `Person ${user}`,
    roles: everyRole,
    functions: [],
    products: ['*'],
    created: now(),
    ...change,
  };
  await withStore(config, async (store) => await store.putUser(row));
  return row;
}

let made = 0;

/** Different bytes each time. */
function someBytes(): Buffer {
  made += 1;
  return Buffer.from(hashSecret(`secret ${made}`), 'hex');
}

/** The secret of a new API token. */
export async function giveToken(
  config: ServerConfig,
  user: string,
  change: Partial<ApiTokenRow> = {},
): Promise<string> {
  const secret = apiTokenText(someBytes());
  const row = {
    user,
    name: `token-${made}`,
    sha256: hashSecret(secret),
    permissions: everyTokenPermission,
    products: ['*'],
    created: now(),
    expires: now() + year,
    ...change,
  };
  await withStore(config, async (store) => await store.putApiToken(row));
  return secret;
}

/** The secret of a new session. */
export async function giveSession(
  config: ServerConfig,
  user: string,
  change: Partial<SessionRow> = {},
): Promise<string> {
  const secret = sessionText(someBytes());
  const sha256 = hashSecret(secret);
  const row = { sha256, user, created: now(), lastUsed: now(), expires: now() + 3600, ...change };
  await withStore(config, async (store) => await store.addSession(row));
  return secret;
}

export const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` });
