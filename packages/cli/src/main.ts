/**
 * The program `airlock`: its commands given to commander, and the one place where a stop becomes a line and a status.
 *
 * Exit status: 0 done; 1 refused; 2 wrong command line or input; 3 server not reachable; 4 not confirmed by the
 * person; 70 a fault of the program itself.
 */
import { readFileSync } from 'node:fs';
import { apiCodes, deviceCodes } from '@airlock/protocol';
import { auditErrors } from '@airlock/audit';
import { type ErrorTable, type Failure, trustErrors } from '@airlock/trust';
import { Command, CommanderError, Option } from 'commander';
import { type CommandSpec, Context, Options } from './command.ts';
import { apiTokenCommands } from './commands/api-token.ts';
import { auditCommands } from './commands/audit.ts';
import { ceremonyCommands } from './commands/ceremony.ts';
import { deviceCommands } from './commands/device.ts';
import { deviceRecordCommand } from './commands/device-record.ts';
import { fleetCommands } from './commands/fleet.ts';
import { homeCommands } from './commands/init.ts';
import { joinCommands } from './commands/join.ts';
import { keyPlanCommands } from './commands/key-plan.ts';
import { keysCommands } from './commands/keys.ts';
import { loginCommands } from './commands/login.ts';
import { policyCommands } from './commands/policy.ts';
import { productCommands } from './commands/product.ts';
import { queueCommands } from './commands/queue.ts';
import { releaseCommands } from './commands/release.ts';
import { signCommands } from './commands/sign.ts';
import { userCommands } from './commands/user.ts';
import { cliErrors, exitStatusOf } from './errors.ts';
import { Reader } from './fields.ts';
import type { CliIo } from './io.ts';
import { plain } from './output.ts';
import { Stop } from './stop.ts';
import { processIo } from './terminal.ts';

const exitFault = 70;

/** Every command, in the order of the help. */
export const commands: readonly CommandSpec[] = [
  ...homeCommands,
  ...productCommands,
  ...policyCommands,
  ...deviceCommands,
  deviceRecordCommand,
  ...releaseCommands,
  ...signCommands,
  ...queueCommands,
  ...auditCommands,
  ...fleetCommands,
  ...joinCommands,
  ...loginCommands,
  ...userCommands,
  ...apiTokenCommands,
  ...keysCommands,
  ...ceremonyCommands,
  ...keyPlanCommands,
];

const groupSummaries: Readonly<Record<string, string>> = {
  product: 'products, their roles and functions',
  policy: 'who must approve',
  root: 'what only the holders of a root can change',
  device: 'devices and their records',
  release: 'releases and their approvals',
  proposal: 'roles on their way to their signatures',
  key: 'keys of people',
  audit: "the server's audit log, as this machine follows it",
  user: 'users of the server, and what they may do',
  token: 'API tokens, for programs of users',
  keys: 'keys of roots, roles and server: who holds them, and how they change',
  'keys ceremony': 'changes of keys, signed by holders who never meet',
};

const exitHelp = `
Exit status: 0 done, 1 refused, 2 wrong command line or input, 3 server not reachable, 4 not confirmed, 70 a fault.
Passphrases are asked for without echo; --passphrase-file and AIRLOCK_PASSPHRASE are recorded as unattended, and for
products of class B and C they count only where the root says demo.`;

const tables: readonly ErrorTable[] = [cliErrors, trustErrors, auditErrors, apiCodes, deviceCodes];

/** What a person can do about a code; undefined for a server's code that this version does not know. */
function remedyOf(code: string): string | undefined {
  return tables.find((table) => Object.hasOwn(table, code))?.[code]?.remedy;
}

function printFailure(io: CliIo, failure: Failure, json: boolean): void {
  const { code, message, field } = failure;
  const remedy = remedyOf(code);
  if (json) {
    io.err(
      `${JSON.stringify({ error: { code, message, ...(field ? { field } : {}), ...(remedy ? { remedy } : {}) } })}\n`,
    );
    return;
  }
  const where = field === undefined || message.includes(field) ? '' : ` [${field}]`;
  const help = remedy === undefined ? '' : ` Remedy: ${remedy}`;
  io.err(`airlock: ${code}: ${plain(message.replace(/\.$/, ''))}${plain(where)}.${help}\n`);
}

/** The group of a command, at any depth, made when it is first met. */
function groupOf(program: Command, names: readonly string[]): Command {
  let group = program;
  for (const [at, name] of names.entries()) {
    const words = names.slice(0, at + 1).join(' ');
    const found = group.commands.find((command) => command.name() === name);
    group = found ?? quiet(group.command(name).description(groupSummaries[words] ?? words));
  }
  return group;
}

/** Commander neither prints nor exits: this file does both. */
function quiet(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .configureHelp({ showGlobalOptions: true });
}

function addCommand(
  program: Command,
  spec: CommandSpec,
  run: (spec: CommandSpec, command: Command) => Promise<void>,
) {
  const words = spec.usage.split(' ');
  const names = words.filter((word) => !/^[<[]/.test(word));
  const groups = names.slice(0, -1);
  const parent = groupOf(program, groups);
  const command = quiet(parent.command(words.slice(groups.length).join(' '))).description(
    spec.help === undefined ? spec.summary : `${spec.summary}\n\n${spec.help}`,
  );
  command.summary(spec.summary).addHelpText('after', `\nExample:\n  airlock ${spec.example}`);
  for (const { flags, describe, many } of spec.options ?? []) {
    const option = new Option(flags, describe);
    if (many === true) {
      option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
    }
    command.addOption(option);
  }
  command.action(() => run(spec, command));
}

function version(): string {
  const name = 'package.json of the CLI';
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return new Reader(JSON.parse(text), { code: 'CLI_FILE_READ', name }).at('version').text();
}

/** The program without effects: what runs a command is given. */
function buildProgram(run: (spec: CommandSpec, command: Command) => Promise<void>): Command {
  const program = quiet(new Command('airlock'))
    .description(
      'Over-the-air updates for medical devices: signed, approved, power-safe, and with the proof.',
    )
    .version(version(), '--version', 'print the version')
    .option('--home <folder>', 'the home folder (default: AIRLOCK_HOME or ./airlock-home)')
    .option('--json', 'print results as JSON')
    .option('--passphrase-file <file>', 'take passphrases from a file; recorded as unattended')
    .addHelpText('after', exitHelp);
  for (const spec of commands) addCommand(program, spec, run);
  return program;
}

/**
 * Runs one command line (without node and script) and gives back its exit status. Never exits the process and never
 * throws for what a person, a file or a server did.
 */
export async function runAirlock(argv: readonly string[], io: CliIo): Promise<number> {
  const json = argv.includes('--json');
  const program = buildProgram(async (spec, command) => {
    const values: unknown = command.optsWithGlobals();
    const context = new Context(io, command.args, new Options(values));
    try {
      await spec.run(context);
    } finally {
      context.close();
    }
  });
  sendHelpTo(program, io);
  // Commander's own help command knows one level only and would show the group.
  const words = argv[0] === 'help' && argv.length > 1 ? [...argv.slice(1), '--help'] : [...argv];
  try {
    await program.parseAsync(words, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return commandLineFault(io, error, json);
    if (error instanceof Stop) {
      printFailure(io, error.failure, json);
      return exitStatusOf(error.failure.code);
    }
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    io.err(`airlock: a fault of the program itself; please report it:\n${why}\n`);
    return exitFault;
  }
}

function sendHelpTo(command: Command, io: CliIo): void {
  command.configureOutput({ writeOut: (text) => io.out(text), writeErr: () => undefined });
  for (const child of command.commands) sendHelpTo(child, io);
}

function commandLineFault(io: CliIo, error: CommanderError, json: boolean): number {
  if (error.exitCode === 0) return 0;
  if (error.code === 'commander.help') {
    printFailure(io, { code: 'CLI_USAGE', message: 'a command is needed; see airlock --help' }, json);
  } else {
    const message = error.message.replace(/^error: /, '').replaceAll(/\s+/g, ' ');
    printFailure(io, { code: 'CLI_USAGE', message }, json);
  }
  return exitStatusOf('CLI_USAGE');
}

/** The process: its own streams, its own exit status. */
export async function main(): Promise<void> {
  process.exitCode = await runAirlock(process.argv.slice(2), processIo());
}
