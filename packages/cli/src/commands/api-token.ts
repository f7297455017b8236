/** `token ...`: API tokens, for programs that act for a user. Made by a person who signed in. */
import { isPermission, type Permission, peopleLimits, permissions } from '@airlock/protocol';
import { type CommandSpec, type Context, reasonOption, wholeNumber } from '../command.ts';
import { nearestFolder, secretMode, writeNewFiles } from '../files.ts';
import { instant, plain, table } from '../output.ts';
import type { ApiToken } from '../people-api.ts';
import { stop } from '../stop.ts';

function readPermission(text: string): Permission {
  if (isPermission(text)) return text;
  const known = Object.keys(permissions).join(', ');
  return stop('CLI_USAGE', `--permission must be one of ${known}, not "${text}"`, '--permission');
}

async function runNew(context: Context): Promise<void> {
  const { options, out } = context;
  const products = options.list('product');
  const value = {
    name: context.argument(0),
    permissions: options.list('permission').map(readPermission),
    ...(products.length === 0 ? {} : { products }),
    days: wholeNumber(options.required('days'), 1, '--days', peopleLimits.apiTokenDaysMax),
  };
  if (value.permissions.length === 0) stop('CLI_USAGE', 'option --permission is needed', '--permission');
  const { people } = await context.api();
  const { token, secret } = await people.addApiToken(value);
  const done = `Made the API token ${plain(token.name)} of ${plain(token.user)}: ${token.permissions.join(', ')}; until ${token.expires}`;
  const file = options.text('out');
  if (file === undefined) {
    out.result({ apiToken: token, secret }, `${done}\nShown this once:\n  ${secret}\n`);
    return;
  }
  const path = context.path(file);
  await writeNewFiles([{ path, bytes: `${secret}\n`, mode: secretMode }], await nearestFolder(path));
  out.result({ apiToken: token, file: path }, `${done}\nIt is in ${path}\n`);
}

async function runList(context: Context): Promise<void> {
  const { people } = await context.api();
  const tokens = await people.apiTokens(context.options.text('user'));
  const now = instant(context.io.now());
  const rows = tokens.map((token) => [
    token.name,
    token.permissions.join(' '),
    token.products.join(' '),
    stateOf(token, now),
  ]);
  context.out.result({ apiTokens: tokens }, table(['NAME', 'PERMISSIONS', 'PRODUCTS', 'STATE'], rows));
}

/** Moments of one form sort as text. */
function stateOf({ revoked, expires }: ApiToken, now: string): string {
  if (revoked !== undefined) return `revoked ${revoked}`;
  return expires <= now ? `ended ${expires}` : `until ${expires}`;
}

async function runRevoke(context: Context): Promise<void> {
  const name = context.argument(0);
  const user = context.options.text('user');
  const { people } = await context.api();
  await people.revokeApiToken(name, user, context.options.text('reason'));
  context.out.result(
    { name, ...(user === undefined ? {} : { user }) },
    `The API token ${plain(name)} is revoked\n`,
  );
}

const ofUser = { flags: '--user <id>', describe: "another user's; for administrators" };

export const apiTokenCommands: readonly CommandSpec[] = [
  {
    usage: 'token new <name>',
    summary: 'make an API token for a program of yours: a part of what you may do, and an end',
    help: `Permissions: ${Object.keys(permissions).join(', ')}.\nManaging users is for people only.`,
    example:
      'token new build-server --permission products:read --permission releases:write --days 90 --out build.token',
    options: [
      { flags: '--permission <name>', describe: 'what it may do (needed)', many: true },
      {
        flags: '--days <n>',
        describe: `how long it lives, at most ${peopleLimits.apiTokenDaysMax} (needed)`,
      },
      { flags: '--product <name>', describe: 'for this product only (default: all of yours)', many: true },
      { flags: '--out <file>', describe: 'write it into a file of yours alone, instead of printing it' },
    ],
    run: runNew,
  },
  {
    usage: 'token list',
    summary: 'API tokens, what they may do and until when',
    example: 'token list',
    options: [ofUser],
    run: runList,
  },
  {
    usage: 'token revoke <name>',
    summary: 'revoke an API token, from its next request on',
    example: 'token revoke build-server --reason "build server was reinstalled"',
    options: [ofUser, reasonOption],
    run: runRevoke,
  },
];
