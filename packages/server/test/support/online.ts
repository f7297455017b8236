/** The server's online keys for tests. */
import { generateKeyPairSync } from 'node:crypto';
import path from 'node:path';
import { type PublicKey, type Signer, signerFrom } from '@airlock/trust';
import { makeOnlineKeys, type ServerConfig } from '../../src/index.ts';
import type { Keyring } from '../../src/ports/platform.ts';
import { product } from './names.ts';

export const makeSigner = (): Signer => signerFrom(generateKeyPairSync('ed25519').privateKey);

/** Online keys in memory: sealing and opening five of them costs seconds. `sealed`: as files, as programs need them. */
export async function makeOnline(config: ServerConfig, sealed: boolean) {
  const purposes = { director: 'director', image: `image:${product}` } as const;
  const online = { director: {}, image: {} } as Record<'director' | 'image', Record<string, PublicKey>>;
  const signers = new Map<string, Signer>();
  for (const name of ['director', 'image'] as const) {
    if (sealed) {
      const folder = path.join(config.folder, 'online-keys');
      const made = await makeOnlineKeys(folder, 'a long test passphrase', purposes[name]);
      if (!made.ok) throw new Error(made.error.message);
      online[name] = { ...made.value };
      continue;
    }
    for (const role of name === 'director'
      ? ['targets', 'snapshot', 'timestamp']
      : ['snapshot', 'timestamp']) {
      const signer = makeSigner();
      online[name][role] = signer.publicKey;
      signers.set(signer.publicKey.keyId, signer);
    }
  }
  const keyring: Keyring = {
    signers({ keys, threshold }) {
      const found = keys.flatMap(({ keyId }) => signers.get(keyId) ?? []).slice(0, threshold);
      return found.length < threshold ? undefined : found;
    },
  };
  if (sealed) {
    const made = await makeOnlineKeys(
      path.join(config.folder, 'online-keys'),
      'a long test passphrase',
      'audit',
    );
    const key = made.ok ? made.value['checkpoint'] : undefined;
    if (key === undefined) throw new Error('no audit key');
    return { online, options: {}, audit: key };
  }
  const audit = makeSigner();
  signers.set(audit.publicKey.keyId, audit);
  return {
    online,
    options: { keyring: { ring: keyring, audit: () => [audit.publicKey] } },
    audit: audit.publicKey,
  };
}
