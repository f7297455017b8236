/**
 * How both listeners say no: `{code, message, field}` with the status of the code's table. Never a stack, a path of
 * this machine, or a secret.
 */
import { auditErrors } from '@airlock/audit';
import { apiCodes } from '@airlock/protocol';
import type { ErrorEntry, Failure, Result } from '@airlock/trust';
import { trustErrors } from '@airlock/trust';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { Raced } from '../../ports/store.ts';
import type { Logger } from '../logger.ts';

/** Statuses of trust's codes at the server: the request was understood and its content is refused. */
const refusedStatus = 422;

const entries: ReadonlyMap<string, ErrorEntry> = new Map(
  Object.entries({ ...trustErrors, ...auditErrors, ...apiCodes }),
);

function statusOf(code: string): number {
  return entries.get(code)?.httpStatus ?? (entries.has(code) ? refusedStatus : 500);
}

export function sendFailure(reply: FastifyReply, failure: Failure): FastifyReply {
  const { code, message, field } = failure;
  const status = statusOf(code);
  // Bytes of a refused body may still be on their way: the connection cannot serve another request.
  if (status === 413) void reply.header('connection', 'close');
  return reply.code(status).send(field === undefined ? { code, message } : { code, message, field });
}

/** Sends the value of a result with `status`, or its failure. */
export function sendResult<T>(reply: FastifyReply, result: Result<T>, status = 200): FastifyReply {
  return result.ok ? reply.code(status).send(result.value) : sendFailure(reply, result.error);
}

/** Everything that Fastify or a handler throws. Unknown errors are logged here and answered without detail. */
export function errorHandler(logger: Logger) {
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const known = failureOf(error);
    if (known !== undefined) return sendFailure(reply, known);
    logger.error('request-failed', { route: request.routeOptions.url ?? '', error });
    const message = 'the server failed; the act may not have happened, ask for its state and repeat it';
    return sendFailure(reply, { code: 'API_INTERNAL', message });
  };
}

function failureOf(error: FastifyError): Failure | undefined {
  if (error instanceof Raced) {
    const message =
      'another request changed the same thing at the same moment; nothing of this one was stored';
    return { code: 'API_RACED', message };
  }
  if (isNoSpace(error)) {
    return { code: 'API_DISK_FULL', message: 'no space is left at the server; nothing was stored' };
  }
  const [first] = error.validation ?? [];
  if (first !== undefined) return validationFailure(error, first);
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return { code: 'API_TOO_LARGE', message: 'the body is longer than this route allows', field: 'body' };
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE':
      return {
        code: 'API_MEDIA_TYPE',
        message: 'must be application/json, or application/octet-stream where bytes are uploaded',
        field: 'content-type',
      };
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return { code: 'API_BAD_REQUEST', message: 'the body is not JSON', field: 'body' };
    default:
      break;
  }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return { code: 'API_BAD_REQUEST', message: 'the request cannot be read' };
  }
  return undefined;
}

/** SQLITE_FULL, or ENOSPC of the file system. */
function isNoSpace(error: FastifyError): boolean {
  const number: unknown = Reflect.get(error, 'errcode');
  return error.code === 'ENOSPC' || (error.code === 'ERR_SQLITE_ERROR' && number === 13);
}

/** What a pattern asks for, as people say it. */
const patternWords: Readonly<Record<string, string>> = {
  '^[a-z][a-z0-9-]{0,31}$': 'must be a name: lower-case letters, digits and "-", at most 32',
  '^[0-9a-f]{64}$': 'must be a SHA-256: 64 lower-case hex digits',
  '^[0-9]{1,15}$': 'must be a whole number',
  '^[1-9][0-9]{0,9}$': 'must be a whole number from 1',
};

function wordsOf(found: NonNullable<FastifyError['validation']>[number]): string {
  const { pattern } = found.params;
  const words = typeof pattern === 'string' ? patternWords[pattern] : undefined;
  return words ?? found.message ?? 'is not valid';
}

function validationFailure(
  error: FastifyError,
  first: NonNullable<FastifyError['validation']>[number],
): Failure {
  const where = error.validationContext ?? 'body';
  const path = first.instancePath.split('/').filter((part) => part !== '');
  const extra = first.params['additionalProperty'] ?? first.params['missingProperty'];
  if (typeof extra === 'string') path.push(extra.slice(0, 64));
  const field = path.length === 0 ? where : path.join('.');
  const unknown = typeof first.params['additionalProperty'] === 'string';
  const message = unknown ? 'is not a field of this request' : wordsOf(first);
  return { code: 'API_BAD_REQUEST', message: `${field}: ${message}`, field };
}
