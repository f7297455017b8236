/**
 * Sessions: signing in by password, signing out, and changing the password.
 *
 * Keeps true: every try is counted before it is judged, by name and by address, so that guesses sent at once are not
 * judged for free; a wrong name and a wrong password get one answer after one time; a one-time secret opens no session
 * but with the password that takes its place; a new password ends all other sessions. Each act is an entry of the audit
 * log under the pseudonym of the person. Leaves to others: cookies (adapters/http/people-sessions.ts).
 */
import { randomBytes } from 'node:crypto';
import { peopleLimits, type SessionMade, type SignIn, permissionsOf } from '@airlock/protocol';
import { fail, formatInstant, ok, type Result } from '@airlock/trust';
import { addressName } from '../core/addresses.ts';
import { type Caller, sameGrant } from '../core/callers.ts';
import { checkPassword, hashPassword, judgeNewPassword, saltBytes } from '../core/passwords.ts';
import { hashSecret, secretBytes, sessionText } from '../core/secrets.ts';
import type { UserRow } from '../ports/people-store.ts';
import { Raced, type StoreParts } from '../ports/store.ts';
import { type Actor, pseudonymOf, record } from './audit.ts';
import type { Context } from './context.ts';

/** Hashes that wait for their turn; each takes a third of a second and 64 MiB, and one is made at a time. */
const hashesWaitingMax = 32;

/** A session that was begun; the secret goes to the person and nowhere else. */
export interface BegunSession {
  readonly secret: string;
  readonly view: SessionMade;
}

/** Errors: API_SIGN_IN, API_SIGN_INS, API_ONE_TIME, API_PASSWORD, API_BUSY. */
export async function signIn(
  context: Context,
  asked: SignIn,
  address: string,
): Promise<Result<BegunSession>> {
  const allowed = await countTry(context, asked.user, address);
  if (!allowed.ok) return allowed;
  const user = await context.store.user(asked.user);
  const here = user === undefined || user.removed !== undefined ? undefined : user;
  const right = await hashing(context, () => checkPassword(asked.password, here?.password));
  if (!right.ok) return right;
  if (!right.value || here === undefined) return fail('API_SIGN_IN', 'name or password is wrong');
  const renewed = await passwordFor(context, here, asked);
  if (!renewed.ok) return renewed;
  return await begin(context, here, renewed.value);
}

/** By name and by address; the try that is one too many for a known user is told in the audit log. */
async function countTry(context: Context, name: string, address: string): Promise<Result<true>> {
  const { clock, store, rates } = context;
  const now = clock.now();
  const known = (await store.user(name)) !== undefined;
  const ofAddress = rates.signInAddresses.take(addressName(address), now);
  // Not counted against the name as well: one blocked address must not keep everybody else out.
  if (ofAddress !== undefined) return tooMany(ofAddress);
  // Names that nobody has are counted apart: whoever tries many of them must not make the others be forgotten.
  const counter = known ? rates.signInUsers : rates.signInStrangers;
  const ofUser = counter.take(name, now);
  if (ofUser === undefined) return ok(true);
  if (known && rates.signInAlarms.take(name, now) === undefined) await tellBlocked(context, name);
  return tooMany(ofUser);
}

const tooMany = (wait: number) => fail('API_SIGN_INS', `too many tries to sign in: wait ${wait} s`);

/** 21 CFR 11.300(d): attempts at unauthorised use are detected and reported. */
async function tellBlocked({ store, clock }: Context, name: string): Promise<void> {
  await store.transaction(async (inside) => {
    const user = await pseudonymOf(inside, name);
    await record(inside, serverActor, clock.now(), { act: 'session.block', subject: { user } });
  });
}

/** A space stands in no id of a user. */
const serverActor: Actor = { name: 'airlock-server sign-in' };

/** One hash at a time, and a bounded queue: whoever sends many must not take the memory from everybody else. */
export async function hashing<T>({ locks, rates }: Context, act: () => Promise<T>): Promise<Result<T>> {
  if (rates.hashes.waiting >= hashesWaitingMax) return fail('API_BUSY', 'too many sign in at this moment');
  rates.hashes.waiting += 1;
  try {
    return ok(await locks.run('password-hash', act));
  } finally {
    rates.hashes.waiting -= 1;
  }
}

/** The row as it is after the sign-in: with the new password where the old one was for one time. */
async function passwordFor(context: Context, user: UserRow, asked: SignIn): Promise<Result<UserRow>> {
  const { secretUntil, ...rest } = user;
  if (secretUntil === undefined) {
    if (asked.newPassword === undefined) return ok(user);
    const message = 'newPassword: is only for a one-time secret; sign in and change the password then';
    return fail('API_BAD_REQUEST', message, 'newPassword');
  }
  if (secretUntil <= context.clock.now()) return fail('API_SIGN_IN', 'name or password is wrong');
  if (asked.newPassword === undefined) {
    const message =
      'newPassword: this is a one-time secret, which is used up with the password that follows it';
    return fail('API_ONE_TIME', message, 'newPassword');
  }
  const fits = judgeNewPassword(asked.newPassword, { user: user.user, before: asked.password });
  if (!fits.ok) return fits;
  const next = asked.newPassword;
  const hashed = await hashing(context, () => hashPassword(next, randomBytes(saltBytes)));
  return hashed.ok ? ok({ ...rest, password: hashed.value }) : hashed;
}

/**
 * Begins a session of a user who is proven to be there; `held` is the row that the proof was made with, `next` what it
 * becomes. Throws `Raced` when it is another one by now: a one-time secret opens one session, not two.
 */
export async function begin(
  context: Context,
  held: UserRow,
  next: UserRow = held,
  how: 'password' | 'provider' = 'password',
): Promise<Result<BegunSession>> {
  const now = context.clock.now();
  const secret = sessionText(randomBytes(secretBytes));
  const expires = now + peopleLimits.sessionSecondsMax;
  const { user, password } = next;
  await context.store.transaction(async (store) => {
    const found = await store.user(user);
    if (found === undefined || found.removed !== undefined || found.password !== held.password)
      throw new Raced();
    // An administrator may have taken roles away while the password was hashed: a row that is old gives nothing back.
    if (!sameGrant(found, held)) throw new Raced();
    await store.putUser({ ...next, lastSignIn: now });
    if (password !== held.password) await tellPassword(store, actorOfUser(next), now);
    await store.sweepSessions(now);
    await store.addSession({ sha256: hashSecret(secret), user, created: now, lastUsed: now, expires });
    await record(store, actorOfUser(next), now, {
      act: 'session.begin',
      subject: { user: await pseudonymOf(store, user) },
      after: { how },
    });
  });
  return ok({ secret, view: { ...whoIs(next), expires: formatInstant(expires) } });
}

/** Whoever signs in acts by themselves: nobody gave them a permission for it. */
function actorOfUser({ user, functions }: UserRow): Actor {
  return { name: user, permission: 'public', functions };
}

async function tellPassword(store: StoreParts, by: Actor, now: number): Promise<void> {
  const user = await pseudonymOf(store, by.name);
  await record(store, by, now, { act: 'user.password', subject: { user } });
}

function whoIs({ user, name, roles, functions, products }: UserRow) {
  const lists = { roles: [...roles], functions: [...functions], products: [...products] };
  return { user, name, ...lists, permissions: [...permissionsOf(roles)] };
}

export async function signOut({ store, clock }: Context, caller: Caller, by: Actor): Promise<void> {
  await store.transaction(async (inside) => {
    if (!(await inside.removeSession(caller.sha256))) return;
    const user = await pseudonymOf(inside, caller.user);
    await record(inside, by, clock.now(), { act: 'session.end', subject: { user }, before: { sessions: 1 } });
  });
}

/** Errors: API_SIGN_IN, API_SIGN_INS, API_PASSWORD, API_CONFLICT for a user of the identity provider. */
export async function changePassword(
  context: Context,
  caller: Caller,
  asked: {
    readonly password: string;
    readonly newPassword: string;
    readonly address: string;
    readonly by: Actor;
  },
): Promise<Result<true>> {
  const user = await context.store.user(caller.user);
  if (user?.password === undefined) {
    return fail('API_CONFLICT', `${caller.user} has no password here: the identity provider keeps it`);
  }
  const allowed = await countTry(context, caller.user, asked.address);
  if (!allowed.ok) return allowed;
  const right = await hashing(context, () => checkPassword(asked.password, user.password));
  if (!right.ok) return right;
  if (!right.value) return fail('API_SIGN_IN', 'password: is not the one of now', 'password');
  const fits = judgeNewPassword(asked.newPassword, { user: user.user, before: asked.password });
  if (!fits.ok) return fits;
  const hashed = await hashing(context, () => hashPassword(asked.newPassword, randomBytes(saltBytes)));
  if (!hashed.ok) return hashed;
  await context.store.transaction(async (store) => {
    const found = await store.user(user.user);
    if (found === undefined || found.password !== user.password) throw new Raced();
    await store.putUser({ ...found, password: hashed.value });
    await store.removeSessionsOf(user.user, caller.sha256);
    await tellPassword(store, asked.by, context.clock.now());
  });
  return ok(true);
}
