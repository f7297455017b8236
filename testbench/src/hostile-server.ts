/**
 * Hostile server: answers devices with the real server's own TLS identity, and lies where a scenario wants it to.
 *
 * It stands for an attacker who took the server over. What the real server would say it learns by asking it with the
 * device's own certificate, which is how it is spared a second implementation of the device API; then a lie
 * changes the answer. It speaks HTTP/1.1 over TLS 1.3, one upstream request per request, and judges nothing.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { CheckInAnswer } from '@airlock/protocol';

export type Files = Extract<CheckInAnswer, { kind: 'files' }>;

export interface HostileServerOptions {
  /** The stolen (or, for scenario 12, the wrong) identity to answer with. */
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Authority whose devices are let in. */
  readonly clientAuthorityFile: string;
  /** The real server; absent: every request is answered with 503. */
  readonly upstream?: { readonly url: string; readonly authorityFile: string };
  /** The device's certificate and key, for asking the real server in its name. */
  readonly deviceIdentity: (device: string) => { readonly certificateFile: string; readonly keyFile: string };
}

/** Changes a check-in's answer; given is what the real server said to a device that holds nothing. */
export type Tamper = (answer: Files, device: string) => Files;

export interface HostileServer {
  readonly url: string;
  /** Path and query of every request, oldest first. */
  readonly requests: readonly string[];
  /** From now on answers are changed so; undefined: the truth is told. */
  lie(tamper: Tamper | undefined): void;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const checkInPath = '/device/v1/check-in';

/** Starts on a free port of 127.0.0.1. */
export async function startHostileServer(options: HostileServerOptions): Promise<HostileServer> {
  const requests: string[] = [];
  const lies: { tamper: Tamper | undefined } = { tamper: undefined };
  const server = createServer(
    {
      cert: readFileSync(options.certificateFile),
      key: readFileSync(options.keyFile),
      ca: readFileSync(options.clientAuthorityFile),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    },
    (incoming, outgoing) => {
      requests.push(incoming.url ?? '');
      answer(options, lies.tamper, incoming, outgoing).catch((error: unknown) => {
        outgoing.writeHead(502).end(String(error));
      });
    },
  );
  const port = await listen(server);
  return {
    url: `https://127.0.0.1:${port}`,
    requests,
    lie: (tamper) => {
      lies.tamper = tamper;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve());
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

async function answer(
  options: HostileServerOptions,
  tamper: Tamper | undefined,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const body = await bodyOf(incoming);
  const device = deviceOf(incoming);
  if (options.upstream === undefined) {
    outgoing.writeHead(503).end();
    return;
  }
  const path = incoming.url ?? '/';
  const isCheckIn = tamper !== undefined && path.startsWith(checkInPath);
  // To lie, a check-in is asked as if nothing were held, so that there is always a whole answer to lie about.
  const askFor = isCheckIn ? emptyCheckIn(path) : path;
  const headers = isCheckIn ? {} : passedOn(incoming);
  const real = await ask(options, device, { path: askFor, method: incoming.method ?? 'GET', headers, body });
  const given = isCheckIn && real.status === 200 ? tampered(tamper, real, device) : real;
  outgoing.writeHead(given.status, given.headers).end(given.body);
}

function tampered(tamper: Tamper | undefined, real: Answer, device: string): Answer {
  if (tamper === undefined) return real;
  const parsed = JSON.parse(real.body.toString('utf8')) as Omit<Files, 'kind'>;
  const { kind: _kind, ...lie } = tamper({ kind: 'files', ...parsed }, device);
  const body = Buffer.from(JSON.stringify(lie));
  return { status: 200, headers: { 'content-type': 'application/json', etag: lie.etag }, body };
}

/** The query of a device that holds nothing but its roots, asking for everything. */
function emptyCheckIn(path: string): string {
  const query = new URLSearchParams(path.slice(path.indexOf('?') + 1));
  for (const name of ['imageSnapshot', 'directorSnapshot', 'directorTargets']) query.set(name, '0');
  query.delete('policy');
  query.delete('manifest');
  query.set('roles', '');
  query.set('timestamps', '1');
  return `${checkInPath}?${query.toString()}`;
}

function passedOn(incoming: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of ['content-type', 'range', 'accept', 'if-range', 'if-none-match']) {
    const value = incoming.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

function deviceOf(incoming: IncomingMessage): string {
  const socket = incoming.socket as TLSSocket;
  const name = socket.getPeerCertificate().subject?.CN;
  if (typeof name !== 'string') throw new Error('the client gave no certificate');
  return name;
}

async function bodyOf(stream: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(Buffer.from(piece as Uint8Array));
  return Buffer.concat(pieces);
}

async function ask(
  options: HostileServerOptions,
  device: string,
  what: { path: string; method: string; headers: Record<string, string>; body: Buffer },
): Promise<Answer> {
  const { upstream } = options;
  if (upstream === undefined) throw new Error('there is no real server');
  const identity = options.deviceIdentity(device);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request(
      new URL(what.path, upstream.url),
      {
        method: what.method,
        headers: { ...what.headers, 'content-length': String(what.body.length) },
        ca: readFileSync(upstream.authorityFile),
        cert: readFileSync(identity.certificateFile),
        key: readFileSync(identity.keyFile),
        minVersion: 'TLSv1.3',
        agent: false,
      },
      resolve,
    );
    outgoing.once('error', reject);
    outgoing.end(what.body);
  });
  const headers: Record<string, string> = {};
  for (const name of ['content-type', 'etag', 'content-range', 'accept-ranges']) {
    const value = response.headers[name];
    if (typeof value === 'string') headers[name] = value;
  }
  return { status: response.statusCode ?? 500, headers, body: await bodyOf(response) };
}
