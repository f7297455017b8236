/**
 * Certificates that the scenarios of lies need: of a foreign authority, and of a device that nobody registered.
 *
 * P-256, valid for a day around now, kept apart from the CLI's own: what testbench forges must not come out of the
 * code that it attacks.
 */
import 'reflect-metadata';
import { generateKeyPairSync, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 24 * 3600 * 1000;

/** A certificate (PEM) and its private key. */
export interface Identity {
  readonly certificate: string;
  readonly privateKey: KeyObject;
}

export interface IdentityFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** A self-signed authority. */
export async function makeAuthority(name: string): Promise<Identity> {
  const { privateKey, publicKey } = newKeyPair();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...common(),
    name: `CN=${name}`,
    keys: { privateKey: await signing(privateKey), publicKey: await verifying(publicKey) },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { certificate: certificate.toString('pem'), privateKey };
}

/** A server's certificate for 127.0.0.1 and localhost. */
export async function makeServerIdentity(authority: Identity): Promise<Identity> {
  return await makeLeaf(authority, 'localhost', x509.ExtendedKeyUsage.serverAuth, [
    { type: 'dns', value: 'localhost' },
    { type: 'ip', value: '127.0.0.1' },
  ]);
}

/** A device's client certificate, as `airlock device add` would make it. */
export async function makeDeviceIdentity(authority: Identity, device: string): Promise<Identity> {
  return await makeLeaf(authority, device, x509.ExtendedKeyUsage.clientAuth, [
    { type: 'url', value: `urn:airlock:device:${device}` },
  ]);
}

export function writeIdentity(folder: string, name: string, identity: Identity): IdentityFiles {
  const files = { certificateFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}.key`) };
  writeFileSync(files.certificateFile, identity.certificate);
  writeFileSync(files.keyFile, identity.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return files;
}

async function makeLeaf(
  authority: Identity,
  subject: string,
  purpose: x509.ExtendedKeyUsage,
  names: x509.JsonGeneralNames,
): Promise<Identity> {
  const { privateKey, publicKey } = newKeyPair();
  const certificate = await x509.X509CertificateGenerator.create({
    ...common(),
    subject: `CN=${subject}`,
    issuer: new x509.X509Certificate(authority.certificate).subject,
    publicKey: await verifying(publicKey),
    signingKey: await signing(authority.privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([purpose]),
      new x509.SubjectAlternativeNameExtension(names),
    ],
  });
  return { certificate: certificate.toString('pem'), privateKey };
}

function common() {
  const serial = randomBytes(15);
  return {
    serialNumber: `01${serial.toString('hex')}`,
    notBefore: new Date(Date.now() - dayMs),
    notAfter: new Date(Date.now() + dayMs),
    signingAlgorithm: algorithm,
  };
}

function newKeyPair(): { privateKey: KeyObject; publicKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

async function signing(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  return await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
}

async function verifying(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const spki = key.export({ type: 'spki', format: 'der' });
  return await webcrypto.subtle.importKey('spki', spki, algorithm, true, ['verify']);
}
