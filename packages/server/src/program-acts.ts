/**
 * Acts of the server's own program, beside a server that may be running.
 *
 * Keeps true: each is one transaction with its entry in the audit log, under the name of the program, since no name of
 * a person is known to whoever has the server's machine.
 */
import { ok, type Result } from '@airlock/trust';
import { auditKeysIn, beginLog, onceMore } from './audit-keys.ts';
import type { ServerConfig } from './config.ts';
import type { StoreParts } from './ports/store.ts';
import { onlineKeysFolder, withStore } from './server.ts';

/** Whoever has the server's machine. */
export const localActor = { name: 'airlock-server program' };

/** `act` may be called again when the server was faster. `origin` is the name of the audit log. */
export async function withLog<T>(
  config: ServerConfig,
  passphrase: string,
  act: (store: StoreParts, now: number, origin: string) => Promise<T>,
): Promise<Result<T>> {
  const keys = await auditKeysIn(onlineKeysFolder(config), passphrase);
  if (!keys.ok) return keys;
  const now = Math.floor(Date.now() / 1000);
  return await withStore(config, async (store) => {
    const origin = await beginLog(store, keys.value, now);
    return ok(await onceMore(store, (inside) => act(inside, now, origin)));
  });
}
