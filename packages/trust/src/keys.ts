/**
 * Keys: Ed25519 and ECDSA P-256, one fixed encoding each, and signatures made and checked with them.
 *
 * One public key has exactly one encoding here and therefore exactly one key id: tuf-js takes any hex case, PEM
 * layout or curve encoding, and would count one key under two ids as two approvals. Sealing private keys into
 * files stands in key-file.ts. The spelling `ecdsa` for the key type is the one that TUF 1.0 names and tuf-js verifies.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { sha256Hex, tufCanonicalBytes } from './canonical.ts';
import { type Field, readFields } from './fields.ts';
import type { Result } from './result.ts';

/** A public key as TUF writes it, with its id and the hash by which keys are compared across files. */
export interface PublicKey {
  /** SHA-256 of TUF's canonical form of {keytype, scheme, keyval}. */
  readonly keyId: string;
  readonly keytype: 'ed25519' | 'ecdsa';
  readonly scheme: 'ed25519' | 'ecdsa-sha2-nistp256';
  /** Ed25519: 64 lower-case hex digits. P-256: PEM of the SPKI, uncompressed, as Node writes it. */
  readonly keyval: { readonly public: string };
  /** SHA-256 of the SPKI DER: sameness of keys is judged on this. */
  readonly spkiSha256: string;
}

/** The part of a public key that stands in files. */
export interface PublicKeyJson {
  readonly keytype: string;
  readonly scheme: string;
  readonly keyval: { readonly public: string };
}

/** Something that can sign: a key in memory, or a device that never shows its key (PKCS#11). */
export interface Signer {
  readonly publicKey: PublicKey;
  /** Ed25519: 64 bytes. ECDSA over SHA-256: DER. */
  sign(bytes: Uint8Array): Uint8Array;
}

const ed25519SpkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');
/** SPKI of an uncompressed point on P-256: this prefix, then X and Y of 32 bytes each. */
const p256SpkiPrefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex');
const p256SpkiBytes = p256SpkiPrefix.length + 64;
const ed25519HexPattern = /^[0-9a-f]{64}$/;
/** A P-256 signature in DER is at most 72 bytes, an Ed25519 one 64. */
const signatureBytesMax = 72;

/**
 * The eight points of small order, and their other encodings, without the sign bit. With one of them as public key
 * anybody can make a signature that verifies for every message. Node 26 refuses them when verifying, Node 20 did not.
 */
const smallOrderPoints: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

function withoutSignBit(hex: string): string {
  const last = Number.parseInt(hex.slice(62), 16) & 0x7f;
  return hex.slice(0, 62) + last.toString(16).padStart(2, '0');
}

function complete(json: Omit<PublicKey, 'keyId' | 'spkiSha256'>, spki: Uint8Array): PublicKey {
  return { keyId: sha256Hex(tufCanonicalBytes(json)), ...json, spkiSha256: sha256Hex(spki) };
}

/**
 * The public key of a private or public key object, in its one encoding.
 * Throws TypeError for any other kind of key: what may sign is decided before a key gets here.
 */
export function publicKeyFrom(keyObject: KeyObject): PublicKey {
  const key = keyObject.type === 'private' ? createPublicKey(keyObject) : keyObject;
  if (key.asymmetricKeyType === 'ed25519') {
    const spki = key.export({ type: 'spki', format: 'der' });
    const hex = spki.subarray(ed25519SpkiPrefix.length).toString('hex');
    return complete({ keytype: 'ed25519', scheme: 'ed25519', keyval: { public: hex } }, spki);
  }
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    // By way of the coordinates: OpenSSL would write a key that was read compressed as compressed again.
    const fixed = createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' });
    const pem = fixed.export({ type: 'spki', format: 'pem' });
    const spki = fixed.export({ type: 'spki', format: 'der' });
    return complete({ keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem } }, spki);
  }
  throw new TypeError('only Ed25519 and ECDSA P-256 keys are used');
}

/** What stands in a file for a key: no id, no hash, which are computed again by every reader. */
export function publicKeyJson(key: PublicKey): PublicKeyJson {
  return { keytype: key.keytype, scheme: key.scheme, keyval: { public: key.keyval.public } };
}

function keyObjectOf(json: PublicKeyJson): KeyObject {
  if (json.keytype === 'ecdsa') return createPublicKey(json.keyval.public);
  const der = Buffer.concat([ed25519SpkiPrefix, Buffer.from(json.keyval.public, 'hex')]);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

/** Reads a public key inside a larger document; used by every parser that meets a key. */
export function readPublicKey(field: Field): PublicKey {
  field.object(['keytype', 'scheme', 'keyval']);
  const keytype = field.at('keytype').choice(['ed25519', 'ecdsa']);
  field.at('scheme').choice([keytype === 'ecdsa' ? 'ecdsa-sha2-nistp256' : 'ed25519']);
  const keyval = field.at('keyval');
  keyval.object(['public']);
  const encoded = keyval.at('public');
  const text = encoded.text(400);
  if (keytype === 'ed25519') {
    if (!ed25519HexPattern.test(text)) encoded.refuse('must be 64 lower-case hex digits');
    if (smallOrderPoints.has(withoutSignBit(text))) encoded.refuse('is a point of small order, no key');
  }
  // The encodings are compared byte by byte, not read and exported again: that was a fifth of a whole check's time.
  if (keytype === 'ed25519') {
    const spki = Buffer.concat([ed25519SpkiPrefix, Buffer.from(text, 'hex')]);
    return complete({ keytype, scheme: 'ed25519', keyval: { public: text } }, spki);
  }
  const spki = p256SpkiOf(text);
  if (spki === undefined) {
    return encoded.refuse(
      'must be encoded as Node writes it: PEM of the uncompressed SPKI with its final line break',
    );
  }
  try {
    // Refuses a point that is not on the curve.
    createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch {
    return encoded.refuse('is not a public key of its type');
  }
  return complete({ keytype, scheme: 'ecdsa-sha2-nistp256', keyval: { public: text } }, spki);
}

/** The DER in a P-256 key's PEM, if it is an uncompressed point and the PEM is exactly the one that Node writes. */
function p256SpkiOf(pem: string): Buffer | undefined {
  const spki = Buffer.from(pem.split('\n').slice(1, 3).join(''), 'base64');
  if (spki.length !== p256SpkiBytes || !spki.subarray(0, p256SpkiPrefix.length).equals(p256SpkiPrefix)) {
    return undefined;
  }
  const base64 = spki.toString('base64');
  const lines = `${base64.slice(0, 64)}\n${base64.slice(64)}`;
  return pem === `-----BEGIN PUBLIC KEY-----\n${lines}\n-----END PUBLIC KEY-----\n` ? spki : undefined;
}

/**
 * Parses a TUF public key; `field` is the path to name in a failure (OTA_BAD_METADATA).
 * Accepts the one encoding of each algorithm and no further field.
 */
export function parsePublicKey(json: unknown, field: string): Result<PublicKey> {
  return readFields(json, { code: 'OTA_BAD_METADATA', name: field }, readPublicKey);
}

/** A signer that holds its key in memory. Throws TypeError for a public key or another algorithm. */
export function signerFrom(privateKey: KeyObject): Signer {
  if (privateKey.type !== 'private') throw new TypeError('a signer needs a private key');
  const publicKey = publicKeyFrom(privateKey);
  const digest = publicKey.keytype === 'ecdsa' ? 'sha256' : null;
  return { publicKey, sign: (bytes) => sign(digest, bytes, privateKey) };
}

/**
 * Whether `signature` is one of `key` over exactly `bytes`. Never throws for a malformed signature.
 * OpenSSL refuses an Ed25519 S that is not reduced and an ECDSA signature that is not strict DER; the two values of
 * S that ECDSA always allows are both accepted, so that a signature never serves as an identity of anything.
 */
export function verifySignature(key: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length > signatureBytesMax) return false;
  const digest = key.keytype === 'ecdsa' ? 'sha256' : null;
  try {
    return verify(digest, bytes, keyObjectOf(key), signature);
  } catch {
    return false;
  }
}
