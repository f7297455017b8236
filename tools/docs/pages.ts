/**
 * Pages that are made from code, so that they cannot say anything else: the error codes and the state machine.
 *
 * `npm run docs` writes them; the check compares them byte by byte.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readText } from '../lib/repository.ts';
import type { ErrorTableFile, TableEntry } from './error-tables.ts';

export interface Page {
  readonly file: string;
  readonly text: string;
}

const made = '<!-- Made by `npm run docs` from the code. Change that, not this. -->';

function cell(text: string): string {
  return text.replaceAll('|', String.raw`\|`).replaceAll('\n', ' ');
}

function rowOf({ code, summary, remedy, decidedIn, httpStatus }: TableEntry): string {
  const [file = '', name = ''] = decidedIn.split('#');
  const status = httpStatus === undefined ? '' : ` (HTTP ${httpStatus})`;
  return `| \`${code}\`${status} | ${cell(summary)} | ${cell(remedy)} | [${name}](../${file}) |`;
}

export function errorsPage(tables: readonly ErrorTableFile[]): Page {
  const sections = tables.map(
    ({ file, title, entries }) =>
      `## ${title}\n\nFrom \`${file}\`.\n\n| code | what happened | what to do | decided in |\n| --- | --- | --- | --- |\n` +
      `${entries.map(rowOf).join('\n')}\n`,
  );
  const head = `# Error codes\n\n${made}\n\nEvery refusal and every event carries one of these codes. The last column names the function that decides.\n`;
  return { file: 'docs/errors.md', text: [head, ...sections].join('\n') };
}

export interface Arrow {
  readonly name: string;
  readonly from: string;
  readonly event: string;
  readonly to: string;
}

export interface Ignored {
  readonly state: string;
  readonly event: string;
  readonly why: string;
}

export function statesPage(picture: string, arrows: readonly Arrow[], ignored: readonly Ignored[]): Page {
  const rows = arrows.map(({ name, from, event, to }) => `| ${from} | ${event} | ${name} | ${to} |`);
  const silent = ignored.map(({ state, event, why }) => `| ${state} | ${event} | ${why} |`);
  const text = [
    '# The agent’s state machine',
    made,
    'Drawn from the table in `packages/agent/src/core/transitions.ts`. Each row is one arrow, and exactly one row fits\na state, an event and the facts of the moment. What each arrow makes durable stands in\n[write order](write-order.md).',
    `\`\`\`mermaid\n${picture.trim()}\n\`\`\``,
    ['| from | event | arrow | to |', '| --- | --- | --- | --- |', ...rows].join('\n'),
    'These may happen and change nothing; any other pair is an error of the program.',
    `${['| state | event | why |', '| --- | --- | --- |', ...silent].join('\n')}\n`,
  ].join('\n\n');
  return { file: 'docs/states.md', text };
}

/** All pages, from the code as it is now. */
export async function makePages(tables: readonly ErrorTableFile[]): Promise<Page[]> {
  const { transitions, ignored } = await import('../../packages/agent/src/core/transitions.ts');
  const { renderMermaid } = await import('../../packages/agent/src/core/machine.ts');
  return [errorsPage(tables), statesPage(renderMermaid(), transitions, ignored)];
}

/** Empty when every page says what the code says. */
export function checkPages(root: string, pages: readonly Page[]): string[] {
  return pages
    .filter(({ file, text }) => !existsSync(path.join(root, file)) || readText(root, file) !== text)
    .map(({ file }) => `${file}: is not current: run npm run docs`);
}
