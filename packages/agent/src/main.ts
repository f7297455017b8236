/**
 * The program `airlock-agent`: reads the command line, runs one command, answers an exit code.
 *
 * It keeps true: one line for every error a person can make, with the file or field and what was expected; results on
 * stdout, everything else on stderr; never a secret on either. What the commands do stands in provision.ts,
 * check.ts, inspect.ts and agent.ts.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { plainJson, plainText, type Failure, type GroupLetter, type Result } from '@airlock/trust';
import { createAgent } from './agent.ts';
import { nodeDisk } from './adapters/node-disk.ts';
import { killRunningPrograms } from './adapters/programs.ts';
import { lockStateFolder } from './adapters/single-instance.ts';
import { checkOnce } from './check.ts';
import { compose, loadConfig } from './compose.ts';
import type { AgentConfig } from './config.ts';
import { inspect, readLog } from './inspect.ts';
import { type Level, lineOf, logText, noWatchdog, outcomeText, statusText } from './output.ts';
import { DiskError } from './ports/disk.ts';
import { FloorStoreError, TransportError } from './ports/platform.ts';
import { provision } from './provision.ts';
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
/** After a signal, an attempt is left where its record stands; nothing is worth waiting longer for. */
const stopSecondsMax = 10;

interface Shared {
  readonly config: string;
  readonly json?: boolean;
}

/** Runs one command line (without node and program) and answers the exit code. Never throws. */
export async function main(words: readonly string[]): Promise<number> {
  let code: number = exitCodes.done;
  const program = new Command('airlock-agent')
    .description('Installs signed and approved software on this device, so that no power cut can break it.')
    .version(agentVersion)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
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
      code = await withConfig(options, runDaemon);
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
  try {
    await program.parseAsync([...words], { from: 'user' });
    return code;
  } catch (error) {
    return exitCodeFor(error);
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
  const made = await provision(config, input, nodeDisk());
  if (!made.ok) return tellFailure(made.error, exitCodes.refused);
  const { device, group, version } = made.value;
  const text = `${device} is provisioned: group ${group} holds version ${version}, which is its floor\n`;
  print(options.json === true ? `${JSON.stringify(made.value)}\n` : text);
  return exitCodes.done;
}

async function runDaemon(config: AgentConfig, options: Shared): Promise<number> {
  const tell = (level: Level, text: string): void => {
    process.stderr.write(lineOf(level, text, options.json === true));
  };
  const lock = await lockStateFolder(config.stateFolder);
  if (lock === undefined) {
    process.stderr.write(`airlock-agent: another agent works on ${config.stateFolder}\n`);
    return exitCodes.running;
  }
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    tell('info', `stopping (${signal})`);
    stop.abort();
    // The record says at every moment how to go on, so that waiting for a hung program gains nothing.
    setTimeout(() => {
      killRunningPrograms();
      process.exit(exitCodes.done);
    }, stopSecondsMax * 1000).unref();
  };
  process.once('SIGTERM', onSignal).once('SIGINT', onSignal);
  try {
    const composed = await compose(config, (line) => tell('warning', line));
    if (!composed.ok) return tellFailure(composed.error, exitCodes.usage);
    const { ports, settings, transport } = composed.value;
    const agent = createAgent({ ports, settings });
    tell('info', `agent ${agentVersion} of ${config.device} started in group ${ports.platform.bootedGroup}`);
    if (config.watchdog === undefined) tell('warning', `watchdog: ${noWatchdog}`);
    await agent.boot();
    let said = '';
    await agent.run(stop.signal, (outcome) => {
      // An idle device says so once, not at every poll.
      const text = outcomeText(outcome);
      if (text !== said) tell(outcome.kind === 'failed' ? 'warning' : 'info', text);
      said = text;
    });
    transport.close();
    tell('info', 'stopped');
    return exitCodes.done;
  } finally {
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
    killRunningPrograms();
    await lock.release();
  }
}

async function runCheck(config: AgentConfig, options: Shared): Promise<number> {
  const warn = (line: string): void => {
    process.stderr.write(lineOf('warning', line, options.json === true));
  };
  const answer = await checkOnce(config, warn);
  if (!answer.ok) return tellFailure(answer.error, exitCodes.refused);
  print(`${options.json === true ? plainJson(answer.value) : plainText(answer.value.words)}\n`);
  return answer.value.verdict === 'refused' ? exitCodes.refused : exitCodes.done;
}

async function showLog(config: AgentConfig, options: Shared & { entries: number }): Promise<number> {
  const entries = await readLog(config, options.entries);
  if (entries === undefined) {
    process.stderr.write(
      `airlock-agent: ${config.stateFolder}: expected the log of a provisioned device, found none\n`,
    );
    return exitCodes.refused;
  }
  const lines = entries.map((entry) => `${plainJson(entry)}\n`).join('');
  print(options.json === true ? lines : logText(entries));
  return exitCodes.done;
}

async function withConfig(
  options: Shared,
  work: (config: AgentConfig, options: Shared) => Promise<number>,
): Promise<number> {
  const config: Result<AgentConfig> = await loadConfig(options.config);
  if (!config.ok) return tellFailure(config.error, exitCodes.usage);
  return await work(config.value, options);
}

/** One line for a failure; a wrong configuration has its own exit code wherever it is found. */
function tellFailure(failure: Failure, code: number): number {
  process.stderr.write(`airlock-agent: ${failure.code}: ${plainText(failure.message)}\n`);
  return failure.code === 'OTA_CONFIG' ? exitCodes.usage : code;
}

function exitCodeFor(error: unknown): number {
  // Commander has written its line already; asking for help is no error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (error instanceof FloorStoreError) {
    process.stderr.write(`airlock-agent: OTA_FAIL_FLOOR: ${plainText(error.message)}\n`);
    return exitCodes.failed;
  }
  if (error instanceof TransportError || error instanceof DiskError) {
    process.stderr.write(`airlock-agent: ${error.code}: ${plainText(error.message)}\n`);
    return exitCodes.failed;
  }
  const system = error instanceof Error && 'code' in error && 'syscall' in error;
  const text =
    error instanceof Error ? (system ? error.message : (error.stack ?? error.message)) : String(error);
  const lines = text.split('\n').map(plainText);
  process.stderr.write(`airlock-agent: ${lines.join('\n')}\n`);
  return system ? exitCodes.failed : exitCodes.broken;
}

function parseEntries(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= logEntriesMax) return value;
  throw new InvalidArgumentError(`expected an integer from 1 to ${logEntriesMax}`);
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
