/**
 * Generations of online keys: the next ones, made beside those in force, and old ones, destroyed.
 *
 * Files are `<director | image.product | audit>.<role>.json` for the first and `<...>.<role>.<n>.json` for later ones.
 * Keeps true: a key that was ever in force is never offered as the next one, also when its file was left behind;
 * asking again for the next keys gives the same ones until a root names them; no key is destroyed that is in force, nor
 * unless a newer one of its role is here and in force. A running server opens new files when a root first asks for them (key-folder.ts).
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { fail, ok, type PublicKey, readSealedPublicKey, type Result } from '@airlock/trust';
import { flushFolder } from './files.ts';
import { makeOnlineKey, onlineRolesOf, type OnMade, type Purpose } from './key-folder.ts';

/** One key file of a role. */
export interface Generation {
  readonly file: string;
  readonly number: number;
  readonly publicKey: PublicKey;
}

/** The key files of one role, oldest first. Errors: API_KEYS naming the file. */
async function generationsOf(folder: string, prefix: string, role: string): Promise<Result<Generation[]>> {
  const found: Generation[] = [];
  for (const name of await readdir(folder)) {
    if (!name.startsWith(`${prefix}.${role}.`)) continue;
    const rest = name.slice(`${prefix}.${role}.`.length);
    const [, number = '1'] = /^(?:([1-9]\d{0,8})\.)?json$/.exec(rest) ?? [undefined, ''];
    if (number === '') continue;
    const publicKey = readSealedPublicKey(await readFile(path.join(folder, name)));
    if (!publicKey.ok) return fail('API_KEYS', `online-keys/${name}: ${publicKey.error.message}`, name);
    found.push({ file: name, number: Number(number), publicKey: publicKey.value });
  }
  return ok(found.toSorted((a, b) => a.number - b.number));
}

/** The newest generation that is in force; 0 when its file is not here. */
function inForceNumber(generations: readonly Generation[], inForce: ReadonlySet<string>): number {
  return Math.max(0, ...generations.filter((it) => inForce.has(it.publicKey.keyId)).map((it) => it.number));
}

/**
 * The keys that the next root (of the audit log: policy) shall name, made unless they are waiting already; `made` hears of
 * each that is new. `inForce`: key ids that the root in force names. Errors: API_KEYS.
 */
export async function nextOnlineKeys(
  folder: string,
  passphrase: string,
  purpose: Purpose,
  inForce: ReadonlySet<string>,
  made: OnMade,
): Promise<Result<Readonly<Record<string, PublicKey>>>> {
  const keys: [string, PublicKey][] = [];
  for (const role of onlineRolesOf(purpose)) {
    const generations = await generationsOf(folder, purpose.prefix, role);
    if (!generations.ok) return generations;
    const current = inForceNumber(generations.value, inForce);
    const newest = generations.value.at(-1);
    // A newer file than the one in force waits for its root. With no file in force, any could be an old one.
    const waiting = current > 0 && newest !== undefined && newest.number > current ? newest : undefined;
    const number = waiting?.number ?? (newest?.number ?? 0) + 1;
    const name = number === 1 ? `${purpose.prefix}.${role}.json` : `${purpose.prefix}.${role}.${number}.json`;
    // Opened as well: a wrong passphrase is noticed now, not when the root is published.
    const key = await makeOnlineKey(folder, name, passphrase, () => made(role));
    if (!key.ok) return key;
    keys.push([role, key.value]);
  }
  return ok(Object.fromEntries(keys));
}

/** The keys that were in force before the present ones, by role, where there are any. Errors: API_KEYS. */
export async function retiredOnlineKeys(
  folder: string,
  purpose: Purpose,
  inForce: ReadonlySet<string>,
): Promise<Result<ReadonlyMap<string, readonly Generation[]>>> {
  const retired = new Map<string, readonly Generation[]>();
  for (const role of onlineRolesOf(purpose)) {
    const generations = await generationsOf(folder, purpose.prefix, role);
    if (!generations.ok) return generations;
    const current = inForceNumber(generations.value, inForce);
    // A root may name two keys of a role, and policies of two products two of the log.
    const gone = generations.value.filter(
      ({ number, publicKey }) => number < current && !inForce.has(publicKey.keyId),
    );
    if (gone.length > 0) retired.set(role, gone);
  }
  return ok(retired);
}

/** Destroys key files. */
export async function removeKeyFiles(folder: string, files: readonly string[]): Promise<void> {
  for (const file of files) await rm(path.join(folder, file), { force: true });
  await flushFolder(folder);
}
