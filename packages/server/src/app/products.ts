/** Products, policies, images and releases: what must be here before it can be approved. */
import {
  fail,
  formatInstant,
  newRepositoryState,
  ok,
  parseManifest,
  parsePolicy,
  type Result,
  sha256Hex,
} from '@airlock/trust';
import type { MissingFile, ProductView, ReleaseView } from '@airlock/protocol';
import { type ImageRepository, listersOf, rootViewOf } from '../core/files.ts';
import { countHeld, readPresented } from '../core/proposals.ts';
import { onlineSigners } from '../core/publication.ts';
import { missingFileName } from '../core/restoration.ts';
import { imageOwner } from '../core/versions.ts';
import { checkDemandKnown } from '../core/whole.ts';
import { wasWithdrawn } from '../core/withdrawals.ts';
import type { MissingRow, ProductRow, ReleaseRow } from '../ports/store.ts';
import { missingIn, suspicionsIn } from './claims.ts';
import { type Actor, record } from './audit.ts';
import type { Context } from './context.ts';
import { releaseMarks, touchesOf } from './marks.ts';
import { checkTogether } from './proposal-checks.ts';
import { loadImage } from './repositories.ts';

/** Makes a product from its first root. The same root again changes nothing. */
export async function createProduct(
  context: Context,
  product: string,
  root: string,
  by: Actor,
): Promise<Result<{ readonly created: boolean; readonly view: ProductView }>> {
  const presented = readPresented(product, 'root', root);
  if (!presented.ok) return presented;
  const signed = countHeld(root, 'root', [root]);
  if (!signed.ok) return signed;
  if (!signed.value.enough)
    return fail('OTA_BAD_SIGNATURE', 'root is not signed by its own threshold', 'root');
  const state = newRepositoryState({ repository: 'image', product }, root);
  if (!state.ok) return state;
  if (presented.value.version !== 1) {
    return fail(
      'API_VERSION_USED',
      `a product begins with root 1, this is ${presented.value.version}`,
      'root',
    );
  }
  const online = onlineSigners(presented.value, context.keyring);
  if (!online.ok) return online;
  const apart = await checkTogether(context, {
    product,
    revision: 0,
    root: presented.value,
    roles: new Map(),
  });
  if (!apart.ok) return apart;
  return await context.locks.run(imageOwner(product), async () => {
    const held = await context.store.role(imageOwner(product), 'root', 1);
    if (held !== undefined && held !== root) {
      return fail('API_CONFLICT', `product ${product} exists with another root`, 'product');
    }
    const now = context.clock.now();
    if (held === undefined) {
      await context.store.transaction(async (store) => {
        await store.addProduct(product, now);
        await store.addNumber(product, 'root', 1, presented.value.signedSha256);
        await store.addRole(imageOwner(product), { role: 'root', version: 1, file: root }, now);
        const demo = rootViewOf(root).image?.demo === true;
        const after = { root: 1, rootSha256: sha256Hex(Buffer.from(root)), demo };
        await record(store, by, now, { act: 'product.create', subject: { product }, after });
      });
    }
    const view = await productView(context, product);
    return view.ok ? ok({ created: held === undefined, view: view.value }) : view;
  });
}

export async function productView(context: Context, product: string): Promise<Result<ProductView>> {
  const row = await context.store.product(product);
  if (row === undefined) return fail('API_NOT_FOUND', `there is no product ${product}`, 'product');
  return ok(await viewOfProduct(context, row));
}

export async function productViews(context: Context): Promise<ProductView[]> {
  const views: ProductView[] = [];
  for (const row of await context.store.products()) views.push(await viewOfProduct(context, row));
  return views;
}

async function viewOfProduct(context: Context, row: ProductRow): Promise<ProductView> {
  const repository = await loadImage(context.store, row.product);
  if (repository === undefined) throw new Error(`product ${row.product} has no root`);
  const missing = await missingIn(context.store, row.product);
  const versions = await context.store.currentVersions(imageOwner(row.product));
  return {
    product: row.product,
    demo: rootViewOf(repository.root.file).image?.demo === true,
    rootVersion: repository.root.version,
    published: Object.fromEntries([...repository.roles.values()].map(({ role, version }) => [role, version])),
    ...(repository.snapshot === undefined ? {} : { snapshotVersion: repository.snapshot.version }),
    missing: missing.map((file) => missingView(file, versions.get(file.role))),
    suspicions: await suspicionsIn(context.store, row.product),
    created: formatInstant(row.created),
  };
}

/** `known`: the newest version of the role that is here. */
export function missingView(row: MissingRow, known: number | undefined): MissingFile {
  return { ...row, file: missingFileName(row, known), since: formatInstant(row.since) };
}

/** Stores a policy under its hash. Errors: API_HASH, those of `parsePolicy`, OTA_WRONG_BINDING. */
export async function putPolicy(
  context: Context,
  product: string,
  sha256: string,
  bytes: Uint8Array,
  by: Actor,
): Promise<Result<true>> {
  if ((await context.store.product(product)) === undefined) {
    return fail('API_NOT_FOUND', `there is no product ${product}`, 'product');
  }
  const found = sha256Hex(bytes);
  if (found !== sha256) return fail('API_HASH', `the body has hash ${found}`, 'sha256');
  const policy = parsePolicy(bytes);
  if (!policy.ok) return policy;
  if (policy.value.product !== product) {
    return fail('OTA_WRONG_BINDING', `the policy is for product ${policy.value.product}`, 'product');
  }
  if ((await context.store.document(product, sha256)) !== undefined) return ok(true);
  await context.store.transaction(async (store) => {
    await store.addDocument({ sha256, product, text: Buffer.from(bytes).toString() });
    const act = { act: 'policy.store', subject: { product }, after: { sha256 } } as const;
    await record(store, by, context.clock.now(), act);
  });
  return ok(true);
}

/** Stores a release: its manifest, whose images are here already. The same manifest again changes nothing. */
export async function createRelease(
  context: Context,
  request: { readonly product: string; readonly manifest: string; readonly by: Actor },
): Promise<Result<{ readonly created: boolean; readonly view: ReleaseView }>> {
  const { product } = request;
  const bytes = Buffer.from(request.manifest);
  const manifest = parseManifest(bytes);
  if (!manifest.ok) return manifest;
  if ((await context.store.product(product)) === undefined) {
    return fail('API_NOT_FOUND', `there is no product ${product}`, 'product');
  }
  if (manifest.value.product !== product) {
    return fail('OTA_WRONG_PRODUCT', `the manifest is for product ${manifest.value.product}`, 'product');
  }
  const repository = await loadImage(context.store, product);
  const demanded = repository === undefined ? ok(true) : checkDemandKnown(repository, manifest.value);
  if (!demanded.ok) return demanded;
  for (const [index, image] of manifest.value.images.entries()) {
    const held = await context.store.image(image.hash);
    if (held?.length === image.len) continue;
    const what = held === undefined ? 'was not uploaded' : `has ${held.length} bytes, not ${image.len}`;
    return fail('API_MISSING_FILE', `image ${image.hash} ${what}`, `images[${index}].hash`);
  }
  const row: ReleaseRow = {
    product,
    version: manifest.value.version,
    manifestSha256: sha256Hex(bytes),
    manifestLength: bytes.length,
    name: manifest.value.name,
    safetyClass: manifest.value.safetyClass,
    created: context.clock.now(),
    createdBy: request.by.name,
  };
  const answer = await context.store.transaction(async (store) => {
    const held = await store.release(product, row.version);
    if (held !== undefined) return held;
    await store.addDocument({ sha256: row.manifestSha256, product, text: request.manifest });
    await store.addRelease(row);
    const { version, manifestSha256, name, safetyClass, created } = row;
    const { emergency, change } = manifest.value;
    await record(store, request.by, created, {
      act: 'release.create',
      subject: { product, release: version },
      after: {
        manifestSha256,
        name,
        safetyClass,
        emergency,
        changeRecord: change.record,
        touches: touchesOf(manifest.value),
        regulatory: change.regulatory.decision,
      },
    });
    return undefined;
  });
  if (answer !== undefined && answer.manifestSha256 !== row.manifestSha256) {
    const message = `version ${row.version} of ${product} exists with another manifest: take a higher version`;
    return fail('API_VERSION_USED', message, 'version');
  }
  const view = await releaseView(context, product, row.version);
  return view.ok ? ok({ created: answer === undefined, view: view.value }) : view;
}

export async function releaseView(
  context: Context,
  product: string,
  version: number,
): Promise<Result<ReleaseView>> {
  const row = await context.store.release(product, version);
  if (row === undefined) return fail('API_NOT_FOUND', `${product} has no release ${version}`, 'version');
  const repository = await loadImage(context.store, product);
  const manifest = await context.store.document(product, row.manifestSha256);
  const view = await viewOfRelease(context, repository, row);
  return ok({ ...view, ...(manifest === undefined ? {} : { manifest }) });
}

export async function releaseViews(context: Context, product: string): Promise<Result<ReleaseView[]>> {
  const repository = await loadImage(context.store, product);
  if (repository === undefined) return fail('API_NOT_FOUND', `there is no product ${product}`, 'product');
  const rows = await context.store.releases(product);
  return ok(await Promise.all(rows.map((row) => viewOfRelease(context, repository, row))));
}

async function viewOfRelease(
  { store }: Context,
  repository: ImageRepository | undefined,
  row: ReleaseRow,
): Promise<ReleaseView> {
  const { safetyClass, product, version, manifestSha256 } = row;
  if (safetyClass !== 'A' && safetyClass !== 'B' && safetyClass !== 'C')
    throw new Error('damaged release row');
  const approvedBy = repository === undefined ? [] : listersOf(repository, version, manifestSha256);
  const withdrawnBy: string[] = [];
  for (const role of repository?.roles.keys() ?? []) {
    if (role === 'targets') continue;
    if (wasWithdrawn(await store.listings(imageOwner(product), role, manifestSha256))) withdrawnBy.push(role);
  }
  const marks = await releaseMarks(store, product, manifestSha256);
  return { ...row, safetyClass, ...marks, approvedBy, withdrawnBy, created: formatInstant(row.created) };
}

/** Stores image bytes under their hash; acknowledged only after bytes and name are durable. */
export async function putImage(
  context: Context,
  sha256: string,
  bytes: AsyncIterable<Uint8Array>,
  bytesMax: number,
  by: Actor,
): Promise<Result<{ readonly length: number; readonly created: boolean }>> {
  const put = await context.blobs.put(sha256, bytes, bytesMax);
  switch (put.kind) {
    case 'stored':
      await noteImage(context, sha256, put.length, by);
      return ok({ length: put.length, created: put.created });
    case 'wrong-hash':
      return fail('API_HASH', `the body has hash ${put.sha256}`, 'sha256');
    case 'empty':
      return fail('API_BAD_REQUEST', 'an image must not be empty', 'body');
    case 'too-large':
      return fail('API_TOO_LARGE', `an image may have at most ${bytesMax} bytes`, 'body');
    default:
      return fail('API_DISK_FULL', 'no space is left for the image; nothing was stored', 'body');
  }
}

/** A blob whose row was lost with a power cut is noted by the next upload. */
async function noteImage(
  { store, clock }: Context,
  sha256: string,
  length: number,
  by: Actor,
): Promise<void> {
  if ((await store.image(sha256)) !== undefined) return;
  const now = clock.now();
  await store.transaction(async (inside) => {
    await inside.addImage(sha256, length, now);
    await record(inside, by, now, { act: 'image.store', subject: { image: sha256 }, after: { length } });
  });
}
