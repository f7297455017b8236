/**
 * The one door of the management API: finds the rule of each route, who sent a request, and refuses what the rule does
 * not allow, before a body is read.
 *
 * Keeps true: a route without a row in the table stops the server at its start, and so does a row without a route; what
 * a browser sends by itself (a cookie) changes nothing unless the page is this server's own; what is of a product that
 * the caller is not let in for answers as what does not exist. Leaves to others: the table (core/routes.ts), what a
 * caller may do (core/callers.ts).
 */
import cookie from '@fastify/cookie';
import { coversProduct, everyProduct } from '@airlock/protocol';
import {
  fail,
  ok,
  parseDeviceRecord,
  readEnvelopeUnverified,
  type Result,
  trustLimits,
} from '@airlock/trust';
import type { FastifyRequest } from 'fastify';
import { identify } from '../../app/callers.ts';
import type { Context } from '../../app/context.ts';
import { type Caller, demandFunction, demandRule } from '../../core/callers.ts';
import { type RouteRule, routeTable, ruleOf } from '../../core/routes.ts';
import { sendFailure } from './failure.ts';
import type { Listener } from './listener.ts';
import { reasonOf } from './people.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set by the guard from the table, and by nobody else. */
    rule?: RouteRule;
  }
}

/** `__Host-`: of this host alone, over TLS alone, for every path; a browser refuses it otherwise. */
export const sessionCookie = '__Host-airlock-session';

export interface Guard {
  /** Undefined for routes that ask nobody. */
  callerOf(request: FastifyRequest): Caller | undefined;
  /** Throws when the table names a route that is not there. Call it when all are registered. */
  requireWhole(): void;
}

/** Sets the hooks; call it before any route is registered. */
export async function addGuard(app: Listener, context: Context): Promise<Guard> {
  const callers = new WeakMap<FastifyRequest, Caller>();
  const seen = new Set<string>();
  await app.register(cookie);
  app.addHook('onRoute', (route) => {
    for (const method of [route.method].flat()) {
      const rule = ruleOf(method, route.url);
      if (rule === undefined) throw new Error(`${method} ${route.url} has no row in core/routes.ts`);
      seen.add(`${method} ${route.url}`);
      route.config = { ...route.config, rule };
    }
  });
  app.addHook('onRequest', async (request, reply) => {
    // Answers hold what is somebody's: no cache between keeps them.
    void reply.header('cache-control', 'no-store');
    const { rule } = request.routeOptions.config;
    if (rule?.needs === 'public') return undefined;
    const { authorization } = request.headers;
    const caller = await identify(context, { authorization, cookie: request.cookies[sessionCookie] });
    if (!caller.ok) return sendFailure(reply, caller.error);
    callers.set(request, caller.value);
    // No rule: only the answer "no such route" has none, and it is not for strangers.
    if (rule === undefined) return undefined;
    const allowed = await judge(context, request, caller.value, rule);
    return allowed.ok ? undefined : sendFailure(reply, allowed.error);
  });
  app.addHook('preHandler', async (request, reply) => {
    const caller = callers.get(request);
    if (request.routeOptions.config.rule?.of !== 'body' || caller === undefined) return undefined;
    const allowed = demandProduct(caller, productInBody(request.body), 'product');
    return allowed.ok ? undefined : sendFailure(reply, allowed.error);
  });
  return {
    callerOf: (request) => callers.get(request),
    requireWhole() {
      const missing = Object.keys(routeTable).filter((key) => !seen.has(key));
      if (missing.length > 0)
        throw new Error(`core/routes.ts names what is not there: ${missing.join(', ')}`);
    },
  };
}

async function judge(
  context: Context,
  request: FastifyRequest,
  caller: Caller,
  rule: RouteRule,
): Promise<Result<true>> {
  const own = requireOwnPage(request, caller);
  if (!own.ok) return own;
  const allowed = demandRule(caller, rule);
  if (!allowed.ok) return allowed;
  const scope = await demandScope(context, request, caller, rule);
  if (!scope.ok) return scope;
  const reason = reasonOf(request);
  return reason.ok ? ok(true) : reason;
}

/**
 * Cross-site request forgery: SameSite=Strict keeps the cookie from other sites' requests, but not from those of another
 * host of the same site. Every browser names the page's origin beside a request that changes something.
 */
function requireOwnPage(request: FastifyRequest, caller: Caller): Result<true> {
  if (!caller.cookie || request.method === 'GET') return ok(true);
  const { origin, host } = request.headers;
  if (host !== undefined && origin === `https://${host}`) return ok(true);
  return fail('API_ORIGIN', 'origin: must be this server when a cookie says who asks', 'origin');
}

function param(request: FastifyRequest, name: string): string {
  const { params } = request;
  const value: unknown =
    typeof params === 'object' && params !== null ? Reflect.get(params, name) : undefined;
  return typeof value === 'string' ? value : '';
}

async function demandScope(
  { store }: Context,
  request: FastifyRequest,
  caller: Caller,
  { of }: RouteRule,
): Promise<Result<true>> {
  if (of === 'product' || of === 'function') {
    const product = param(request, 'product');
    const inside = demandProduct(caller, product, 'product');
    if (!inside.ok || of === 'product') return inside;
    return demandFunction(caller, product, param(request, 'role'));
  }
  if (of !== 'device' || caller.products.includes(everyProduct)) return ok(true);
  const device = param(request, 'device');
  const row = await store.device(device);
  if (row !== undefined && coversProduct(caller.products, row.product)) return ok(true);
  return fail('API_NOT_FOUND', `there is no device ${device}`, 'device');
}

/** An undefined product is none that could be read: the route itself says what is wrong with it. */
function demandProduct(caller: Caller, product: string | undefined, field: string): Result<true> {
  if (product === undefined || coversProduct(caller.products, product)) return ok(true);
  return fail('API_NOT_FOUND', `there is no product ${product}`, field);
}

/** The product of a body that the schema has let through: named, or that of the device record in it. */
function productInBody(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined;
  const named: unknown = Reflect.get(body, 'product');
  if (typeof named === 'string') return named;
  const record: unknown = Reflect.get(body, 'record');
  if (typeof record !== 'string') return undefined;
  const signed = readEnvelopeUnverified(Buffer.from(record), trustLimits.recordBytesMax);
  const claimed = signed.ok ? parseDeviceRecord(signed.value) : signed;
  return claimed.ok ? claimed.value.product : undefined;
}
