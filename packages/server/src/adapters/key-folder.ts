/**
 * Online keys in a folder, sealed by a passphrase: `<director | image.product | audit>.<role>.json` for the first, later
 * generations in key-generations.ts.
 *
 * Keeps true: private halves are made here, never leave the process unsealed, and are opened once. Keys that were
 * made while the server runs are opened when a root first asks for them.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import {
  fail,
  ok,
  openPrivateKey,
  type PublicKey,
  readSealedPublicKey,
  type Result,
  sealNonceBytes,
  sealPrivateKey,
  sealSaltBytes,
  type Signer,
  signerFrom,
} from '@airlock/trust';
import type { Keyring } from '../ports/platform.ts';
import { hasCode, writeSecret } from './files.ts';

/** Names the file, and where its passphrase came from. */
function refuseKey(name: string, why: string): Result<never> {
  return fail('API_KEYS', `online-keys/${name}: ${why} (passphrase of onlineKeys.passphraseFile)`, name);
}

/** Opens every key of the folder. Errors: API_KEYS naming the file. */
export function openKeyring(folder: string, passphrase: string): Result<Keyring> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const held = new Map<string, Signer>();
  const openAll = (wanted: (keyId: string) => boolean): Result<true> => {
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
      const bytes = readFileSync(path.join(folder, name));
      const publicKey = readSealedPublicKey(bytes);
      if (!publicKey.ok) return refuseKey(name, publicKey.error.message);
      const { keyId } = publicKey.value;
      if (held.has(keyId) || !wanted(keyId)) continue;
      const opened = openPrivateKey(bytes, passphrase);
      if (!opened.ok) return refuseKey(name, opened.error.message);
      held.set(keyId, signerFrom(opened.value));
    }
    return ok(true);
  };
  const opened = openAll(() => true);
  if (!opened.ok) return opened;
  return ok({
    signers({ keys, threshold }) {
      const find = () => keys.flatMap(({ keyId }) => held.get(keyId) ?? []).slice(0, threshold);
      const found = find();
      if (found.length >= threshold) return found;
      const ids = new Set(keys.map(({ keyId }) => keyId));
      const again = openAll((keyId) => ids.has(keyId));
      const later = again.ok ? find() : [];
      return later.length >= threshold ? later : undefined;
    },
  });
}

/** The roles whose keys a server holds. */
const onlineRoles = {
  director: ['targets', 'snapshot', 'timestamp'],
  image: ['snapshot', 'timestamp'],
  // Signs checkpoints of the audit log: no TUF role, and named by the policy of each product.
  audit: ['checkpoint'],
} as const;

/** The keys of the audit log that are here: all sign, so that whoever knows the old or the next one can verify. */
export function auditKeys(folder: string): Result<PublicKey[]> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const keys: PublicKey[] = [];
  for (const name of readdirSync(folder).toSorted()) {
    if (!name.startsWith('audit.') || !name.endsWith('.json')) continue;
    const publicKey = readSealedPublicKey(readFileSync(path.join(folder, name)));
    if (!publicKey.ok) return refuseKey(name, publicKey.error.message);
    keys.push(publicKey.value);
  }
  return ok(keys);
}

/** Whose online keys: the director's, those of a product's image repository, or the audit log's. */
export interface Purpose {
  readonly kind: keyof typeof onlineRoles;
  /** What the names of the files begin with. */
  readonly prefix: string;
  readonly product?: string;
}

/** `director`, `image:<product>` or `audit`. Error: API_CONFIG. */
export function parsePurpose(text: string): Result<Purpose> {
  if (text === 'director' || text === 'audit') return ok({ kind: text, prefix: text });
  const [, product] = /^image:([a-z][a-z0-9-]{0,31})$/.exec(text) ?? [];
  if (product !== undefined) return ok({ kind: 'image', prefix: `image.${product}`, product });
  const known = '"director", "audit" or "image:<product>"';
  return fail('API_CONFIG', `--for: "${text}" is none of ${known}`, '--for');
}

export function onlineRolesOf({ kind }: Purpose): readonly string[] {
  return onlineRoles[kind];
}

/** Told of each key that is made, by its role. */
export type OnMade = (role: string) => void;

/**
 * Makes the first online keys of the director, of a product or of the audit log, if they are not there yet, and answers
 * the public halves; `made` hears of each that is new.
 * Errors: API_CONFIG for a purpose that is none of these, API_KEYS for a file that cannot be read.
 */
export async function makeOnlineKeys(
  folder: string,
  passphrase: string,
  purpose: string,
  made: OnMade = () => undefined,
): Promise<Result<Readonly<Record<string, PublicKey>>>> {
  const parsed = parsePurpose(purpose);
  if (!parsed.ok) return parsed;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const keys: [string, PublicKey][] = [];
  for (const role of onlineRolesOf(parsed.value)) {
    const name = `${parsed.value.prefix}.${role}.json`;
    const publicKey = await makeOnlineKey(folder, name, passphrase, () => made(role));
    if (!publicKey.ok) return publicKey;
    keys.push([role, publicKey.value]);
  }
  return ok(Object.fromEntries(keys));
}

/** The public half of a key file, which is made if it is not there. Errors: API_KEYS naming the file. */
export async function makeOnlineKey(
  folder: string,
  name: string,
  passphrase: string,
  made: () => void,
): Promise<Result<PublicKey>> {
  const publicKey = await readOrMake(path.join(folder, name), passphrase, made);
  return publicKey.ok ? publicKey : refuseKey(name, publicKey.error.message);
}

async function readOrMake(file: string, passphrase: string, made: () => void): Promise<Result<PublicKey>> {
  try {
    const bytes = await readFile(file);
    // A wrong passphrase is noticed now, not at the next start of the server.
    const opened = openPrivateKey(bytes, passphrase);
    return opened.ok ? readSealedPublicKey(bytes) : opened;
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  const { privateKey } = generateKeyPairSync('ed25519');
  const salt = randomBytes(sealSaltBytes);
  const nonce = randomBytes(sealNonceBytes);
  const sealed = sealPrivateKey({ privateKey, passphrase, salt, nonce });
  await writeSecret(file, sealed);
  made();
  return readSealedPublicKey(sealed);
}
