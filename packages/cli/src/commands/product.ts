/** `product add | list | show | publish`. */
import type { ImageView } from '@airlock/trust';
import type { CommandSpec, Context } from '../command.ts';
import { removeFiles, writeNewFiles } from '../files.ts';
import { exists } from '../files.ts';
import type { HomeSettings } from '../home.ts';
import { auditLog, imageOnlineKeys } from '../online-keys.ts';
import { instant, plain, table } from '../output.ts';
import { makeProduct, publishProduct } from '../product.ts';
import type { ServerApi } from '../server-api.ts';
import { type RunningServer, startServer } from '../server-program.ts';
import { verifyRepository } from '../signer.ts';
import { Stop, stop } from '../stop.ts';
import { keyOptions, productOptions, readProduct } from './product-options.ts';

/** What `readProduct` gives. */
export type ProductRequest = Awaited<ReturnType<typeof readProduct>>;

/** The config of the server that belongs to this home. Stops with CLI_NO_SERVER on a machine that only signs. */
export function serverConfig(context: Context, settings: HomeSettings): string {
  return settings.serverConfig === undefined
    ? stop('CLI_NO_SERVER', 'this home has no server of its own', 'airlock.json')
    : context.home.path(settings.serverConfig);
}

/** Runs `act` against the server: the one that runs, or one that is started for it and stopped again. */
export async function withServer(
  context: Context,
  settings: HomeSettings,
  act: (api: ServerApi) => Promise<void>,
): Promise<void> {
  const api = await context.api(settings);
  let started: RunningServer | undefined;
  try {
    await api.health();
  } catch (error) {
    if (!(error instanceof Stop) || error.failure.code !== 'CLI_SERVER_UNREACHABLE') throw error;
    if (settings.serverConfig === undefined) throw error;
    context.out.note('The server is not running; it is started for this command.');
    started = await startServer(context.home.path(settings.serverConfig));
  }
  try {
    await act(api);
  } finally {
    api.close();
    await started?.stop();
  }
}

/** Makes a product and publishes it; what the server has not taken is removed again. */
export async function addProduct(
  context: Context,
  settings: HomeSettings,
  request: ProductRequest,
): Promise<ImageView> {
  const { home, ring, io } = context;
  const { product } = request;
  if (await exists(home.path('products', product))) {
    stop('CLI_EXISTS', `this home has a product ${product} already`, 'PRODUCT');
  }
  const config = serverConfig(context, settings);
  const online = await imageOnlineKeys(config, product);
  const audit = await auditLog(config);
  const files = await makeProduct(home, ring, { ...request, online, audit, now: io.now() });
  await writeNewFiles(files, home.folder);
  await ring.record(`product add ${product}`);
  let view: ImageView | undefined;
  try {
    await withServer(context, settings, async (api) => {
      await publishProduct(home, api, product);
      view = (await verifyRepository(home, product, api, io.now())).view;
    });
  } catch (error) {
    await undo(
      context,
      settings,
      product,
      files.map(({ path }) => path),
    );
    throw error;
  }
  return view ?? stop('CLI_SERVER_ANSWER', 'the product could not be verified after publishing', product);
}

/** Files go again unless the server knows the product: then they are needed for `product publish`. */
async function undo(
  context: Context,
  settings: HomeSettings,
  product: string,
  files: string[],
): Promise<void> {
  let known = false;
  try {
    await withServer(context, settings, async (api) => {
      known = (await api.products()).some((entry) => entry.product === product);
    });
  } catch {
    // Not reachable: it never took anything that it could have acknowledged.
  }
  if (!known) await removeFiles([...files, context.home.signerFile(product)], context.home.folder);
}

async function runAdd(context: Context): Promise<void> {
  const settings = await context.home.settings();
  const request = await readProduct(context, context.argument(0));
  const view = await addProduct(context, settings, request);
  context.out.result(productJson(view, request.product), productLines(view, request.product));
}

async function runList(context: Context): Promise<void> {
  const api = await context.api();
  const products = await api.products();
  const rows = products.map((entry) => [
    entry.product,
    String(entry.rootVersion),
    Object.entries(entry.published)
      .map(([role, version]) => `${role} ${version}`)
      .join(', '),
    [
      ...(entry.demo ? ['demo'] : []),
      ...entry.missing.map((file) => `missing ${file}`),
      ...entry.suspicions.map((claim) => `claimed ${claim}`),
    ].join(', '),
  ]);
  context.out.result({ products }, table(['PRODUCT', 'ROOT', 'PUBLISHED', 'REMARKS'], rows));
}

async function verifiedView(context: Context): Promise<ImageView> {
  const product = context.argument(0);
  // A machine that only signs holds no product of its own, but the state that began with the root pinned there.
  if (!(await exists(context.home.signerFile(product)))) await context.home.product(product);
  const api = await context.api();
  return (await verifyRepository(context.home, product, api, context.io.now())).view;
}

async function runShow(context: Context): Promise<void> {
  const view = await verifiedView(context);
  context.out.result(productJson(view, context.argument(0)), productLines(view, context.argument(0)));
}

async function runPublish(context: Context): Promise<void> {
  const product = context.argument(0);
  await context.home.product(product);
  await withServer(context, await context.home.settings(), async (api) => {
    await publishProduct(context.home, api, product);
    const { view } = await verifyRepository(context.home, product, api, context.io.now());
    context.out.result(productJson(view, product), productLines(view, product));
  });
}

function productJson(view: ImageView, product: string) {
  return {
    product,
    demo: view.demo,
    root: { version: view.root.version, expires: instant(view.root.expires) },
    targets: { version: view.targets.version, expires: instant(view.targets.expires) },
    functions: Object.entries(view.functions).map(([name, role]) => ({
      function: name,
      version: role.version,
      expires: instant(role.expires),
      threshold: role.threshold,
      holders: view.policy.holders.filter((held) => held.function === name),
      releases: role.releases.map(({ version, sha256 }) => ({ version, manifestSha256: sha256 })),
    })),
    problems: view.failures,
  };
}

function productLines(view: ImageView, product: string): string {
  const rows = Object.entries(view.functions).map(([name, role]) => [
    name,
    String(role.version),
    String(role.threshold),
    view.policy.holders
      .filter((held) => held.function === name)
      .map((held) => held.name)
      .join(', '),
    role.releases.map(({ version }) => version).join(' ') || '-',
    instant(role.expires),
  ]);
  const head = `Product ${plain(product)}, verified on this machine${view.demo ? ' (DEMO root)' : ''}\n`;
  const roots = `root ${view.root.version} until ${instant(view.root.expires)}, targets ${view.targets.version} until ${instant(view.targets.expires)}\n`;
  const names = ['FUNCTION', 'VERSION', 'NEEDS', 'HOLDERS', 'APPROVES', 'UNTIL'];
  return `${head}${roots}${table(names, rows)}`;
}

export const productCommands: readonly CommandSpec[] = [
  {
    usage: 'product add <product>',
    summary: 'make a product: its keys, root, policy and functions',
    help: 'Everything is signed here and then published. If the server of this home is not running, it is started for\nthis command and stopped again.',
    example:
      'product add infusion-pump --class C --market us --function engineering="Bo Lind <bo>" --function quality="Dr. Ada Quill <ada>" --minimum C=engineering,quality --minimum us=',
    options: [...keyOptions, ...productOptions],
    run: runAdd,
  },
  { usage: 'product list', summary: 'products that the server knows', example: 'product list', run: runList },
  {
    usage: 'product show <product>',
    summary: 'roles, functions, holders and approvals, verified here',
    example: 'product show infusion-pump',
    run: runShow,
  },
  {
    usage: 'product publish <product>',
    summary: 'finish publishing a product that was made here',
    example: 'product publish infusion-pump',
    run: runPublish,
  },
];
