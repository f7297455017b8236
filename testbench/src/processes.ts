/**
 * Processes and folders that testbench starts, so that none is left behind.
 *
 * Every child stands at the head of a process group of its own; ending one ends its whole group. On a normal end, on
 * Ctrl-C and on a failure `cleanUp` runs once. A SIGKILL of testbench itself cannot be helped.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';

const children = new Set<ChildProcess>();
const folders = new Set<string>();
let watching = false;

export interface SpawnOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Standard output and error are appended to this file; absent: the caller reads the pipes. */
  readonly logFile?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

/** Starts a program; `ended` resolves when it is gone, also when it could not be started. */
export function startProcess(options: SpawnOptions): { child: ChildProcess; ended: Promise<Ended> } {
  watch();
  const output = options.logFile === undefined ? 'pipe' : openSync(options.logFile, 'a');
  const child = spawn(options.command, options.args, {
    stdio: ['ignore', output, output],
    env: { ...process.env, ...options.env },
    detached: true,
  });
  if (typeof output === 'number') closeSync(output);
  children.add(child);
  const ended = new Promise<Ended>((resolve) => {
    child.once('error', () => resolve({ code: undefined, signal: undefined }));
    child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
  }).finally(() => {
    killGroup(child);
    children.delete(child);
  });
  return { child, ended };
}

/** Kills a child and what it started, at once. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // The group is gone already, which is what was wanted.
  }
}

/** Remembers a folder to be removed at the end. */
export function removeAtEnd(folder: string): void {
  watch();
  folders.add(folder);
}

/** Ends every child and removes every folder; may run more than once. */
export function cleanUp(): void {
  for (const child of children) killGroup(child);
  children.clear();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  folders.clear();
}

function watch(): void {
  if (watching) return;
  watching = true;
  process.on('exit', cleanUp);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      cleanUp();
      process.exit(130);
    });
}
