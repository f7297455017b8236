/**
 * Image bytes over HTTP: whole, or one range (RFC 9110, section 14). Streams in large pieces, so that a gigabyte costs
 * few turns of the event loop. More than one range is not asked for by our agent: the whole is a legal answer to it.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { parseRange } from '../../core/range.ts';
import type { Blob } from '../../ports/platform.ts';

export function sendImage(
  request: FastifyRequest,
  reply: FastifyReply,
  sha256: string,
  blob: Blob,
): FastifyReply {
  const etag = `"${sha256}"`;
  void reply.header('accept-ranges', 'bytes').header('etag', etag).type('application/octet-stream');
  if (request.headers['if-none-match'] === etag) return reply.code(304).send();
  // If-Range with another ETag: the range belongs to other bytes.
  const ifRange = request.headers['if-range'];
  const asked = ifRange === undefined || ifRange === etag ? request.headers.range : undefined;
  const range = parseRange(asked, blob.length);
  if (range === 'unsatisfiable') {
    void reply.header('content-range', `bytes */${blob.length}`).type('application/json');
    const message = `the image has ${blob.length} bytes`;
    return reply.code(416).send({ code: 'API_RANGE', message, field: 'range' });
  }
  const { start, end } = range ?? { start: 0, end: blob.length };
  void reply.header('content-length', end - start);
  if (range !== undefined) {
    void reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${blob.length}`);
  }
  return request.method === 'HEAD' ? reply.send() : reply.send(blob.read(start, end));
}
