/**
 * Signing in at the identity provider: begun here, done in a browser, ended for that browser or for a program.
 *
 * Keeps true: a sign-in that was begun is used up by the first answer to it. A browser's ends only where it began (a
 * cookie); a program's code goes to the person's own machine (RFC 8252, loopback) and is worth nothing without the
 * verifier that the program kept: a link to a foreign sign-in gives its sender nothing. Roles are those that the
 * provider's claims map to, at each sign-in; the log says when they change.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { type Grant, peopleLimits } from '@airlock/protocol';
import { fail, ok, type Result } from '@airlock/trust';
import { addressName } from '../core/addresses.ts';
import { judgeGrant, sameGrant } from '../core/callers.ts';
import { hashSecret, opaqueText, secretBytes } from '../core/secrets.ts';
import type { PendingRow, UserRow } from '../ports/people-store.ts';
import type { Identity, Provider } from '../ports/provider.ts';
import type { Actor } from './audit.ts';
import type { Context } from './context.ts';
import { type BegunSession, begin } from './sign-in.ts';
import { addUser, putGrant } from './users.ts';

const fresh = (): string => opaqueText(randomBytes(secretBytes));

/** Where a program waits, or nothing for a browser. */
export type Waiting = { readonly port: number; readonly challenge: string } | undefined;

export interface Started {
  readonly address: string;
  readonly state: string;
  /** For the browser's cookie. */
  readonly binding: string | undefined;
}

/** Errors: API_PROVIDER, API_SIGN_INS, API_BUSY. */
export async function startAtProvider(
  context: Context,
  provider: Provider,
  waiting: Waiting,
  from: string,
): Promise<Result<Started>> {
  const { store, clock, rates } = context;
  const now = clock.now();
  const wait = rates.signInAddresses.take(addressName(from), now);
  if (wait !== undefined) return fail('API_SIGN_INS', `too many tries to sign in: wait ${wait} s`);
  const begun = await provider.begin();
  if (!begun.ok) return begun;
  const { address, state, nonce, verifier } = begun.value;
  const binding = waiting === undefined ? fresh() : undefined;
  const row = {
    stateSha256: hashSecret(state),
    nonce,
    verifier,
    expires: now + peopleLimits.providerSeconds,
    ...(binding === undefined ? {} : { bindingSha256: hashSecret(binding) }),
    ...waiting,
  };
  const added = await store.transaction(async (inside) => {
    await inside.sweepPending(now);
    if ((await inside.countPending()) >= peopleLimits.providerPendingMax) return false;
    await inside.addPending(row);
    return true;
  });
  if (!added) return fail('API_BUSY', 'too many sign-ins wait for the identity provider');
  return ok({ address, state, binding });
}

/** Who waits for the answer that a browser brought: `program` with its port, or the browser itself. */
export async function waitsFor(
  context: Context,
  query: string,
): Promise<Result<{ readonly kind: 'browser' } | { readonly kind: 'program'; readonly port: number }>> {
  const row = await pendingOf(context, query);
  if (!row.ok) return row;
  const { port } = row.value;
  return ok(port === undefined ? { kind: 'browser' } : { kind: 'program', port });
}

async function pendingOf({ store, clock }: Context, query: string): Promise<Result<PendingRow>> {
  const state = new URLSearchParams(query).get('state') ?? '';
  const row = await store.pending(hashSecret(state));
  if (row !== undefined && row.expires > clock.now() && row.proven === undefined) return ok(row);
  return fail('API_PROVIDER_ANSWER', 'state: no sign-in waits for this answer; begin again', 'state');
}

/** Uses the sign-in up and answers who the person is. */
async function prove(
  context: Context,
  provider: Provider,
  query: string,
  row: PendingRow,
): Promise<Result<UserRow>> {
  const state = new URLSearchParams(query).get('state') ?? '';
  if (!(await context.store.removePending(row.stateSha256))) {
    return fail('API_PROVIDER_ANSWER', 'state: this sign-in is used up; begin again', 'state');
  }
  const { nonce, verifier } = row;
  const identity = await provider.end(query, { state, nonce, verifier });
  return identity.ok ? await userFor(context, identity.value) : identity;
}

/** Ends a browser's sign-in; `binding` is its cookie. Errors: API_PROVIDER, API_PROVIDER_ANSWER, API_NO_ROLE. */
export async function finishBrowser(
  context: Context,
  provider: Provider,
  query: string,
  binding: string | undefined,
): Promise<Result<BegunSession>> {
  const row = await pendingOf(context, query);
  if (!row.ok) return row;
  // Login CSRF: an answer that somebody else's sign-in got must not sign this browser in as them.
  if (binding === undefined || hashSecret(binding) !== row.value.bindingSha256) {
    return fail('API_PROVIDER_ANSWER', 'state: this sign-in began in another browser', 'state');
  }
  const user = await prove(context, provider, query, row.value);
  return user.ok ? await begin(context, user.value, user.value, 'provider') : user;
}

/** Proves who a program's person is; answers the code that the person's machine gets. */
export async function proveForProgram(
  context: Context,
  provider: Provider,
  query: string,
): Promise<Result<string>> {
  const row = await pendingOf(context, query);
  if (!row.ok) return row;
  const user = await prove(context, provider, query, row.value);
  if (!user.ok) return user;
  const code = fresh();
  const codeSha256 = hashSecret(code);
  const proven = { user: user.value.user, codeSha256 };
  await context.store.addPending({ ...row.value, proven });
  return ok(code);
}

/** Errors: API_PROVIDER_ANSWER for a code that is used up, too old, or not this program's. */
export async function finishProgram(
  context: Context,
  asked: { readonly code: string; readonly verifier: string },
): Promise<Result<BegunSession>> {
  const { store, clock } = context;
  const row = await store.pendingByCode(hashSecret(asked.code));
  const refused = fail('API_PROVIDER_ANSWER', 'code: is used up, too old, or of another program', 'code');
  if (row?.proven === undefined || row.challenge === undefined || row.expires <= clock.now()) return refused;
  const challenge = createHash('sha256').update(asked.verifier).digest();
  const expected = Buffer.from(row.challenge, 'base64url');
  if (expected.length !== challenge.length || !timingSafeEqual(expected, challenge)) return refused;
  if (!(await store.removePending(row.stateSha256))) return refused;
  const user = await store.user(row.proven.user);
  if (user === undefined || user.removed !== undefined) return refused;
  return await begin(context, user, user, 'provider');
}

/** The provider's word, written by the server. */
const byProvider: Actor = { name: 'airlock-server identity provider' };

/** The user that a person is here: made at their first sign-in, changed when their claims changed. */
async function userFor(context: Context, identity: Identity): Promise<Result<UserRow>> {
  const { store, clock } = context;
  const { issuer, subject, user, name, grant } = identity;
  const held = await store.userOfProvider(issuer, subject);
  if (held?.removed !== undefined) {
    return fail('API_NO_ROLE', `${held.user} was removed here by an administrator`);
  }
  const fits = judgeGrant(grant);
  if (!fits.ok) {
    // The provider's newest word is no grant at all: the one of before must not stay in force.
    if (held !== undefined) await changed(context, held, name, { roles: [], functions: [], products: [] });
    return fits;
  }
  const now = clock.now();
  if (held !== undefined) return await changed(context, held, name, grant);
  if (grant.roles.length === 0) return noRole(user);
  if ((await store.user(user)) !== undefined) {
    const message = `the id ${user} belongs to another person: an administrator can say another claim for ids`;
    return fail('API_CONFLICT', message, 'user');
  }
  const row = { user, name, ...grant, provider: { issuer, subject }, created: now };
  await store.transaction(async (inside) => await addUser(inside, row, byProvider, now));
  return ok(row);
}

const noRole = (user: string) =>
  fail('API_NO_ROLE', `the identity provider gives ${user} no role at this server`);

async function changed(
  { store, clock }: Context,
  held: UserRow,
  name: string,
  grant: Grant,
): Promise<Result<UserRow>> {
  const next = { ...held, name, ...grant };
  if (!sameGrant(held, grant)) {
    await store.transaction(async (inside) => await putGrant(inside, held, next, byProvider, clock.now()));
  }
  return grant.roles.length === 0 ? noRole(held.user) : ok(next);
}
