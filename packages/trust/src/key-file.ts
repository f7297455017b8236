/**
 * Private keys at rest: a JSON file sealed by a passphrase (scrypt and AES-256-GCM).
 *
 * The file shows the public key in clear, so that keys can be listed without a passphrase; on opening it is compared
 * with the private one, so that a swapped public key is noticed. It authenticates every field (they are the
 * additional data of the cipher) and accepts one set of parameters only: a tampered file can neither weaken the
 * derivation nor ask for 64 GB of memory. Salt and nonce are given by the caller, as is all randomness in trust.
 */
import { createCipheriv, createDecipheriv, createPrivateKey, type KeyObject, scryptSync } from 'node:crypto';
import { canonicalBytes } from './canonical.ts';
import { type Field, readFields } from './fields.ts';
import { type PublicKey, publicKeyFrom, publicKeyJson, readPublicKey } from './keys.ts';
import { trustLimits } from './limits.ts';
import { parseRaw } from './raw.ts';
import { fail, ok, type Result } from './result.ts';

/**
 * scrypt with N = 2^17, r = 8, p = 1: 128 MiB and a third of a second a guess. That is the OWASP setting of 2023; a
 * person waits for it once per ceremony, and a rented graphics card is held to some hundred guesses a second by its
 * memory. A server that opens a handful of online keys at its start waits two seconds.
 */
const scryptParameters = { N: 131_072, r: 8, p: 1 } as const;
/** 128 * N * r bytes and a little: what OpenSSL checks against. */
const scryptBytesMax = 160 * 1024 * 1024;

/** Bytes that the caller draws for `sealPrivateKey`: 128 bits, so that no two files share a derivation. */
export const sealSaltBytes = 16;
/** AES-GCM's own nonce size. The key is used once, since each file has its own salt. */
export const sealNonceBytes = 12;
const tagBytes = 16;

interface SealedKey {
  readonly publicKey: PublicKey;
  readonly salt: Uint8Array;
  readonly nonce: Uint8Array;
  readonly sealed: Uint8Array;
}

function header(publicKey: PublicKey, salt: Uint8Array, nonce: Uint8Array) {
  return {
    schema: 'airlock-key/1',
    publicKey: publicKeyJson(publicKey),
    kdf: { name: 'scrypt', ...scryptParameters, salt: Buffer.from(salt).toString('hex') },
    cipher: { name: 'aes-256-gcm', nonce: Buffer.from(nonce).toString('hex') },
  };
}

/** NFKC: the same passphrase typed on another keyboard or system gives the same bytes. */
function derive(passphrase: string, salt: Uint8Array): Uint8Array {
  const options = { ...scryptParameters, maxmem: scryptBytesMax };
  return scryptSync(passphrase.normalize('NFKC'), salt, 32, options);
}

/**
 * Seals a private key under a passphrase; the answer is the whole file (`airlock-key/1`, canonical JSON).
 * `salt` has 16 fresh random bytes, `nonce` 12. Throws RangeError for other lengths or an empty passphrase.
 */
export function sealPrivateKey(options: {
  readonly privateKey: KeyObject;
  readonly passphrase: string;
  readonly salt: Uint8Array;
  readonly nonce: Uint8Array;
}): Uint8Array {
  const { privateKey, passphrase, salt, nonce } = options;
  if (passphrase === '') throw new RangeError('the passphrase must not be empty');
  if (salt.length !== sealSaltBytes || nonce.length !== sealNonceBytes) {
    throw new RangeError(`salt must have ${sealSaltBytes} bytes and nonce ${sealNonceBytes}`);
  }
  const head = header(publicKeyFrom(privateKey), salt, nonce);
  const cipher = createCipheriv('aes-256-gcm', derive(passphrase, salt), nonce);
  cipher.setAAD(canonicalBytes(head));
  const clear = privateKey.export({ type: 'pkcs8', format: 'der' });
  const sealed = Buffer.concat([cipher.update(clear), cipher.final(), cipher.getAuthTag()]);
  clear.fill(0);
  return canonicalBytes({ ...head, sealed: sealed.toString('hex') });
}

function readHex(field: Field, bytesMin: number, bytesMax: number): Uint8Array {
  const text = field.text(2 * bytesMax);
  if (!/^(?:[0-9a-f]{2})+$/.test(text) || text.length < 2 * bytesMin) {
    field.refuse(`must be lower-case hex of ${bytesMin} to ${bytesMax} bytes`);
  }
  return Buffer.from(text, 'hex');
}

function readKeyFile(field: Field): SealedKey {
  field.object(['schema', 'publicKey', 'kdf', 'cipher', 'sealed']);
  field.at('schema').choice(['airlock-key/1']);
  const publicKey = readPublicKey(field.at('publicKey'));
  const kdf = field.at('kdf');
  kdf.object(['name', 'N', 'r', 'p', 'salt']);
  kdf.at('name').choice(['scrypt']);
  kdf.at('N').integer(scryptParameters.N, scryptParameters.N);
  kdf.at('r').integer(scryptParameters.r, scryptParameters.r);
  kdf.at('p').integer(scryptParameters.p, scryptParameters.p);
  const cipher = field.at('cipher');
  cipher.object(['name', 'nonce']);
  cipher.at('name').choice(['aes-256-gcm']);
  return {
    publicKey,
    salt: readHex(kdf.at('salt'), sealSaltBytes, sealSaltBytes),
    nonce: readHex(cipher.at('nonce'), sealNonceBytes, sealNonceBytes),
    sealed: readHex(field.at('sealed'), tagBytes + 1, 1024),
  };
}

function parseKeyFile(bytes: Uint8Array): Result<SealedKey> {
  const parsed = parseRaw(bytes, trustLimits.keyFileBytesMax, 'key file');
  if (!parsed.ok) return fail('KEY_FILE', parsed.error.message);
  return readFields(parsed.value, { code: 'KEY_FILE', name: 'key file' }, readKeyFile);
}

/** The public key of a sealed file, without its passphrase: for listing only, nothing proves the match. */
export function readSealedPublicKey(bytes: Uint8Array): Result<PublicKey> {
  const file = parseKeyFile(bytes);
  return file.ok ? ok(file.value.publicKey) : file;
}

/**
 * Opens a sealed private key. KEY_PASSPHRASE: the passphrase is wrong, or the file was changed (the cipher cannot
 * tell which). KEY_FILE: it is no key file, or its public key is not the private one's.
 */
export function openPrivateKey(bytes: Uint8Array, passphrase: string): Result<KeyObject> {
  const file = parseKeyFile(bytes);
  if (!file.ok) return file;
  const { publicKey, salt, nonce, sealed } = file.value;
  const decipher = createDecipheriv('aes-256-gcm', derive(passphrase, salt), nonce, {
    authTagLength: tagBytes,
  });
  decipher.setAAD(canonicalBytes(header(publicKey, salt, nonce)));
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  let clear: Buffer;
  try {
    clear = Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - tagBytes)), decipher.final()]);
  } catch {
    return fail('KEY_PASSPHRASE', 'the passphrase is wrong, or the key file was changed');
  }
  try {
    const privateKey = createPrivateKey({ key: clear, format: 'der', type: 'pkcs8' });
    if (publicKeyFrom(privateKey).keyId === publicKey.keyId) return ok(privateKey);
    return fail('KEY_FILE', 'the public key in the file is not that of the sealed key', 'publicKey');
  } catch {
    return fail('KEY_FILE', 'the sealed bytes are not a private key', 'sealed');
  } finally {
    clear.fill(0);
  }
}
