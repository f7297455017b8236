/**
 * Making a product: its keys, root, policy, `targets` and the first, empty role of each function.
 *
 * Everything is made and signed in memory, then written as new files, then published; whatever fails before the
 * server has taken the first file leaves nothing behind. Publishing is idempotent, so that an interrupted one is
 * finished by `product publish`.
 */
import { readdir } from 'node:fs/promises';
import type { LogIdentity } from '@airlock/audit';
import { roleLifeSeconds } from '@airlock/protocol';
import {
  draftFunction,
  draftRoot,
  draftTargets,
  encodePolicy,
  type KeysAndThreshold,
  type Policy,
  parsePolicy,
  type PublicKey,
  publicKeyJson,
  type SafetyClass,
  sha256Hex,
  signDraft,
  trustLimits,
  type UtcSeconds,
} from '@airlock/trust';
import type { Company } from './core/company.ts';
import { type NewFile, publicMode, readSmallFile, readTextFile } from './files.ts';
import { type Home, type ProductSettings, pretty } from './home.ts';
import type { KeyRing, KeyType, NewKey, StoredKey } from './keys.ts';
import type { ServerApi } from './server-api.ts';
import { need, stop } from './stop.ts';

/** So many keys, of which so many sign. */
export interface Quorum {
  readonly keys: number;
  readonly threshold: number;
  /** Files of the keys, when they were made before. */
  readonly brought?: readonly string[];
}

export interface ProductInput {
  readonly product: string;
  readonly safetyClass: SafetyClass;
  readonly udi?: string;
  readonly demo: boolean;
  readonly company: Company;
  readonly root: Quorum;
  readonly targets: Quorum;
  readonly provisioning: Quorum;
  readonly keyType: KeyType;
  /** Keys that people made before, by holder id. */
  readonly existing: ReadonlyMap<string, StoredKey>;
  /** The log that signers follow, and whose checkpoints stand in their statements. */
  readonly audit: LogIdentity;
  readonly online: { readonly snapshot: KeysAndThreshold; readonly timestamp: KeysAndThreshold };
  readonly now: UtcSeconds;
}

/** Refuses a quorum that cannot be met, or is too small outside a demo. Stops with CLI_THRESHOLD. */
export function checkQuorum(name: string, quorum: Quorum, thresholdMin: number): Quorum {
  const { keys, threshold } = quorum;
  if (threshold > keys || threshold > trustLimits.keysPerRoleMax || keys > trustLimits.keysPerRoleMax) {
    const message = `${threshold} of ${keys} ${name} keys cannot sign; at most ${trustLimits.keysPerRoleMax} keys, and no more signatures than keys`;
    return stop('CLI_THRESHOLD', message, `--${name}-threshold`);
  }
  if (threshold < thresholdMin) {
    return stop(
      'CLI_THRESHOLD',
      `${name} needs at least ${thresholdMin} signatures outside a demo`,
      `--${name}-threshold`,
    );
  }
  return quorum;
}

/** New keys in sealed files, or those that were brought: their files, which may name a key in a token. */
export async function makeKeys(
  ring: KeyRing,
  prefix: string,
  { keys: count, brought = [] }: Quorum,
  type: KeyType,
): Promise<NewKey[]> {
  const keys: NewKey[] = [];
  for (const [at, file] of brought.entries()) keys.push(await ring.adopt(`${prefix}-${at + 1}`, file));
  if (keys.length > 0) return keys;
  for (let at = 1; at <= count; at += 1) keys.push(await ring.make(`${prefix}-${at}`, type));
  return keys;
}

export function quorumOf(keys: readonly NewKey[], threshold: number): KeysAndThreshold {
  return { keys: keys.map(({ publicKey }) => publicKey), threshold };
}

interface HeldFunction {
  readonly name: string;
  readonly threshold: number;
  readonly holders: readonly {
    readonly holder: string;
    readonly name: string;
    readonly key: NewKey | StoredKey;
  }[];
}

/** Makes everything; the files are still to be written. */
export async function makeProduct(home: Home, ring: KeyRing, input: ProductInput): Promise<NewFile[]> {
  const { product, now, demo } = input;
  const root = await makeKeys(ring, `${product}.root`, input.root, input.keyType);
  const targets = await makeKeys(ring, `${product}.targets`, input.targets, input.keyType);
  const provisioning = await makeKeys(ring, `${product}.provisioning`, input.provisioning, input.keyType);
  const functions = await holdFunctions(ring, input);
  const rootFile = signDraft(
    draftRoot({
      repository: 'image',
      product,
      version: 1,
      expires: now + roleLifeSeconds('root', false),
      roles: {
        root: quorumOf(root, input.root.threshold),
        targets: quorumOf(targets, input.targets.threshold),
        ...input.online,
      },
      minimum: input.company.minimum,
      provisioning: quorumOf(provisioning, input.provisioning.threshold),
      demo,
    }),
    root.map(({ signer }) => signer),
  );
  const policy = makePolicy(input, functions);
  const targetsFile = signDraft(
    draftTargets({
      product,
      version: 1,
      expires: now + roleLifeSeconds('targets', false),
      functions: functions.map(({ name, threshold, holders }) => ({
        name,
        threshold,
        keys: holders.map(({ key }) => key.publicKey),
      })),
      policy,
    }),
    targets.map(({ signer }) => signer),
  );
  const roles: [string, Uint8Array][] = [];
  for (const held of functions) {
    const role = await emptyRole(ring, input, held);
    if (role !== undefined) roles.push([held.name, role]);
  }
  const settings: ProductSettings = {
    schema: 'airlock-product/1',
    product,
    safetyClass: input.safetyClass,
    ...(input.udi === undefined ? {} : { udi: input.udi }),
  };
  const file = (name: string, bytes: Uint8Array | string): NewFile => {
    return { path: home.productFile(product, name), bytes, mode: publicMode };
  };
  const newKeys = [
    ...root,
    ...targets,
    ...provisioning,
    ...functions.flatMap(({ holders }) => newKeysOf(holders)),
  ];
  return [
    ...newKeys.map(({ sealed }) => sealed),
    file('1.root.json', rootFile),
    file('1.targets.json', targetsFile),
    file('policy.json', policy),
    ...roles.map(([name, bytes]) => file(`1.${name}.json`, bytes)),
    file('product.json', pretty(settings)),
  ];
}

function newKeysOf(holders: HeldFunction['holders']): NewKey[] {
  return holders.flatMap(({ key }) => ('sealed' in key ? [key] : []));
}

/** A key for every holder: the one that they brought, or a new one under their own passphrase. */
async function holdFunctions(ring: KeyRing, input: ProductInput): Promise<HeldFunction[]> {
  const functions: HeldFunction[] = [];
  const placeOf = new Map<string, string>();
  for (const { name, threshold, holders } of input.company.functions) {
    const held: { holder: string; name: string; key: NewKey | StoredKey }[] = [];
    for (const person of holders) {
      const key =
        input.existing.get(person.holder) ??
        (await ring.make(`${input.product}.${name}.${person.holder}`, input.keyType));
      refuseShared(placeOf, key.publicKey, `${name} (${person.holder})`);
      held.push({ holder: person.holder, name: person.name, key });
    }
    functions.push({ name, threshold, holders: held });
  }
  return functions;
}

/** One key in two places would count twice; every device refuses it (OTA_KEY_SHARED), so it is refused here. */
function refuseShared(placeOf: Map<string, string>, key: PublicKey, place: string): void {
  const other = placeOf.get(key.spkiSha256);
  if (other !== undefined) stop('CLI_KEY_SHARED', `one key is given for ${other} and for ${place}`, '--key');
  placeOf.set(key.spkiSha256, place);
}

function makePolicy(input: ProductInput, functions: readonly HeldFunction[]): Uint8Array {
  const policy: Policy = {
    schema: 'airlock-policy/1',
    product: input.product,
    classes: input.company.policy.classes,
    markets: input.company.policy.markets,
    ...(input.company.emergency === undefined ? {} : { emergency: input.company.emergency }),
    holders: functions.flatMap(({ name, holders }) =>
      holders.map((held) => ({
        keyId: held.key.publicKey.keyId,
        holder: held.holder,
        name: held.name,
        function: name,
      })),
    ),
    auditKey: publicKeyJson(input.audit.key),
    auditOrigin: input.audit.origin,
    secureBootRevoked: [],
  };
  const bytes = encodePolicy(policy);
  // Everything that a person typed goes through the device's own parser before anything is signed.
  need(parsePolicy(bytes), 'policy.json');
  return bytes;
}

/** A function's first role, or undefined when its keys are elsewhere: then its first approval is number 1. */
async function emptyRole(
  ring: KeyRing,
  input: ProductInput,
  held: HeldFunction,
): Promise<Uint8Array | undefined> {
  const here = held.holders.filter(({ key }) => !('publicOnly' in key));
  if (here.length < held.threshold) return undefined;
  const life = roleLifeSeconds('function', input.safetyClass === 'C');
  const draft = draftFunction({
    product: input.product,
    function: held.name,
    version: 1,
    expires: input.now + life,
    releases: [],
  });
  const signers = [];
  for (const { key } of here.slice(0, held.threshold)) {
    signers.push('signer' in key ? key.signer : await ring.signer(key));
  }
  return signDraft(draft, signers);
}

/** Gives the server what it does not have yet, in the order in which each file can be verified. */
export async function publishProduct(home: Home, api: ServerApi, product: string): Promise<void> {
  const read = async (name: string) => need(await readTextFile(home.productFile(product, name)));
  const known = (await api.products()).find((entry) => entry.product === product);
  if (known === undefined) await api.postProduct(product, await read('1.root.json'));
  const policy = need(await readSmallFile(home.productFile(product, 'policy.json')));
  await api.putPolicy(product, sha256Hex(policy), policy);
  const names = await readdir(home.path('products', product));
  const functions = names.flatMap((name) => /^1\.([a-z][a-z0-9-]*)\.json$/.exec(name)?.[1] ?? []);
  const roles = ['targets', ...functions.filter((name) => name !== 'root' && name !== 'targets').toSorted()];
  for (const role of roles) {
    if (known?.published[role] !== undefined) continue;
    await api.putProposal({ product, role, file: await read(`1.${role}.json`), previous: 0 });
  }
}
