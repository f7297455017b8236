/** Certificates for tests: an authority, and leaves for servers and devices, P-256, valid for one day. */
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

export interface Leaf {
  readonly certificate: string;
  readonly key: string;
}

export interface Authority {
  /** PEM of the authority's own certificate. */
  readonly certificate: string;
  /** A leaf for DNS names, an IP address or a device's URN. */
  issue(names: readonly x509.JsonGeneralName[], days?: { from: number; to: number }): Promise<Leaf>;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMilliseconds = 24 * 3600 * 1000;
let serial = 0x1000;

export async function makeAuthority(name: string): Promise<Authority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    serialNumber: (serial += 1).toString(16),
    notBefore: new Date(Date.now() - dayMilliseconds),
    notAfter: new Date(Date.now() + dayMilliseconds),
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  return {
    certificate: root.toString('pem'),
    issue: async (names, days = { from: -1, to: 1 }) => {
      const own = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
      const leaf = await x509.X509CertificateGenerator.create({
        subject: 'CN=leaf',
        issuer: root.subject,
        serialNumber: (serial += 1).toString(16),
        notBefore: new Date(Date.now() + days.from * dayMilliseconds),
        notAfter: new Date(Date.now() + days.to * dayMilliseconds),
        signingKey: keys.privateKey,
        publicKey: own.publicKey,
        signingAlgorithm: algorithm,
        extensions: [new x509.SubjectAlternativeNameExtension([...names])],
      });
      const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64');
      const lines = pkcs8.match(/.{1,64}/g) ?? [];
      const key = ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n');
      return { certificate: leaf.toString('pem'), key };
    },
  };
}
