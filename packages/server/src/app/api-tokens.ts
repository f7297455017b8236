/**
 * API tokens: for programs of a user, with a part of what the user may do, and an end.
 *
 * Keeps true: shown once, stored as a hash; made by a person who signed in, never by another token; a token never holds
 * more than its user does now. Managing users is no permission of a token at all: a stolen one must not make a user.
 */
import { randomBytes } from 'node:crypto';
import {
  type ApiTokenCreate,
  type ApiTokenMade,
  type ApiTokenView,
  coversProduct,
  everyProduct,
  peopleLimits,
} from '@airlock/protocol';
import { fail, formatInstant, ok, type Result } from '@airlock/trust';
import { apiTokenText, hashSecret, secretBytes } from '../core/secrets.ts';
import type { ApiTokenRow, UserRow } from '../ports/people-store.ts';
import type { StoreParts } from '../ports/store.ts';
import { type Actor, pseudonymOf, record } from './audit.ts';
import { mayGive } from './callers.ts';
import type { Context } from './context.ts';

const secondsPerDay = 86_400;

export function apiTokenView(row: ApiTokenRow): ApiTokenView {
  const { user, name, permissions, products, created, expires, revoked } = row;
  return {
    user,
    name,
    permissions: [...permissions],
    products: [...products],
    created: formatInstant(created),
    expires: formatInstant(expires),
    ...(revoked === undefined ? {} : { revoked: formatInstant(revoked) }),
  };
}

/** The row of a new token and its secret. Errors: API_GRANT naming the field, API_BAD_REQUEST. */
export function draftApiToken(
  user: UserRow,
  asked: ApiTokenCreate,
  now: number,
): Result<{ readonly row: ApiTokenRow; readonly secret: string }> {
  const { name, permissions, products = user.products, days } = asked;
  if (permissions.includes('users:write')) {
    return fail('API_GRANT', 'permissions: users:write is for a person who signs in', 'permissions');
  }
  if (!mayGive(user, permissions)) {
    const message = `permissions: hold one that ${user.user} does not have`;
    return fail('API_GRANT', message, 'permissions');
  }
  const beyond = products.find((product) => !covered(user.products, product));
  if (beyond !== undefined) {
    return fail('API_GRANT', `products: ${user.user} is not let in for ${beyond}`, 'products');
  }
  const secret = apiTokenText(randomBytes(secretBytes));
  const expires = now + days * secondsPerDay;
  const sha256 = hashSecret(secret);
  return ok({
    secret,
    row: { user: user.user, name, sha256, permissions, products: [...products], created: now, expires },
  });
}

function covered(held: readonly string[], product: string): boolean {
  return product === everyProduct ? held.includes(everyProduct) : coversProduct(held, product);
}

/** Errors: API_GRANT, API_CONFLICT for a name in use and for one token too many. A revoked or ended token's name may be used again. */
export async function createApiToken(
  { store, clock }: Context,
  user: string,
  asked: ApiTokenCreate,
  by: Actor,
): Promise<Result<ApiTokenMade>> {
  const now = clock.now();
  const row = await store.user(user);
  if (row === undefined) return fail('API_NOT_FOUND', `there is no user ${user}`, 'user');
  const draft = draftApiToken(row, asked, now);
  if (!draft.ok) return draft;
  const made = draft.value;
  return await store.transaction(async (inside) => {
    const held = (await inside.apiTokensOf(user)).filter(
      (one) => one.revoked === undefined && one.expires > now,
    );
    if (held.some(({ name }) => name === asked.name)) {
      return fail('API_CONFLICT', `${user} has a token ${asked.name}: revoke it first`, 'name');
    }
    if (held.length >= peopleLimits.apiTokensMax) {
      return fail('API_CONFLICT', `${user} has ${held.length} tokens: revoke some`, 'name');
    }
    await putApiToken(inside, made.row, by, now);
    return ok({ apiToken: apiTokenView(made.row), secret: made.secret });
  });
}

/** Writes a token and the entry that says so; `before` when it takes another one's place. */
export async function putApiToken(
  store: StoreParts,
  row: ApiTokenRow,
  by: Actor,
  now: number,
  before?: ApiTokenRow,
): Promise<void> {
  await store.putApiToken(row);
  await record(store, by, now, {
    act: 'token.make',
    subject: await subjectOf(store, row),
    before: before === undefined ? undefined : factsOf(before),
    after: factsOf(row),
  });
}

const factsOf = ({ permissions, products, expires }: ApiTokenRow) => ({
  permissions: [...permissions],
  products: [...products],
  expires: formatInstant(expires),
});

/** A token acts under a pseudonym of its own; this entry says whose it is. */
async function subjectOf(store: StoreParts, { user, name }: ApiTokenRow) {
  return {
    user: await pseudonymOf(store, user),
    token: await pseudonymOf(store, `${user}/${name}`),
  };
}

/** Error: API_NOT_FOUND. Repeated, it changes nothing. */
export async function revokeApiToken(
  { store, clock }: Context,
  user: string,
  name: string,
  by: Actor,
): Promise<Result<true>> {
  const now = clock.now();
  const row = (await store.apiTokensOf(user)).find((one) => one.name === name);
  if (row === undefined) return fail('API_NOT_FOUND', `${user} has no token ${name}`, 'name');
  if (row.revoked !== undefined) return ok(true);
  await store.transaction(async (inside) => {
    await inside.putApiToken({ ...row, revoked: now });
    const subject = await subjectOf(inside, row);
    await record(inside, by, now, { act: 'token.revoke', subject, before: factsOf(row) });
  });
  return ok(true);
}
