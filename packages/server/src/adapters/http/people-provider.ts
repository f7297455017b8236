/**
 * Routes of signing in at the identity provider: the start, the browser's way back, and the two ends.
 *
 * Keeps true: every cookie is SameSite=Strict. The way back is a navigation that another site began, which brings no such
 * cookie; so it answers a page of this server, whose own navigation does. Answers here name no code of the provider.
 */
import { ProviderFinish, ProviderStart, ProviderStarted, peopleLimits, SessionMade } from '@airlock/protocol';
import { fail } from '@airlock/trust';
import type { FastifyReply } from 'fastify';
import {
  finishBrowser,
  finishProgram,
  proveForProgram,
  startAtProvider,
  waitsFor,
} from '../../app/provider-sign-in.ts';
import type { Provider } from '../../ports/provider.ts';
import { sendFailure } from './failure.ts';
import { type People, refusals } from './people.ts';
import { addWaysRoute, cookieOptions, setSessionCookie } from './people-sessions.ts';

/** Binds a sign-in to the browser in which it began. */
const bindingCookie = '__Host-airlock-sign-in';
const start = '/api/v1/sign-in/provider';
/** A sane answer has a code, a state and an issuer: 1 kB. */
const queryCharactersMax = 4_096;

const absent = fail('API_NOT_FOUND', 'this server has no identity provider: sign in by password').error;

export function addProviderRoutes(people: People, provider: Provider | undefined): void {
  const { app, context } = people;
  addWaysRoute(people, provider !== undefined);
  app.post(
    start,
    { schema: { body: ProviderStart, response: { 200: ProviderStarted, ...refusals } } },
    async (request, reply) => {
      if (provider === undefined) return sendFailure(reply, absent);
      const { body } = request;
      const waiting = body.carrier === 'bearer' ? { port: body.port, challenge: body.challenge } : undefined;
      const begun = await startAtProvider(context, provider, waiting, request.ip);
      if (!begun.ok) return sendFailure(reply, begun.error);
      const { address, state, binding } = begun.value;
      if (binding !== undefined) {
        const maxAge = peopleLimits.providerSeconds;
        void reply.setCookie(bindingCookie, binding, { ...cookieOptions, maxAge });
      }
      return reply.send({ address, state });
    },
  );
  app.post(
    `${start}/session`,
    { schema: { body: ProviderFinish, response: { 200: SessionMade, ...refusals } } },
    async (request, reply) => {
      const begun = await finishProgram(context, request.body);
      if (!begun.ok) return sendFailure(reply, begun.error);
      return reply.send({ ...begun.value.view, secret: begun.value.secret });
    },
  );
  addBrowserRoutes(people, provider);
}

function addBrowserRoutes({ app, context }: People, provider: Provider | undefined): void {
  app.get(`${start}/callback`, { schema: { hide: true } }, async (request, reply) => {
    const query = queryOf(request.url);
    if (provider === undefined || query === undefined) return sendFailure(reply, absent);
    const waiting = await waitsFor(context, query);
    if (!waiting.ok) return sendFailure(reply, waiting.error);
    if (waiting.value.kind === 'browser') return sendPage(reply, `finish?${query}`);
    const { port } = waiting.value;
    const code = await proveForProgram(context, provider, query);
    const state = new URLSearchParams(query).get('state') ?? '';
    const answer = new URLSearchParams(
      code.ok ? { code: code.value, state } : { error: code.error.code, state },
    );
    return reply.redirect(`http://127.0.0.1:${port}/?${answer.toString()}`, 303);
  });
  app.get(`${start}/finish`, { schema: { hide: true } }, async (request, reply) => {
    const query = queryOf(request.url);
    if (provider === undefined || query === undefined) return sendFailure(reply, absent);
    const begun = await finishBrowser(context, provider, query, request.cookies[bindingCookie]);
    void reply.clearCookie(bindingCookie, cookieOptions);
    if (!begun.ok) return sendFailure(reply, begun.error);
    setSessionCookie(reply, begun.value);
    return sendPage(reply, '/');
  });
}

/** What the provider may say, encoded anew: it goes into a page and an address. */
const known = ['code', 'state', 'iss', 'error', 'session_state'] as const;

function queryOf(url: string): string | undefined {
  const text = url.split('?')[1] ?? '';
  if (text.length > queryCharactersMax) return undefined;
  const given = new URLSearchParams(text);
  const kept = new URLSearchParams();
  for (const name of known) for (const value of given.getAll(name)) kept.append(name, value);
  return kept.toString();
}

/** A page that goes on by itself, to an address of this server. `URLSearchParams` has left nothing in it but `&`. */
function sendPage(reply: FastifyReply, address: string): FastifyReply {
  const target = address.replaceAll('&', '&amp;');
  return reply
    .type('text/html; charset=utf-8')
    .header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
    .header('referrer-policy', 'no-referrer')
    .header('x-content-type-options', 'nosniff')
    .send(
      `<!doctype html><html lang="en"><meta charset="utf-8"><title>Airlock</title>` +
        `<meta http-equiv="refresh" content="0;url=${target}"><p>Signing in.</p></html>\n`,
    );
}
