/** `init` and `server`. */
import { readdir, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import { type CommandSpec, type Context, wholeNumber } from '../command.ts';
import { moveFolder, readTextFile, requireEmpty } from '../files.ts';
import { administratorSecretFile, choosePort, makeHome } from '../setup.ts';
import { runServer } from '../server-program.ts';
import { need, stop, systemCode } from '../stop.ts';
import { addProduct, serverConfig, withServer } from './product.ts';
import { keyOptions, keyType, productOptions, readProduct, rootQuorum } from './product-options.ts';

/** A name of the DNS or an address: it goes into URLs and certificates, where anything else fails much later. */
function hosts(context: Context): string[] {
  const given = context.options.list('host');
  const name =
    /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
  const bad = given.find((host) => !name.test(host) && isIP(host) === 0);
  if (bad !== undefined) {
    stop('CLI_USAGE', `--host must be a host name or an address, not "${bad}"`, '--host');
  }
  return [...new Set([...given, 'localhost', '127.0.0.1'])];
}

/** What is said of a product that is not made would be lost without a word. */
function refuseProductOptions({ options }: Context): void {
  const names = productOptions.map(({ flags }) => flags.replace(/^--([a-z-]+).*$/, '$1'));
  const given = names.find((name) => options.has(name));
  if (given === undefined) return;
  stop('CLI_USAGE', `--${given} is of a product, and no --product is named`, `--${given}`);
}

/** The first user, in the form that the server takes: refused here, before the first file is made. */
function administrator({ options }: Context): string {
  const user = options.text('administrator') ?? 'admin';
  if (/^[a-z0-9][a-z0-9._@-]{0,63}$/.test(user)) return user;
  return stop(
    'CLI_USAGE',
    `--administrator must be lower-case letters, digits and . _ @ -, not "${user}"`,
    '--administrator',
  );
}

async function port(context: Context, name: string): Promise<number> {
  const text = context.options.text(name);
  const field = `--${name}`;
  return await choosePort(text === undefined ? undefined : wholeNumber(text, 1, field, 65_535), field);
}

/** Folders beside the home in which an `init` builds it; the number is that of its process. */
const draftName = (folder: string, pid: number | string): string =>
  join(dirname(folder), `.${basename(folder)}.init-${pid}`);

/** Removes what an interrupted `init` of this home left: nobody was ever told of its keys. */
async function removeDrafts(folder: string): Promise<void> {
  const prefix = basename(draftName(folder, ''));
  const names = await readdir(dirname(folder)).catch((): string[] => []);
  for (const name of names.filter((entry) => entry.startsWith(prefix))) {
    const pid = Number(name.slice(prefix.length));
    if (Number.isInteger(pid) && pid > 0 && !isAlive(pid)) {
      // Its server may still be stopping and writing there; then the next `init` removes it.
      await rm(join(dirname(folder), name), { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== 'ESRCH';
  }
}

/** The home is built in a folder beside its place and moved there at the end: it is there whole or not at all. */
async function runInit(given: Context): Promise<void> {
  await requireEmpty(given.home.folder);
  await removeDrafts(given.home.folder);
  const context = given.inHome(draftName(given.home.folder, process.pid));
  try {
    await buildHome(context, given);
  } catch (error) {
    // The reason is the first error, not what cleaning up says of a folder that could not be made.
    await rm(context.home.folder, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  } finally {
    context.close();
  }
}

async function buildHome(context: Context, given: Context): Promise<void> {
  const { home, ring, io, options } = context;
  const product = options.text('product');
  if (product === undefined) refuseProductOptions(context);
  // Everything that can be refused is refused before the first file is made.
  const request = product === undefined ? undefined : await readProduct(context, product);
  const input = {
    hosts: hosts(context),
    devicePort: await port(context, 'device-port'),
    peoplePort: await port(context, 'people-port'),
    director: rootQuorum(context, options.flag('demo'), 'director-root-key'),
    keyType: keyType(context),
    administrator: administrator(context),
    now: io.now(),
  };
  if (input.devicePort === input.peoplePort)
    stop('CLI_PORT_TAKEN', 'the two ports must differ', '--people-port');
  const settings = await makeHome(home, ring, input);
  await ring.record('init');
  await withServer(context, settings, async (api) => {
    await api.postDirectorRoot(need(await readTextFile(home.path('director/1.root.json'))));
    if (request !== undefined) await addProduct(context, settings, request);
  });
  await home.writeSettings(settings);
  const { folder } = given.home;
  await moveFolder(home.folder, folder);
  context.out.result(
    { home: folder, ...settings, ...(product === undefined ? {} : { product }) },
    `Made ${folder}\n  people and API: ${settings.apiUrl}\n  devices:        ${settings.deviceUrl}\n` +
      `Keys are sealed in ${given.home.path('keys')}: copy them to where they are kept.\n` +
      `This home acts for the user ${input.administrator} by an API token of 90 days. To manage users, sign in: airlock login --user ${input.administrator}\n` +
      `  with the one-time secret in ${given.home.path(administratorSecretFile)}\nNext: airlock server --home ${folder}\n`,
  );
}

async function runServerCommand(context: Context): Promise<void> {
  const config = serverConfig(context, await context.home.settings());
  await runServer(config, (text) => context.io.err(text));
}

export const homeCommands: readonly CommandSpec[] = [
  {
    usage: 'init',
    summary: 'make a home: roots, authorities, server, token, and a first product if wanted',
    help: 'Passphrases are asked for twice, without echo. Keys: director.root-N, server-authority, device-authority, and\nthose of the product. The first user has a one-time secret, in administrator.secret. The server of the home is started for this command and stopped again.',
    example:
      'init --home ./acme --product infusion-pump --class C --market us --function engineering="Bo Lind <bo>" --function quality="Dr. Ada Quill <ada>" --minimum C=engineering,quality --minimum us=',
    options: [
      { flags: '--product <name>', describe: 'make this product at once; its options follow' },
      {
        flags: '--host <name>',
        describe: 'name or address of the server; the first one goes into URLs',
        many: true,
      },
      { flags: '--device-port <n>', describe: 'port of the listener for devices (default: a free one)' },
      { flags: '--people-port <n>', describe: 'port of the listener for people (default: a free one)' },
      {
        flags: '--director-root-key <file>',
        describe: "a key of the director's root that was made by key new, instead of new ones",
        many: true,
      },
      { flags: '--administrator <id>', describe: 'the first user (default: admin)' },
      ...keyOptions,
      ...productOptions,
    ],
    run: runInit,
  },
  {
    usage: 'server',
    summary: "run this home's server in the foreground; Ctrl-C stops it",
    example: 'server --home ./acme',
    run: runServerCommand,
  },
];
