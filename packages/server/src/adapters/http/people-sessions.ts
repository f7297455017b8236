/**
 * Routes of sessions: signing in by password, out, who am I, and the password.
 *
 * Keeps true: a session's secret is either in the answer to a program or in a cookie that no script reads and no other
 * site sends; never in an address.
 */
import { CallerView, PasswordPut, SessionMade, SignIn, SignInWays, peopleLimits } from '@airlock/protocol';
import { formatInstant } from '@airlock/trust';
import type { FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { type BegunSession, changePassword, signIn, signOut } from '../../app/sign-in.ts';
import { sendFailure } from './failure.ts';
import { sessionCookie } from './guard.ts';
import { type People, refusals } from './people.ts';

/** What every cookie of this server is. */
export const cookieOptions = { path: '/', secure: true, httpOnly: true, sameSite: 'strict' } as const;

export function setSessionCookie(reply: FastifyReply, { secret }: BegunSession): void {
  const maxAge = peopleLimits.sessionSecondsMax;
  void reply.setCookie(sessionCookie, secret, { ...cookieOptions, maxAge });
}

export function addSessionRoutes(people: People): void {
  const { app, context, actorOf, callerOf } = people;
  app.post(
    '/api/v1/sign-in',
    { schema: { body: SignIn, response: { 200: SessionMade, ...refusals } } },
    async (request, reply) => {
      const begun = await signIn(context, request.body, request.ip);
      if (!begun.ok) return sendFailure(reply, begun.error);
      const { view, secret } = begun.value;
      if (request.body.carrier === 'bearer') return reply.send({ ...view, secret });
      setSessionCookie(reply, begun.value);
      return reply.send(view);
    },
  );
  app.get(
    '/api/v1/session',
    { schema: { response: { 200: CallerView, ...refusals } } },
    async (request, reply) => {
      const caller = callerOf(request);
      const { user, printedName: name, roles, by, apiToken, expires } = caller;
      const lists = { roles: [...roles], functions: [...caller.functions], products: [...caller.products] };
      return reply.send({
        user,
        name,
        ...lists,
        permissions: [...caller.permissions],
        by,
        ...(apiToken === undefined ? {} : { apiToken }),
        expires: formatInstant(expires),
      });
    },
  );
  app.delete(
    '/api/v1/session',
    { schema: { response: { 204: Type.Null(), ...refusals } } },
    async (request, reply) => {
      await signOut(context, callerOf(request), actorOf(request));
      return reply.clearCookie(sessionCookie, cookieOptions).code(204).send(null);
    },
  );
  app.put(
    '/api/v1/session/password',
    { schema: { body: PasswordPut, response: { 204: Type.Null(), ...refusals } } },
    async (request, reply) => {
      const asked = { ...request.body, address: request.ip, by: actorOf(request) };
      const done = await changePassword(context, callerOf(request), asked);
      return done.ok ? reply.code(204).send(null) : sendFailure(reply, done.error);
    },
  );
}

/** How people sign in here. */
export function addWaysRoute({ app }: People, provider: boolean): void {
  app.get('/api/v1/sign-in', { schema: { response: { 200: SignInWays } } }, async () => ({
    password: true,
    provider,
  }));
}
