/**
 * The client of the server's management API: HTTPS with the home's own authority, a session or API token, bounded answers.
 *
 * Keeps true: no other authority than the home's is believed, the secret goes into a header and nowhere else, and no
 * answer is read past its limit. What answers mean is checked by those who asked; the server is convenience, and
 * nothing that a signer relies on comes from here unverified.
 */
import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fail, type Failure, type UtcSeconds } from '@airlock/trust';
import { readTextFile } from './files.ts';
import { Reader } from './fields.ts';
import type { Home, HomeSettings } from './home.ts';
import { credentialOf } from './session-file.ts';
import { need, Stop, stop, systemCode } from './stop.ts';

/** Lists of thousands of devices at 500 bytes each; more is paged. */
const answerBytesMax = 16_000_000;
/** A server that says nothing for so long is not there. */
const silenceMsMax = 30_000;

const certificateCodes: ReadonlySet<string> = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the server's URL, with its query. */
  readonly path: string;
  readonly body?: ApiBody;
  /** Why: stands in the server's audit log. */
  readonly reason?: string | undefined;
  /** Version that the change is based on. */
  readonly ifMatch?: string;
  /** Statuses beside 2xx that the caller handles. */
  readonly expected?: readonly number[];
}

export type ApiBody =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly type?: string }
  | { readonly kind: 'stream'; readonly stream: Readable; readonly length: number };

export interface ApiAnswer {
  readonly status: number;
  readonly etag: string | undefined;
  readonly bytes: Uint8Array;
}

export class Api {
  readonly #url: string;
  readonly #token: string | undefined;
  readonly #agent: Agent;

  /** `token`: the secret of a session or of an API token; none for whoever signs in. */
  constructor(options: {
    readonly url: string;
    readonly authority: string;
    readonly token: string | undefined;
  }) {
    this.#url = options.url;
    this.#token = options.token;
    this.#agent = new Agent({ ca: options.authority, keepAlive: true, minVersion: 'TLSv1.2' });
  }

  /** Closes kept connections: otherwise the program would wait for them. */
  close(): void {
    this.#agent.destroy();
  }

  /** One request. Stops with CLI_SERVER_UNREACHABLE, CLI_SERVER_CERTIFICATE, CLI_SERVER_ANSWER, or the server's code. */
  async send(options: ApiRequest): Promise<ApiAnswer> {
    let answer: ApiAnswer;
    try {
      answer = await this.#exchange(options);
    } catch (error) {
      throw error instanceof Stop ? error : new Stop(this.#unreachable(error));
    }
    const fine = answer.status >= 200 && answer.status < 300;
    if (!fine && options.expected?.includes(answer.status) !== true)
      throw new Stop(this.#refusal(answer, options));
    return answer;
  }

  async json(options: ApiRequest): Promise<Reader> {
    return this.reader(await this.send(options), options.path);
  }

  /** The body as JSON, to be read field by field. */
  reader(answer: ApiAnswer, path: string): Reader {
    const origin = { code: 'CLI_SERVER_ANSWER', name: `the server's answer to ${path}` };
    try {
      const value: unknown = JSON.parse(Buffer.from(answer.bytes).toString('utf8'));
      return new Reader(value, origin);
    } catch {
      return stop('CLI_SERVER_ANSWER', `${origin.name} is not JSON`, path);
    }
  }

  async #exchange(options: ApiRequest): Promise<ApiAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const outgoing = request(new URL(options.path, this.#url), {
      method: options.method,
      agent: this.#agent,
      headers: {
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
        ...bodyHeaders(options),
      },
    });
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
    outgoing.setTimeout(silenceMsMax, () => {
      outgoing.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' }));
    });
    const { body } = options;
    if (body?.kind === 'stream') {
      const sending = pipeline(body.stream, outgoing).catch((error: unknown) => error);
      try {
        // Read while the rest is sent: a refusal in the middle (507) must be seen, not the broken pipe after it.
        return await readAnswer(await promise);
      } catch (error) {
        // What the file did (CLI_FILE_CHANGED) says more than the connection that broke with it.
        const failed = outgoing.destroyed ? await sending : undefined;
        throw failed instanceof Stop ? failed : error;
      } finally {
        // Nobody reads the rest of a body that was refused.
        if (!outgoing.writableFinished) outgoing.destroy();
      }
    }
    outgoing.end(body === undefined ? undefined : bodyBytes(body));
    return await readAnswer(await promise);
  }

  #unreachable(error: unknown): Failure {
    const code = systemCode(error) ?? (error instanceof Error ? error.message : String(error));
    if (certificateCodes.has(code)) {
      const message = `the certificate of ${this.#url} is not from this home's authority or not for its name (${code})`;
      return fail('CLI_SERVER_CERTIFICATE', message, this.#url).error;
    }
    return fail('CLI_SERVER_UNREACHABLE', `the server at ${this.#url} is not reachable (${code})`, this.#url)
      .error;
  }

  /** The server's own code and words; a refusal without them names its status. */
  #refusal(answer: ApiAnswer, options: ApiRequest): Failure {
    const found = readProblem(answer.bytes);
    if (found !== undefined) return found;
    const message = `the server answered ${options.method} ${options.path} with status ${answer.status}`;
    return fail('CLI_SERVER_ANSWER', message, options.path).error;
  }
}

/** `{code, message, field?}`, also inside `error`: what every refusal of the API carries. */
function readProblem(bytes: Uint8Array): Failure | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  const inner = textField(value, 'code') === undefined ? objectField(value, 'error') : value;
  const code = textField(inner, 'code');
  const message = textField(inner, 'message');
  if (code === undefined || message === undefined || !/^[A-Z][A-Z0-9_]{2,63}$/.test(code)) return undefined;
  const field = textField(inner, 'field');
  return field === undefined ? { code, message } : { code, message, field };
}

function objectField(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

function textField(value: unknown, name: string): string | undefined {
  const found = objectField(value, name);
  return typeof found === 'string' ? found : undefined;
}

function bodyBytes(body: Exclude<ApiBody, { kind: 'stream' }>): Uint8Array {
  return body.kind === 'json' ? Buffer.from(JSON.stringify(body.value)) : body.bytes;
}

function bodyHeaders({ body, ifMatch, reason }: ApiRequest): Record<string, string> {
  const condition = {
    ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
    // Headers are ASCII.
    ...(reason === undefined ? {} : { 'airlock-reason': encodeURIComponent(reason) }),
  };
  if (body === undefined) return condition;
  const length = body.kind === 'stream' ? body.length : bodyBytes(body).length;
  const type =
    body.kind === 'json'
      ? 'application/json'
      : ((body.kind === 'bytes' ? body.type : undefined) ?? 'application/octet-stream');
  return { ...condition, 'content-type': type, 'content-length': String(length) };
}

async function readAnswer(incoming: IncomingMessage): Promise<ApiAnswer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of incoming) {
    const bytes = Buffer.from(piece);
    length += bytes.length;
    if (length > answerBytesMax) {
      incoming.destroy();
      return stop('CLI_SERVER_ANSWER', `the server's answer is longer than ${answerBytesMax} bytes`);
    }
    pieces.push(bytes);
  }
  const { etag } = incoming.headers;
  return { status: incoming.statusCode ?? 0, etag, bytes: Buffer.concat(pieces) };
}

/** The client for a home's server. */
export async function connect(home: Home, settings: HomeSettings, now: UtcSeconds): Promise<Api> {
  const authority = need(await readTextFile(home.path(settings.authorityFile)));
  return new Api({ url: settings.apiUrl, authority, token: await credentialOf(home, settings, now) });
}
