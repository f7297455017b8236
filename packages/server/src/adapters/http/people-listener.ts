/**
 * The management API for people and their tools: TLS 1.3, sessions and API tokens, OpenAPI 3.1 at /openapi.json.
 *
 * Keeps true: every route passes the guard (guard.ts), which is set before the first one; each act that changes something
 * leaves a log line with who did what.
 */
import swagger from '@fastify/swagger';
import { Health, wireLimits } from '@airlock/protocol';
import type { Context } from '../../app/context.ts';
import { metricsText } from '../../app/metrics.ts';
import type { Logger } from '../logger.ts';
import type { Provider } from '../../ports/provider.ts';
import { addGuard, sessionCookie } from './guard.ts';
import { createListener, type Listener } from './listener.ts';
import { addAuditRoutes } from './people-audit.ts';
import { addDeviceRoutes } from './people-devices.ts';
import { addProductRoutes } from './people-products.ts';
import { addProviderRoutes } from './people-provider.ts';
import { addPublishingRoutes } from './people-publishing.ts';
import { addSessionRoutes } from './people-sessions.ts';
import { addUserRoutes } from './people-users.ts';
import { addQueueRoutes } from './people-queue.ts';
import { type People, reasonOf } from './people.ts';

export interface PeopleListenerOptions {
  readonly context: Context;
  readonly logger: Logger;
  readonly version: string;
  readonly tls: { readonly cert: string; readonly key: string };
  /** The identity provider, where the configuration names one. */
  readonly provider: Provider | undefined;
}

export async function createPeopleListener(options: PeopleListenerOptions): Promise<Listener> {
  const { context, logger, version, tls } = options;
  // No limit in time: an image of gigabytes over a slow line takes hours.
  const app = createListener({ tls, bodyBytesMax: wireLimits.managementBodyBytesMax, requestMs: 0, logger });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Airlock management API', version },
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer' },
          cookie: { type: 'apiKey', in: 'cookie', name: sessionCookie },
        },
      },
      security: [{ bearer: [] }, { cookie: [] }],
    },
  });
  const guard = await addGuard(app, context);
  app.addHook('onResponse', async (request, reply) => {
    if (request.method === 'GET' || request.method === 'HEAD') return;
    const { url = '' } = request.routeOptions;
    const by = guard.callerOf(request)?.name ?? '';
    logger.info('act', { method: request.method, route: url, status: reply.statusCode, by });
  });
  const people: People = {
    app,
    context,
    callerOf(request) {
      const caller = guard.callerOf(request);
      if (caller === undefined) throw new Error('a request without a caller');
      return caller;
    },
    actorOf(request) {
      const { name, functions } = people.callerOf(request);
      const permission = request.routeOptions.config.rule?.needs;
      const reason = reasonOf(request);
      const said = reason.ok && reason.value !== undefined ? { reason: reason.value } : {};
      return { name, functions, ...(permission === undefined ? {} : { permission }), ...said };
    },
  };
  app.get('/health', { schema: { response: { 200: Health } } }, async () => ({
    status: 'ok' as const,
    version,
  }));
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  addProductRoutes(people);
  addPublishingRoutes(people);
  addDeviceRoutes(people);
  addAuditRoutes(people);
  addSessionRoutes(people);
  addProviderRoutes(people, options.provider);
  addUserRoutes(people);
  addQueueRoutes(people);
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    const { contentType, text } = await metricsText(context);
    return reply.type(contentType).send(text);
  });
  await app.ready();
  guard.requireWhole();
  return app;
}
