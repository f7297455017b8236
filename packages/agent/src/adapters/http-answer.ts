/**
 * Reading a server's answer within limits: status, small bodies, and the parsed check-in.
 *
 * It keeps true: no body is read past its limit, whatever its headers say; nobody is waited for longer than a time;
 * what is not exactly as expected is refused before it is used (REQ-OTA-NET-04, DESIGN "What always holds" 6).
 * What the files of a check-in mean is left to trust, which has a limit for each of its own.
 */
import type { IncomingMessage } from 'node:http';
import { type CheckInAnswer, wireLimits } from '@airlock/protocol';
import { TransportError } from '../ports/platform.ts';

export interface BodyLimits {
  readonly bytesMax: number;
  /** Longest wait for the next byte. */
  readonly idleMilliseconds: number;
  /** Longest time for the whole body: a server that drips bytes must not hold the agent for ever. */
  readonly totalMilliseconds: number;
}

/** Files in one answer: at most the roots of 64 rotations twice, all roles, policy and manifests. */
const checkInFilesMax = 512;
const etagForm = /^[\x21-\x7e]{1,256}$/;
/** TUF paths only: no dots first, no empty parts, nothing that leaves the folder. */
const pathForm = /^(image|director)(\/[A-Za-z0-9_][A-Za-z0-9._-]{0,127}){1,3}$/;

/** Refuses every status but those allowed, and body encodings that were not asked for. */
export function expectStatus(response: IncomingMessage, allowed: readonly number[], where: string): void {
  const status = response.statusCode ?? 0;
  if (!allowed.includes(status)) {
    response.destroy();
    if (status === 401 || status === 403) {
      throw new TransportError('OTA_SERVER_REFUSED', `${where}: status ${status}`);
    }
    // Overload and maintenance pass: the agent comes back with back-off, as if there were no server.
    if (status === 429 || status === 502 || status === 503 || status === 504) {
      throw new TransportError('OTA_SERVER_UNREACHABLE', `${where}: status ${status}, try again later`);
    }
    throw new TransportError(
      'OTA_SERVER_ANSWER',
      `${where}: status ${status}, expected ${allowed.join(' or ')}`,
    );
  }
  const encoding = response.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    response.destroy();
    throw new TransportError('OTA_SERVER_ANSWER', `${where}: a body in an encoding that was not asked for`);
  }
}

/** The whole body, at most `bytesMax`. Errors: `OTA_ANSWER_TOO_LARGE`, or the stream's own. */
export async function readBody(
  response: IncomingMessage,
  limits: BodyLimits,
  where: string,
): Promise<Uint8Array> {
  const tooLarge = (): TransportError =>
    new TransportError('OTA_ANSWER_TOO_LARGE', `${where}: a body longer than ${limits.bytesMax} bytes`);
  if (Number(response.headers['content-length'] ?? 0) > limits.bytesMax) {
    response.destroy();
    throw tooLarge();
  }
  const giveUp = (what: string) => (): void => {
    response.destroy(new TransportError('OTA_SERVER_UNREACHABLE', `${where}: ${what}`));
  };
  const idle = setTimeout(giveUp('no byte within the time limit'), limits.idleMilliseconds);
  const total = setTimeout(giveUp('the answer took longer than the time limit'), limits.totalMilliseconds);
  try {
    const pieces: Uint8Array[] = [];
    let length = 0;
    for await (const piece of response as AsyncIterable<Uint8Array>) {
      idle.refresh();
      length += piece.length;
      if (length > limits.bytesMax) throw tooLarge();
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  } finally {
    clearTimeout(idle);
    clearTimeout(total);
    response.destroy();
  }
}

/** Parses the body of a 200 to a check-in. Errors: `OTA_SERVER_ANSWER` naming the field. */
export function parseCheckInAnswer(body: Uint8Array, where: string): CheckInAnswer {
  const bad = (what: string): TransportError =>
    new TransportError('OTA_SERVER_ANSWER', `${where}: check-in: ${what}`);
  const excess = excessOf(body);
  if (excess !== undefined) throw bad(excess);
  const value = parseJson(body);
  if (!isObject(value)) throw bad('expected a JSON object');
  const { etag, files, deviceRecord } = value;
  if (typeof etag !== 'string' || !etagForm.test(etag))
    throw bad('etag: expected 1 to 256 visible characters');
  if (!isObject(files)) throw bad('files: expected an object');
  const entries = Object.entries(files);
  if (entries.length > checkInFilesMax) throw bad(`files: expected at most ${checkInFilesMax}`);
  const texts: Record<string, string> = {};
  for (const [path, text] of entries) {
    if (!pathForm.test(path)) throw bad('files: a name that is not a path of TUF');
    if (typeof text !== 'string') throw bad(`files.${path}: expected a text`);
    texts[path] = text;
  }
  if (deviceRecord === undefined) return { kind: 'files', etag, files: texts };
  if (typeof deviceRecord !== 'string') throw bad('deviceRecord: expected a text');
  return { kind: 'files', etag, files: texts, deviceRecord };
}

/** The highest sequence of the log that the server holds, out of `{"sequence": n}`. */
export function parseLogAnswer(body: Uint8Array, where: string): number {
  const value = parseJson(body);
  const sequence = isObject(value) ? value['sequence'] : undefined;
  if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || sequence < 0) {
    throw new TransportError('OTA_SERVER_ANSWER', `${where}: log: sequence: expected an integer from 0`);
  }
  return sequence;
}

/** Text of a body in strict UTF-8. */
export function textOf(body: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new TransportError('OTA_SERVER_ANSWER', `${where}: the answer is not UTF-8`);
  }
}

/**
 * What a body has too much of for `JSON.parse`, which needs up to a hundred bytes of memory for each byte of `[[[[` or
 * `{},{},`: a few megabytes of them would end the agent, and the kernel might choose another program's memory to end.
 * Counted in the bytes: up to its first error, a parser sees the same brackets and commas as are counted here.
 */
function excessOf(body: Uint8Array): string | undefined {
  const { checkInDepthMax, checkInValuesMax } = wireLimits;
  let depth = 0;
  let values = 1;
  let inString = false;
  for (let at = 0; at < body.length; at += 1) {
    const byte = body[at];
    if (inString) {
      if (byte === 0x5c) at += 1;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      values += 1;
    } else if (byte === 0x7d || byte === 0x5d) depth -= 1;
    else if (byte === 0x2c) values += 1;
    if (depth > checkInDepthMax) return `expected at most ${checkInDepthMax} levels`;
    if (values > checkInValuesMax) return `expected at most ${checkInValuesMax} values`;
  }
  return undefined;
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
