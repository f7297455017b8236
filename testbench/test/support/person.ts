/**
 * A person at a terminal: bash in a pseudo-terminal, commands typed as they stand in a guide, questions answered.
 *
 * The pseudo-terminal is made by `script` of util-linux, so that the programs under test see what they see at a desk: a
 * terminal that echoes unless they turn that off. An answer is typed only once the program has (its terminal left
 * canonical mode), so that a secret on the screen is the program's fault. Nothing waits on time but a last limit.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { accessSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { waitUntil } from '../../src/waiting.ts';

/** Longer than any command of a guide on a busy machine; scrypt and a server's start are what takes time. */
const commandMsMax = 180_000;
/** No command and no answer writes this. */
const promptForm = /@@ready (\d+)@@ $/;

/** Why no terminal can be had here, with what to install; undefined when it can. */
export function terminalMissing(): string | undefined {
  const found = (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, 'script'));
      return true;
    } catch {
      return false;
    }
  });
  return found ? undefined : '`script` of util-linux is missing: apt-get install bsdutils';
}

export interface Secrets {
  readonly passphrase: string;
  readonly password: string;
}

export interface Typed {
  readonly status: number;
  /** What the screen showed, without control sequences. */
  readonly screen: string;
}

export class Person {
  readonly #shell: ChildProcessWithoutNullStreams;
  readonly #passphrase: string;
  readonly #password: string;
  #screen = '';
  #over = false;
  #tty = '';

  /** `home`: where the shell is, and what it takes for its home. Of keys a passphrase, at the server a password. */
  constructor(home: string, { passphrase, password }: Secrets) {
    this.#passphrase = passphrase;
    this.#password = password;
    this.#shell = spawn('script', ['-q', '-f', '-c', 'bash --norc --noprofile --noediting -i', '/dev/null'], {
      cwd: home,
      env: { HOME: home, PATH: '/usr/local/bin:/usr/bin:/bin', TERM: 'dumb', PS1: '@@ready $?@@ ', PS2: '' },
    });
    const note = (piece: Buffer) => void (this.#screen += piece.toString('utf8'));
    this.#shell.stdout.on('data', note);
    this.#shell.stderr.on('data', note);
    this.#shell.once('exit', () => (this.#over = true));
  }

  async begin(): Promise<void> {
    await this.#prompt();
    const { screen } = await this.type('tty');
    this.#tty = /\/dev\/pts\/\d+/.exec(screen)?.[0] ?? '';
    if (this.#tty === '') throw new Error(`no pseudo-terminal: ${screen}`);
  }

  /** Types one command and answers what it asks, until the shell is ready again. */
  async type(command: string): Promise<Typed> {
    this.#screen = '';
    this.#shell.stdin.write(`${command}\n`);
    return { status: await this.#prompt(), screen: this.screen() };
  }

  /** Types a command that stays, until it says `words`. */
  async leaveRunning(command: string, words: string): Promise<void> {
    this.#screen = '';
    this.#shell.stdin.write(`${command}\n`);
    await waitUntil(`"${words}" of ${command}`, commandMsMax, () => {
      if (promptForm.test(this.#screen)) throw new Error(`${command} ended: ${this.screen()}`);
      return this.#screen.includes(words) ? true : undefined;
    });
  }

  /** Ctrl-C where a command stays, and out of the shell. */
  async leave(): Promise<void> {
    if (this.#over) return;
    if (!promptForm.test(this.#screen)) {
      this.#shell.stdin.write('\u0003');
      // What is typed before that has had its effect is thrown away with it.
      await this.#prompt();
    }
    this.#shell.stdin.write('exit\n');
    await waitUntil('the shell to end', commandMsMax, () => (this.#over ? true : undefined));
  }

  screen(): string {
    // What a progress bar overwrote was never there to be read; the echo of what was typed is.
    const plain = this.#screen.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replaceAll('\r\n', '\n');
    return plain.replaceAll(/^.*\r/gm, '').replace(promptForm, '');
  }

  async #prompt(): Promise<number> {
    let answered = 0;
    return await waitUntil('the shell to be ready', commandMsMax, () => {
      if (this.#over) throw new Error(`the shell ended: ${this.screen()}`);
      const ready = promptForm.exec(this.#screen);
      if (ready !== null) return Number(ready[1]);
      const question = /[^\n]+: $/.exec(this.#screen)?.[0];
      const answer = question === undefined ? undefined : this.#answer(question);
      if (answer !== undefined && this.#screen.length > answered && this.#listens()) {
        answered = this.#screen.length;
        this.#shell.stdin.write(`${answer}\r`);
      }
      return undefined;
    });
  }

  /** undefined: not a question that a guide's reader is told how to answer. */
  #answer(question: string): string | undefined {
    if (/(?:[Pp]assphrase for|The same again for) .+: $/.test(question)) return this.#passphrase;
    if (/(?:New password of .+|The same again): $/.test(question)) return this.#password;
    const shown = /^To sign, type (?:.*\(([0-9a-f ]+)\)|(\S+)): $/.exec(question);
    return shown?.[1] ?? shown?.[2];
  }

  /** The program reads the keys itself by now, and so decides what is echoed. */
  #listens(): boolean {
    const modes = execFileSync('stty', ['-F', this.#tty, '-a'], { encoding: 'utf8' });
    return modes.includes('-icanon');
  }
}
