/**
 * Files as a command reads and writes them: bounded reads, atomic durable writes, one clear code for each trouble.
 *
 * A file is either there whole or not at all: it is written beside its place, flushed, and moved there, and the
 * folder is flushed after it. What a file means is left to others.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fail, type Failure, ok, type Result } from '@airlock/trust';
import { Stop, systemCode } from './stop.ts';

/** Secrets and everything beside them: for their owner only. */
export const secretMode = 0o600;
/** What others may read: certificates, roots, records. */
export const publicMode = 0o644;

/** Configuration, manifests and records that people write: pages, not images. */
const smallFileBytesMax = 1_000_000;

/** What a failed read means, in one line with the file's name. */
function readFailure(error: unknown, path: string): Failure {
  const code = systemCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return fail('CLI_FILE_MISSING', `there is no file ${path}`, path).error;
  }
  return fail('CLI_FILE_READ', `${path} cannot be read (${code ?? String(error)})`, path).error;
}

/** A small file's bytes. Codes: CLI_FILE_MISSING, CLI_FILE_READ (also for more than `bytesMax` bytes). */
export async function readSmallFile(path: string, bytesMax = smallFileBytesMax): Promise<Result<Uint8Array>> {
  try {
    const { size } = await stat(path);
    if (size > bytesMax) {
      return fail('CLI_FILE_READ', `${path} has ${size} bytes, at most ${bytesMax} are expected`, path);
    }
    return ok(await readFile(path));
  } catch (error) {
    return { ok: false, error: readFailure(error, path) };
  }
}

/** A small file as text, in strict UTF-8. */
export async function readTextFile(path: string, bytesMax = smallFileBytesMax): Promise<Result<string>> {
  const bytes = await readSmallFile(path, bytesMax);
  if (!bytes.ok) return bytes;
  try {
    return ok(new TextDecoder('utf-8', { fatal: true }).decode(bytes.value));
  } catch {
    return fail('CLI_FILE_READ', `${path} is not text in UTF-8`, path);
  }
}

/** A JSON file, parsed and not yet believed. Codes: those of reading, CLI_JSON with line and column. */
export async function readJsonFile(path: string, bytesMax = smallFileBytesMax): Promise<Result<unknown>> {
  const text = await readTextFile(path, bytesMax);
  if (!text.ok) return text;
  return parseJson(text.value, path);
}

/** `text` as JSON; `name` is the file that a failure names. */
export function parseJson(text: string, name: string): Result<unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return ok(value);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return fail('CLI_JSON', `${name} is not valid JSON: ${why}`, name);
  }
}

/** What a failed write means. */
export function writeFailure(error: unknown, path: string): Failure {
  const code = systemCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return fail('CLI_DISK_FULL', `no space is left to write ${path}`, path).error;
  }
  return fail('CLI_FILE_WRITE', `${path} cannot be written (${code ?? String(error)})`, path).error;
}

/** Writes and flushes a file in place. Stops with CLI_DISK_FULL or CLI_FILE_WRITE. */
export async function writeDurably(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  try {
    const file = await open(path, 'w', mode);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new Stop(writeFailure(error, path));
  }
}

/** Replaces or makes a file in one step that survives a power cut. Makes its folder (0700) when it is not there. */
export async function writeFileAtomic(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  await makeFolder(dirname(path));
  const beside = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await writeDurably(beside, bytes, mode);
    await rename(beside, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(beside, { force: true });
    throw error instanceof Stop ? error : new Stop(writeFailure(error, path));
  }
}

/** Refuses a home's folder that holds something, with CLI_EXISTS, or that cannot be one, with CLI_FILE_WRITE. */
export async function requireEmpty(folder: string): Promise<void> {
  let entries: readonly string[];
  try {
    entries = await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw new Stop(writeFailure(error, folder));
  }
  if (entries.length === 0) return;
  const message = `${folder} is not empty; a home is made in a folder of its own`;
  throw new Stop(fail('CLI_EXISTS', message, '--home').error);
}

/** Makes a folder for its owner only, with all above it. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Stop(writeFailure(error, path));
  }
}

/** Moves a finished folder to its place, which must be free or empty. Stops with CLI_EXISTS or CLI_FILE_WRITE. */
export async function moveFolder(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
    await syncFolder(dirname(to));
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') {
      throw new Stop(fail('CLI_EXISTS', `${to} is there by now and is never overwritten`, to).error);
    }
    throw new Stop(writeFailure(error, to));
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Whether something is there, of whatever kind. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

/** A file that a command is about to make. */
export interface NewFile {
  readonly path: string;
  readonly bytes: Uint8Array | string;
  readonly mode: number;
}

/** Removes what a command made, and the folders that this left empty, up to `above`. */
export async function removeFiles(paths: readonly string[], above: string): Promise<void> {
  for (const path of paths) {
    await rm(path, { force: true });
    let folder = dirname(path);
    while (folder.startsWith(`${above}/`)) {
      const removed = await rmdir(folder).then(
        () => true,
        () => false,
      );
      if (!removed) break;
      folder = dirname(folder);
    }
  }
}

/**
 * Makes all files or none. Stops with CLI_EXISTS when one is there already (nothing is ever overwritten, a key least
 * of all), CLI_DISK_FULL or CLI_FILE_WRITE. `above` is the folder that is there in any case.
 */
export async function writeNewFiles(files: readonly NewFile[], above: string): Promise<void> {
  for (const { path } of files) {
    if (await exists(path)) {
      throw new Stop(fail('CLI_EXISTS', `${path} is there already and is never overwritten`, path).error);
    }
  }
  const made: string[] = [];
  try {
    for (const file of files) {
      made.push(file.path);
      await writeFileAtomic(file.path, file.bytes, file.mode);
    }
  } catch (error) {
    await removeFiles(made, above);
    throw error;
  }
}

/** The deepest folder above `path` that is there now: what is made below it is removed again on failure. */
export async function nearestFolder(path: string): Promise<string> {
  let folder = dirname(path);
  while (!(await exists(folder)) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
