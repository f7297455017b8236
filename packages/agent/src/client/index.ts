/**
 * Client of the agent's local sockets, for the device's own software and its screens: `airlock-service/1`.
 *
 * Depends on Node alone; `npm run bundle` makes one file of it, `airlock-agent-client.mjs`. It keeps true: an interlock
 * that throws, or is not there, answers no; nothing that the agent sends is believed before it was looked at; a
 * connection that ends fails what waits for it. It connects once: when `closed` settles, decide, and connect again.
 */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import {
  serviceLimits,
  type LogEntry,
  type ServiceAnswers,
  type ServiceAsk,
  type ServiceHello,
  type ServiceNews,
  type ServicePermission,
  type ServiceQuestion,
  type ServiceStatus,
} from '@airlock/protocol';
import { parseAnswers, parseLine, type ServiceLine } from './lines.ts';

export type {
  LogEntry,
  ServiceNews,
  ServicePermission,
  ServiceQuestion,
  ServiceRelease,
  ServiceStatus,
} from '@airlock/protocol';

/** The agent refused, or could not be asked: `code` is one of Airlock's, or the system's when nothing is connected. */
export class ServiceError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'ServiceError';
    this.code = code;
  }
}

/** What the device's own software does when it is asked and told. Throwing, or not answering, is a no. */
export interface InterlockAnswers {
  allows(
    may: ServiceQuestion['may'],
    release: ServiceQuestion['release'],
  ): InterlockAnswer | Promise<InterlockAnswer>;
  told(news: ServiceNews['news'], release: ServiceNews['release']): void;
}

export interface InterlockAnswer {
  readonly allowed: boolean;
  readonly reason?: string;
}

export interface ServiceClient {
  readonly hello: ServiceHello;
  /** Settles when the connection has ended, for whatever reason. Never rejects. */
  readonly closed: Promise<void>;
  status(): Promise<ServiceStatus>;
  /** The newest entries, oldest first. */
  log(entries?: number): Promise<readonly LogEntry[]>;
  /** Has the agent look now at what is assigned; every rule holds all the same. */
  install(): Promise<void>;
  consent(given: {
    readonly operator: string;
    readonly manifestSha256: string;
    readonly validSeconds?: number;
  }): Promise<ServiceAnswers['consent']>;
  withdraw(operator: string): Promise<boolean>;
  /** On the socket `interlock`: the answer changed, ask again now. */
  again(): Promise<void>;
  close(): void;
}

/**
 * Connects to the socket of one permission in the folder that the configuration names. `answers`: on the socket
 * `interlock`. Throws ServiceError: `ENOENT`, `EACCES`, `ECONNREFUSED`, or `OTA_SERVICE_ANSWER` for what is no agent.
 */
export async function connectAgent(
  folder: string,
  permission: ServicePermission,
  answers?: InterlockAnswers,
): Promise<ServiceClient> {
  const path = join(folder, permission);
  const connection = new Connection(connect(path), answers);
  const hello = await connection.hello;
  if (hello.permission !== permission)
    throw connection.fail('OTA_SERVICE_ANSWER', `${path} is the socket ${hello.permission}`);
  return {
    hello,
    closed: connection.closed,
    status: async () => await connection.ask('status', {}),
    log: async (entries) => (await connection.ask('log', entries === undefined ? {} : { entries })).entries,
    install: async () => void (await connection.ask('install', {})),
    consent: async (given) => await connection.ask('consent', given),
    withdraw: async (operator) => (await connection.ask('withdraw', { operator })).withdrawn,
    again: async () => void (await connection.ask('again', {})),
    close: () => connection.close(),
  };
}

interface Asked {
  resolve(answer: unknown): void;
  reject(error: ServiceError): void;
}

class Connection {
  readonly hello: Promise<ServiceHello>;
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #answers: InterlockAnswers | undefined;
  readonly #asked = new Map<number, Asked>();
  readonly #greeted = Promise.withResolvers<ServiceHello>();
  #ids = 0;
  #held = Buffer.alloc(0);
  #fault = new ServiceError('OTA_SERVICE_CLOSED', 'the agent closed the connection');

  constructor(socket: Socket, answers: InterlockAnswers | undefined) {
    this.#socket = socket;
    this.#answers = answers;
    this.hello = this.#greeted.promise;
    const ended = Promise.withResolvers<void>();
    this.closed = ended.promise;
    socket.on('error', (error) => {
      this.#fault = new ServiceError('code' in error ? String(error.code) : 'unknown', error.message);
    });
    socket.on('close', () => {
      this.#greeted.reject(this.#fault);
      for (const asked of this.#asked.values()) asked.reject(this.#fault);
      this.#asked.clear();
      ended.resolve();
    });
    socket.on('data', (piece: Buffer) => this.#take(piece));
  }

  async ask<A extends ServiceAsk>(ask: A, fields: object): Promise<ServiceAnswers[A]> {
    if (this.#socket.destroyed) throw this.#fault;
    this.#ids += 1;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#asked.set(this.#ids, { resolve, reject });
    this.#send({ id: this.#ids, ask, ...fields });
    const parse: (answer: unknown) => ServiceAnswers[A] | undefined = parseAnswers[ask];
    const id = this.#ids;
    const answer = await promise.finally(() => this.#asked.delete(id));
    return parse(answer) ?? refuse('OTA_SERVICE_ANSWER', `the agent did not answer ${ask} as expected`);
  }

  fail(code: string, message: string): ServiceError {
    this.#fault = new ServiceError(code, message);
    this.#socket.destroy();
    return this.#fault;
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(value: object): void {
    this.#socket.write(`${JSON.stringify(value)}\n`);
  }

  #take(piece: Buffer): void {
    this.#held = Buffer.concat([this.#held, piece]);
    for (let end = this.#held.indexOf(0x0a); end >= 0; end = this.#held.indexOf(0x0a)) {
      const line = this.#held.subarray(0, end).toString('utf8');
      this.#held = this.#held.subarray(end + 1);
      this.#line(parseLine(line));
    }
    if (this.#held.length > serviceLimits.lineBytesMax)
      this.fail('OTA_SERVICE_ANSWER', 'the agent sent a line that is too long');
  }

  #line(line: ServiceLine | undefined): void {
    switch (line?.kind) {
      case 'hello':
        return this.#greeted.resolve(line.hello);
      case 'question':
        return void this.#answer(line.question);
      case 'news':
        return this.#told(line.news);
      case 'answer':
        return this.#asked.get(line.id)?.resolve(line.answer);
      case 'refused':
        return this.#asked.get(line.id)?.reject(new ServiceError(line.code, line.message));
      default:
        this.fail('OTA_SERVICE_ANSWER', 'the agent sent a line that this client does not know');
    }
  }

  async #answer({ question, may, release }: ServiceQuestion): Promise<void> {
    let reply: InterlockAnswer;
    try {
      reply = (await this.#answers?.allows(may, release)) ?? {
        allowed: false,
        reason: 'nobody answers here',
      };
    } catch (error) {
      reply = { allowed: false, reason: error instanceof Error ? error.message : 'it failed' };
    }
    const reason = reply.reason?.slice(0, serviceLimits.reasonCharactersMax).replaceAll(/\p{Cc}/gu, ' ');
    this.#send({ question, allowed: isYes(reply.allowed), ...(reason ? { reason } : {}) });
  }

  #told({ news, release }: ServiceNews): void {
    try {
      this.#answers?.told(news, release);
    } catch {
      // What a caller does with the news is the caller's; the connection is needed for questions.
    }
  }
}

/** Anything but a clear yes is a no, also of a caller without types. */
function isYes(allowed: unknown): boolean {
  return allowed === true;
}

function refuse(code: string, message: string): never {
  throw new ServiceError(code, message);
}
