/**
 * The server's own program as the CLI starts it: for good (`airlock server`), for one question (`token`,
 * `online-keys`), or for as long as a command needs it.
 *
 * The server is never imported, only spawned; the two meet in its configuration file and its JSON lines.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { fail } from '@airlock/trust';
import { Reader } from './fields.ts';
import { parseJson } from './files.ts';
import { need, Stop, stop } from './stop.ts';

const program = 'airlock-server';
/** Migrations of a large database and opening the online keys; more is a hang. */
const startMsMax = 60_000;
/** A server that does not stop is killed: it loses no acknowledged act by that. */
const stopMsMax = 10_000;

/** The file that runs the server, found by way of its package. */
function programFile(): string {
  let folder = dirname(fileURLToPath(import.meta.resolve('@airlock/server')));
  for (;;) {
    const text = readPackage(folder);
    if (text !== undefined) {
      const reader = new Reader(JSON.parse(text), {
        code: 'CLI_SERVER_PROGRAM',
        name: join(folder, 'package.json'),
      });
      return join(folder, reader.at('bin').at(program).text());
    }
    if (dirname(folder) === folder)
      return stop('CLI_SERVER_PROGRAM', `the package of ${program} is not installed`);
    folder = dirname(folder);
  }
}

function readPackage(folder: string): string | undefined {
  try {
    return readFileSync(join(folder, 'package.json'), 'utf8');
  } catch {
    return undefined;
  }
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function collect(child: ChildProcess): Promise<Ended> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  await once(child, 'close');
  return { code: child.exitCode, stdout, stderr };
}

/** Runs a single command of the server's program and gives back its JSON answer. Stops with CLI_SERVER_PROGRAM. */
export async function askServerProgram(args: readonly string[]): Promise<Reader> {
  const child = spawn(process.execPath, [programFile(), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const { code, stdout, stderr } = await collect(child);
  const name = `${program} ${args[0] ?? ''}`;
  if (code !== 0) throw refused(name, stderr || stdout);
  return new Reader(need(parseJson(stdout.trim(), `the answer of ${name}`)), {
    code: 'CLI_SERVER_PROGRAM',
    name,
  });
}

/** The server's own line says what is wrong, with its own code; it is passed on whole. */
function refused(name: string, text: string): Stop {
  const line = text.trim().split('\n').at(-1) ?? '';
  if (/EADDRINUSE|API_PORT|PORT_TAKEN/.test(text)) {
    return new Stop(fail('CLI_PORT_TAKEN', `a port that the server is to listen on is taken: ${line}`).error);
  }
  if (text.includes('API_DISK_FULL')) {
    return new Stop(fail('CLI_DISK_FULL', `no space is left for the server's folder: ${line}`).error);
  }
  return new Stop(
    fail('CLI_SERVER_PROGRAM', `${name} refused: ${line === '' ? 'it said nothing' : line}`).error,
  );
}

/** A server that runs for a command. */
export interface RunningServer {
  stop(): Promise<void>;
}

/** Starts the server and waits until it listens. Stops with CLI_SERVER_PROGRAM or CLI_PORT_TAKEN. */
export async function startServer(configFile: string): Promise<RunningServer> {
  const args = [programFile(), 'run', '--config', configFile, '--until-stdin-ends'];
  // The pipe ends with this process, also when it is killed: no server stays behind on the ports.
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = collect(child);
  const lines = createInterface({ input: child.stdout });
  const { promise, resolve } = Promise.withResolvers<'listening' | 'late'>();
  lines.on('line', (line) => {
    if (line.includes('"listening"')) resolve('listening');
  });
  const timer = setTimeout(() => resolve('late'), startMsMax);
  const outcome = await Promise.race([promise, ended]);
  clearTimeout(timer);
  if (outcome === 'listening') return { stop: () => stopChild(child, ended) };
  if (outcome !== 'late') throw refused(`${program} run`, outcome.stderr || outcome.stdout);
  await stopChild(child, ended);
  return stop('CLI_SERVER_PROGRAM', `${program} did not listen within ${startMsMax / 1000} s`);
}

async function stopChild(child: ChildProcess, ended: Promise<Ended>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopMsMax);
  await ended;
  clearTimeout(timer);
}

/**
 * Runs the server in the foreground: its streams are ours, signals are passed on. Stops with CLI_PORT_TAKEN or
 * CLI_SERVER_PROGRAM when it refuses; its last line becomes part of ours, so that one line says what is wrong.
 */
export async function runServer(configFile: string, err: (text: string) => void): Promise<void> {
  const child = spawn(process.execPath, [programFile(), 'run', '--config', configFile], {
    stdio: ['inherit', 'inherit', 'pipe'],
  });
  let refusal = '';
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.startsWith(`${program}: `)) refusal = line;
    else err(`${line}\n`);
  });
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  process.on('SIGINT', forward);
  process.on('SIGTERM', forward);
  try {
    await once(child, 'close');
    if (child.exitCode !== 0) throw refused(`${program} run`, refusal);
  } finally {
    process.off('SIGINT', forward);
    process.off('SIGTERM', forward);
  }
}
