/**
 * Waits on this machine for the browser that comes back from the identity provider (RFC 8252, 7.3).
 *
 * Keeps true: only this machine can reach it; it takes one answer, with the state that was agreed on, and says to others
 * that they are wrong; what comes is a code that is worth nothing without the verifier, which never leaves the command.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { peopleLimits } from '@airlock/protocol';
import { stop } from './stop.ts';

/** The code that the server gives; form as the server makes it. */
const codePattern = /^[A-Za-z0-9_-]{43}$/;
const errorPattern = /^[A-Z][A-Z0-9_]{2,63}$/;

export interface Loopback {
  readonly port: number;
  /** The code. Stops with CLI_SIGN_IN when the sign-in failed or nobody came in time. */
  code(state: string): Promise<string>;
  close(): void;
}

interface Arrival {
  readonly query: URLSearchParams;
  readonly answer: (status: number, text: string) => void;
}

export async function openLoopback(): Promise<Loopback> {
  const waiting: ((arrival: Arrival) => void)[] = [];
  const server = createServer((request, response) => {
    const arrival = arrivalOf(request, response);
    const [take] = waiting;
    if (take === undefined) arrival.answer(404, 'No sign-in waits here.');
    else take(arrival);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    async code(state) {
      const { promise, resolve } = Promise.withResolvers<URLSearchParams | undefined>();
      waiting.push(({ query, answer }) => {
        // Any page in the browser could send something here: only the agreed state is ours.
        if (query.get('state') !== state) return answer(400, 'This answer is not of this sign-in.');
        answer(200, 'Go back to the terminal; this page can be closed.');
        return resolve(query);
      });
      const timer = setTimeout(() => resolve(undefined), peopleLimits.providerSeconds * 1000);
      const query = await promise;
      clearTimeout(timer);
      if (query === undefined) {
        return stop('CLI_SIGN_IN', `nobody signed in within ${peopleLimits.providerSeconds / 60} minutes`);
      }
      const code = query.get('code') ?? '';
      if (codePattern.test(code)) return code;
      const error = query.get('error') ?? '';
      const why = errorPattern.test(error) ? error : 'no code came back';
      return stop('CLI_SIGN_IN', `the server did not accept the sign-in at the identity provider (${why})`);
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function arrivalOf(request: IncomingMessage, response: ServerResponse): Arrival {
  const [, query = ''] = (request.url ?? '').split('?');
  return {
    query: new URLSearchParams(query),
    answer(status, text) {
      response.writeHead(status, {
        'content-type': 'text/plain; charset=utf-8',
        'referrer-policy': 'no-referrer',
        connection: 'close',
      });
      response.end(`${text}\n`);
    },
  };
}
