/** Keys, hashes, manifests, and files that no writer of the product would make. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { type Manifest, signerFrom, type Signer, tufCanonicalBytes } from '../../src/index.ts';

export const day = 24 * 3600;
/** 2026-11-01T00:00:00Z: the moment at which everything is published unless a test says otherwise. */
export const start = 1_793_491_200;

export const product = 'infusion-pump';

export function newSigner(kind: 'ed25519' | 'p256' = 'ed25519'): Signer {
  const pair =
    kind === 'p256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  return signerFrom(pair.privateKey);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export type Json = Record<string, unknown>;

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Any JSON, signed by any keys: no check of the product's writers stands in the way. */
export function forge(signed: Json, signers: readonly Signer[]): Uint8Array {
  const bytes = tufCanonicalBytes(signed);
  const signatures = signers.map((signer) => ({
    keyid: signer.publicKey.keyId,
    sig: Buffer.from(signer.sign(bytes)).toString('hex'),
  }));
  return Buffer.from(JSON.stringify({ signatures, signed }));
}

/** The signed part of a file, to be changed and forged again. */
export function signedOf(file: Uint8Array | undefined): Json {
  assert.ok(file);
  const parsed: unknown = JSON.parse(Buffer.from(file).toString('utf8'));
  assert.ok(isJson(parsed) && isJson(parsed['signed']));
  return parsed['signed'];
}

export function manifestOf(version: number, changes: Partial<Manifest> = {}): Manifest {
  return {
    schema: 'airlock-manifest/1',
    product,
    version,
    name: `Release ${version}`,
    udi: '(01)00000000000000',
    safetyClass: 'C',
    compat: ['hw:rev2'],
    slot: 'inactive',
    requires: {},
    images: [{ component: 'rootfs', len: 1000, hash: sha256(Buffer.from(`image ${version}`)) }],
    secureBoot: [],
    change: {
      record: 'CR-1',
      impact: {
        assessment: 'none',
        safety: false,
        effectiveness: false,
        cybersecurity: false,
        labelling: false,
      },
      regulatory: { decision: 'letter to file', reference: 'LTF-1' },
      links: ['https://qms.example/CR-1'],
    },
    authors: ['ada'],
    emergency: false,
    urgency: { level: 'routine' },
    selfTest: { timeLimitSeconds: 60, critical: [] },
    notes: '',
    demand: {},
    critical: [],
    ...changes,
  };
}
