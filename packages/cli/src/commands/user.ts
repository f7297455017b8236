/** `user ...`: who may do what at the server. For administrators, who have signed in. */
import {
  coversProduct,
  everyProduct,
  type Grant,
  isUserRole,
  type UserRole,
  userRoles,
} from '@airlock/protocol';
import { type CommandSpec, type Context, type OptionSpec, reasonOption } from '../command.ts';
import { nearestFolder, secretMode, writeNewFiles } from '../files.ts';
import { plain, table } from '../output.ts';
import type { NewSecret, User } from '../people-api.ts';
import { stop } from '../stop.ts';

const secretOut: OptionSpec = {
  flags: '--secret-out <file>',
  describe: 'write the one-time secret into a file of yours alone, instead of printing it',
};
const grantOptions: readonly OptionSpec[] = [
  { flags: '--function <product/name>', describe: 'a function that the user stands in', many: true },
  {
    flags: '--product <name>',
    describe: `a product that the user is let in for, or ${everyProduct}`,
    many: true,
  },
];

function readRole(text: string, option: string): UserRole {
  if (isUserRole(text)) return text;
  const known = Object.keys(userRoles).join(', ');
  return stop('CLI_USAGE', `--${option} must be one of ${known}, not "${text}"`, `--${option}`);
}

const listed = (context: Context, option: string): UserRole[] =>
  context.options.list(option).map((text) => readRole(text, option));

/** The products that are named, or those of the functions, or every one. */
function productsFor(named: readonly string[], functions: readonly string[]): string[] {
  if (named.length > 0) return [...named];
  const own = functions.map((entry) => entry.split('/')[0] ?? '');
  return own.length === 0 || own.includes(everyProduct) ? [everyProduct] : [...new Set(own)];
}

async function showSecret(context: Context, made: NewSecret, done: string): Promise<void> {
  const { user, secret, secretUntil } = made;
  const file = context.options.text('secret-out');
  if (file === undefined) {
    const how = `${done}\nOne-time secret, shown this once, good until ${secretUntil}:\n  ${secret}\n`;
    context.out.result(
      made,
      `${how}Give it to ${plain(user.name)} by a way that is not the server's: airlock login --user ${user.user}\n`,
    );
    return;
  }
  const path = context.path(file);
  await writeNewFiles([{ path, bytes: `${secret}\n`, mode: secretMode }], await nearestFolder(path));
  context.out.result(
    { user, secretFile: path, secretUntil },
    `${done}\nThe one-time secret is in ${path}, good until ${secretUntil}\n`,
  );
}

async function runAdd(context: Context): Promise<void> {
  const { options } = context;
  const functions = options.list('function');
  const value = {
    user: context.argument(0),
    name: options.required('name'),
    roles: listed(context, 'role'),
    functions,
    products: productsFor(options.list('product'), functions),
  };
  if (value.roles.length === 0) stop('CLI_USAGE', 'option --role is needed', '--role');
  const { people } = await context.api();
  const made = await people.addUser(value, options.text('reason'));
  await showSecret(context, made, `Made the user ${grantText(made.user)}`);
}

function grantText({ user, name, roles, functions, products }: User): string {
  const stands = functions.length === 0 ? '' : `, stands in ${functions.join(', ')}`;
  return plain(
    `${user} (${name}): ${roles.join(', ') || 'no role'}${stands}, for ${products.join(', ') || 'no product'}`,
  );
}

async function runList(context: Context): Promise<void> {
  const { people } = await context.api();
  const users = await people.users();
  const rows = users.map((row) => [
    row.user,
    row.name,
    row.roles.join(' '),
    row.functions.join(' '),
    row.products.join(' '),
    stateOf(row),
  ]);
  context.out.result({ users }, table(['USER', 'NAME', 'ROLES', 'FUNCTIONS', 'PRODUCTS', 'STATE'], rows));
}

function stateOf({ from, secretUntil, lastSignIn, removed }: User): string {
  if (removed !== undefined) return `removed ${removed}`;
  if (secretUntil !== undefined) return `one-time secret until ${secretUntil}`;
  const seen = lastSignIn === undefined ? 'never signed in' : `signed in ${lastSignIn}`;
  return from === 'provider' ? `${seen}, at the identity provider` : seen;
}

/** What the user may do afterwards: roles added and dropped, lists replaced where they are given. */
function nextGrant(context: Context, held: User): Grant {
  const { options } = context;
  const dropped = listed(context, 'drop');
  const missing = dropped.find((role) => !held.roles.includes(role));
  if (missing !== undefined) stop('CLI_USAGE', `${held.user} does not have the role ${missing}`, '--drop');
  const roles = [...new Set([...held.roles.filter(isUserRole), ...listed(context, 'add')])];
  const functions = options.has('function') ? options.list('function') : [...held.functions];
  const named = options.has('product') ? options.list('product') : [...held.products];
  const own = functions.map((entry) => entry.split('/')[0] ?? '');
  const more = options.has('product') ? [] : own.filter((product) => !coversProduct(named, product));
  return {
    roles: roles.filter((role) => !dropped.includes(role)),
    functions: options.flag('clear-functions') ? [] : functions,
    products: [...named, ...more],
  };
}

async function runRole(context: Context): Promise<void> {
  const user = context.argument(0);
  const { people } = await context.api();
  const held = (await people.users()).find((row) => row.user === user && row.removed === undefined);
  if (held === undefined) return stop('CLI_USAGE', `the server has no user ${user}`, 'USER');
  const changed = await people.putGrant(user, nextGrant(context, held), context.options.text('reason'));
  context.out.result(
    { before: held, after: changed },
    `before: ${grantText(held)}\nnow:    ${grantText(changed)}\nIt counts from the next request on\n`,
  );
}

/** Who knew the password may have made some. */
const tokensStay = (user: string): string =>
  `API tokens of theirs stay: airlock token list --user ${user}, airlock token revoke`;

async function runSecret(context: Context): Promise<void> {
  const user = context.argument(0);
  const { people } = await context.api();
  const made = await people.newSecret(user, context.options.text('reason'));
  const done = `The password of ${plain(user)} is void, and their sessions have ended`;
  await showSecret(context, made, `${done}\n${tokensStay(plain(user))}`);
}

async function runEnd(context: Context): Promise<void> {
  const user = context.argument(0);
  const { people } = await context.api();
  await people.endSessions(user, context.options.text('reason'));
  context.out.result({ user }, `The sessions of ${plain(user)} have ended\n${tokensStay(plain(user))}\n`);
}

async function runRemove(context: Context): Promise<void> {
  const user = context.argument(0);
  const { people } = await context.api();
  await people.removeUser(user, context.options.text('reason'));
  context.out.result(
    { user },
    `${plain(user)} is removed: sessions and API tokens have ended, and the id is given to nobody else\n` +
      'Keys of theirs are another thing: see airlock keys ceremony\n',
  );
}

export const userCommands: readonly CommandSpec[] = [
  {
    usage: 'user add <user>',
    summary: 'make a user, with a one-time secret that they sign in with first',
    help: `Roles: ${Object.entries(userRoles)
      .map(([role, { does }]) => `${role} (${does})`)
      .join(', ')}.\nA role opens the server's doors and approves nothing. See docs/permissions.md.`,
    example:
      'user add ada --name "Dr. Ada Quill" --role approver --function infusion-pump/quality --secret-out ada.secret',
    options: [
      { flags: '--name <text>', describe: 'printed name (needed)' },
      { flags: '--role <role>', describe: 'a role (needed)', many: true },
      ...grantOptions,
      secretOut,
      reasonOption,
    ],
    run: runAdd,
  },
  {
    usage: 'user list',
    summary: 'users, what they may do, and when they were here last',
    example: 'user list',
    run: runList,
  },
  {
    usage: 'user role <user>',
    summary: 'change what a user may do, from their next request on',
    help: '--function and --product take the place of the whole list, where they are given.',
    example: 'user role bo --add operator --drop engineer --reason "HR-12"',
    options: [
      { flags: '--add <role>', describe: 'a role that the user gets', many: true },
      { flags: '--drop <role>', describe: 'a role that the user loses', many: true },
      ...grantOptions,
      { flags: '--clear-functions', describe: 'the user stands in no function any more' },
      reasonOption,
    ],
    run: runRole,
  },
  {
    usage: 'user secret <user>',
    summary: 'give a user a new one-time secret, since the password is forgotten or known to others',
    example: 'user secret ada --secret-out ada.secret',
    options: [secretOut, reasonOption],
    run: runSecret,
  },
  {
    usage: 'user end-sessions <user>',
    summary: 'end all sessions of a user',
    example: 'user end-sessions ada --reason "laptop lost"',
    options: [reasonOption],
    run: runEnd,
  },
  {
    usage: 'user remove <user>',
    summary: 'remove a user; the id belongs to nobody else, ever',
    example: 'user remove bo --reason "left the company"',
    options: [reasonOption],
    run: runRemove,
  },
];
