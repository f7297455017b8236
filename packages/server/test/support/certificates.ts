/** Certificates for tests: an authority and what it issues, made in memory. */
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';

x509.cryptoProvider.set(webcrypto);

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface Issued {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly key: string;
}

export interface Authority {
  readonly certificate: string;
  issue(options: IssueOptions): Promise<Issued>;
}

export interface IssueOptions {
  readonly name: string;
  /** `urn:airlock:device:<id>` is written when given. */
  readonly device?: string;
  readonly use: 'client' | 'server';
  readonly notAfter?: Date;
}

const serial = () => `00${randomBytes(12).toString('hex')}`;
const hourAgo = () => new Date(Date.now() - 3_600_000);
const inAYear = () => new Date(Date.now() + 365 * 86_400_000);

async function pem(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({
    type: 'pkcs8',
    format: 'pem',
  });
}

export async function makeAuthority(name: string): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${name}`,
    notBefore: hourAgo(),
    notAfter: inAYear(),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  return {
    certificate: authority.toString('pem'),
    async issue({ name: subject, device, use, notAfter }) {
      const own = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      const names: x509.JsonGeneralNames =
        use === 'server'
          ? [
              { type: 'dns', value: 'localhost' },
              { type: 'ip', value: '127.0.0.1' },
            ]
          : device === undefined
            ? []
            : [{ type: 'url', value: `urn:airlock:device:${device}` }];
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serial(),
        subject: `CN=${subject}`,
        issuer: authority.subject,
        notBefore: hourAgo(),
        notAfter: notAfter ?? inAYear(),
        signingAlgorithm: algorithm,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.BasicConstraintsExtension(false),
          new x509.ExtendedKeyUsageExtension([
            use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
          ]),
          ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
        ],
      });
      return { certificate: certificate.toString('pem'), key: await pem(own.privateKey) };
    },
  };
}
