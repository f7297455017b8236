/**
 * `online-keys`: the first keys, the next ones beside those in force, and the end of old ones.
 *
 * Keeps true: every key that is made or destroyed is an entry of the audit log. A key file and the database are no one
 * transaction: a key is made before its entry, so that the log never names one that is not there, and destroyed after
 * it, so that none disappears without an entry. A destruction that was interrupted is told, and entered, once more.
 */
import { mkdir } from 'node:fs/promises';
import {
  fail,
  ok,
  parsePolicy,
  parsePublicKey,
  type PublicKey,
  publicKeyJson,
  type Result,
} from '@airlock/trust';
import { makeOnlineKeys, parsePurpose, type Purpose } from './adapters/key-folder.ts';
import { nextOnlineKeys, removeKeyFiles, retiredOnlineKeys } from './adapters/key-generations.ts';
import { record } from './app/audit.ts';
import { policyOf } from './app/repositories.ts';
import { readPassphrase, type ServerConfig } from './config.ts';
import { rootViewOf } from './core/files.ts';
import { directorOwner, imageOwner } from './core/versions.ts';
import type { StoreParts } from './ports/store.ts';
import { localActor, withLog } from './program-acts.ts';
import { onlineKeysFolder, withStore } from './server.ts';

/** The answer of the command, as JSON on standard output. */
export type OnlineKeysAnswer = Readonly<Record<string, unknown>>;

/** Errors: API_CONFIG for the purpose, API_KEYS naming the file, API_NOT_PUBLISHED while nothing names keys yet. */
export async function onlineKeys(
  config: ServerConfig,
  purpose: string,
  step: 'first' | 'next' | 'retire',
): Promise<Result<OnlineKeysAnswer>> {
  const parsed = parsePurpose(purpose);
  if (!parsed.ok) return parsed;
  const passphrase = await readPassphrase(config);
  if (!passphrase.ok) return passphrase;
  const asked: Asked = { config, purpose, parsed: parsed.value, passphrase: passphrase.value };
  const folder = onlineKeysFolder(config);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return step === 'retire' ? await retire(asked) : await make(asked, step);
}

interface Asked {
  readonly config: ServerConfig;
  readonly purpose: string;
  readonly parsed: Purpose;
  readonly passphrase: string;
}

async function make(asked: Asked, step: 'first' | 'next'): Promise<Result<OnlineKeysAnswer>> {
  const { config, purpose, parsed, passphrase } = asked;
  const fresh = new Set<string>();
  const folder = onlineKeysFolder(config);
  const inForce = step === 'next' ? await keysInForce(config, parsed) : ok<ReadonlySet<string>>(new Set());
  if (!inForce.ok) return inForce;
  const made =
    step === 'next'
      ? await nextOnlineKeys(folder, passphrase, parsed, inForce.value, (role) => fresh.add(role))
      : await makeOnlineKeys(folder, passphrase, purpose, (role) => fresh.add(role));
  if (!made.ok) return made;
  const roles = Object.entries(made.value);
  const origin = await withLog(config, passphrase, async (store, now, name) => {
    if (fresh.size === 0) return name;
    const ids = roles.map(([role, key]): [string, string] => [role, key.keyId]);
    await record(store, localActor, now, {
      act: 'keys.make',
      subject: { for: purpose },
      after: Object.fromEntries(ids),
    });
    return name;
  });
  if (!origin.ok) return origin;
  const shown = ([role, key]: [string, PublicKey]) => [role, { keyId: key.keyId, ...publicKeyJson(key) }];
  const keys: unknown = Object.fromEntries(roles.map(shown));
  const log = parsed.kind === 'audit' ? { origin: origin.value } : {};
  return ok({ for: purpose, ...log, keys });
}

async function retire({ config, purpose, parsed, passphrase }: Asked): Promise<Result<OnlineKeysAnswer>> {
  const folder = onlineKeysFolder(config);
  const inForce = await keysInForce(config, parsed);
  if (!inForce.ok) return inForce;
  const found = await retiredOnlineKeys(folder, parsed, inForce.value);
  if (!found.ok) return found;
  const entered = await withLog(config, passphrase, async (store, now) => {
    if (found.value.size === 0) return;
    const gone = [...found.value].map(([role, generations]): [string, string[]] => [
      role,
      generations.map(({ publicKey }) => publicKey.keyId),
    ]);
    await record(store, localActor, now, {
      act: 'keys.retire',
      subject: { for: purpose },
      before: Object.fromEntries(gone),
    });
  });
  if (!entered.ok) return entered;
  const files = [...found.value.values()].flat().map(({ file }) => file);
  await removeKeyFiles(folder, files);
  return ok({ for: purpose, retired: files });
}

/** Key ids that the root in force names, or, of the audit log, every policy in force. Error: API_NOT_PUBLISHED. */
async function keysInForce(config: ServerConfig, purpose: Purpose): Promise<Result<ReadonlySet<string>>> {
  return await withStore(config, async (store) =>
    purpose.kind === 'audit' ? await namedByPolicies(store) : await namedByRoot(store, purpose),
  );
}

async function namedByRoot(store: StoreParts, { product }: Purpose): Promise<Result<ReadonlySet<string>>> {
  const roles = await store.currentRoles(product === undefined ? directorOwner : imageOwner(product));
  const root = roles.find(({ role }) => role === 'root');
  if (root === undefined) {
    const message = `--for: there is no root of ${product ?? 'the director'} yet; its first keys are made without --next`;
    return fail('API_NOT_PUBLISHED', message, '--for');
  }
  const { roles: named } = rootViewOf(root.file);
  return ok(new Set(Object.values(named).flatMap(({ keys }) => keys.map(({ keyId }) => keyId))));
}

async function namedByPolicies(store: StoreParts): Promise<Result<ReadonlySet<string>>> {
  const named = new Set<string>();
  for (const { product } of await store.products()) {
    const targets = (await store.currentRoles(imageOwner(product))).find(({ role }) => role === 'targets');
    const document = targets && (await policyOf(store, product, targets.file));
    const policy = document && parsePolicy(Buffer.from(document.text));
    if (policy?.ok !== true || policy.value.auditKey === undefined) continue;
    const key = parsePublicKey(policy.value.auditKey, 'auditKey');
    if (key.ok) named.add(key.value.keyId);
  }
  if (named.size > 0) return ok(named);
  const message = '--for: no policy names a key of the audit log yet; its first is made without --next';
  return fail('API_NOT_PUBLISHED', message, '--for');
}
