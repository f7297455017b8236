/** The digest of an image says the same however the image is cut, and tells every difference. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { difference, imageDigest } from '../src/index.ts';

test('TEST-OTA-750 REQ-OTA-MAN-05: image digest, any bytes in any pieces: length and SHA-256 of the whole', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (pieces) => {
      const digest = imageDigest();
      for (const piece of pieces) digest.add(piece);
      const whole = Buffer.concat(pieces);
      assert.equal(digest.len, whole.length);
      const expected = { len: whole.length, hash: createHash('sha256').update(whole).digest('hex') };
      assert.deepEqual(digest.finish(), expected);
    }),
  );
});

test('TEST-OTA-751 REQ-OTA-MAN-05: image digest, FIPS 180-4 example "abc": the published hash', () => {
  const digest = imageDigest();
  digest.add(Buffer.from('a'));
  digest.add(Buffer.from('bc'));
  const hash = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  assert.deepEqual(digest.finish(), { len: 3, hash });
});

test('TEST-OTA-752 REQ-OTA-MAN-01: image difference, another length or one flipped bit: named by field', () => {
  const expected = { len: 3, hash: 'a'.repeat(64) };
  assert.equal(difference(expected, expected), undefined);
  assert.equal(difference({ ...expected, len: 4 }, expected)?.field, 'len');
  assert.equal(difference({ ...expected, hash: `${'a'.repeat(63)}b` }, expected)?.field, 'hash');
});

test('TEST-OTA-753 REQ-OTA-MAN-05: image digest, finished twice: throws', () => {
  const digest = imageDigest();
  digest.finish();
  assert.throws(() => digest.finish());
});
