/**
 * What every tool needs to know of the repository: where it is, which files it holds, and how to print.
 *
 * It reads; it never writes and never asks the network. Paths are relative to the root, with `/`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** Absolute path of the repository that these tools stand in. */
export const repositoryRoot = path.resolve(import.meta.dirname, '..', '..');

const listBytesMax = 64 * 1024 * 1024; // git ls-files of a repository far larger than this one

/** Files that git knows or would add, that exist, below the folders given; sorted. */
export function repositoryFiles(root: string, ...folders: string[]): string[] {
  const listing = execFileSync(
    'git',
    ['-C', root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard', '--', ...folders],
    { encoding: 'utf8', maxBuffer: listBytesMax },
  );
  const names = listing.split('\0').filter((name) => name !== '');
  return [...new Set(names)].filter((name) => existsSync(path.join(root, name))).sort();
}

export function readText(root: string, name: string): string {
  return readFileSync(path.join(root, name), 'utf8');
}

/** Reads a JSON file; what it holds is unknown until a parser looked at it. */
export function readJson(root: string, name: string): unknown {
  const value: unknown = JSON.parse(readText(root, name));
  return value;
}

/** True for a plain JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value as a list of strings, or an error that names where it was found. */
export function stringList(value: unknown, where: string): string[] {
  if (!Array.isArray(value)) throw new Error(`${where}: a list of strings was expected`);
  return value.map((item: unknown) => {
    if (typeof item !== 'string') throw new Error(`${where}: a list of strings was expected`);
    return item;
  });
}

/** This process's environment with the pinned programs first: `node` must be the one of package.json. */
export function environment(): NodeJS.ProcessEnv {
  const bin = path.join(repositoryRoot, 'node_modules', '.bin');
  return { ...process.env, PATH: `${bin}${path.delimiter}${process.env['PATH'] ?? ''}` };
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints what is wrong, one line each, and sets the exit status. */
export function report(what: string, problems: readonly string[], summary: string): void {
  for (const problem of problems) print(problem);
  if (problems.length > 0) process.exitCode = 1;
  print(problems.length > 0 ? `${what}: ${problems.length} problem(s)` : `${what}: ${summary}`);
}
