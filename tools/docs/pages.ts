/**
 * Pages that are made from code, so that they cannot say anything else: the error codes, the state machine, and who may
 * do what.
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

interface RouteRow {
  readonly route: string;
  readonly needs: string;
  readonly of: string;
  readonly person: boolean;
  readonly does: string;
}

interface UserRoleRow {
  readonly role: string;
  readonly does: string;
  readonly may: readonly string[];
}

const scopeWords: Readonly<Record<string, string>> = {
  product: 'the product in the path',
  function: "the caller's own function of the product in the path, or `ceremonies:write`",
  device: 'the product of the device in the path',
  body: 'the product in the body',
  list: "answers what is the caller's",
  fleet: 'callers for every product',
  none: '',
  self: 'the caller alone',
};

function permissionsPage(
  permissions: readonly (readonly [string, string])[],
  roles: readonly UserRoleRow[],
  routes: readonly RouteRow[],
): Page {
  const mark = (may: readonly string[], permission: string) => (may.includes(permission) ? 'yes' : '');
  const matrix = permissions.map(([permission, does]) => {
    const cells = roles.map(({ may }) => mark(may, permission));
    return `| \`${permission}\` | ${cell(does)} | ${cells.join(' | ')} |`;
  });
  const names = roles.map(({ role }) => role);
  const rows = routes.map(({ route, needs, of, person, does }) => {
    const who = needs === 'public' ? 'everyone' : needs === 'signed-in' ? 'whoever is known' : `\`${needs}\``;
    return `| \`${route}\` | ${cell(does)} | ${who} | ${scopeWords[of] ?? of} | ${person ? 'yes' : ''} |`;
  });
  const text = [
    '# Who may do what at the server',
    made,
    'Made from `packages/protocol/src/permissions.ts` and from the one table of routes,\n`packages/server/src/core/routes.ts`. The server does not start with a route that is not in it, and a test asks for\nevery route with every role. None of this approves anything: what a device installs is decided by signatures.',
    '## Roles of users',
    roles.map(({ role, does }) => `- **${role}** ${does}`).join('\n'),
    [
      `| permission | lets | ${names.join(' | ')} |`,
      `| --- | --- | ${names.map(() => '---').join(' | ')} |`,
      ...matrix,
    ].join('\n'),
    'A session has what its user’s roles have. An API token has the part that it was made with, as far as its user still\nhas it, and never `users:write`.',
    '## Routes',
    '"For": of which product it may be; for any other one the answer is that it does not exist. "Person": a session, not\nan API token.',
    `${['| route | what it does | needs | for | person |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')}\n`,
  ].join('\n\n');
  return { file: 'docs/permissions.md', text };
}

async function makePermissionsPage(): Promise<Page> {
  const { permissions, userRoles } = await import('../../packages/protocol/src/permissions.ts');
  const { routeTable } = await import('../../packages/server/src/core/routes.ts');
  const roles = Object.entries(userRoles).map(([role, entry]) => ({ role, ...entry }));
  const routes = Object.entries(routeTable).map(([route, rule]) => ({
    route,
    ...rule,
    person: rule.person === true,
  }));
  return permissionsPage(Object.entries(permissions), roles, routes);
}

/** All pages, from the code as it is now. */
export async function makePages(tables: readonly ErrorTableFile[]): Promise<Page[]> {
  const { transitions, ignored } = await import('../../packages/agent/src/core/transitions.ts');
  const { renderMermaid } = await import('../../packages/agent/src/core/machine.ts');
  return [errorsPage(tables), statesPage(renderMermaid(), transitions, ignored), await makePermissionsPage()];
}

/** Empty when every page says what the code says. */
export function checkPages(root: string, pages: readonly Page[]): string[] {
  return pages
    .filter(({ file, text }) => !existsSync(path.join(root, file)) || readText(root, file) !== text)
    .map(({ file }) => `${file}: is not current: run npm run docs`);
}
