/** A check-in's query: what the device writes is what the server reads, and nothing else is read at all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CheckInRequest, encodeCheckIn, parseCheckIn } from '../src/index.ts';

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const hash = fc.option(fc.stringMatching(/^[0-9a-f]{64}$/), { nil: undefined });
const request: fc.Arbitrary<CheckInRequest> = fc
  .record({
    imageRoot: count,
    directorRoot: count,
    imageSnapshot: count,
    directorSnapshot: count,
    directorTargets: count,
    deviceRecord: count,
    imageRoles: fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9-]{0,31}$/), count, { maxKeys: 64 }),
    timestamps: fc.boolean(),
    policy: hash,
    manifest: hash,
  })
  .map(({ policy, manifest, ...rest }) => ({
    ...rest,
    imageRoles: { ...rest.imageRoles },
    ...(policy === undefined ? {} : { policy }),
    ...(manifest === undefined ? {} : { manifest }),
  }));

test('TEST-OTA-755 REQ-OTA-OPS-01: check-in query, any request: read back as it was', () => {
  fc.assert(fc.property(request, (given) => assert.deepEqual(parseCheckIn(encodeCheckIn(given)), given)));
});

test('TEST-OTA-756 REQ-OTA-OPS-01: check-in query, any text: a request or a fault that names a field, never a throw', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.tuple(request, fc.string(), fc.nat(400)).map(([given, piece, at]) => {
      const query = encodeCheckIn(given);
      return query.slice(0, at) + piece + query.slice(at);
    }),
  );
  fc.assert(
    fc.property(text, (query) => {
      const read = parseCheckIn(query);
      if ('message' in read) assert.notEqual(read.message, '');
      // What is accepted means what its canonical form means: nothing is read that would be written otherwise.
      else assert.deepEqual(parseCheckIn(encodeCheckIn(read)), read);
    }),
  );
});

test('TEST-OTA-757 REQ-OTA-OPS-01: check-in query, one field wrong: refused by its name', () => {
  const good =
    'imageRoot=1&directorRoot=1&imageSnapshot=0&directorSnapshot=0&directorTargets=0&deviceRecord=1';
  const cases: readonly (readonly [string, string])[] = [
    [`${good}&roles=&timestamps=2`, 'timestamps'],
    [`${good}&roles=&timestamps=0&extra=1`, 'extra'],
    [`${good}&roles=&timestamps=0&imageRoot=1`, 'imageRoot'],
    [`${good.replace('imageRoot=1', 'imageRoot=01')}&roles=&timestamps=0`, 'imageRoot'],
    [`${good.replace('imageRoot=1', 'imageRoot=9007199254740993')}&roles=&timestamps=0`, 'imageRoot'],
    [`${good}&roles=targets:1,targets:2&timestamps=0`, 'roles'],
    [`${good}&roles=${'a:1,'.repeat(65)}b:1&timestamps=0`, 'roles'],
    [`${good}&roles=&timestamps=0&policy=${'A'.repeat(64)}`, 'policy'],
  ];
  for (const [query, field] of cases) {
    const read = parseCheckIn(query);
    assert.ok('field' in read, query);
    assert.equal(read.field, field);
  }
});
