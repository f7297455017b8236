/**
 * What a command is: its name, help, example, options, and the function that runs it.
 *
 * Commands are data, so that every one has an example and the same global options, and so that a test can walk them
 * all. `main.ts` gives them to commander; options reach the function typed, through `Options`.
 */
import { isAbsolute, join } from 'node:path';
import { type Api, connect } from './api.ts';
import { Reader } from './fields.ts';
import { Home, homeDefault, type HomeSettings } from './home.ts';
import type { CliIo } from './io.ts';
import { KeyRing } from './keys.ts';
import { Output } from './output.ts';
import { Passphrases } from './passphrases.ts';
import { ServerApi } from './server-api.ts';
import { stop } from './stop.ts';

export interface OptionSpec {
  /** As commander writes it: `--name <text>`. */
  readonly flags: string;
  readonly describe: string;
  /** May be given more than once. */
  readonly many?: boolean;
}

export interface CommandSpec {
  /** Words and arguments: `release approve <product> <version>`. */
  readonly usage: string;
  readonly summary: string;
  /** Longer help, after the summary. */
  readonly help?: string;
  /** One call that works, without the leading `airlock`. */
  readonly example: string;
  readonly options?: readonly OptionSpec[];
  run(context: Context): Promise<void>;
}

/** Of acts that no statement explains. */
export const reasonOption: OptionSpec = {
  flags: '--reason <text>',
  describe: "why; stands in the server's audit log",
};

/** The options of one call, by their long name without dashes. */
export class Options {
  readonly #reader: Reader;

  constructor(values: unknown) {
    this.#reader = new Reader(values, { code: 'CLI_USAGE', name: 'the command line' });
  }

  /** undefined when not given. */
  text(name: string): string | undefined {
    return this.#reader.optional(camel(name))?.text();
  }

  /** Stops with CLI_USAGE when not given. */
  required(name: string): string {
    return this.text(name) ?? stop('CLI_USAGE', `option --${name} is needed`, `--${name}`);
  }

  list(name: string): string[] {
    const found = this.#reader.optional(camel(name));
    return found === undefined ? [] : found.texts();
  }

  flag(name: string): boolean {
    return this.#reader.optional(camel(name))?.value === true;
  }

  has(name: string): boolean {
    return this.#reader.optional(camel(name)) !== undefined;
  }

  /** A whole number from `min`; stops with CLI_NUMBER. */
  integer(name: string, min: number): number | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : wholeNumber(text, min, `--${name}`);
  }

  choice<const T extends string>(name: string, choices: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const found = choices.find((choice) => choice === text);
    return (
      found ?? stop('CLI_USAGE', `--${name} must be one of ${choices.join(', ')}, not "${text}"`, `--${name}`)
    );
  }
}

function camel(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

const releaseVersionMax = 2_147_483_647;

/** Digits only: `1e3`, `0x10`, `+1`, `1.0` and `01` are refused, so that a number is what it looks like. */
export function wholeNumber(text: string, min: number, field: string, max = releaseVersionMax): number {
  const value = Number(text);
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text) || value < min || value > max) {
    return stop('CLI_NUMBER', `${field} must be a whole number from ${min} to ${max}, not "${text}"`, field);
  }
  return value;
}

/** Everything that one call of a command works with. */
export class Context {
  readonly io: CliIo;
  readonly args: readonly string[];
  readonly options: Options;
  readonly home: Home;
  readonly out: Output;
  readonly ring: KeyRing;
  readonly #open: ServerApi[] = [];

  constructor(io: CliIo, args: readonly string[], options: Options, home?: string) {
    this.io = io;
    this.args = args;
    this.options = options;
    this.home = new Home(home ?? this.path(options.text('home') ?? io.env['AIRLOCK_HOME'] ?? homeDefault));
    this.out = new Output(io, options.flag('json'));
    const file = options.text('passphrase-file');
    this.ring = new KeyRing(
      this.home,
      io,
      new Passphrases(io, file === undefined ? undefined : this.path(file)),
    );
  }

  /** A path as the person means it: from where they stand. */
  path(path: string): string {
    return isAbsolute(path) ? path : join(this.io.cwd, path);
  }

  argument(at: number): string {
    return this.args[at] ?? stop('CLI_USAGE', `argument ${at + 1} is missing`);
  }

  /** The same call on another home. */
  inHome(folder: string): Context {
    return new Context(this.io, this.args, this.options, folder);
  }

  /** The server's API for this home; closed when the command ends. */
  async api(settings?: HomeSettings): Promise<ServerApi> {
    const client: Api = await connect(this.home, settings ?? (await this.home.settings()), this.io.now());
    const api = new ServerApi(client);
    this.#open.push(api);
    return api;
  }

  close(): void {
    for (const api of this.#open) api.close();
    this.ring.close();
  }
}
