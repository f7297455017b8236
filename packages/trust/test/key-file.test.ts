/**
 * Sealed private keys: opened by the right passphrase only, and never as another key than the one shown.
 * Leaves to the CLI where files lie and who may read them.
 */
import assert from 'node:assert/strict';
import { createCipheriv, createPrivateKey, generateKeyPairSync, randomBytes, scryptSync } from 'node:crypto';
import { test } from 'node:test';
import {
  canonicalBytes,
  openPrivateKey,
  publicKeyFrom,
  publicKeyJson,
  readSealedPublicKey,
  sealPrivateKey,
  trustLimits,
} from '@airlock/trust';
import * as fc from 'fast-check';
import { ed25519, put, textOf, utf8, verdict } from './support/samples.ts';

const privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const passphrase = 'Füße, correct horse';
const fresh = () => ({ salt: randomBytes(16), nonce: randomBytes(12) });
const file = sealPrivateKey({ privateKey, passphrase, ...fresh() });

function withField(path: (string | number)[], value: unknown): Uint8Array {
  const json: unknown = JSON.parse(textOf(file));
  put(json, path, value);
  return utf8(JSON.stringify(json));
}

test('TEST-OTA-109 REQ-OTA-SIGN-06: a sealed key, right passphrase however it is composed: the very key again', () => {
  for (const form of ['NFC', 'NFD', 'NFKC'] as const) {
    const opened = openPrivateKey(file, passphrase.normalize(form));
    assert.ok(opened.ok);
    assert.ok(opened.value.equals(privateKey));
  }
  assert.deepEqual(readSealedPublicKey(file), { ok: true, value: publicKeyFrom(privateKey) });
  const ed = generateKeyPairSync('ed25519').privateKey;
  const opened = openPrivateKey(sealPrivateKey({ privateKey: ed, passphrase, ...fresh() }), passphrase);
  assert.ok(opened.ok && opened.value.equals(ed));
  const clear = privateKey.export({ format: 'der', type: 'pkcs8' });
  assert.equal(Buffer.from(file).includes(clear.toString('hex')), false);
  assert.equal(Buffer.from(file).includes(clear), false);
});

test('TEST-OTA-110 REQ-OTA-SIGN-06: a sealed key, wrong passphrase or any changed field: refused, never another key', () => {
  assert.equal(verdict(openPrivateKey(file, 'wrong')), 'KEY_PASSPHRASE');
  assert.equal(verdict(openPrivateKey(file, '')), 'KEY_PASSPHRASE');
  const other = publicKeyJson(ed25519(1).publicKey);
  const flip = (hex: string) => (hex.startsWith('0') ? '1' : '0') + hex.slice(1);
  const json = JSON.parse(textOf(file)) as {
    sealed: string;
    kdf: { salt: string };
    cipher: { nonce: string };
  };
  const rows: [Uint8Array, string][] = [
    [withField(['publicKey'], other), 'KEY_PASSPHRASE'],
    [withField(['sealed'], flip(json.sealed)), 'KEY_PASSPHRASE'],
    [withField(['kdf', 'salt'], flip(json.kdf.salt)), 'KEY_PASSPHRASE'],
    [withField(['cipher', 'nonce'], flip(json.cipher.nonce)), 'KEY_PASSPHRASE'],
    [withField(['kdf', 'N'], 2), 'KEY_FILE kdf.N'],
    [withField(['kdf', 'N'], 2 ** 30), 'KEY_FILE kdf.N'],
    [withField(['kdf', 'p'], 2), 'KEY_FILE kdf.p'],
    [withField(['kdf', 'salt'], 'ab'), 'KEY_FILE kdf.salt'],
    [withField(['kdf', 'name'], 'pbkdf2'), 'KEY_FILE kdf.name'],
    [withField(['cipher', 'name'], 'aes-256-cbc'), 'KEY_FILE cipher.name'],
    [withField(['sealed'], json.sealed.toUpperCase()), 'KEY_FILE sealed'],
    [withField(['sealed'], undefined), 'KEY_FILE sealed'],
    [withField(['schema'], 'airlock-key/2'), 'KEY_FILE schema'],
    [withField(['extra'], 1), 'KEY_FILE extra'],
    [utf8('-----BEGIN PRIVATE KEY-----'), 'KEY_FILE'],
    [new Uint8Array(trustLimits.keyFileBytesMax + 1), 'KEY_FILE'],
  ];
  for (const [bytes, expected] of rows) assert.equal(verdict(openPrivateKey(bytes, passphrase)), expected);
  assert.equal(verdict(readSealedPublicKey(utf8('{}'))), 'KEY_FILE schema');
});

/** A file that someone who knows the passphrase sealed by other means. */
function sealBytes(clear: Uint8Array, shownKey: unknown): Uint8Array {
  const { salt, nonce } = fresh();
  const kdf = { name: 'scrypt', N: 131_072, r: 8, p: 1 };
  const head = {
    schema: 'airlock-key/1',
    publicKey: shownKey,
    kdf: { ...kdf, salt: salt.toString('hex') },
    cipher: { name: 'aes-256-gcm', nonce: nonce.toString('hex') },
  };
  const key = scryptSync(passphrase.normalize('NFKC'), salt, 32, { ...kdf, maxmem: 2 ** 28 });
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(canonicalBytes(head));
  const sealed = Buffer.concat([cipher.update(clear), cipher.final(), cipher.getAuthTag()]);
  return canonicalBytes({ ...head, sealed: sealed.toString('hex') });
}

test('TEST-OTA-111 REQ-OTA-SIGN-06: a sealed key, sealed under a public key that is not its own: noticed on opening', () => {
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' });
  const honest = sealBytes(pkcs8, publicKeyJson(publicKeyFrom(privateKey)));
  assert.ok(openPrivateKey(honest, passphrase).ok, 'the helper seals as the product does');
  const wrong = sealBytes(pkcs8, publicKeyJson(ed25519(1).publicKey));
  assert.equal(verdict(openPrivateKey(wrong, passphrase)), 'KEY_FILE publicKey');
  const garbage = sealBytes(utf8('no key at all'), publicKeyJson(ed25519(1).publicKey));
  assert.equal(verdict(openPrivateKey(garbage, passphrase)), 'KEY_FILE sealed');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  const other = sealBytes(rsa.export({ format: 'der', type: 'pkcs8' }), publicKeyJson(ed25519(1).publicKey));
  assert.equal(verdict(openPrivateKey(other, passphrase)), 'KEY_FILE sealed');
});

test('TEST-OTA-112 REQ-OTA-SIGN-06: sealing, empty passphrase or short randomness: a programmer error', () => {
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' });
  const key = createPrivateKey(pem);
  const { salt, nonce } = fresh();
  assert.throws(() => sealPrivateKey({ privateKey: key, passphrase: '', salt, nonce }), RangeError);
  assert.throws(() => sealPrivateKey({ privateKey: key, passphrase, salt: nonce, nonce }), RangeError);
  assert.throws(() => sealPrivateKey({ privateKey: key, passphrase, salt, nonce: salt }), RangeError);
});

test('TEST-OTA-113 REQ-OTA-MAN-02: a key file, arbitrary and mutated bytes: refused without throwing', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => !readSealedPublicKey(bytes).ok));
  fc.assert(
    fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const mutated = Uint8Array.from(file);
      mutated[at] = (mutated[at] ?? 0) ^ bits;
      const read = readSealedPublicKey(mutated);
      if (!read.ok) assert.equal(read.error.code, 'KEY_FILE');
    }),
  );
});
