/** `targets` and policies of the tests' own making: other functions, holders, thresholds and demands. */
import { signStatement } from '@airlock/audit';
import {
  draftFunction,
  draftRoot,
  draftTargets,
  encodePolicy,
  type Minimum,
  type Policy,
  type PublicKey,
  publicKeyJson,
  sha256Hex,
  signDraft,
  type Signer,
} from '@airlock/trust';
import { product } from './names.ts';
import { stateOf } from './stating.ts';
import { type Answer, must, propose, type Release, upload, type World } from './world.ts';

const day = 86_400;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

export interface Company {
  readonly functions: Readonly<
    Record<string, { readonly holders: readonly Signer[]; readonly threshold?: number }>
  >;
  readonly classes?: Policy['classes'];
  readonly markets?: Policy['markets'];
}

/** Holders are `quality-1`, `quality-2`, ... and are called by the name of their function. */
export function policyOf(world: World, { functions, classes, markets }: Company): Uint8Array {
  return encodePolicy({
    schema: 'airlock-policy/1',
    product,
    classes: classes ?? { C: { engineering: 1, quality: 1 } },
    markets: markets ?? { us: {} },
    holders: Object.entries(functions).flatMap(([name, { holders }]) =>
      holders.map((signer, at) => ({
        keyId: signer.publicKey.keyId,
        holder: `${name}-${at + 1}`,
        name,
        function: name,
      })),
    ),
    auditKey: publicKeyJson(world.audit.key),
    auditOrigin: world.audit.origin,
    secureBootRevoked: [],
  });
}

/** Uploads the policy and gives `targets`, signed by both keys or by those named. */
export async function targetsWith(
  world: World,
  version: number,
  company: Company,
  signers: readonly Signer[] = [world.keys.targets, world.keys.targets2],
): Promise<string> {
  const policy = policyOf(world, company);
  const url = `/api/v1/products/${product}/policies/${sha256Hex(policy)}`;
  await must(world.people('PUT', url, { body: policy, headers: upload }), 204);
  const draft = draftTargets({
    product,
    version,
    expires: world.clock.now() + 180 * day,
    functions: Object.entries(company.functions).map(([name, { holders, threshold = 1 }]) => ({
      name,
      keys: holders.map(({ publicKey }) => publicKey),
      threshold,
    })),
    policy,
  });
  return text(signDraft(draft, signers));
}

export function rootWith(world: World, version: number, minimum: Minimum): string {
  const { root, targets, targets2, provisioning } = world.keys;
  const online = (role: 'snapshot' | 'timestamp') => {
    const key = world.online.image[role];
    if (key === undefined) throw new Error(`no ${role} key`);
    return { keys: [key], threshold: 1 };
  };
  const draft = draftRoot({
    repository: 'image',
    product,
    version,
    expires: world.clock.now() + 365 * day,
    roles: {
      root: { keys: [root.publicKey], threshold: 1 },
      targets: { keys: [targets.publicKey, targets2.publicKey], threshold: 2 },
      snapshot: online('snapshot'),
      timestamp: online('timestamp'),
    },
    minimum,
    provisioning: { keys: [provisioning.publicKey], threshold: 1 },
    demo: true,
  });
  return text(signDraft(draft, [root]));
}

/** The director's next root, which names an online key of the product for its own targets. */
export function directorWith(world: World, version: number): string {
  const { directorRoot: root } = world.keys;
  const one = (key: PublicKey | undefined) => ({ keys: key === undefined ? [] : [key], threshold: 1 });
  const draft = draftRoot({
    repository: 'director',
    version,
    expires: world.clock.now() + 365 * day,
    roles: {
      root: one(root.publicKey),
      targets: one(world.online.image['snapshot']),
      snapshot: one(world.online.director['snapshot']),
      timestamp: one(world.online.director['timestamp']),
    },
  });
  return text(signDraft(draft, [root]));
}

/** A function's role without signatures: what two holders sign. */
export function draftOfQuality(world: World, version: number, releases: readonly Release[], days = 90) {
  return draftFunction({
    product,
    function: 'quality',
    version,
    expires: world.clock.now() + days * day,
    releases: releases.map(({ version: number, manifest }) => ({
      version: number,
      length: manifest.length,
      sha256: sha256Hex(manifest),
    })),
  });
}

/** One holder's signature and statement, sent. */
export async function signQuality(
  world: World,
  draft: ReturnType<typeof draftOfQuality>,
  signer: Signer,
  holder: string,
): Promise<Answer> {
  const file = text(signDraft(draft, [signer]));
  const statement = await stateOf(world, 'quality', file, {
    signer: { keyId: signer.publicKey.keyId, holder, name: 'quality' },
  });
  if (statement === undefined) throw new Error('nothing to state');
  const statements = [text(signStatement(statement, signer))];
  return await propose(world, 'quality', file, { statements });
}
