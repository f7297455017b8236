/**
 * Runs a program of the integrator: self-test, data hook, interlock, boot control, reboot.
 *
 * It keeps true: never a shell; a time limit; a process group of its own that is killed whole, so that no child
 * outlives its program's answer; output read to the end but kept only up to a limit; an environment that holds
 * nothing of the agent's but PATH. What an exit code means is left to each caller.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';

export interface ProgramRun {
  /** Program and arguments; the first is a path, or a name found through PATH. */
  readonly command: readonly string[];
  readonly timeLimitSeconds: number;
  /** Small facts for the program, given as variables; ours begin with `AIRLOCK_`, a tool's are its own. */
  readonly variables?: Readonly<Record<string, string>>;
  /** How much of stdout and of stderr is kept each. */
  readonly outputBytesMax?: number;
  /** `latin1`: each byte is one character, for programs that print binary. */
  readonly outputEncoding?: 'utf8' | 'latin1';
  /** Children that the program leaves behind may live on: only for the command that restarts the device. */
  readonly leaveChildren?: boolean;
}

export type ProgramOutcome =
  | { readonly kind: 'exited'; readonly code: number; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'crashed'; readonly signal: string; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'timed-out'; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'missing'; readonly reason: string };

/** A reason for people and a small JSON answer fit; a program gone wild fills no memory. */
const outputBytesDefault = 4096;
/** A pipe that a runaway grandchild holds open is given up this long after the program ended. */
const drainMillisecondsMax = 500;
const searchPathDefault = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Folders in which a program without a slash is looked for. */
export function searchPath(): readonly string[] {
  return (process.env['PATH'] ?? searchPathDefault).split(':');
}

/** Process groups that run now, so that the agent's own end takes them along. */
const running = new Set<number>();

/** Runs to the end, to the time limit, or not at all; never throws for what the program does. */
export async function runProgram(run: ProgramRun): Promise<ProgramOutcome> {
  const [program, ...rest] = run.command;
  if (program === undefined) throw new TypeError('a command needs at least a program');
  let child: ChildProcess;
  try {
    child = spawn(program, rest, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? searchPathDefault, LC_ALL: 'C.UTF-8', ...run.variables },
      cwd: '/',
    });
  } catch (error) {
    return { kind: 'missing', reason: error instanceof Error ? error.message : 'it could not be started' };
  }
  return await new Promise((resolve) => follow(child, run, resolve));
}

/** Watches one started program until there is an answer about it. */
function follow(child: ChildProcess, run: ProgramRun, resolve: (outcome: ProgramOutcome) => void): void {
  const bytesMax = run.outputBytesMax ?? outputBytesDefault;
  const stdout = keep(child.stdout, bytesMax, run.outputEncoding);
  const stderr = keep(child.stderr, bytesMax, run.outputEncoding);
  const { pid } = child;
  if (pid !== undefined) running.add(pid);
  let timedOut = false;
  const limit = setTimeout(() => {
    timedOut = true;
    killGroup(pid);
  }, run.timeLimitSeconds * 1000);
  child.once('error', (error) => {
    clearTimeout(limit);
    resolve({ kind: 'missing', reason: error.message });
  });
  child.once('exit', (code, signal) => {
    clearTimeout(limit);
    if (run.leaveChildren !== true) killGroup(pid);
    if (pid !== undefined) running.delete(pid);
    const answer = (): void => {
      clearTimeout(drain);
      child.stdout?.destroy();
      child.stderr?.destroy();
      const output = { stdout: stdout(), stderr: stderr() };
      if (timedOut) resolve({ kind: 'timed-out', ...output });
      else if (code === null) resolve({ kind: 'crashed', signal: signal ?? 'unknown', ...output });
      else resolve({ kind: 'exited', code, ...output });
    };
    const drain = setTimeout(answer, drainMillisecondsMax);
    child.once('close', answer);
  });
}

/** Kills every program that still runs; for the end of the agent itself. */
export function killRunningPrograms(): void {
  for (const pid of running) killGroup(pid);
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The whole group is gone already.
  }
}

/** Drains a stream, so that the program never blocks on a full pipe, and keeps only its beginning. */
function keep(stream: Readable | null, bytesMax: number, encoding: 'utf8' | 'latin1' = 'utf8'): () => string {
  const pieces: Buffer[] = [];
  let room = bytesMax;
  stream?.on('data', (piece: Buffer) => {
    if (room === 0) return;
    const taken = piece.subarray(0, room);
    room -= taken.length;
    // A copy: the piece's own buffer is large and would be kept alive by a few bytes.
    pieces.push(Buffer.from(taken));
  });
  stream?.on('error', () => undefined);
  return () => Buffer.concat(pieces).toString(encoding);
}

/** One line of a program's output for a log: printable, without line breaks, short. */
export function firstLine(text: string, charactersMax = 200): string {
  const line = text.split('\n').find((part) => part.trim() !== '') ?? '';
  return line
    .replaceAll(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, ' ')
    .trim()
    .slice(0, charactersMax);
}

/** Why a program did not succeed, in words; undefined when it ended with 0. */
export function failureOf(outcome: ProgramOutcome, timeLimitSeconds: number): string | undefined {
  if (outcome.kind === 'missing') return `could not be started: ${firstLine(outcome.reason)}`;
  if (outcome.kind === 'timed-out') return `did not end within ${timeLimitSeconds} s`;
  if (outcome.kind === 'crashed') return `was ended by ${outcome.signal}`;
  if (outcome.code === 0) return undefined;
  const said = firstLine(outcome.stdout) || firstLine(outcome.stderr);
  return said === '' ? `exit code ${outcome.code}` : `exit code ${outcome.code}: ${said}`;
}

/** `{group}` in a command stands for the booted group's letter: programs are run from the booted group. */
export function commandFor(command: readonly string[], group: string): readonly string[] {
  return command.map((part) => part.replaceAll('{group}', group));
}
