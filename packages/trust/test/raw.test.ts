/**
 * Raw bytes, canonical form, moments and envelopes: what stands below every other parser.
 * Keeps true: accepted bytes have one reading. Leaves to the other tests what the values mean.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  canonicalBytes,
  formatInstant,
  parseInstant,
  parseRaw,
  readEnvelopeUnverified,
  signEnvelope,
  trustLimits,
  verifyEnvelope,
} from '@airlock/trust';
import * as fc from 'fast-check';
import { ed25519, edited, p256, signers, textOf, utf8, verdict } from './support/samples.ts';

const codeOf = (bytes: Uint8Array, bytesMax = 1000) => {
  const parsed = parseRaw(bytes, bytesMax, 'x.json');
  return parsed.ok ? 'ok' : parsed.error.code;
};

test('TEST-OTA-114 REQ-OTA-MAN-02: raw bytes, every second way to write a value: refused, the one way accepted', () => {
  const rows: [string, string][] = [
    ['{"a":1}', 'ok'],
    ['{"a":"\\n\\u0001é"}', 'ok'],
    ['{"a":"\\\\ud800"}', 'ok'],
    ['{"a":{"constructor":1}}', 'ok'],
    ['{"a":1,"a":2}', 'OTA_BAD_JSON'],
    ['{"a":1}\n', 'OTA_BAD_JSON'],
    [' {"a":1}', 'OTA_BAD_JSON'],
    ['{"a": 1}', 'OTA_BAD_JSON'],
    ['{"a":1}{"a":2}', 'OTA_BAD_JSON'],
    ['{"a":1', 'OTA_BAD_JSON'],
    ['', 'OTA_BAD_JSON'],
    ['\ufeff{"a":1}', 'OTA_BAD_JSON'],
    ['{"a":1.0}', 'OTA_BAD_JSON'],
    ['{"a":1e2}', 'OTA_BAD_JSON'],
    ['{"a":-0}', 'OTA_BAD_JSON'],
    ['{"a":9007199254740993}', 'OTA_BAD_JSON'],
    ['{"a":1e999}', 'OTA_BAD_JSON'],
    ['{"a":"\\u0041"}', 'OTA_BAD_JSON'],
    ['{"a":"\\/"}', 'OTA_BAD_JSON'],
    ['{"b":1,"10":2,"9":3}', 'OTA_BAD_JSON'],
    ['{"__proto__":{"admin":true}}', 'OTA_BAD_JSON'],
    ['{"a":[{"__proto__":1}]}', 'OTA_BAD_JSON'],
    ['{"a":"\\ud800"}', 'OTA_BAD_ENCODING'],
    ['{"a":"\\\\\\ud800"}', 'OTA_BAD_ENCODING'],
    ['{"a":"\\udc00\\ud800"}', 'OTA_BAD_ENCODING'],
    ['{"a":"\\ud83d\\ude00"}', 'OTA_BAD_JSON'],
  ];
  for (const [text, expected] of rows) assert.equal(codeOf(utf8(text)), expected, text);
  assert.equal(codeOf(Buffer.from('{"a":"\xff"}', 'latin1')), 'OTA_BAD_ENCODING');
  assert.equal(
    codeOf(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])),
    'OTA_BAD_ENCODING',
    'a surrogate in UTF-8',
  );
  assert.equal(codeOf(Buffer.from([0x22, 0xc1, 0x81, 0x22])), 'OTA_BAD_ENCODING', 'an overlong form');
});

test('TEST-OTA-115 REQ-OTA-NET-04: raw bytes, too long or too deep: refused before they are parsed', () => {
  assert.equal(codeOf(utf8('"aaaa"'), 5), 'OTA_TOO_LARGE');
  assert.equal(codeOf(utf8('"aaaa"'), 6), 'ok');
  // Would need seconds and gigabytes if anything but the length was looked at.
  assert.equal(codeOf(new Uint8Array(50_000_000), 64_000), 'OTA_TOO_LARGE');
  const nested = (depth: number) => utf8('['.repeat(depth) + ']'.repeat(depth));
  assert.equal(codeOf(nested(trustLimits.jsonDepthMax)), 'ok');
  assert.equal(codeOf(nested(trustLimits.jsonDepthMax + 1)), 'OTA_BAD_JSON');
  assert.equal(codeOf(utf8('['.repeat(250_000)), 256_000), 'OTA_BAD_JSON');
  assert.equal(
    codeOf(utf8(JSON.stringify(`${'['.repeat(100)}"\\`))),
    'ok',
    'brackets in strings are no depth',
  );
});

test('TEST-OTA-116 REQ-OTA-MAN-02: raw bytes, arbitrary: never throw, and what is accepted has one way to be written', () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), fc.json({ maxDepth: 5 }).map(utf8)), (bytes) => {
      const parsed = parseRaw(bytes, 100_000, 'x');
      if (parsed.ok) assert.equal(JSON.stringify(parsed.value), textOf(bytes));
    }),
  );
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5, stringUnit: 'grapheme' }), (value) => {
      const bytes = canonicalBytes(value);
      const parsed = parseRaw(bytes, 1_000_000, 'x');
      // Keys that look like array indices are the one thing that RFC 8785 and JSON.stringify order differently.
      if (parsed.ok) assert.deepEqual(canonicalBytes(parsed.value), bytes);
      else assert.match(textOf(bytes), /"\d+":|"__proto__":/);
    }),
  );
});

test('TEST-OTA-117 REQ-OTA-MAN-02: canonical form, RFC 8785: sorted by UTF-16, numbers as ECMAScript writes them', () => {
  const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, ö: 7 };
  const sorted = '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\ud83d\ude00":5,"\ufb33":3}';
  assert.equal(textOf(canonicalBytes(value)), sorted);
  assert.equal(
    textOf(canonicalBytes([1e21, 1e-7, 4.5, true, null, '\u2028"'])),
    '[1e+21,1e-7,4.5,true,null,"\u2028\\""]',
  );
  assert.throws(() => canonicalBytes(undefined), TypeError);
  assert.throws(() => canonicalBytes({ a: Number.NaN }));
});

test('TEST-OTA-118 REQ-OTA-ROLL-03: moments, real dates in one form: read; every other form or date: refused', () => {
  const rows: [string, number | undefined][] = [
    ['1970-01-01T00:00:00Z', 0],
    ['2024-02-29T23:59:59Z', 1_709_251_199],
    ['9999-12-31T23:59:59Z', trustLimits.utcSecondsMax],
    ['2023-02-29T00:00:00Z', undefined],
    ['2024-04-31T00:00:00Z', undefined],
    ['2024-13-01T00:00:00Z', undefined],
    ['2024-01-01T24:00:00Z', undefined],
    ['2024-01-01T00:60:00Z', undefined],
    ['2016-12-31T23:59:60Z', undefined],
    ['2024-01-01T00:00:00.000Z', undefined],
    ['2024-01-01T00:00:00', undefined],
    ['2024-01-01T00:00:00+00:00', undefined],
    ['2024-01-01 00:00:00Z', undefined],
    ['2024-01-01T00:00:00z', undefined],
    ['1969-12-31T23:59:59Z', undefined],
    ['+010000-01-01T00:00:00Z', undefined],
    ['', undefined],
  ];
  for (const [text, seconds] of rows) assert.equal(parseInstant(text), seconds, text);
  fc.assert(fc.property(fc.nat(trustLimits.utcSecondsMax), (s) => parseInstant(formatInstant(s)) === s));
  for (const bad of [-1, 1.5, Number.NaN, trustLimits.utcSecondsMax + 1]) {
    assert.throws(() => formatInstant(bad), RangeError);
  }
});

test('TEST-OTA-119 REQ-OTA-SIGN-01: envelopes, keys and threshold: only different valid keys count', () => {
  const [a, b, c] = [signers.root1, p256(), ed25519(200)];
  const keys = [a.publicKey, b.publicKey];
  const value = { schema: 'airlock-test/1', n: 1, text: 'µ\n' };
  const check = (bytes: Uint8Array, threshold = 1) =>
    verdict(verifyEnvelope(bytes, { keys, threshold, bytesMax: 2000 }));
  const both = signEnvelope(value, [a, b]);
  assert.deepEqual(verifyEnvelope(both, { keys, threshold: 2, bytesMax: 2000 }), { ok: true, value });
  assert.deepEqual(readEnvelopeUnverified(both, 2000), { ok: true, value });
  assert.equal(check(signEnvelope(value, [a]), 2), 'OTA_BAD_SIGNATURE signatures');
  assert.equal(check(signEnvelope(value, [c])), 'OTA_BAD_SIGNATURE signatures');
  assert.equal(check(signEnvelope(value, [a, c]), 2), 'OTA_BAD_SIGNATURE signatures');
  // The same key named twice by the caller is still one person.
  const twice = { keys: [a.publicKey, a.publicKey], threshold: 2, bytesMax: 2000 };
  assert.equal(verdict(verifyEnvelope(signEnvelope(value, [a]), twice)), 'OTA_BAD_SIGNATURE signatures');
  const forge = (edit: Parameters<typeof edited>[1]) => check(edited(both, edit), 2);
  assert.equal(
    forge((file) => (file.signed['n'] = 2)),
    'OTA_BAD_SIGNATURE signatures',
  );
  assert.equal(
    forge((file) => file.signatures.push({ ...file.signatures[0] })),
    'OTA_BAD_METADATA signatures[2].keyid',
  );
  assert.equal(
    forge((file) => ((file.signatures[0] ?? {})['sig'] = 'zz')),
    'OTA_BAD_METADATA signatures[0].sig',
  );
  assert.equal(
    forge((file) => ((file.signatures[0] ?? {})['x'] = 1)),
    'OTA_BAD_METADATA signatures[0].x',
  );
  assert.equal(
    forge((file) => ((file.signatures[0] ?? {})['keyid'] = 'A')),
    'OTA_BAD_METADATA signatures[0].keyid',
  );
  assert.equal(
    forge((file) => (file.signatures = file.signatures.slice(0, 0))),
    'OTA_BAD_SIGNATURE signatures',
  );
  assert.equal(
    forge((file) => delete file.signed['schema']),
    'OTA_BAD_METADATA signed',
  );
  const many = Array.from({ length: trustLimits.signaturesMax + 1 }, () => ({}));
  assert.equal(
    forge((file) => file.signatures.push(...many)),
    'OTA_BAD_METADATA signatures',
  );
  assert.equal(verdict(verifyEnvelope(both, { keys, threshold: 1, bytesMax: 10 })), 'OTA_TOO_LARGE envelope');
  assert.equal(verdict(readEnvelopeUnverified(both, 10)), 'OTA_TOO_LARGE envelope');
});

test('TEST-OTA-120 REQ-OTA-SIGN-07: envelopes and roles, a value that could be both: neither signed nor accepted', () => {
  const signer = signers.root1;
  for (const bad of [{ n: 1 }, { schema: 'x', _type: 'timestamp' }, 'text', null, [1]]) {
    assert.throws(() => signEnvelope(bad, [signer]), TypeError);
  }
  assert.throws(() => signEnvelope({ schema: 'x' }, []), TypeError);
  assert.throws(() => signEnvelope({ schema: 'x' }, [signer, signer]), TypeError);
  const options = { keys: [signer.publicKey], threshold: 0, bytesMax: 1000 };
  assert.throws(() => verifyEnvelope(signEnvelope({ schema: 'x' }, [signer]), options), RangeError);
  const both = utf8(JSON.stringify({ signatures: [], signed: { schema: 'x', _type: 'root' } }));
  assert.equal(verdict(readEnvelopeUnverified(both, 1000)), 'OTA_BAD_METADATA signed');
});
