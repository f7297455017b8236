/**
 * The tables of error codes: where they are, and whether code keeps what they say.
 *
 * Every code stands in one table, is used outside it, and is decided in a function that is in the file named and
 * names the code. The page for people is made in `errors-page.ts`.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { isRecord, readText, repositoryFiles } from '../lib/repository.ts';

export interface TableEntry {
  readonly code: string;
  readonly summary: string;
  readonly remedy: string;
  readonly decidedIn: string;
  readonly httpStatus?: number;
}

export interface ErrorTableFile {
  readonly file: string;
  readonly title: string;
  readonly entries: readonly TableEntry[];
}

/** The tables in the order in which they are documented. A table that is not there yet is not an error here. */
const tables = [
  {
    file: 'packages/trust/src/errors.ts',
    name: 'trustErrors',
    title: 'Trust: why metadata, a manifest or a device record is refused',
  },
  {
    file: 'packages/audit/src/errors.ts',
    name: 'auditErrors',
    title: 'Audit log and statements: why a checkpoint, a proof or a statement is refused',
  },
  {
    file: 'packages/protocol/src/device-codes.ts',
    name: 'deviceCodes',
    title: 'Device: events, results of attempts and faults',
  },
  {
    file: 'packages/protocol/src/api-codes.ts',
    name: 'apiCodes',
    title: 'Server: answers of its interfaces',
  },
  { file: 'packages/cli/src/errors.ts', name: 'cliErrors', title: 'Command line: what `airlock` says no to' },
] as const;

function parseEntry(code: string, value: unknown, file: string): TableEntry {
  if (!isRecord(value)) throw new Error(`${file}: ${code} must be an object`);
  const { summary, remedy, decidedIn, httpStatus } = value;
  if (typeof summary !== 'string' || typeof remedy !== 'string' || typeof decidedIn !== 'string')
    throw new Error(`${file}: ${code} needs summary, remedy and decidedIn`);
  const entry = { code, summary, remedy, decidedIn };
  return typeof httpStatus === 'number' ? { ...entry, httpStatus } : entry;
}

/** Loads the tables that are there. */
export async function readErrorTables(root: string): Promise<ErrorTableFile[]> {
  const found: ErrorTableFile[] = [];
  for (const { file, name, title } of tables) {
    if (!existsSync(path.join(root, file))) continue;
    const loaded: unknown = await import(pathToFileURL(path.join(root, file)).href);
    const table: unknown =
      isRecord(loaded) || typeof loaded === 'object' ? Reflect.get(Object(loaded), name) : undefined;
    if (!isRecord(table)) throw new Error(`${file}: does not export ${name}`);
    const entries = Object.entries(table).map(([code, value]) => parseEntry(code, value, file));
    found.push({ file, title, entries });
  }
  return found;
}

/** Texts of everything that has the name in a source: functions, methods, classes, constants. */
export function declarationsNamed(text: string, name: string): string[] {
  const source = ts.createSourceFile('x.ts', text, ts.ScriptTarget.ESNext, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const named =
      ts.isFunctionDeclaration(node) ||
      ts.isMethodDeclaration(node) ||
      ts.isClassDeclaration(node) ||
      ts.isVariableDeclaration(node) ||
      ts.isPropertyAssignment(node) ||
      ts.isPropertyDeclaration(node);
    if (named && node.name?.getText() === name) found.push(node.getText());
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function checkEntry(root: string, table: string, entry: TableEntry): string[] {
  const { code, decidedIn } = entry;
  const at = `${table}: ${code}`;
  const [file = '', name = ''] = decidedIn.split('#');
  if (!file.endsWith('.ts') || name === '')
    return [`${at}: decidedIn must be path/file.ts#function: ${decidedIn}`];
  if (!existsSync(path.join(root, file))) return [`${at}: decided in ${file}, which is not there`];
  const declared = declarationsNamed(readText(root, file), name);
  if (declared.length === 0) return [`${at}: decided in ${decidedIn}: no such function`];
  return declared.some((text) => text.includes(code)) ? [] : [`${at}: ${decidedIn} does not name the code`];
}

/** All that is wrong with the tables of a repository. */
export function checkErrorTables(root: string, found: readonly ErrorTableFile[]): string[] {
  const own = new Set(found.map(({ file }) => file));
  const sources = repositoryFiles(root, 'packages').filter((name) =>
    /^packages\/[^/]+\/src\/.*\.ts$/.test(name),
  );
  const texts = sources.filter((name) => !own.has(name)).map((name) => readText(root, name));
  const codes = found.flatMap((table) => table.entries.map(({ code }) => ({ code, file: table.file })));
  const twice = codes.filter(({ code }, index) => codes.findIndex((other) => other.code === code) !== index);
  const used = (code: string): boolean => texts.some((text) => new RegExp(`\\b${code}\\b`).test(text));
  return [
    ...found.flatMap((table) => table.entries.flatMap((entry) => checkEntry(root, table.file, entry))),
    ...twice.map(({ code, file }) => `${file}: ${code} stands in another table too`),
    ...codes.filter(({ code }) => !used(code)).map(({ code, file }) => `${file}: ${code} is used nowhere`),
  ];
}
