/**
 * The keys of the audit log at start, and the log's beginning: for the server itself and for the program's subcommands.
 *
 * Keeps true: no act is accepted before the log has begun, so that its first entry is its first.
 */
import { ok, type PublicKey, type Result, type Signer } from '@airlock/trust';
import { auditKeys, makeOnlineKeys } from './adapters/key-folder.ts';
import { startLog } from './app/audit.ts';
import type { Keyring } from './ports/platform.ts';
import { Raced, type Store, type StoreParts } from './ports/store.ts';

/** The log's public keys, the first one made if there is none. Errors: API_KEYS. */
export async function auditKeysIn(folder: string, passphrase: string): Promise<Result<PublicKey[]>> {
  const held = auditKeys(folder);
  if (!held.ok || held.value.length > 0) return held;
  const made = await makeOnlineKeys(folder, passphrase, 'audit');
  return made.ok ? ok(Object.values(made.value)) : made;
}

/** The same while the server runs. Throws when a file of the folder cannot be read. */
export function auditKeysNow(folder: string): PublicKey[] {
  const keys = auditKeys(folder);
  if (!keys.ok) throw new Error(keys.error.message);
  return keys.value;
}

/** The signers of checkpoints. Throws when the ring lacks a key that lies in its folder. */
export function auditSigners(keyring: Keyring, keys: readonly PublicKey[]): Signer[] {
  return keys.map((key) => {
    const [signer] = keyring.signers({ keys: [key], threshold: 1 }) ?? [];
    if (signer === undefined) throw new Error(`audit key ${key.keyId} is not in the key ring`);
    return signer;
  });
}

/** Begins the log if it has not begun; answers its name. Two programs may try at once. */
export async function beginLog(store: Store, keys: readonly PublicKey[], now: number): Promise<string> {
  const [key] = keys;
  if (key === undefined) throw new TypeError('an audit log has a key');
  return await onceMore(store, (inside) => startLog(inside, key, now));
}

/** Turns before a subcommand gives up against a busy server, whose transactions are short. */
const turnsMax = 20;

/** A transaction of a subcommand beside a running server: tried again when the server was faster. */
export async function onceMore<T>(store: Store, work: (store: StoreParts) => Promise<T>): Promise<T> {
  for (let turn = 1; ; turn += 1) {
    try {
      return await store.transaction(work);
    } catch (error) {
      if (!(error instanceof Raced) || turn === turnsMax) throw error;
    }
  }
}
