/**
 * X.509 for Airlock's own two authorities: the one for the server's listeners and the one for devices.
 *
 * All keys are P-256: every TLS stack on a device has it. Serial numbers are random, the clock is given, and a leaf
 * is good for one purpose only (server or client). Keeping private keys is left to `keys.ts`.
 */
// Must come first: @peculiar/x509 needs it and does not depend on it.
import 'reflect-metadata';
import { generateKeyPairSync, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import type { UtcSeconds } from '@airlock/trust';

x509.cryptoProvider.set(webcrypto);

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const daySeconds = 24 * 3600;
/** An authority outlives the devices of its time; rotating it is a delivery of trust to every device. */
const authorityDays = 20 * 365;
/** The server's own certificates are made again by `init`'s successor long before. */
const serverDays = 2 * 365;
/** Until enrolment renews them by itself, device certificates must outlive a device's years on a shelf. */
const deviceDays = 10 * 365;
/** Clocks of devices may be behind: certificates begin a day before they are made. */
const backdateSeconds = daySeconds;

/** A certificate with its private key: what a listener or a device is given. */
export interface Identity {
  readonly certificate: string;
  readonly privateKey: KeyObject;
}

function term(now: UtcSeconds, days: number): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date((now - backdateSeconds) * 1000),
    notAfter: new Date((now + days * daySeconds) * 1000),
  };
}

/** 16 bytes with the top bit clear: positive, and shorter than the 20 bytes that are allowed. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return bytes.toString('hex');
}

function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

async function signingKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  return await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign']);
}

async function publicHalf(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const { kty, crv, x, y } = key.export({ format: 'jwk' });
  const jwk = { ...(kty ? { kty } : {}), ...(crv ? { crv } : {}), ...(x ? { x } : {}), ...(y ? { y } : {}) };
  return await webcrypto.subtle.importKey('jwk', jwk, algorithm, true, ['verify']);
}

/** A self-signed authority that signs leaves and nothing else. */
export async function makeAuthority(name: string, now: UtcSeconds): Promise<Identity> {
  const privateKey = newKey();
  const publicKey = await publicHalf(privateKey);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${name}`,
    ...term(now, authorityDays),
    signingAlgorithm: algorithm,
    keys: { privateKey: await signingKey(privateKey), publicKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return { certificate: certificate.toString('pem'), privateKey };
}

async function makeLeaf(options: {
  readonly authority: Identity;
  readonly subject: string;
  readonly purpose: x509.ExtendedKeyUsage;
  readonly names: x509.JsonGeneralNames;
  readonly days: number;
  readonly now: UtcSeconds;
}): Promise<Identity> {
  const { authority, subject, purpose, names, days, now } = options;
  const issuer = new x509.X509Certificate(authority.certificate);
  const privateKey = newKey();
  const publicKey = await publicHalf(privateKey);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `CN=${subject}`,
    issuer: issuer.subject,
    ...term(now, days),
    signingAlgorithm: algorithm,
    publicKey,
    signingKey: await signingKey(authority.privateKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([purpose]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificate: certificate.toString('pem'), privateKey };
}

/** A listener's certificate for host names and addresses. */
export async function makeServerCertificate(
  authority: Identity,
  hosts: readonly string[],
  now: UtcSeconds,
): Promise<Identity> {
  const names = hosts.map((host) => ({
    type: isIP(host) === 0 ? ('dns' as const) : ('ip' as const),
    value: host,
  }));
  const purpose = x509.ExtendedKeyUsage.serverAuth;
  return await makeLeaf({ authority, subject: hosts[0] ?? 'server', purpose, names, days: serverDays, now });
}

/** A device's certificate: the id stands in the name and, as `urn:airlock:device:<id>`, in the SAN that counts. */
export async function makeDeviceCertificate(
  authority: Identity,
  device: string,
  now: UtcSeconds,
): Promise<Identity> {
  const names = [{ type: 'url' as const, value: `urn:airlock:device:${device}` }];
  const purpose = x509.ExtendedKeyUsage.clientAuth;
  return await makeLeaf({ authority, subject: device, purpose, names, days: deviceDays, now });
}

/** A private key as PEM (PKCS #8), in clear: for what a machine must open by itself. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}
