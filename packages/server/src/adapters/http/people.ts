/** What the routes of the management API share. */
import { ApiErrorBody } from '@airlock/protocol';
import { auditLimits } from '@airlock/audit';
import { fail, ok, plainText, type Result } from '@airlock/trust';
import type { FastifyRequest } from 'fastify';
import type { Actor } from '../../app/audit.ts';
import type { Context } from '../../app/context.ts';
import type { Caller } from '../../core/callers.ts';
import type { Listener } from './listener.ts';

/** What routes get to work with. */
export interface People {
  readonly app: Listener;
  readonly context: Context;
  /** Who sent a request that was let in; throws where nobody is asked. */
  readonly callerOf: (request: FastifyRequest) => Caller;
  /** Who sent a request that was let in, and the permission that let it in: stands in the audit log. */
  readonly actorOf: (request: FastifyRequest) => Actor;
}

export const refusals = { '4xx': ApiErrorBody, '5xx': ApiErrorBody } as const;

/** The header with which a caller says why: percent-encoded UTF-8, since headers are ASCII. */
const reasonHeader = 'airlock-reason';

/** The reason that came with a request. Error: API_BAD_REQUEST for one that cannot stand in the audit log. */
export function reasonOf(request: FastifyRequest): Result<string | undefined> {
  const value = request.headers[reasonHeader];
  if (value === undefined) return ok(undefined);
  const reason = typeof value === 'string' ? decoded(value) : undefined;
  const fits =
    reason !== undefined && reason.length <= auditLimits.reasonCharactersMax && plainText(reason) === reason;
  if (fits) return ok(reason);
  const message = `${reasonHeader}: must be one line of at most ${auditLimits.reasonCharactersMax} characters, percent-encoded`;
  return fail('API_BAD_REQUEST', message, reasonHeader);
}

function decoded(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

/** The If-Match header of a request, if it is one value. */
export function ifMatchOf(request: FastifyRequest): { readonly ifMatch?: string } {
  const value = request.headers['if-match'];
  return typeof value === 'string' ? { ifMatch: value } : {};
}
