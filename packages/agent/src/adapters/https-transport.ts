/**
 * The Transport port: node:https with mutual TLS.
 *
 * It keeps true: TLS 1.3 (1.2 with AEAD and forward secrecy only where configured); the server is checked against the
 * provisioned authority alone, and against the name in the configured address (REQ-OTA-NET-01); nothing follows a
 * redirect or a proxy; every body is bounded, every wait has an end. A poll is one conditional request.
 * What the bytes are worth is left to trust: this file believes nothing.
 */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { encodeCheckIn, wireLimits } from '@airlock/protocol';
import { TransportError, type Transport } from '../ports/platform.ts';
import { expectStatus, parseCheckInAnswer, parseLogAnswer, readBody, textOf } from './http-answer.ts';
import { gather } from './piece-gatherer.ts';
import { type ConnectionStage, transportErrorFrom } from './tls-errors.ts';

export interface HttpsTransportOptions {
  /** Origin of the device listener. */
  readonly url: string;
  /** PEM texts: the only authority that is believed, and what the device shows of itself. */
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
  readonly tlsMin: '1.3' | '1.2';
  readonly limits?: Partial<TransportLimits>;
}

export interface TransportLimits {
  /** TCP and TLS together; satellite links need seconds. */
  readonly connectMilliseconds: number;
  /** Longest wait for the next byte, in an answer's head or body. */
  readonly idleMilliseconds: number;
  /** Longest time for a whole small body; images have none, since links may be slow. */
  readonly bodyMilliseconds: number;
  readonly checkInBytesMax: number;
  readonly smallBytesMax: number;
}

const transportLimitsDefault: TransportLimits = {
  connectMilliseconds: 20_000,
  idleMilliseconds: 30_000,
  // 8 MiB at 32 kB/s are a little over four minutes.
  bodyMilliseconds: 300_000,
  checkInBytesMax: wireLimits.checkInAnswerBytesMax,
  // A signed time has 600 bytes, the answer to a log batch less.
  smallBytesMax: 4_000,
};

/** AEAD with forward secrecy, and nothing else, for TLS 1.3 and for 1.2 (RFC 9325 4.2). */
const ciphers = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
].join(':');

/** A transport that can be closed: idle connections end. */
export interface HttpsTransport extends Transport {
  close(): void;
}

/** Checks and loads the PEM texts. Throws what OpenSSL says when one is broken or the key is not the certificate's. */
function deviceSecureContext(options: HttpsTransportOptions): SecureContext {
  return createSecureContext({
    ca: options.authority,
    cert: options.certificate,
    key: options.key,
    minVersion: options.tlsMin === '1.2' ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers,
  });
}

/** The real transport. Every method throws `TransportError`, and nothing else, for what a server or network does. */
export function httpsTransport(options: HttpsTransportOptions): HttpsTransport {
  const limits = { ...transportLimitsDefault, ...options.limits };
  const tls = {
    secureContext: deviceSecureContext(options),
    // Explicit, so that no environment variable can switch it off.
    rejectUnauthorized: true,
  };
  // One check-in and one download beside it; more would only be a leak.
  const agent = new Agent({ ...tls, keepAlive: true, maxSockets: 4 });
  const freshAgent = new Agent({ ...tls, keepAlive: false });
  const client: Client = { origin: new URL(options.url), agent, freshAgent, limits };
  const where = options.url;
  const small = { bytesMax: limits.smallBytesMax, ...bodyTimes(limits) };
  const post = async (path: string, body: string): Promise<Uint8Array> =>
    await guarded(where, async () => {
      const response = await send(client, { method: 'POST', path, headers: jsonHeaders(body), body });
      expectStatus(response, [200, 201, 202, 204], where);
      return await readBody(response, small, where);
    });
  return {
    checkIn: async (request) =>
      await guarded(where, async () => {
        const headers = request.etag === undefined ? {} : { 'if-none-match': request.etag };
        const path = `/device/v1/check-in?${encodeCheckIn(request)}`;
        const response = await send(client, { method: 'GET', path, headers });
        expectStatus(response, [200, 304], where);
        const body = await readBody(response, { ...small, bytesMax: limits.checkInBytesMax }, where);
        return response.statusCode === 304 ? { kind: 'unchanged' } : parseCheckInAnswer(body, where);
      }),
    readImage: (range) => readImage(client, range),
    sendReport: async (envelopeText) => {
      await post('/device/v1/reports', envelopeText);
    },
    sendLog: async (batchText) => parseLogAnswer(await post('/device/v1/log', batchText), where),
    signedTime: async (nonce) => textOf(await post('/device/v1/time', JSON.stringify({ nonce })), where),
    close: () => {
      agent.destroy();
      freshAgent.destroy();
    },
  };
}

async function* readImage(
  client: Client,
  range: Parameters<Transport['readImage']>[0],
): AsyncGenerator<Uint8Array> {
  const { sha256, start, end, signal } = range;
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw new TypeError('sha256 must be 64 hex digits');
  if (end <= start) return;
  const where = client.origin.origin;
  try {
    const headers = { range: `bytes=${start}-${end - 1}` };
    const path = `/device/v1/images/${sha256}`;
    const response = await send(client, { method: 'GET', path, headers, signal });
    expectStatus(response, [206], where);
    expectRange(response, start, end, where);
    const idleMilliseconds = client.limits.idleMilliseconds;
    yield* gather(response, { bytesExpected: end - start, idleMilliseconds, where });
  } catch (error) {
    throw transportErrorFrom(error, 'answering', where);
  }
}

/** RFC 9110 14.4: the answer must be exactly the range asked for; another one would be written to the wrong place. */
function expectRange(response: IncomingMessage, start: number, end: number, where: string): void {
  const found = response.headers['content-range'] ?? '';
  const parts = /^bytes (\d{1,16})-(\d{1,16})\/(\*|\d{1,16})$/.exec(found);
  const exact = parts !== null && Number(parts[1]) === start && Number(parts[2]) === end - 1;
  const length = response.headers['content-length'];
  if (exact && (length === undefined || Number(length) === end - start)) return;
  response.destroy();
  const message = `${where}: expected bytes ${start}-${end - 1} of the image, found another range`;
  throw new TransportError('OTA_SERVER_ANSWER', message);
}

interface Client {
  readonly origin: URL;
  readonly agent: Agent;
  /** Opens a connection for each request. */
  readonly freshAgent: Agent;
  readonly limits: TransportLimits;
}

interface Outgoing {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

/** Sends a request and resolves to the head of its answer. */
async function send(client: Client, outgoing: Outgoing): Promise<IncomingMessage> {
  try {
    return await sendOnce(client, outgoing);
  } catch (error) {
    // A kept connection may have been closed by the server just now; that says nothing about the server. Every
    // request is idempotent, so it is sent once more, on a new connection.
    if (!(error instanceof StaleConnection)) throw error;
    return await sendOnce({ ...client, agent: client.freshAgent }, outgoing);
  }
}

/** A kept connection failed before any byte of an answer. */
class StaleConnection extends Error {}

async function sendOnce({ origin, agent, limits }: Client, outgoing: Outgoing): Promise<IncomingMessage> {
  const { method, path, headers, body, signal } = outgoing;
  return await new Promise((resolve, reject) => {
    let stage: ConnectionStage = 'connecting';
    const outgoingRequest: ClientRequest = httpsRequest({
      agent,
      host: origin.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: origin.port === '' ? 443 : Number(origin.port),
      method,
      path,
      headers: { ...headers, 'accept-encoding': 'identity', 'user-agent': 'airlock-agent' },
      ...(signal === undefined ? {} : { signal }),
    });
    const giveUp = (what: string) => (): void => {
      outgoingRequest.destroy(new TransportError('OTA_SERVER_UNREACHABLE', `${origin.origin}: ${what}`));
    };
    let limit = setTimeout(giveUp('no connection within the time limit'), limits.connectMilliseconds);
    const connected = (): void => {
      stage = 'handshaken';
      clearTimeout(limit);
      limit = setTimeout(giveUp('no answer within the time limit'), limits.idleMilliseconds);
    };
    outgoingRequest.once('socket', (socket) => {
      if (outgoingRequest.reusedSocket) connected();
      else if (socket instanceof TLSSocket) socket.once('secureConnect', connected);
    });
    outgoingRequest.once('response', (response) => {
      clearTimeout(limit);
      resolve(response);
    });
    outgoingRequest.once('error', (error) => {
      clearTimeout(limit);
      const closed = 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      if (outgoingRequest.reusedSocket && closed) reject(new StaleConnection());
      else reject(transportErrorFrom(error, stage, origin.origin));
    });
    outgoingRequest.end(body);
  });
}

async function guarded<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw transportErrorFrom(error, 'answering', where);
  }
}

function jsonHeaders(body: string): Record<string, string> {
  return { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
}

function bodyTimes(limits: TransportLimits): { idleMilliseconds: number; totalMilliseconds: number } {
  return { idleMilliseconds: limits.idleMilliseconds, totalMilliseconds: limits.bodyMilliseconds };
}
