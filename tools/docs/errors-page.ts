/**
 * docs/errors.md, made from the error tables, so that neither can hold a code that the other lacks.
 *
 * `npm run docs` writes it; the check compares it byte by byte.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readText } from '../lib/repository.ts';
import type { ErrorTableFile, TableEntry } from './error-tables.ts';

export const errorsPage = 'docs/errors.md';

function cell(text: string): string {
  return text.replaceAll('|', String.raw`\|`).replaceAll('\n', ' ');
}

function rowOf({ code, summary, remedy, decidedIn, httpStatus }: TableEntry): string {
  const [file = '', name = ''] = decidedIn.split('#');
  const status = httpStatus === undefined ? '' : ` (HTTP ${httpStatus})`;
  return `| \`${code}\`${status} | ${cell(summary)} | ${cell(remedy)} | [${name}](../${file}) |`;
}

export function errorsPageText(tables: readonly ErrorTableFile[]): string {
  const sections = tables.map(
    ({ file, title, entries }) =>
      `## ${title}\n\nFrom \`${file}\`.\n\n| code | what happened | what to do | decided in |\n| --- | --- | --- | --- |\n` +
      `${entries.map(rowOf).join('\n')}\n`,
  );
  const head =
    '# Error codes\n\n<!-- Made by `npm run docs` from the error tables in the code. Change those, not this. -->\n\n' +
    'Every refusal and every event carries one of these codes. The last column names the function that decides.\n';
  return [head, ...sections].join('\n');
}

/** Empty when the page says what the tables say. */
export function checkErrorsPage(root: string, tables: readonly ErrorTableFile[]): string[] {
  const there = existsSync(path.join(root, errorsPage)) ? readText(root, errorsPage) : '';
  return there === errorsPageText(tables) ? [] : [`${errorsPage}: is not current: run npm run docs`];
}
