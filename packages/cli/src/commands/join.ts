/**
 * `key new` and `join`: what a person needs on a machine of their own, with no server beside it.
 *
 * The key is made before there is a product: its public half goes to whoever runs `product add --key`, the sealed
 * file stays here. A joined home believes the authority and the root that its person brought, nothing that the server
 * says of itself; the root is pinned by the first command that is given --root.
 */
import { X509Certificate } from 'node:crypto';
import { basename, isAbsolute } from 'node:path';
import { publicKeyJson, trustLimits } from '@airlock/trust';
import { Api } from '../api.ts';
import type { CommandSpec, Context } from '../command.ts';
import { readKeyFile } from '../core/token-key.ts';
import {
  nearestFolder,
  type NewFile,
  publicMode,
  readSmallFile,
  readTextFile,
  requireEmpty,
  secretMode,
  writeNewFiles,
} from '../files.ts';
import { pretty } from '../home.ts';
import type { Session } from '../people-api.ts';
import { ServerApi } from '../server-api.ts';
import { keepSession } from '../session-file.ts';
import { need, stop } from '../stop.ts';
import type { TokenAsk } from '../token.ts';
import { passwordOptions, sessionText, signInByPassword, withoutSecret } from './login.ts';
import { keyType } from './product-options.ts';

async function runKeyNew(context: Context): Promise<void> {
  const { options, ring } = context;
  const path = context.path(context.argument(0));
  const publicOut = options.text('public-out');
  const ask = tokenAsk(context);
  const made =
    ask === undefined
      ? await ring.make(basename(path), keyType(context))
      : await ring.makeInToken(basename(path), options.flag('existing') ? undefined : keyType(context), ask);
  const publicKey = publicKeyJson(made.publicKey);
  const files: NewFile[] = [{ path, bytes: made.sealed.bytes, mode: secretMode }];
  if (publicOut !== undefined) {
    files.push({ path: context.path(publicOut), bytes: pretty(publicKey), mode: publicMode });
  }
  await writeNewFiles(files, await nearestFolder(path));
  const { keyId } = made.publicKey;
  context.out.result(
    { file: path, keyId, publicKey, unattended: ring.passphrases.unattended },
    (ask === undefined
      ? `Made ${path}, sealed by its passphrase; it stays with you\n`
      : `Made ${path}, which names the key ${ask.label} in token ${ask.token}; the key itself stays there\n`) +
      `Its public half, key id ${keyId}, is what others get:\n${pretty(publicKey)}`,
  );
}

/** Where the key is to live, when that is a token: three options that go together. */
function tokenAsk({ options }: Context): TokenAsk | undefined {
  const names = ['module', 'token', 'label'] as const;
  if (names.every((name) => !options.has(name))) {
    return options.flag('existing')
      ? stop('CLI_USAGE', '--existing is of a key in a token, and no --token is named', '--existing')
      : undefined;
  }
  const [module, token, label] = names.map((name) => options.required(name));
  if (module === undefined || token === undefined || label === undefined) return undefined;
  return isAbsolute(module)
    ? { module, token, label }
    : stop('CLI_USAGE', `--module must be an absolute path, not "${module}"`, '--module');
}

/** An origin and nothing behind it: paths are the CLI's. */
function readUrl(text: string): string {
  const url = URL.parse(text);
  const plain = text === url?.origin || text === `${url?.origin}/`;
  if (url === null || !plain || url.protocol !== 'https:') {
    return stop('CLI_USAGE', `"${text}" must be an address such as https://updates.example.com:8444`, 'URL');
  }
  return url.origin;
}

async function readAuthority(file: string): Promise<string> {
  const text = need(await readTextFile(file));
  try {
    return new X509Certificate(text).toString();
  } catch {
    return stop('CLI_FILE_READ', `${file} is not a certificate in PEM`, '--authority');
  }
}

async function readKeys(context: Context): Promise<NewFile[]> {
  const files: NewFile[] = [];
  for (const text of context.options.list('key')) {
    const file = context.path(text);
    const bytes = need(await readSmallFile(file, trustLimits.keyFileBytesMax));
    need(readKeyFile(bytes, file), file);
    const name = basename(file).replace(/(?:\.key)?(?:\.json)?$/, '');
    files.push({ path: context.home.keyFile(name), bytes, mode: secretMode });
  }
  return files;
}

/** How the new home is known to the server: by a person who signs in now, or by an API token. */
type Known =
  | { readonly kind: 'session'; readonly session: Session }
  | { readonly kind: 'token'; readonly token: string };

async function becomeKnown(context: Context, apiUrl: string, authority: string): Promise<Known> {
  const { options } = context;
  const user = options.text('user');
  if (user !== undefined && options.has('token-file')) {
    return stop('CLI_USAGE', '--user and --token-file are two ways: give one', '--token-file');
  }
  if (user !== undefined) {
    const session = await withoutSecret({ apiUrl }, authority, (api) => signInByPassword(context, api, user));
    return { kind: 'session', session };
  }
  const file = options.text('token-file');
  if (file === undefined) return stop('CLI_USAGE', 'option --user or --token-file is needed', '--user');
  return { kind: 'token', token: need(await readTextFile(context.path(file))).trim() };
}

async function runJoin(context: Context): Promise<void> {
  const { home, options } = context;
  const apiUrl = readUrl(context.argument(0));
  await requireEmpty(home.folder);
  const authority = await readAuthority(context.path(options.required('authority')));
  const keys = await readKeys(context);
  const known = await becomeKnown(context, apiUrl, authority);
  // Address, authority and secret are tried before anything is written.
  const token = known.kind === 'token' ? known.token : known.session.secret;
  const api = new ServerApi(new Api({ url: apiUrl, authority, token }));
  const products = await api.products().finally(() => api.close());
  const settings = {
    schema: 'airlock-home/1',
    apiUrl,
    authorityFile: 'tls/server-authority.pem',
    tokenFile: 'token',
  } as const;
  const files = [
    ...keys,
    { path: home.path(settings.authorityFile), bytes: authority, mode: publicMode },
    ...(known.kind === 'token'
      ? [{ path: home.path(settings.tokenFile), bytes: `${token}\n`, mode: secretMode }]
      : []),
  ];
  await writeNewFiles(files, await nearestFolder(home.folder));
  if (known.kind === 'session') await keepSession(home, known.session);
  await home.writeSettings(settings);
  const names = products.map(({ product }) => product);
  const who = known.kind === 'session' ? `Signed in as ${sessionText(known.session)}\n` : '';
  context.out.result(
    { home: home.folder, apiUrl, products: names, keys: keys.map(({ path }) => path) },
    `Made ${home.folder} for ${apiUrl}; its products: ${names.join(', ') || 'none yet'}\n${who}` +
      'Next: airlock release approve PRODUCT VERSION --as FUNCTION --root FILE\n' +
      'The root comes from whoever made the product, not from the server; it is needed once.\n',
  );
}

export const joinCommands: readonly CommandSpec[] = [
  {
    usage: 'key new <file>',
    summary: 'make a key of your own, sealed by a passphrase that is asked for twice',
    help: 'Give the public half to whoever makes the product (product add --key HOLDER=FILE); the file itself stays here.\nWith --token the key is made inside a token (PKCS#11) and never leaves it; the file only names it.',
    example: 'key new ada.key.json --public-out ada.public.json',
    options: [
      { flags: '--public-out <file>', describe: 'write the public half into a file of its own' },
      { flags: '--key-type <type>', describe: 'ed25519 (default) or p256' },
      {
        flags: '--module <path>',
        describe: 'PKCS#11 library of the token, such as /usr/lib/softhsm/libsofthsm2.so',
      },
      { flags: '--token <label>', describe: 'label of the token' },
      { flags: '--label <text>', describe: 'label of the key in the token' },
      { flags: '--existing', describe: 'the key is in the token already' },
    ],
    run: runKeyNew,
  },
  {
    usage: 'join <url>',
    summary: 'make a home on a machine that signs, for a server that runs elsewhere',
    help: 'The authority comes from whoever runs the server: tls/server-authority.pem of its home. With --user you sign in now,\nwith your one-time secret at first; with --token-file the home acts by an API token.',
    example:
      'join https://updates.example.com:8444 --authority server-authority.pem --user ada --key ada.key.json',
    options: [
      { flags: '--authority <file>', describe: "certificate of the server's authority (needed)" },
      { flags: '--user <id>', describe: 'sign in as this user' },
      ...passwordOptions,
      { flags: '--token-file <file>', describe: 'file with an API token, instead of a user' },
      { flags: '--key <file>', describe: 'a sealed key to copy into the home', many: true },
    ],
    run: runJoin,
  },
];
