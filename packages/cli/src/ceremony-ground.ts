/**
 * What a ceremony stands on, verified on this machine: a product's repository, or the director's root.
 *
 * A root is followed from the one that is pinned here, each new one signed by the one before and by itself. With a
 * connection the product's whole repository is verified; what is merely expired still stands, since renewing it is what
 * a ceremony may be for. Without one (`--offline`) the roots in the ceremony file are followed, and nothing but roots
 * can be signed. Beside it stands what was signed here under which number.
 */
import { readdir } from 'node:fs/promises';
import {
  fail,
  newRepositoryState,
  ok,
  parsePolicy,
  type PublicKey,
  readRole,
  type Result,
  type RootView,
  type SafetyClass,
  sha256Hex,
  trustLimits,
  verifyRoleFile,
} from '@airlock/trust';
import type { Context } from './command.ts';
import type { CeremonyOwner } from './core/ceremony-file.ts';
import type { Ground } from './core/ceremony.ts';
import type { NameOf } from './core/ceremony-words.ts';
import { Reader } from './fields.ts';
import { exists, publicMode, readJsonFile, readTextFile, secretMode, writeFileAtomic } from './files.ts';
import { type Home, pretty } from './home.ts';
import { heldSigner, type SignerState, tryVerify } from './signer.ts';
import { need, Stop, stop } from './stop.ts';

/** The ground and what belongs to it. */
export interface CeremonyGround {
  readonly ground: Ground;
  readonly root: RootView;
  /** Of a product only. */
  readonly signer?: SignerState;
  readonly signedAs: Readonly<Record<string, string>>;
}

export interface GroundOptions {
  readonly offline: boolean;
  /** Root to pin, on a machine that sees the owner for the first time. */
  readonly rootFile?: string;
  /** Roots that a ceremony file brought. */
  readonly chain?: readonly string[];
}

/** The name under which the owner's files lie. No product can have the director's. */
export function ownerName(owner: CeremonyOwner): string {
  return owner.repository === 'director' ? '(director)' : owner.product;
}

/** `director` or a product's name, as a person writes it. */
export function parseOwner(text: string): CeremonyOwner {
  return text === 'director' ? { repository: 'director' } : { repository: 'image', product: text };
}

/** Stops with trust's codes, CLI_PRODUCT_UNKNOWN, CLI_SERVER_*, CLI_EXISTS for another pinned root. */
export async function readGround(
  context: Context,
  owner: CeremonyOwner,
  options: GroundOptions,
): Promise<CeremonyGround> {
  const signedAs = await readSignedAs(context.home, owner);
  if (owner.repository === 'director') {
    const root = await directorRoot(context, options);
    return { ground: { owner, root }, root: rootView(root), signedAs };
  }
  const { product } = owner;
  if (options.offline) {
    const signer = await heldSigner(context.home, product, options.rootFile);
    const root = await followRoots(owner, Buffer.from(signer.state.root), fromChain(options.chain));
    return { ground: { owner, root }, root: rootView(root), signer, signedAs };
  }
  const api = await context.api();
  const verified = await tryVerify(context.home, product, api, context.io.now(), options.rootFile);
  if (!verified.ok && verified.error.code !== 'OTA_EXPIRED') throw new Stop(verified.error);
  const signer = await heldSigner(context.home, product);
  const root = Buffer.from(signer.state.root);
  const image = need(imageOf(signer), product);
  return { ground: { owner, root, image }, root: rootView(root), signer, signedAs };
}

function imageOf({ state, policy }: SignerState): Result<NonNullable<Ground['image']>> {
  const targets = state.roles['targets'];
  const view = targets === undefined ? undefined : readRole(Buffer.from(targets));
  if (targets === undefined || view?.ok !== true || view.value.kind !== 'targets' || policy === undefined) {
    return fail('OTA_MISSING_FILE', 'targets and policy were never verified on this machine', 'targets');
  }
  if (sha256Hex(Buffer.from(policy)) !== view.value.policy.sha256) {
    return fail('OTA_HASH_MISMATCH', 'the policy held here is not the one that targets names', 'policy.json');
  }
  const functions = view.value.functions.flatMap(({ name }): [string, Uint8Array][] => {
    const text = state.roles[name];
    return text === undefined ? [] : [[name, Buffer.from(text)]];
  });
  return ok({ targets: Buffer.from(targets), policy, functions: new Map(functions) });
}

function rootView(file: Uint8Array): RootView {
  const view = need(readRole(file, 'root'));
  return view.kind === 'root' ? view : stop('OTA_WRONG_BINDING', 'a root was expected', 'root');
}

type FetchRoot = (version: number) => Promise<Uint8Array | undefined>;

function fromChain(chain: readonly string[] = []): FetchRoot {
  const byVersion = new Map(
    chain.flatMap((text): [number, Uint8Array][] => {
      const view = readRole(Buffer.from(text), 'root in the chain');
      return view.ok ? [[view.value.version, Buffer.from(text)]] : [];
    }),
  );
  return (version) => Promise.resolve(byVersion.get(version));
}

/** TUF 5.3: the next number, signed by the root before and by itself, and fit for this owner. */
async function followRoots(
  owner: CeremonyOwner,
  pinned: Uint8Array,
  fetchRoot: FetchRoot,
  keep: (version: number, file: Uint8Array) => Promise<void> = () => Promise.resolve(),
): Promise<Uint8Array> {
  let held = pinned;
  for (let turn = 0; turn < trustLimits.rootRotationsMax; turn += 1) {
    const version = rootView(held).version + 1;
    const next = await fetchRoot(version);
    if (next === undefined) return held;
    need(checkRoot(owner, next));
    if (rootView(next).version !== version) {
      stop('OTA_ROLLBACK_METADATA', `root ${version} has another number inside`, 'root');
    }
    for (const delegator of [held, next]) {
      if (need(verifyRoleFile(next, delegator)).enough) continue;
      stop('OTA_BAD_SIGNATURE', `root ${version} is not signed by the root before it and by itself`, 'root');
    }
    await keep(version, next);
    held = next;
  }
  return held;
}

/** Everything about a root that it says by itself; any device stands for the director's. */
function checkRoot(owner: CeremonyOwner, file: Uint8Array) {
  const trustOwner =
    owner.repository === 'image' ? owner : ({ repository: 'director', device: 'any' } as const);
  return newRepositoryState(trustOwner, Buffer.from(file).toString());
}

/** The director's root: the newest in this home, or the one to pin, followed and kept. */
async function directorRoot(context: Context, options: GroundOptions): Promise<Uint8Array> {
  const { home } = context;
  const owner = { repository: 'director' } as const;
  const file = (version: number) => home.path('director', `${version}.root.json`);
  const keep = async (version: number, bytes: Uint8Array) => {
    await writeFileAtomic(file(version), bytes, publicMode);
  };
  const newest = await newestRoot(home);
  let held: Uint8Array;
  if (newest === undefined) {
    if (options.rootFile === undefined) {
      return stop('CLI_PRODUCT_UNKNOWN', 'no root of the director is pinned here; name one', '--root');
    }
    held = Buffer.from(need(await readTextFile(options.rootFile, trustLimits.rootBytesMax)));
    need(checkRoot(owner, held), options.rootFile);
    await keep(rootView(held).version, held);
  } else {
    held = Buffer.from(need(await readTextFile(file(newest), trustLimits.rootBytesMax)));
    need(checkRoot(owner, held), file(newest));
  }
  held = await followRoots(owner, held, fromChain(options.chain), keep);
  if (options.offline) return held;
  const api = await context.api();
  return await followRoots(owner, held, (version) => api.directorRoot(version), keep);
}

/** Highest number of the director's roots in this home. */
async function newestRoot(home: Home): Promise<number | undefined> {
  const names = await readdir(home.path('director')).catch((): string[] => []);
  const versions = names.flatMap((name) => /^(\d+)\.root\.json$/.exec(name)?.[1] ?? []).map(Number);
  return versions.toSorted((a, b) => b - a)[0];
}

/** Every root from the first on, as the server has them: for holders who are further behind. Verified by nobody here. */
export async function rootChain(context: Context, { ground, root }: CeremonyGround): Promise<string[]> {
  const api = await context.api();
  const { owner } = ground;
  const chain: string[] = [];
  const first = Math.max(1, root.version - trustLimits.rootRotationsMax + 1);
  for (let version = first; version <= root.version; version += 1) {
    const bytes =
      owner.repository === 'director'
        ? await api.directorRoot(version)
        : await api.tufFile(owner.product, `${version}.root.json`);
    if (bytes !== undefined) chain.push(Buffer.from(bytes).toString());
  }
  return chain;
}

/** Whether nobody needs to type for this owner, and which classes ask that somebody does. */
export async function attendance(
  context: Context,
  { ground, root }: CeremonyGround,
): Promise<{ product: string; classes: readonly SafetyClass[]; demo: boolean }> {
  const letters = ['A', 'B', 'C'] as const;
  if (ground.owner.repository === 'image') {
    const classes = letters.filter((letter) => root.image?.minimum.classes[letter] !== undefined);
    return { product: ground.owner.product, classes, demo: root.image?.demo === true };
  }
  // The director has no mark of its own: it is a demo's where every product of this home is one.
  const roots: RootView[] = [];
  for (const product of await context.home.products()) {
    const file = context.home.productFile(product, '1.root.json');
    const view = readRole(Buffer.from(need(await readTextFile(file))), 'root');
    if (view.ok && view.value.kind === 'root') roots.push(view.value);
  }
  const strict = roots.filter(({ image }) => image?.demo !== true);
  return {
    product: 'the director',
    classes: letters.filter((letter) =>
      strict.some(({ image }) => image?.minimum.classes[letter] !== undefined),
    ),
    demo: roots.length > 0 && strict.length === 0,
  };
}

/** Who a key is: holders of the policy, then key files of this home. */
export async function namesOf(context: Context, policies: readonly (string | undefined)[]): Promise<NameOf> {
  const names = new Map<string, string>();
  for (const { publicKey, name } of await context.ring.list()) {
    names.set(publicKey.keyId, `key ${name} of this home`);
  }
  for (const text of policies) {
    const policy = text === undefined ? undefined : parsePolicy(Buffer.from(text));
    if (policy?.ok !== true) continue;
    for (const held of policy.value.holders) names.set(held.keyId, `${held.name} <${held.holder}>`);
  }
  return (keyId) => names.get(keyId);
}

/** The keys of this home among `keys`. */
export async function heldKeys(context: Context, keys: readonly PublicKey[]) {
  return (await context.ring.find(keys)).filter(({ publicOnly }) => publicOnly !== true);
}

function signedAsFile(home: Home, owner: CeremonyOwner): string {
  return home.path('signer', `${ownerName(owner)}.signed.json`);
}

async function readSignedAs(home: Home, owner: CeremonyOwner): Promise<Record<string, string>> {
  const file = signedAsFile(home, owner);
  if (!(await exists(file))) return {};
  const reader = new Reader(need(await readJsonFile(file)), { code: 'CLI_HOME_DAMAGED', name: file });
  return Object.fromEntries(reader.entries().map(([number, sha256]) => [number, sha256.text()]));
}

/** Remembers, before a signature leaves, under which content a number was signed. */
export async function recordSignedAs(
  home: Home,
  owner: CeremonyOwner,
  entries: Readonly<Record<string, string>>,
): Promise<void> {
  const held = await readSignedAs(home, owner);
  await writeFileAtomic(signedAsFile(home, owner), pretty({ ...held, ...entries }), secretMode);
}
