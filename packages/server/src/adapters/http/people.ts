/** What the routes of the management API share. */
import { ApiErrorBody, type Permission } from '@airlock/protocol';
import type { FastifyRequest } from 'fastify';
import type { Actor } from '../../app/audit.ts';
import type { Context } from '../../app/context.ts';
import type { Listener } from './listener.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a caller must be allowed to do; `public`: nobody is asked. */
    permission?: Permission | 'public';
  }
}

/** What routes get to work with. */
export interface People {
  readonly app: Listener;
  readonly context: Context;
  /** Who sent a request that was let in, and the permission that let it in: stands in the audit log. */
  readonly actorOf: (request: FastifyRequest) => Actor;
}

export const refusals = { '4xx': ApiErrorBody, '5xx': ApiErrorBody } as const;

/** The If-Match header of a request, if it is one value. */
export function ifMatchOf(request: FastifyRequest): { readonly ifMatch?: string } {
  const value = request.headers['if-match'];
  return typeof value === 'string' ? { ifMatch: value } : {};
}
