/**
 * The real terminal and streams behind `CliIo`.
 *
 * Secrets are read in raw mode and never echoed. Both kinds of question share one buffer, so that lines typed (or
 * pasted) ahead reach the question that they answer. Ctrl-C stops the command with nothing changed.
 */
import type { CliIo, Terminal } from './io.ts';
import { Stop } from './stop.ts';
import { fail } from '@airlock/trust';

const ctrlC = '\u0003';
const ctrlD = '\u0004';
const backspaces = new Set(['\u007f', '\b']);

type Input = NodeJS.ReadStream;

/** Reads lines from a terminal in raw mode; `echo` says whether the characters are shown. */
class RawLines {
  readonly #input: Input;
  readonly #show: (text: string) => void;
  #ahead = '';

  constructor(input: Input, show: (text: string) => void) {
    this.#input = input;
    this.#show = show;
  }

  async line(question: string, echo: boolean): Promise<string> {
    this.#show(question);
    this.#input.setRawMode(true);
    this.#input.setEncoding('utf8');
    this.#input.resume();
    try {
      return await this.#collect(echo);
    } finally {
      this.#input.pause();
      this.#input.setRawMode(false);
      this.#show('\n');
    }
  }

  async #collect(echo: boolean): Promise<string> {
    let typed = '';
    for (;;) {
      for (const character of this.#take()) {
        if (character === ctrlC || character === ctrlD) throw interrupted();
        if (character === '\r' || character === '\n') return typed;
        if (backspaces.has(character)) {
          if (typed !== '' && echo) this.#show('\b \b');
          typed = Array.from(typed).slice(0, -1).join('');
        } else {
          typed += character;
          if (echo) this.#show(character);
        }
      }
      this.#ahead += await this.#chunk();
    }
  }

  /** Takes characters one by one from what was typed; what the caller does not take stays for the next question. */
  *#take(): Generator<string> {
    while (this.#ahead !== '') {
      const [character = ''] = this.#ahead;
      this.#ahead = this.#ahead.slice(character.length);
      // Return and line feed together are one key press.
      if (character === '\r' && this.#ahead.startsWith('\n')) this.#ahead = this.#ahead.slice(1);
      yield character;
    }
  }

  #chunk(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const onData = (data: unknown) => {
      this.#input.off('end', onEnd);
      resolve(String(data));
    };
    const onEnd = () => {
      this.#input.off('data', onData);
      resolve(ctrlD);
    };
    this.#input.once('data', onData);
    this.#input.once('end', onEnd);
    return promise;
  }
}

function interrupted(): Stop {
  return new Stop(fail('CLI_DECLINED', 'stopped at the keyboard').error);
}

/** The process's own streams, clock and, when stdin and stderr are one, its terminal. */
export function processIo(): CliIo {
  const show = (text: string) => void process.stderr.write(text);
  const interactive = process.stdin.isTTY && process.stderr.isTTY;
  const lines = new RawLines(process.stdin, show);
  const terminal: Terminal = {
    ask: (question) => lines.line(question, true),
    askSecret: (question) => lines.line(question, false),
  };
  return {
    cwd: process.cwd(),
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: show,
    bars: process.stderr.isTTY,
    ...(interactive ? { terminal } : {}),
    now: () => Math.floor(Date.now() / 1000),
  };
}
