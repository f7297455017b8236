/** What both listeners have in common: Fastify over TLS 1.3, strict validation, bounded bodies, clear failures. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify from 'fastify';
import type { ServerOptions } from 'node:https';
import type { Logger } from '../logger.ts';
import { errorHandler, sendFailure } from './failure.ts';

export interface ListenerOptions {
  readonly tls: ServerOptions;
  readonly bodyBytesMax: number;
  /** Milliseconds for a whole request; 0: none, where large images are uploaded. */
  readonly requestMs: number;
  readonly logger: Logger;
}

export function createListener(options: ListenerOptions) {
  const app = Fastify({
    https: { minVersion: 'TLSv1.3', ...options.tls },
    logger: false,
    bodyLimit: options.bodyBytesMax,
    requestTimeout: options.requestMs,
    forceCloseConnections: 'idle',
    // Fastify's own defaults drop unknown fields and turn "5" into 5 without a word.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false } },
    routerOptions: { maxParamLength: 200, ignoreTrailingSlash: false },
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    exposeHeadRoutes: false,
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setErrorHandler(errorHandler(options.logger));
  app.setNotFoundHandler((_request, reply) =>
    sendFailure(reply, { code: 'API_NOT_FOUND', message: 'there is no such route' }),
  );
  return app;
}

export type Listener = ReturnType<typeof createListener>;
