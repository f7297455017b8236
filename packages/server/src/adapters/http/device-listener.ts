/**
 * The device API over mutual TLS 1.3: check-in, TUF layout, images by range, reports, log, signed time.
 *
 * A device sees only what is its own: product and name come from its certificate, never from the request.
 */
import {
  ApiErrorBody,
  CheckInFiles,
  LogAnswer,
  type LogBatch,
  LogBatchSchema,
  parseCheckIn,
  TimeRequest,
  wireLimits,
} from '@airlock/protocol';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { checkIn } from '../../app/check-ins.ts';
import type { Context } from '../../app/context.ts';
import { openDeviceImage } from '../../app/images.ts';
import { takeLog, takeReport } from '../../app/reports.ts';
import { signedTime } from '../../app/times.ts';
import { directorFile, imageFile } from '../../app/tuf-layout.ts';
import type { Logger } from '../logger.ts';
import { type DeviceIdentity, guardDevices } from './device-identity.ts';
import { sendFailure, sendResult } from './failure.ts';
import { sendImage } from './image-answer.ts';
import { createListener, type Listener } from './listener.ts';

/** Milliseconds for one request: bodies are small, and a slow sender must not hold a connection for ever. */
const requestMs = 60_000;

export interface DeviceListenerOptions {
  readonly context: Context;
  readonly logger: Logger;
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string };
}

export function createDeviceListener({ context, logger, tls }: DeviceListenerOptions): Listener {
  const app = createListener({
    tls: { ...tls, requestCert: true, rejectUnauthorized: false },
    bodyBytesMax: wireLimits.logBatchBytesMax,
    requestMs,
    logger,
  });
  const identify = guardDevices(app.server, context.store, context.clock, logger);
  const devices = new WeakMap<FastifyRequest, DeviceIdentity>();
  app.addHook('onRequest', (request, reply, done) => {
    // Again for each request: a device may be revoked while its connection lives.
    const device = identify(request.raw.socket);
    if (device === undefined) {
      reply.hijack();
      return;
    }
    devices.set(request, device);
    done();
  });
  const deviceOf = (request: FastifyRequest): DeviceIdentity => {
    const device = devices.get(request);
    if (device === undefined) throw new Error('a request without a device');
    return device;
  };
  addCheckIn(app, context, deviceOf);
  addLayout(app, context, deviceOf);
  addImages(app, context, deviceOf);
  addSayings(app, context, deviceOf);
  return app;
}

type DeviceOf = (request: FastifyRequest) => DeviceIdentity;

const refusals = { '4xx': ApiErrorBody, '5xx': ApiErrorBody } as const;

function addCheckIn(app: Listener, context: Context, deviceOf: DeviceOf): void {
  app.get(
    '/device/v1/check-in',
    { schema: { response: { 200: CheckInFiles, 304: Type.Null(), ...refusals } } },
    async (request, reply) => {
      const at = request.url.indexOf('?');
      const asked = parseCheckIn(at < 0 ? '' : request.url.slice(at + 1));
      if ('field' in asked) {
        const message = `${asked.field}: ${asked.message}`;
        return sendFailure(reply, { code: 'API_BAD_REQUEST', message, field: asked.field });
      }
      const etag = request.headers['if-none-match'];
      const answer = await checkIn(
        context,
        deviceOf(request),
        etag === undefined ? asked : { ...asked, etag },
      );
      if (!answer.ok) return sendFailure(reply, answer.error);
      // Not for caches: it is one device's own.
      void reply.header('cache-control', 'no-store');
      if (answer.value.kind === 'unchanged') return reply.code(304).send(null);
      return reply.header('etag', answer.value.body.etag).send(answer.value.body);
    },
  );
}

function addLayout(app: Listener, context: Context, deviceOf: DeviceOf): void {
  const layouts = [
    ['image', (device: DeviceIdentity, path: string) => imageFile(context, device.product, path)],
    ['director', (device: DeviceIdentity, path: string) => directorFile(context, device.device, path)],
  ] as const;
  for (const [name, read] of layouts) {
    app.get<{ Params: { '*': string } }>(`/tuf/${name}/*`, async (request, reply) => {
      const file = await read(deviceOf(request), request.params['*']);
      return sendText(reply, file);
    });
  }
}

function sendText(reply: FastifyReply, file: Awaited<ReturnType<typeof imageFile>>): FastifyReply {
  if (!file.ok) return sendFailure(reply, file.error);
  return reply.type('application/json').send(file.value);
}

function addImages(app: Listener, context: Context, deviceOf: DeviceOf): void {
  app.route<{ Params: { sha256: string } }>({
    method: ['GET', 'HEAD'],
    url: '/device/v1/images/:sha256',
    handler: async (request, reply) => {
      const { sha256 } = request.params;
      const blob = await openDeviceImage(context, deviceOf(request), sha256);
      return blob.ok ? sendImage(request, reply, sha256, blob.value) : sendFailure(reply, blob.error);
    },
  });
}

/** What a device says: reports as exact text, since the signature is over it. */
function addSayings(app: Listener, context: Context, deviceOf: DeviceOf): void {
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    const types = ['application/json', 'text/plain'];
    scope.addContentTypeParser(types, { parseAs: 'string' }, (_request, body, done) => done(null, body));
    scope.post<{ Body: string }>(
      '/device/v1/reports',
      { bodyLimit: wireLimits.reportBytesMax },
      async (request, reply) => {
        const text = typeof request.body === 'string' ? request.body : '';
        const taken = await takeReport(context, deviceOf(request), text);
        return taken.ok ? reply.code(204).send() : sendFailure(reply, taken.error);
      },
    );
  });
  app.post<{ Body: LogBatch }>(
    '/device/v1/log',
    { schema: { body: LogBatchSchema, response: { 200: LogAnswer, ...refusals } } },
    async (request, reply) =>
      sendResult(reply, await takeLog(context, deviceOf(request).device, request.body)),
  );
  app.post(
    '/device/v1/time',
    { bodyLimit: wireLimits.timeRequestBytesMax, schema: { body: TimeRequest } },
    async (request, reply) =>
      sendText(reply, await signedTime(context, deviceOf(request), request.body.nonce)),
  );
}
