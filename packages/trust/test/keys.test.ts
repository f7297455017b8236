/**
 * Keys and signatures against published vectors (RFC 8032, RFC 6979), with the forgeries that each scheme must refuse.
 * Keeps true: one public key has one encoding and one id. Leaves counting signatures to the role tests.
 */
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { test } from 'node:test';
import { Key, Signature } from '@tufjs/models';
import {
  parsePublicKey,
  publicKeyFrom,
  publicKeyJson,
  sha256Hex,
  signerFrom,
  tufCanonicalBytes,
  verifySignature,
} from '@airlock/trust';
import * as fc from 'fast-check';
import { ed25519, p256, utf8 } from './support/samples.ts';

const hex = (text: string) => Buffer.from(text, 'hex');

/** RFC 8032, section 7.1: TEST 1, 2, 3 and SHA(abc). */
const rfc8032 = [
  {
    secret: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    public: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    secret: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    public: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    secret: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    public: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
  {
    secret: '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
    public: 'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
    message:
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    signature:
      'dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704',
  },
] as const;

/** RFC 6979, A.2.5: P-256 with SHA-256. */
const rfc6979 = {
  x: '60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6',
  y: '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
  signatures: [
    {
      message: 'sample',
      r: 'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716',
      s: 'f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
    },
    {
      message: 'test',
      r: 'f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367',
      s: '019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083',
    },
  ],
} as const;

const ed25519Order = 2n ** 252n + 27742317777372353535851937790883648493n;
const p256Order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

function ed25519Public(publicHex: string): KeyObject {
  const spki = Buffer.concat([hex('302a300506032b6570032100'), hex(publicHex)]);
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}

function p256Public(): KeyObject {
  const coordinate = (value: string) => hex(value).toString('base64url');
  const jwk = { kty: 'EC', crv: 'P-256', x: coordinate(rfc6979.x), y: coordinate(rfc6979.y) };
  return createPublicKey({ key: jwk, format: 'jwk' });
}

/** A DER integer of these hex digits, with a zero before a set top bit and no other. */
function derInteger(digits: string): Buffer {
  let bytes = hex(digits.length % 2 === 0 ? digits : `0${digits}`);
  while (bytes.length > 1 && bytes[0] === 0 && (bytes[1] ?? 0) < 0x80) bytes = bytes.subarray(1);
  if ((bytes[0] ?? 0) >= 0x80) bytes = Buffer.concat([hex('00'), bytes]);
  return Buffer.concat([Buffer.from([2, bytes.length]), bytes]);
}

function der(...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

test('TEST-OTA-100 REQ-OTA-SIGN-01: Ed25519, RFC 8032 vectors: signed and verified as published', () => {
  for (const vector of rfc8032) {
    const prefix = hex('302e020100300506032b657004220420');
    const der8 = Buffer.concat([prefix, hex(vector.secret)]);
    const signer = signerFrom(createPrivateKey({ key: der8, format: 'der', type: 'pkcs8' }));
    assert.equal(signer.publicKey.keyval.public, vector.public);
    const message = hex(vector.message);
    assert.equal(Buffer.from(signer.sign(message)).toString('hex'), vector.signature);
    assert.equal(verifySignature(signer.publicKey, message, hex(vector.signature)), true);
    assert.equal(
      verifySignature(signer.publicKey, Buffer.concat([message, hex('00')]), hex(vector.signature)),
      false,
    );
  }
});

test('TEST-OTA-101 REQ-OTA-SIGN-01: Ed25519, malleated and malformed signatures: refused', () => {
  for (const vector of rfc8032) {
    const key = publicKeyFrom(ed25519Public(vector.public));
    const good = hex(vector.signature);
    const message = hex(vector.message);
    // S + L verifies in a naive implementation: a second signature for the same message.
    const s = BigInt(`0x${Buffer.from(good.subarray(32).toReversed()).toString('hex')}`) + ed25519Order;
    const moreS = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').toReversed();
    const bad: Record<string, Buffer> = {
      'S + L': Buffer.concat([good.subarray(0, 32), moreS]),
      empty: hex(''),
      short: good.subarray(0, 63),
      long: Buffer.concat([good, hex('00')]),
      'very long': Buffer.concat([good, good]),
      'R of zeros': Buffer.concat([Buffer.alloc(32), good.subarray(32)]),
      'S of zeros': Buffer.concat([good.subarray(0, 32), Buffer.alloc(32)]),
      swapped: Buffer.concat([good.subarray(32), good.subarray(0, 32)]),
    };
    for (const [name, signature] of Object.entries(bad)) {
      assert.equal(verifySignature(key, message, signature), false, name);
    }
    for (let bit = 0; bit < 512; bit += 1) {
      const flipped = Buffer.from(good);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.equal(verifySignature(key, message, flipped), false, `bit ${bit}`);
    }
  }
});

test('TEST-OTA-102 REQ-OTA-SIGN-01: ECDSA P-256, RFC 6979 vectors: verified, and over no other message', () => {
  const key = publicKeyFrom(p256Public());
  for (const { message, r, s } of rfc6979.signatures) {
    const signature = der(derInteger(r), derInteger(s));
    assert.equal(verifySignature(key, utf8(message), signature), true);
    assert.equal(verifySignature(key, utf8(`${message} `), signature), false);
    assert.equal(verifySignature(p256().publicKey, utf8(message), signature), false);
    assert.equal(verifySignature(ed25519(1).publicKey, utf8(message), signature), false);
  }
});

test('TEST-OTA-103 REQ-OTA-SIGN-01: ECDSA P-256, signatures that are not strict DER or out of range: refused', () => {
  const key = publicKeyFrom(p256Public());
  const { message, r, s } = rfc6979.signatures[0];
  const good = der(derInteger(r), derInteger(s));
  const R = derInteger(r);
  const S = derInteger(s);
  const body = Buffer.concat([R, S]);
  const wide = (digits: string) => Buffer.concat([hex('0222'), hex('0000'), hex(digits)]);
  const bad: Record<string, Buffer> = {
    'raw r and s': hex(r + s),
    'long form of the length': Buffer.concat([Buffer.from([0x30, 0x81, body.length]), body]),
    'trailing byte': Buffer.concat([good, hex('00')]),
    'trailing byte inside': der(R, S, hex('00')),
    'superfluous zero': der(wide(r), S),
    'indefinite length': Buffer.concat([hex('3080'), body, hex('0000')]),
    'r = 0': der(derInteger('00'), S),
    's = 0': der(R, derInteger('00')),
    'r = s = 0': der(derInteger('00'), derInteger('00')),
    'r + n': der(derInteger((BigInt(`0x${r}`) + p256Order).toString(16)), S),
    's + n': der(R, derInteger((BigInt(`0x${s}`) + p256Order).toString(16))),
    'negative r': der(Buffer.concat([hex('0220'), hex(r)]), S),
    swapped: der(S, R),
    empty: hex(''),
  };
  for (const [name, signature] of Object.entries(bad)) {
    assert.equal(verifySignature(key, utf8(message), signature), false, name);
  }
  // The one freedom that ECDSA leaves: n - s verifies as well. So no signature's bytes ever identify anything.
  const otherS = derInteger((p256Order - BigInt(`0x${s}`)).toString(16));
  assert.equal(verifySignature(key, utf8(message), der(R, otherS)), true);
});

test('TEST-OTA-104 REQ-OTA-SIGN-04: a public key, any second encoding: refused, so that one key has one id', () => {
  const hexKey = ed25519(1).publicKey;
  const pemKey = p256().publicKey;
  const pem = pemKey.keyval.public;
  const spki = createPublicKey(pem).export({ type: 'spki', format: 'der' });
  const compressedPoint = Buffer.concat([Buffer.from([2 + ((spki.at(-1) ?? 0) & 1)]), spki.subarray(27, 59)]);
  const compressed = Buffer.concat([
    hex('3039301306072a8648ce3d020106082a8648ce3d030107032200'),
    compressedPoint,
  ]);
  const compressedPem = `-----BEGIN PUBLIC KEY-----\n${compressed.toString('base64')}\n-----END PUBLIC KEY-----\n`;
  // It is the same key, and tuf-js would take it for another one.
  assert.deepEqual(publicKeyFrom(createPublicKey(compressedPem)), pemKey);
  const ec = (value: unknown) => ({
    keytype: 'ecdsa',
    scheme: 'ecdsa-sha2-nistp256',
    keyval: { public: value },
  });
  const ed = (value: unknown) => ({ keytype: 'ed25519', scheme: 'ed25519', keyval: { public: value } });
  const refused: Record<string, unknown> = {
    'upper-case hex': ed(hexKey.keyval.public.toUpperCase().replace(/^\d+$/, 'A'.repeat(64))),
    'Ed25519 as PEM': ed(ed25519Public(hexKey.keyval.public).export({ type: 'spki', format: 'pem' })),
    '63 digits': ed(hexKey.keyval.public.slice(1)),
    'compressed point': ec(compressedPem),
    'no final line break': ec(pem.trimEnd()),
    CRLF: ec(pem.replaceAll('\n', '\r\n')),
    'one long line': ec(pem.replace(/\n(?=[A-Za-z0-9+/=]+\n-----END)/, '')),
    'P-256 as hex': ec(spki.subarray(26).toString('hex')),
    'text before': ec(`# key\n${pem}`),
    'not a key': ec('-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n'),
    'Ed25519 PEM as ecdsa': ec(ed25519Public(hexKey.keyval.public).export({ type: 'spki', format: 'pem' })),
    'other key type': { ...ec(pem), keytype: 'ecdsa-sha2-nistp256' },
    'scheme of the other': { ...ec(pem), scheme: 'ed25519' },
    'extra field': { ...ec(pem), keyid_hash_algorithms: ['sha256'] },
    'extra field in keyval': { ...ec(pem), keyval: { public: pem, private: '' } },
    number: ed(7),
    nothing: undefined,
    list: [],
  };
  for (const [name, value] of Object.entries(refused)) {
    const parsed = parsePublicKey(value, 'keys.k1');
    assert.equal(parsed.ok, false, name);
    assert.equal(parsed.ok ? '' : parsed.error.code, 'OTA_BAD_METADATA', name);
  }
  for (const key of [hexKey, pemKey]) {
    assert.deepEqual(parsePublicKey(publicKeyJson(key), 'k'), { ok: true, value: key });
  }
});

test('TEST-OTA-105 REQ-OTA-SIGN-04: an Ed25519 key of small order, which signs everything: refused', () => {
  // With the neutral element as key, R = the neutral element and S = 0 are a signature of every message: the OpenSSL
  // in Node 20 takes it, that in Node 26 does not. The key is refused whatever OpenSSL does.
  const neutral = `01${'00'.repeat(31)}`;
  const forged = Buffer.concat([hex(neutral), Buffer.alloc(32)]);
  assert.equal(verify(null, utf8('anything'), ed25519Public(neutral), forged), false);
  const points = [
    '00'.repeat(32),
    neutral,
    `01${'00'.repeat(30)}80`,
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(31)}`,
    `ee${'ff'.repeat(30)}7f`,
  ];
  for (const point of points) {
    const parsed = parsePublicKey({ keytype: 'ed25519', scheme: 'ed25519', keyval: { public: point } }, 'k');
    assert.match(parsed.ok ? '' : parsed.error.message, /small order/, point);
  }
});

test("TEST-OTA-106 REQ-OTA-SIGN-01: both algorithms, tuf-js as the judge: takes our keys' ids and signatures", () => {
  for (const signer of [ed25519(9), p256()]) {
    const json = publicKeyJson(signer.publicKey);
    assert.equal(signer.publicKey.keyId, sha256Hex(tufCanonicalBytes(json)));
    const { keyId } = signer.publicKey;
    const key = Key.fromJSON(keyId, { ...json, keyval: { ...json.keyval } });
    const signed = { type: 'x', toJSON: () => ({ a: 'line\nbreak', b: 1 }) };
    const sig = Buffer.from(signer.sign(tufCanonicalBytes(signed.toJSON()))).toString('hex');
    const metadata = { signed, signatures: { [keyId]: new Signature({ keyID: keyId, sig }) } };
    key.verifySignature(metadata as unknown as Parameters<Key['verifySignature']>[0]);
  }
});

test('TEST-OTA-107 REQ-OTA-SIGN-06: a signer, a key that is not private or of another kind: refused at once', () => {
  assert.throws(() => signerFrom(ed25519Public(rfc8032[0].public)), TypeError);
  for (const curve of ['P-384', 'secp256k1']) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: curve });
    assert.throws(() => signerFrom(privateKey), TypeError);
  }
  assert.throws(
    () => publicKeyFrom(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
    TypeError,
  );
});

test('TEST-OTA-108 REQ-OTA-SIGN-01: signatures, arbitrary messages and bytes: round trip holds, garbage never throws', () => {
  const both = [ed25519(3), p256()];
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.uint8Array({ maxLength: 80 }),
      fc.constantFrom(...both),
      (message, junk, signer) => {
        const signature = signer.sign(message);
        assert.equal(verifySignature(signer.publicKey, message, signature), true);
        assert.equal(verifySignature(signer.publicKey, message, junk), false);
        assert.equal(
          verifySignature(signer.publicKey, Buffer.concat([message, hex('00')]), signature),
          false,
        );
      },
    ),
  );
  fc.assert(fc.property(fc.anything(), (value) => !parsePublicKey(value, 'k').ok));
  // A key that no parser of ours made is no key: it verifies nothing, and does not throw in the middle of a check.
  const unreadable = { ...p256().publicKey, keyval: { public: 'no PEM' } };
  assert.equal(verifySignature(unreadable, hex(''), hex('00')), false);
});
