/** A real HTTPS server with client certificates for one test, and a transport that talks to it. */
import assert from 'node:assert/strict';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { SecureVersion } from 'node:tls';
import {
  type HttpsTransport,
  httpsTransport,
  type HttpsTransportOptions,
} from '../../src/adapters/https-transport.ts';
import { TransportError } from '../../src/ports/platform.ts';
import { type Leaf, makeAuthority } from './certificates.ts';

export const localhost = [{ type: 'dns', value: 'localhost' }] as const;
export const authority = await makeAuthority('test authority');
const serverLeaf = await authority.issue([...localhost]);
export const deviceLeaf = await authority.issue([{ type: 'url', value: 'urn:airlock:device:pump-1' }]);

/** What a transport needs but the server's address. */
export function deviceOptions(): Omit<HttpsTransportOptions, 'url'> {
  const { certificate, key } = deviceLeaf;
  return { authority: authority.certificate, certificate, key, tlsMin: '1.3' };
}

export interface Setup {
  readonly answer?: RequestListener;
  readonly leaf?: Leaf;
  readonly version?: SecureVersion;
  readonly ciphers?: string;
  readonly clientAuthority?: string;
  readonly options?: Partial<HttpsTransportOptions>;
}

/** Runs a server for one test, and a transport that talks to it. */
export async function withServer(
  setup: Setup,
  body: (transport: HttpsTransport, seen: IncomingMessage[], url: string) => Promise<void>,
): Promise<void> {
  const seen: IncomingMessage[] = [];
  const leaf = setup.leaf ?? serverLeaf;
  const server = createServer(
    {
      key: leaf.key,
      cert: leaf.certificate,
      ca: setup.clientAuthority ?? authority.certificate,
      requestCert: true,
      ...(setup.version === undefined ? {} : { maxVersion: setup.version, minVersion: setup.version }),
      ...(setup.ciphers === undefined ? {} : { ciphers: setup.ciphers }),
    },
    (request, response) => {
      seen.push(request);
      setup.answer?.(request, response);
    },
  );
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `https://localhost:${port}`;
  const transport = httpsTransport({
    url,
    ...deviceOptions(),
    ...setup.options,
  });
  try {
    await body(transport, seen, url);
  } finally {
    transport.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

export function hasCode(code: TransportError['code']): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof TransportError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}

export function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

export async function readAll(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const piece of pieces) copies.push(Buffer.from(piece));
  return Buffer.concat(copies);
}
