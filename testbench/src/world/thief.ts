/**
 * The thief: takes the server over with everything that lies on it - TLS identity, online keys and their passphrase.
 *
 * Everything is read from the server's own files, as whoever owns the machine could. Offline keys are not among them.
 */
import type { KeyObject } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { openPrivateKey, publicKeyFrom, readRole, type Signer, signerFrom } from '@airlock/trust';
import type { ForgedRelease, StolenKeys } from '../forge.ts';
import { type HostileServer, startHostileServer } from '../hostile-server.ts';
import { type Company, functionNames, product, type Release } from './company.ts';

interface ServerConfig {
  readonly folder: string;
  readonly deviceListener: {
    readonly certificateFile: string;
    readonly keyFile: string;
    readonly clientAuthorityFile: string;
  };
  readonly onlineKeys: { readonly passphraseFile: string };
}

export function readServerConfig(company: Company): ServerConfig {
  const file = join(company.home, 'server', 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as ServerConfig;
  const near = (path: string): string => resolve(dirname(file), path);
  return {
    folder: near(config.folder),
    deviceListener: {
      certificateFile: near(config.deviceListener.certificateFile),
      keyFile: near(config.deviceListener.keyFile),
      clientAuthorityFile: near(config.deviceListener.clientAuthorityFile),
    },
    onlineKeys: { passphraseFile: near(config.onlineKeys.passphraseFile) },
  };
}

/** Opens every sealed key on the server and picks those that the director's root names for its online roles. */
export function stealDirectorKeys(company: Company): StolenKeys {
  const config = readServerConfig(company);
  const passphrase = readFileSync(config.onlineKeys.passphraseFile, 'utf8').replace(/\r?\n$/, '');
  const root = readRole(readFileSync(join(company.home, 'director', '1.root.json')));
  if (!root.ok || root.value.kind !== 'root') throw new Error("the director's root cannot be read");
  const stolen = new Map<string, Signer>();
  const folder = join(config.folder, 'online-keys');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!name.includes('director') || !name.endsWith('.json')) continue;
    const key = openPrivateKey(readFileSync(join(folder, name)), passphrase);
    if (!key.ok) throw new Error(`${name}: ${key.error.message}`);
    stolen.set(publicKeyFrom(key.value).keyId, signerFrom(key.value));
  }
  const { roles } = root.value;
  const signerOf = (role: 'targets' | 'snapshot' | 'timestamp'): Signer => {
    const found = roles[role].keys
      .map(({ keyId }) => stolen.get(keyId))
      .find((signer) => signer !== undefined);
    if (found === undefined) throw new Error(`the server holds no key of the director's ${role}`);
    return found;
  };
  return { targets: signerOf('targets'), snapshot: signerOf('snapshot'), timestamp: signerOf('timestamp') };
}

/** A server in the thief's hands: the real identity, the real answers, until it lies. */
export async function startStolenServer(company: Company): Promise<HostileServer> {
  const { deviceListener } = readServerConfig(company);
  return await startHostileServer({
    ...deviceListener,
    upstream: {
      url: company.paths().deviceUrl,
      authorityFile: join(company.home, 'tls', 'server-authority.pem'),
    },
    deviceIdentity: (device) => ({
      certificateFile: join(company.home, 'devices', device, 'tls.pem'),
      keyFile: join(company.home, 'devices', device, 'tls.key'),
    }),
  });
}

/** What a forged director names: the release as it is at the server. */
export function forgedRelease(release: Release): ForgedRelease {
  return { product, version: release.version, manifestText: release.manifestText, functions: functionNames };
}

/** The device authority's private key, out of its sealed file: to make a certificate that nobody registered. */
export function openDeviceAuthority(company: Company): { certificate: string; privateKey: KeyObject } {
  const sealed = readFileSync(join(company.home, 'keys', 'device-authority.key.json'));
  const key = openPrivateKey(sealed, company.passphrase);
  if (!key.ok) throw new Error(key.error.message);
  return {
    certificate: readFileSync(join(company.home, 'tls', 'device-authority.pem'), 'utf8'),
    privateKey: key.value,
  };
}
