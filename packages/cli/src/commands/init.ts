/** `init` and `server`. */
import { readdir, rm } from 'node:fs/promises';
import { type CommandSpec, type Context, wholeNumber } from '../command.ts';
import { readTextFile } from '../files.ts';
import { choosePort, makeHome } from '../setup.ts';
import { runServer } from '../server-program.ts';
import { need, stop } from '../stop.ts';
import { addProduct, serverConfig, withServer } from './product.ts';
import { keyOptions, keyType, productOptions, readProduct, rootQuorum } from './product-options.ts';

async function requireEmpty(folder: string): Promise<void> {
  const entries = await readdir(folder).catch((): string[] => []);
  if (entries.length > 0)
    stop('CLI_EXISTS', `${folder} is not empty; a home is made in a folder of its own`, '--home');
}

async function port(context: Context, name: string): Promise<number> {
  const text = context.options.text(name);
  const field = `--${name}`;
  return await choosePort(text === undefined ? undefined : wholeNumber(text, 1, field, 65_535), field);
}

async function runInit(context: Context): Promise<void> {
  const { home, ring, io, options } = context;
  await requireEmpty(home.folder);
  const product = options.text('product');
  // Everything that can be refused is refused before the first file is made.
  const request = product === undefined ? undefined : await readProduct(context, product);
  const input = {
    hosts: [...new Set([...options.list('host'), 'localhost', '127.0.0.1'])],
    devicePort: await port(context, 'device-port'),
    peoplePort: await port(context, 'people-port'),
    root: rootQuorum(context, options.flag('demo')),
    keyType: keyType(context),
    now: io.now(),
  };
  if (input.devicePort === input.peoplePort)
    stop('CLI_PORT_TAKEN', 'the two ports must differ', '--people-port');
  try {
    const settings = await makeHome(home, ring, input);
    await withServer(context, settings, async (api) => {
      await api.postDirectorRoot(need(await readTextFile(home.path('director/1.root.json'))));
      if (request !== undefined) await addProduct(context, settings, request);
    });
    if (request === undefined) await ring.record('init');
    await home.writeSettings(settings);
    context.out.result(
      { home: home.folder, ...settings, ...(product === undefined ? {} : { product }) },
      `Made ${home.folder}\n  people and API: ${settings.apiUrl}\n  devices:        ${settings.deviceUrl}\n` +
        `Keys are sealed in ${home.path('keys')}: copy them to where they are kept.\nNext: airlock server --home ${home.folder}\n`,
    );
  } catch (error) {
    await rm(home.folder, { recursive: true, force: true });
    throw error;
  }
}

async function runServerCommand(context: Context): Promise<void> {
  const config = serverConfig(context, await context.home.settings());
  const code = await runServer(config);
  if (code !== 0)
    stop('CLI_SERVER_PROGRAM', `the server ended with status ${code}; its own last line says why`);
}

export const homeCommands: readonly CommandSpec[] = [
  {
    usage: 'init',
    summary: 'make a home: roots, authorities, server, token, and a first product if wanted',
    help: 'Passphrases are asked for twice, without echo. Keys: director.root-N, server-authority, device-authority, and\nthose of the product. The server of the home is started for this command and stopped again.',
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
