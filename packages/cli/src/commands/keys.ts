/** `keys list`: which key does what, who holds it, where it is, and until when its role is valid. */
import { type KeysAndThreshold, parsePolicy, type PublicKey, readRole } from '@airlock/trust';
import { heldVersion } from '../core/ceremony-check.ts';
import { type CeremonyGround, namesOf, ownerName, parseOwner, readGround } from '../ceremony-ground.ts';
import type { CommandSpec, Context } from '../command.ts';
import type { StoredKey } from '../keys.ts';
import { instant, table } from '../output.ts';
import { Stop } from '../stop.ts';

interface KeyLine {
  readonly owner: string;
  readonly role: string;
  readonly keyId: string;
  readonly type: 'ed25519' | 'p256';
  readonly threshold: string;
  readonly holder: string;
  readonly where: string;
  readonly validUntil: string;
}

const onlineRoles = new Set(['snapshot', 'timestamp']);

function whereOf(stored: StoredKey | undefined, online: boolean): string {
  if (stored === undefined) return online ? 'server, online' : 'elsewhere, offline';
  return stored.place === undefined ? 'here, in a file' : `here, in token ${stored.place.token}`;
}

async function linesOf(context: Context, on: CeremonyGround): Promise<KeyLine[]> {
  const { ground, root, signer } = on;
  const owner = ownerName(ground.owner);
  const held = await context.ring.list();
  const policy = signer?.policy === undefined ? undefined : parsePolicy(Buffer.from(signer.policy));
  const holders = policy?.ok === true ? policy.value.holders : [];
  const nameOf = await namesOf(context, [signer?.policy]);
  const line = (role: string, key: PublicKey, keys: KeysAndThreshold, expires: number): KeyLine => {
    const online = onlineRoles.has(role) || (ground.owner.repository === 'director' && role === 'targets');
    const stored = held.find(({ publicKey }) => publicKey.spkiSha256 === key.spkiSha256);
    const holder = holders.find(({ keyId }) => keyId === key.keyId);
    return {
      owner,
      role,
      keyId: key.keyId,
      type: key.keytype === 'ecdsa' ? 'p256' : 'ed25519',
      threshold: `${keys.threshold} of ${keys.keys.length}`,
      holder: holder === undefined ? (nameOf(key.keyId) ?? '-') : `${holder.name} <${holder.holder}>`,
      where: whereOf(stored, online),
      validUntil: instant(expires),
    };
  };
  const all = (role: string, keys: KeysAndThreshold, expires: number) =>
    keys.keys.map((key) => line(role, key, keys, expires));
  const lines = Object.entries(root.roles).flatMap(([role, keys]) =>
    all(role, keys, expiryOf(on, role) ?? root.expires),
  );
  if (root.image !== undefined) lines.push(...all('provisioning', root.image.provisioning, root.expires));
  const targets = ground.image === undefined ? undefined : readRole(ground.image.targets);
  if (targets?.ok === true && targets.value.kind === 'targets') {
    for (const { name, ...keys } of targets.value.functions) {
      lines.push(...all(name, keys, expiryOf(on, name) ?? targets.value.expires));
    }
  }
  return lines;
}

/** When the role that the key signs ends; undefined where that is not an offline role's. */
function expiryOf({ ground }: CeremonyGround, role: string): number | undefined {
  const file = role === 'targets' ? ground.image?.targets : ground.image?.functions.get(role);
  const view = file === undefined || heldVersion(ground, role) === 0 ? undefined : readRole(file);
  return view?.ok === true ? view.value.expires : undefined;
}

async function runList(context: Context): Promise<void> {
  await context.home.settings();
  const named = context.options.text('for');
  const owners = named === undefined ? [...(await knownOwners(context)), 'director'] : [named];
  const lines: KeyLine[] = [];
  for (const name of owners) {
    try {
      lines.push(
        ...(await linesOf(context, await readGround(context, parseOwner(name), { offline: false }))),
      );
    } catch (error) {
      // A machine that signs for one product need not know the director.
      if (named === undefined && error instanceof Stop && error.failure.code === 'CLI_PRODUCT_UNKNOWN')
        continue;
      throw error;
    }
  }
  const rows = lines.map((line) => [
    line.owner,
    line.role,
    line.threshold,
    line.keyId.slice(0, 12),
    line.type,
    line.holder,
    line.where,
    line.validUntil,
  ]);
  const head = ['OWNER', 'ROLE', 'NEEDS', 'KEY', 'TYPE', 'HOLDER', 'WHERE', 'ROLE UNTIL'];
  context.out.result({ keys: lines }, table(head, rows));
}

async function knownOwners(context: Context): Promise<string[]> {
  const made = await context.home.products();
  const served = (await (await context.api()).products()).map(({ product }) => product);
  return [...new Set([...made, ...served])].toSorted();
}

export const keysCommands: readonly CommandSpec[] = [
  {
    usage: 'keys list',
    summary: 'which keys do what: holder, type, where they are, until when',
    example: 'keys list --for infusion-pump',
    options: [{ flags: '--for <owner>', describe: 'only these: a product, or director' }],
    run: runList,
  },
];
