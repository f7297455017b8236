/**
 * The management API for people's tools: TLS 1.3, bearer tokens, permissions, OpenAPI 3.1 at /openapi.json.
 *
 * Keeps true: every route but health and the API's own description names the permission it needs, and is refused
 * without; each act that changes something leaves a log line with who did what.
 */
import swagger from '@fastify/swagger';
import { Health, wireLimits } from '@airlock/protocol';
import type { FastifyRequest } from 'fastify';
import type { Context } from '../../app/context.ts';
import { metricsText } from '../../app/metrics.ts';
import { type Caller, demandPermission, identify } from '../../core/permissions.ts';
import type { Logger } from '../logger.ts';
import { sendFailure } from './failure.ts';
import { createListener, type Listener } from './listener.ts';
import { addAuditRoutes } from './people-audit.ts';
import { addDeviceRoutes } from './people-devices.ts';
import { addProductRoutes } from './people-products.ts';
import { addPublishingRoutes } from './people-publishing.ts';
import { addQueueRoutes } from './people-queue.ts';
import { type People, reasonOf } from './people.ts';

export interface PeopleListenerOptions {
  readonly context: Context;
  readonly logger: Logger;
  readonly version: string;
  readonly tls: { readonly cert: string; readonly key: string };
}

export async function createPeopleListener(options: PeopleListenerOptions): Promise<Listener> {
  const { context, logger, version, tls } = options;
  // No limit in time: an image of gigabytes over a slow line takes hours.
  const app = createListener({ tls, bodyBytesMax: wireLimits.managementBodyBytesMax, requestMs: 0, logger });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Airlock management API', version },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
  });
  const callers = new WeakMap<FastifyRequest, Caller>();
  app.addHook('onRequest', async (request, reply) => {
    const permission = request.routeOptions.config.permission;
    if (permission === 'public') return undefined;
    const caller = identify(request.headers.authorization, await context.store.tokens());
    if (!caller.ok) return sendFailure(reply, caller.error);
    callers.set(request, caller.value);
    // A route that names none is nobody's; only the answer "no such route" does.
    if (permission === undefined) return undefined;
    const allowed = demandPermission(caller.value, permission);
    if (!allowed.ok) return sendFailure(reply, allowed.error);
    const reason = reasonOf(request);
    return reason.ok ? undefined : sendFailure(reply, reason.error);
  });
  app.addHook('onResponse', async (request, reply) => {
    if (request.method === 'GET' || request.method === 'HEAD') return;
    const { url = '' } = request.routeOptions;
    const by = callers.get(request)?.name ?? '';
    logger.info('act', { method: request.method, route: url, status: reply.statusCode, by });
  });
  const people: People = {
    app,
    context,
    actorOf(request) {
      const caller = callers.get(request);
      const { permission } = request.routeOptions.config;
      if (caller === undefined || permission === undefined) throw new Error('a request without a caller');
      const reason = reasonOf(request);
      const said = reason.ok && reason.value !== undefined ? { reason: reason.value } : {};
      return { name: caller.name, permission, ...said };
    },
  };
  const open = { permission: 'public' } as const;
  app.get('/health', { config: open, schema: { response: { 200: Health } } }, async () => ({
    status: 'ok' as const,
    version,
  }));
  app.get('/openapi.json', { config: open, schema: { hide: true } }, async () => app.swagger());
  addProductRoutes(people);
  addPublishingRoutes(people);
  addDeviceRoutes(people);
  addAuditRoutes(people);
  addQueueRoutes(people);
  app.get(
    '/metrics',
    { config: { permission: 'metrics:read' }, schema: { hide: true } },
    async (_request, reply) => {
      const { contentType, text } = await metricsText(context);
      return reply.type(contentType).send(text);
    },
  );
  await app.ready();
  return app;
}
