/**
 * This machine's own verified state of a product's image repository, and the use of it before anything is signed.
 *
 * Begins with the root that was pinned here (made here, or brought here by hand) and is advanced only by what
 * trust's `checkImageRepository` verified, kept at each step; the server can offer nothing older afterwards. Beside
 * it stands the highest number that was ever signed here for each role, written before a signature leaves.
 */
import {
  checkImageRepository,
  describeChange,
  describePolicyChange,
  type ImageView,
  newRepositoryState,
  ok,
  type RepositoryState,
  type Result,
  type RoleMemory,
  trustLimits,
  type UtcSeconds,
} from '@airlock/trust';
import { exists, readJsonFile, readTextFile, secretMode, writeFileAtomic } from './files.ts';
import { Reader } from './fields.ts';
import type { Home } from './home.ts';
import { withLock } from './lock.ts';
import type { ServerApi } from './server-api.ts';
import { need, stop } from './stop.ts';

/** Verifying takes a few requests: so long is waited for another command that is at it, and not for ever. */
const verifyWaitMs = 30_000;

/** The same bound as a device's: 16 functions with 200 releases each, escaped. */
const signerBytesMax = 4_000_000;

export interface SignerState {
  readonly schema: 'airlock-signer/1';
  readonly product: string;
  readonly state: RepositoryState;
  /** Exact text of policy.json as last verified. */
  readonly policy?: string;
  /** Highest number signed here, by role. */
  readonly signed: Readonly<Record<string, number>>;
}

/** What was verified now, and what was held before. */
export interface Verified {
  readonly view: ImageView;
  readonly before: SignerState;
  readonly signer: SignerState;
}

/** The held state; without one, the state that begins with the pinned root (`rootFile`, or the one made here). */
async function readSigner(home: Home, product: string, rootFile?: string): Promise<SignerState> {
  const file = home.signerFile(product);
  if (!(await exists(file))) return await pinned(home, product, rootFile);
  const reader = new Reader(need(await readJsonFile(file, signerBytesMax)), {
    code: 'CLI_HOME_DAMAGED',
    name: file,
  });
  reader.object(['schema', 'product', 'state', 'policy', 'signed']);
  const policy = reader.optional('policy')?.text();
  const signed = reader.at('signed').entries();
  const state = readState(reader.at('state'));
  if (rootFile !== undefined) await refuseOtherRoot(product, state, rootFile);
  return {
    schema: reader.at('schema').choice(['airlock-signer/1']),
    product: reader.at('product').choice([product]),
    state,
    ...(policy === undefined ? {} : { policy }),
    signed: Object.fromEntries(signed.map(([role, version]) => [role, version.integer(0)])),
  };
}

/** The held state without asking anybody; a root that is pinned now is kept for the next command. */
export async function heldSigner(home: Home, product: string, rootFile?: string): Promise<SignerState> {
  return await alone(home, `pinning ${product}`, async () => {
    const signer = await readSigner(home, product, rootFile);
    if (!(await exists(home.signerFile(product)))) await writeSigner(home, signer);
    return signer;
  });
}

/**
 * The same command again, after it stopped for another reason, is no second pin. Any other root is refused: the held
 * state follows rotations by itself.
 */
async function refuseOtherRoot(product: string, state: RepositoryState, file: string): Promise<void> {
  if (need(await readTextFile(file, trustLimits.rootBytesMax)) === state.root) return;
  stop('CLI_EXISTS', `another root of ${product} is pinned already; leave --root out`, '--root');
}

async function pinned(home: Home, product: string, rootFile: string | undefined): Promise<SignerState> {
  const made = home.productFile(product, '1.root.json');
  if (rootFile === undefined && !(await exists(made))) {
    const known = (await home.products()).join(', ');
    const message = `no root of ${product} is pinned here; this home has: ${known === '' ? 'no product' : known}`;
    return stop('CLI_PRODUCT_UNKNOWN', message, '--root');
  }
  const file = rootFile ?? made;
  const root = need(await readTextFile(file, trustLimits.rootBytesMax));
  const state = need(newRepositoryState({ repository: 'image', product }, root), file);
  return { schema: 'airlock-signer/1', product, state, signed: {} };
}

function readState(reader: Reader): RepositoryState {
  reader.object(['root', 'timestamp', 'snapshot', 'roles', 'memory']);
  const timestamp = reader.optional('timestamp')?.text();
  const snapshot = reader.optional('snapshot')?.text();
  const roles = reader.at('roles').entries();
  const memory = reader.at('memory').entries();
  return {
    root: reader.at('root').text(),
    ...(timestamp === undefined ? {} : { timestamp }),
    ...(snapshot === undefined ? {} : { snapshot }),
    roles: Object.fromEntries(roles.map(([role, text]) => [role, text.text()])),
    memory: Object.fromEntries(memory.map(([role, entry]) => [role, readMemory(entry)])),
  };
}

function readMemory(reader: Reader): RoleMemory {
  reader.object(['version', 'signedSha256', 'keyIds', 'issued']);
  const issued = reader.optional('issued')?.integer(0);
  return {
    ...(issued === undefined ? {} : { issued }),
    version: reader.at('version').integer(1),
    signedSha256: reader.at('signedSha256').text(),
    keyIds: reader
      .at('keyIds')
      .list()
      .map((keyId) => keyId.text()),
  };
}

async function writeSigner(home: Home, signer: SignerState): Promise<void> {
  await writeFileAtomic(home.signerFile(signer.product), JSON.stringify(signer), secretMode);
}

/** What others published since this machine looked last: it is signed by their keys, and still worth seeing. */
export function sinceLastLook({ before, view }: Verified): string[] {
  const words: string[] = [];
  for (const [role, text] of Object.entries(view.state.roles)) {
    const old = before.state.roles[role];
    if (old === undefined || old === text) continue;
    const changes = describeChange(Buffer.from(old), Buffer.from(text));
    if (changes.ok) words.push(...changes.value.map((change) => `${role}: ${change.words}`));
  }
  if (before.policy !== undefined && before.policy !== view.policyText) {
    const changes = describePolicyChange(Buffer.from(before.policy), Buffer.from(view.policyText));
    if (changes.ok) words.push(...changes.value.map((change) => `policy: ${change.words}`));
  }
  return words;
}

/**
 * Fetches and verifies the repository from the held state on, keeping each verified step. Stops with trust's codes
 * (OTA_EXPIRED, OTA_ROLLBACK_METADATA, ...), naming the product.
 */
export async function verifyRepository(
  home: Home,
  product: string,
  api: ServerApi,
  now: UtcSeconds,
  rootFile?: string,
): Promise<Verified> {
  const verified = await tryVerify(home, product, api, now, rootFile);
  return need(verified, product);
}

/**
 * The same as a Result: `status` shows what is wrong instead of stopping. One command at a time from reading to
 * writing: of two that begin with the same state, the slower one would put back what it verified less far, and take
 * back the numbers that were signed meanwhile.
 */
export async function tryVerify(
  home: Home,
  product: string,
  api: ServerApi,
  now: UtcSeconds,
  rootFile?: string,
): Promise<Result<Verified>> {
  return await alone(home, `verifying ${product}`, () => advance(home, product, api, now, rootFile));
}

async function alone<T>(home: Home, act: string, work: () => Promise<T>): Promise<T> {
  return await withLock(home, { name: 'verify.lock', act, waitMs: verifyWaitMs }, work);
}

async function advance(
  home: Home,
  product: string,
  api: ServerApi,
  now: UtcSeconds,
  rootFile?: string,
): Promise<Result<Verified>> {
  const before = await readSigner(home, product, rootFile);
  let signer = before;
  const held = before.policy === undefined ? {} : { policy: before.policy };
  const steps = checkImageRepository({ product, state: before.state, ...held, now, source: 'network' });
  let next = steps.next();
  while (next.done !== true) {
    const step = next.value;
    if (step.kind === 'keep') {
      signer = withState(before, step.state);
      await writeSigner(home, signer);
      next = steps.next();
    } else {
      next = steps.next(await fetchStep(api, product, step));
    }
  }
  const checked = next.value;
  if (!checked.ok) return checked;
  const view = checked.value;
  if (signer.policy !== view.policyText) {
    signer = { ...signer, policy: view.policyText };
    await writeSigner(home, signer);
  }
  return ok({ view, before, signer });
}

function withState(before: SignerState, state: RepositoryState): SignerState {
  return { ...before, state };
}

async function fetchStep(
  api: ServerApi,
  product: string,
  step: { readonly path: string; readonly bytesMax: number },
): Promise<Uint8Array | undefined> {
  const bytes = await api.tufFile(product, step.path);
  if (bytes !== undefined && bytes.length > step.bytesMax) {
    return stop(
      'CLI_SERVER_ANSWER',
      `${step.path} has ${bytes.length} bytes, at most ${step.bytesMax} are allowed`,
    );
  }
  return bytes;
}

/**
 * Takes the number for good: written before the signature leaves, so that no crash can use it for another content.
 *
 * While a person reads, another command may have gone on (or a backup been put back). So nothing of `verified` is
 * written: the number is added to what the home holds now, and refused (CLI_HOME_CHANGED) where the role is no longer
 * the one that the person was shown, or the number was signed.
 */
export async function burnNumber(
  home: Home,
  verified: Pick<Verified, 'signer'>,
  role: string,
  version: number,
): Promise<void> {
  const { product, state } = verified.signer;
  await alone(home, `signing ${product}`, async () => {
    const held = await readSigner(home, product);
    if (held.state.roles[role] !== state.roles[role]) {
      stop('CLI_HOME_CHANGED', `${role} of ${product} was verified anew by another command`, role);
    }
    const signed = held.signed[role] ?? 0;
    if (version <= signed) {
      const message = `number ${version} of ${role} of ${product} is used: ${signed} was signed by another command`;
      stop('CLI_HOME_CHANGED', message, role);
    }
    await writeSigner(home, { ...held, signed: { ...held.signed, [role]: version } });
  });
}
