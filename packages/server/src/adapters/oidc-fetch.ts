/**
 * How the identity provider is asked: HTTPS under the configured authority, bounded in bytes and time, no redirects.
 *
 * The provider is another party: what it sends is read no further than its limit, and only TLS with its own certificate
 * tells that it is itself. Global fetch can do neither without changing what the whole process trusts.
 */
import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';

/** Discovery, keys and tokens have some kB; a provider with a hundred groups in a token has 20. */
const answerBytesMax = 1 << 20;
/** A person waits at a browser. */
const answerMsMax = 10_000;

interface FetchOptions {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

export type ProviderFetch = (url: string, options: FetchOptions) => Promise<Response>;

/** `authority`: PEM; undefined: the authorities that Node knows. */
export function createProviderFetch(authority: string | undefined): ProviderFetch {
  const agent = new Agent({
    keepAlive: false,
    minVersion: 'TLSv1.2',
    ...(authority === undefined ? {} : { ca: authority }),
  });
  return async (url, { method, headers, body }) => {
    const target = new URL(url);
    if (target.protocol !== 'https:') throw new TypeError('the identity provider is asked over https only');
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const signal = AbortSignal.timeout(answerMsMax);
    const outgoing = request(target, { method, headers, agent, signal });
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
    outgoing.end(bytesOf(body));
    const incoming = await promise;
    const bytes = await collect(incoming);
    const status = incoming.statusCode ?? 0;
    const hasBody = status !== 204 && status !== 304;
    return new Response(hasBody ? bytes : null, { status, headers: headersOf(incoming) });
  };
}

function bytesOf(body: unknown): string | Uint8Array | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === 'string' || body instanceof Uint8Array) return body;
  if (body instanceof URLSearchParams) return body.toString();
  throw new TypeError('a body of this form is not sent to the identity provider');
}

function headersOf(incoming: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const one of [value].flat()) if (one !== undefined) headers.append(name, one);
  }
  return headers;
}

async function collect(incoming: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of incoming) {
    const bytes: Uint8Array = Buffer.from(piece);
    length += bytes.length;
    if (length > answerBytesMax) {
      incoming.destroy();
      throw new RangeError(`the identity provider sent more than ${answerBytesMax} bytes`);
    }
    pieces.push(bytes);
  }
  return Buffer.concat(pieces);
}
