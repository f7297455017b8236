/**
 * The program `airlock-agent`: reads the command line, runs one command, answers an exit code.
 *
 * It keeps true: one line for every error a person can make, with the file or field and what was expected; results on
 * stdout, everything else on stderr; never a secret on either. What the commands do stands in provision.ts, daemon.ts,
 * check.ts, inspect.ts and service-commands.ts.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { plainJson, plainText, type Failure, type GroupLetter, type Result } from '@airlock/trust';
import { diskErrorFrom, nodeDisk } from './adapters/node-disk.ts';
import { checkOnce } from './check.ts';
import { loadConfig } from './compose.ts';
import type { AgentConfig } from './config.ts';
import { consentSecondsMax } from './core/consent.ts';
import { runDaemon } from './daemon.ts';
import { inspect, readLog } from './inspect.ts';
import { failureText, lineOf, logJson, logText, statusText } from './output.ts';
import { DiskError } from './ports/disk.ts';
import { FloorStoreError, TransportError } from './ports/platform.ts';
import { provision } from './provision.ts';
import { type ConsentInput, runConsent, runInstall, type Said } from './service-commands.ts';
import { agentVersion } from './version.ts';

/** Exit codes, as the help lists them. */
const exitCodes = {
  done: 0,
  /** Understood, and the answer is no: refused metadata, a device that is provisioned already. */
  refused: 1,
  /** Command line, configuration or a file it names is wrong. */
  usage: 2,
  /** The server could not be reached, or the medium failed. */
  failed: 3,
  /** Another agent works on the same state folder. */
  running: 4,
  /** This is not the Node version that is wanted, or the agent itself is broken. */
  broken: 70,
} as const;

const exitCodesHelp = `
Exit codes:
  0   done
  1   understood, and the answer is no (a release refused, a device provisioned already)
  2   the command line, the configuration or a file that it names is wrong
  3   the server or the storage failed; try again
  4   another agent works on this state folder
  70  this Node is too old, or the agent is broken
`;

const runHelp = `
The daemon ends on SIGTERM or SIGINT, and can be killed at any moment: it goes on from its record.
It starts itself over once, under the same process id, with --max-semi-space-size=1, --expose-gc and
MALLOC_ARENA_MAX=1, which keep its memory below 120 MB.
`;

/** Entries that \`log\` shows unless told otherwise: a few attempts. */
const logEntriesDefault = 100;
const logEntriesMax = 100_000;

interface Shared {
  readonly config: string;
  readonly json?: boolean;
}

/** Runs one command line (without node and program) and answers the exit code. Never throws. */
export async function main(words: readonly string[]): Promise<number> {
  let code: number = exitCodes.done;
  // Of a command line that cannot be read, too.
  const json = words.includes('--json');
  const program = new Command('airlock-agent')
    .description('Installs signed and approved software on this device, so that no power cut can break it.')
    .version(agentVersion)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    // With --json, `failureFrom` says it.
    .configureOutput({ writeErr: (text) => void (json || process.stderr.write(text)) })
    .addHelpText('after', exitCodesHelp);
  const command = (name: string, text: string): Command =>
    program
      .command(name)
      .description(text)
      .requiredOption('--config <file>', 'configuration of the device (airlock-agent-config/1)')
      .option('--json', 'print JSON');
  addProvision(command, (answer) => (code = answer));
  command('run', 'runs the agent: polls, installs, tests, confirms or rolls back')
    .addHelpText('after', runHelp)
    .action(async (options: Shared) => {
      code = await withConfig(options, async (config) => {
        const ended = await runDaemon(config, options.json === true);
        return ended === undefined ? exitCodes.done : tellFailure(ended, exitCodes.refused, options);
      });
    });
  command('check', 'asks the server once and tells the verdict; installs and writes nothing').action(
    async (options: Shared) => {
      code = await withConfig(options, runCheck);
    },
  );
  command('status', 'shows what this device runs and what its agent is doing; needs no network').action(
    async (options: Shared) => {
      code = await withConfig(options, async (config) => {
        const status = await inspect(config);
        print(options.json === true ? `${plainJson(status, 2)}\n` : statusText(status));
        return exitCodes.done;
      });
    },
  );
  command('log', 'shows the newest events of this device, oldest first; needs no network')
    .option('--entries <number>', 'how many', parseEntries, logEntriesDefault)
    .action(async (options: Shared & { entries: number }) => {
      code = await withConfig(options, async (config) => await showLog(config, options));
    });
  addServiceCommands(command, (answer) => (code = answer));
  try {
    await program.parseAsync([...words], { from: 'user' });
    return code;
  } catch (error) {
    return tellError(error, json);
  }
}

function addProvision(
  command: (name: string, text: string) => Command,
  answer: (code: number) => void,
): void {
  command(
    'provision',
    'makes this device: verifies roots and device record, writes the first state; once only',
  )
    .requiredOption('--image-root <file>', "root of the product's image repository (1.root.json)")
    .requiredOption('--director-root <file>', "root of the director's repository (1.root.json)")
    .requiredOption('--device-record <file>', 'signed device record')
    .requiredOption('--installed <manifest>', 'manifest of the release that the group holds')
    .addOption(
      new Option('--group <letter>', 'group that holds it').choices(['A', 'B']).makeOptionMandatory(true),
    )
    .option('--built-at <time>', 'build time, such as 2026-01-31T12:00:00Z (default: now)', parseTime)
    .action(async (options: Shared & ProvisionOptions) => {
      answer(await withConfig(options, async (config) => await runProvision(config, options)));
    });
}

/** What people at the device ask the running agent for. */
function addServiceCommands(
  command: (name: string, text: string) => Command,
  answer: (code: number) => void,
): void {
  command('consent', 'consents, as the operator, to the release that waits; needs the socket `consent`')
    .requiredOption('--operator <id>', 'who consents')
    .option('--valid-seconds <number>', 'how long the consent counts', parseSeconds)
    .option('--withdraw', 'takes the consent back')
    .action(async (options: Shared & ConsentInput) => {
      answer(
        await withConfig(options, async (config) => tellSaid(await runConsent(config, options), options)),
      );
    });
  command('install', 'has the running agent look now at what is assigned; needs the socket `install`').action(
    async (options: Shared) => {
      answer(await withConfig(options, async (config) => tellSaid(await runInstall(config), options)));
    },
  );
}

function tellSaid(said: Result<Said>, options: Shared): number {
  if (!said.ok) return tellFailure(said.error, exitCodes.refused, options);
  print(`${options.json === true ? plainJson(said.value.value) : plainText(said.value.words)}\n`);
  return exitCodes.done;
}

interface ProvisionOptions {
  readonly imageRoot: string;
  readonly directorRoot: string;
  readonly deviceRecord: string;
  readonly installed: string;
  readonly group: GroupLetter;
  readonly builtAt?: number;
}

async function runProvision(config: AgentConfig, options: Shared & ProvisionOptions): Promise<number> {
  const input = {
    imageRootFile: options.imageRoot,
    directorRootFile: options.directorRoot,
    deviceRecordFile: options.deviceRecord,
    installedFile: options.installed,
    group: options.group,
    // At manufacture the factory's clock is believed; on the device no clock ever is.
    builtAt: options.builtAt ?? Math.floor(Date.now() / 1000),
  };
  const made = await provision(config, input, nodeDisk(), (line) => {
    process.stderr.write(lineOf('warning', line, options.json === true));
  });
  if (!made.ok) return tellFailure(made.error, exitCodes.refused, options);
  const { device, group, version } = made.value;
  const text = `${device} is provisioned: group ${group} holds version ${version}, which is its floor\n`;
  print(options.json === true ? `${JSON.stringify(made.value)}\n` : text);
  return exitCodes.done;
}

async function runCheck(config: AgentConfig, options: Shared): Promise<number> {
  const warn = (line: string): void => {
    process.stderr.write(lineOf('warning', line, options.json === true));
  };
  const answer = await checkOnce(config, warn);
  if (!answer.ok) return tellFailure(answer.error, exitCodes.refused, options);
  print(`${options.json === true ? plainJson(answer.value) : plainText(answer.value.words)}\n`);
  return answer.value.verdict === 'refused' ? exitCodes.refused : exitCodes.done;
}

async function showLog(config: AgentConfig, options: Shared & { entries: number }): Promise<number> {
  const entries = await readLog(config, options.entries);
  if (entries === undefined) {
    const message = `${config.stateFolder}: expected the log of a provisioned device, found none`;
    return tellFailure({ code: 'OTA_STATE_LOST', message }, exitCodes.refused, options);
  }
  print(options.json === true ? logJson(entries) : logText(entries));
  return exitCodes.done;
}

async function withConfig(
  options: Shared,
  work: (config: AgentConfig, options: Shared) => Promise<number>,
): Promise<number> {
  const config: Result<AgentConfig> = await loadConfig(options.config);
  if (!config.ok) return tellFailure(config.error, exitCodes.usage, options);
  return await work(config.value, options);
}

/** Failures that have one exit code wherever they are found. */
const codesOfFailures: Readonly<Record<string, number>> = {
  OTA_CONFIG: exitCodes.usage,
  OTA_AGENT_RUNNING: exitCodes.running,
  OTA_SERVICE_CLOSED: exitCodes.failed,
};

/** One line for a failure. */
function tellFailure(failure: Failure, code: number, { json }: Pick<Shared, 'json'>): number {
  process.stderr.write(failureText(failure, json === true));
  return codesOfFailures[failure.code] ?? code;
}

/** Tells of what was thrown, and answers the exit code. */
function tellError(error: unknown, json: boolean): number {
  // Asking for help is no error, and of any other Commander has written its line already.
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return exitCodes.done;
    if (!json) return exitCodes.usage;
  }
  const { failure, code } = failureFrom(error);
  return tellFailure(failure, code, { json });
}

function failureFrom(error: unknown): { readonly failure: Failure; readonly code: number } {
  const failed = (code: string, { message }: Error, exitCode: number) => ({
    failure: { code, message },
    code: exitCode,
  });
  if (error instanceof CommanderError) {
    const message = error.code === 'commander.help' ? 'expected a command' : error.message;
    return failed('OTA_USAGE', new Error(message.replace(/^error: /, '')), exitCodes.usage);
  }
  if (error instanceof FloorStoreError) return failed('OTA_FAIL_FLOOR', error, exitCodes.failed);
  if (error instanceof TransportError || error instanceof DiskError) {
    return failed(error.code, error, exitCodes.failed);
  }
  if (!(error instanceof Error))
    return failed('OTA_AGENT_BROKEN', new Error(String(error)), exitCodes.broken);
  if ('code' in error && 'syscall' in error) {
    return failed(diskErrorFrom('read', '', error).code, error, exitCodes.failed);
  }
  return failed('OTA_AGENT_BROKEN', new Error(error.stack ?? error.message), exitCodes.broken);
}

function parseEntries(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= logEntriesMax) return value;
  throw new InvalidArgumentError(`expected an integer from 1 to ${logEntriesMax}`);
}

function parseSeconds(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= consentSecondsMax) return value;
  throw new InvalidArgumentError(`expected an integer from 1 to ${consentSecondsMax}`);
}

function parseTime(text: string): number {
  const milliseconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(milliseconds))
    throw new InvalidArgumentError('expected a time such as 2026-01-31T12:00:00Z');
  return milliseconds / 1000;
}

function print(text: string): void {
  process.stdout.write(text);
}
