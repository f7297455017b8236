/**
 * Users: made, changed, removed, given a new one-time secret, by whoever may do that.
 *
 * Keeps true: an id belongs to one person for ever, also when they are gone (21 CFR 11.100(a)); nobody changes what they
 * themselves may do, and nobody removes themselves, so that one administrator is always left; a change of roles counts
 * from the next request on; a removed user's sessions and API tokens are gone with them. The log holds pseudonyms only.
 */
import { randomBytes } from 'node:crypto';
import { type Grant, peopleLimits, type UserCreate, type UserMade, type UserView } from '@airlock/protocol';
import { fail, formatInstant, ok, plainText, type Result } from '@airlock/trust';
import { judgeGrant } from '../core/callers.ts';
import { hashPassword, saltBytes } from '../core/passwords.ts';
import { oneTimeSecretBytes, oneTimeText } from '../core/secrets.ts';
import type { PeopleStore, UserRow } from '../ports/people-store.ts';
import { Raced, type StoreParts } from '../ports/store.ts';
import { type Actor, pseudonymOf, record } from './audit.ts';
import type { Context } from './context.ts';
import { hashing } from './sign-in.ts';

export function userView(row: UserRow): UserView {
  const { user, name, roles, functions, products, provider, created, secretUntil, lastSignIn, removed } = row;
  return {
    user,
    name,
    roles: [...roles],
    functions: [...functions],
    products: [...products],
    from: provider === undefined ? 'here' : 'provider',
    created: formatInstant(created),
    ...(secretUntil === undefined ? {} : { secretUntil: formatInstant(secretUntil) }),
    ...(lastSignIn === undefined ? {} : { lastSignIn: formatInstant(lastSignIn) }),
    ...(removed === undefined ? {} : { removed: formatInstant(removed) }),
  };
}

/** What a grant is in the audit log. */
function grantFacts({ roles, functions, products }: Pick<UserRow, keyof Grant>) {
  return { roles: [...roles], functions: [...functions], products: [...products] };
}

/** Errors: API_CONFLICT for an id that was ever used, API_GRANT, API_BAD_REQUEST, API_BUSY. */
export async function createUser(context: Context, asked: UserCreate, by: Actor): Promise<Result<UserMade>> {
  const fits = judgeGrant(asked);
  if (!fits.ok) return fits;
  if (asked.name.trim() === '' || plainText(asked.name) !== asked.name) {
    return fail('API_BAD_REQUEST', 'name: must be one line that shows what it says', 'name');
  }
  if ((await context.store.user(asked.user)) !== undefined) {
    const message = `the id ${asked.user} was given before, and belongs to one person for ever`;
    return fail('API_CONFLICT', message, 'user');
  }
  const fresh = await freshSecret(context, context.clock.now());
  if (!fresh.ok) return fresh;
  const { secret, password, secretUntil } = fresh.value;
  const now = context.clock.now();
  const { user, name, roles, functions, products } = asked;
  const row = { user, name, roles, functions, products, password, secretUntil, created: now };
  await context.store.transaction(async (store) => {
    await addUser(store, row, by, now);
  });
  return ok({ user: userView(row), secret, secretUntil: formatInstant(secretUntil) });
}

/** Writes a new user and the entry that says so. Throws `Raced` when somebody has the id by now. */
export async function addUser(store: StoreParts, row: UserRow, by: Actor, now: number): Promise<void> {
  if ((await store.user(row.user)) !== undefined) throw new Raced();
  await store.putUser(row);
  await record(store, by, now, {
    act: 'user.add',
    subject: { user: await pseudonymOf(store, row.user) },
    after: grantFacts(row),
  });
}

async function freshSecret(context: Context, now: number) {
  const secret = oneTimeText(randomBytes(oneTimeSecretBytes));
  const hashed = await hashing(context, () => hashPassword(secret, randomBytes(saltBytes)));
  if (!hashed.ok) return hashed;
  const secretUntil = now + peopleLimits.oneTimeSecretSecondsMax;
  return ok({ secret, password: hashed.value, secretUntil });
}

/** A user who is not removed, and is not the one who asks. Errors: API_NOT_FOUND, API_SELF. */
async function otherUser(store: PeopleStore, user: string, by: Actor): Promise<Result<UserRow>> {
  const row = await store.user(user);
  if (row === undefined || row.removed !== undefined) {
    return fail('API_NOT_FOUND', `there is no user ${user}`, 'user');
  }
  if (by.name !== user) return ok(row);
  return fail('API_SELF', `${user} cannot do this to themselves: another administrator can`, 'user');
}

/** Errors: API_NOT_FOUND, API_SELF, API_GRANT, API_CONFLICT for a user whose roles the identity provider says. */
export async function changeGrant(
  { store, clock }: Context,
  user: string,
  grant: Grant,
  by: Actor,
): Promise<Result<UserView>> {
  const found = await otherUser(store, user, by);
  if (!found.ok) return found;
  const row = found.value;
  if (row.provider !== undefined) {
    return fail('API_CONFLICT', `the identity provider says the roles of ${user}, at each sign-in`, 'user');
  }
  const fits = judgeGrant(grant);
  if (!fits.ok) return fits;
  const next = { ...row, ...grant };
  const [before, after] = [grantFacts(row), grantFacts(next)];
  if (JSON.stringify(before) !== JSON.stringify(after)) {
    await store.transaction(async (inside) => await putGrant(inside, row, next, by, clock.now()));
  }
  return ok(userView(next));
}

/** Writes what a user may do from now on; `Raced` when somebody changed them meanwhile. */
export async function putGrant(
  store: StoreParts,
  row: UserRow,
  next: UserRow,
  by: Actor,
  now: number,
): Promise<void> {
  if (JSON.stringify(await store.user(row.user)) !== JSON.stringify(row)) throw new Raced();
  await store.putUser(next);
  await record(store, by, now, {
    act: 'user.change',
    subject: { user: await pseudonymOf(store, row.user) },
    before: grantFacts(row),
    after: grantFacts(next),
  });
}

/** The password of before is void, and so are the sessions. Errors: API_NOT_FOUND, API_SELF, API_CONFLICT, API_BUSY. */
export async function resetSecret(context: Context, user: string, by: Actor): Promise<Result<UserMade>> {
  const found = await otherUser(context.store, user, by);
  if (!found.ok) return found;
  if (found.value.provider !== undefined) {
    return fail('API_CONFLICT', `${user} has no password here: the identity provider keeps it`, 'user');
  }
  const now = context.clock.now();
  const fresh = await freshSecret(context, now);
  if (!fresh.ok) return fresh;
  const { secret, ...fields } = fresh.value;
  const next = { ...found.value, ...fields };
  await context.store.transaction(async (store) => {
    if (JSON.stringify(await store.user(user)) !== JSON.stringify(found.value)) throw new Raced();
    await putSecret(store, next, by, now);
  });
  return ok({ user: userView(next), secret, secretUntil: formatInstant(fields.secretUntil) });
}

/** Writes a user with a new one-time secret; what they had open ends. */
export async function putSecret(store: StoreParts, next: UserRow, by: Actor, now: number): Promise<void> {
  await store.putUser(next);
  const sessions = await store.removeSessionsOf(next.user);
  await record(store, by, now, {
    act: 'user.secret',
    subject: { user: await pseudonymOf(store, next.user) },
    before: { sessions },
  });
}

/** Ends every session of a user, also of the caller's own. Error: API_NOT_FOUND. */
export async function endSessions({ store, clock }: Context, user: string, by: Actor): Promise<Result<true>> {
  if ((await store.user(user)) === undefined) {
    return fail('API_NOT_FOUND', `there is no user ${user}`, 'user');
  }
  await store.transaction(async (inside) => {
    const sessions = await inside.removeSessionsOf(user);
    if (sessions === 0) return;
    const subject = { user: await pseudonymOf(inside, user) };
    await record(inside, by, clock.now(), { act: 'session.end', subject, before: { sessions } });
  });
  return ok(true);
}

/** Errors: API_NOT_FOUND, API_SELF. The id stays taken. */
export async function removeUser({ store, clock }: Context, user: string, by: Actor): Promise<Result<true>> {
  const found = await otherUser(store, user, by);
  if (!found.ok) return found;
  const now = clock.now();
  const { password: _, secretUntil: __, ...rest } = found.value;
  await store.transaction(async (inside) => {
    await inside.putUser({ ...rest, removed: now });
    const sessions = await inside.removeSessionsOf(user);
    const held = (await inside.apiTokensOf(user)).filter(({ revoked }) => revoked === undefined);
    for (const token of held) await inside.putApiToken({ ...token, revoked: now });
    await record(inside, by, now, {
      act: 'user.remove',
      subject: { user: await pseudonymOf(inside, user) },
      before: { ...grantFacts(rest), sessions, tokens: held.length },
    });
  });
  return ok(true);
}
