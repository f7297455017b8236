/** The stores on a disk that forgets what was not flushed: what is written is read back, torn or rotted copies never lie. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deviceCodes, type DeviceCode } from '@airlock/protocol';
import { sha256Hex, type GroupLetter } from '@airlock/trust';
import {
  decodeBootFile,
  encodeBootCopy,
  encodeBootFile,
  openEventLog,
  type DeviceState,
} from '../src/index.ts';
import { boundReason, newRecord, reasonCharactersMax } from '../src/core/record.ts';
import { decodeRecord, encodeRecord } from '../src/core/record-codec.ts';
import { backoffSeconds } from '../src/core/schedule.ts';
import { inWindows } from '../src/core/windows.ts';
import { proveSlot, writeSlot } from '../src/durable/slot-writer.ts';
import { Power, SimDisk } from './support/sim-disk.ts';

const plain = () => '';
const port = (disk: SimDisk, power = new Power()) => disk.port(power, plain);

const sha256 = fc.string({
  unit: fc.constantFrom(...Array.from('0123456789abcdef')),
  minLength: 64,
  maxLength: 64,
});
const version = fc.integer({ min: 0, max: 2_147_483_647 });
const group = fc.constantFrom<GroupLetter>('A', 'B');
/** As the parser makes them: plain objects. */
const plainObjects = { noNullPrototype: true } as const;
const installed = fc.record({ version, manifestSha256: sha256 }, plainObjects);
const isDeviceCode = (code: string): code is keyof typeof deviceCodes => Object.hasOwn(deviceCodes, code);
const code = fc.constantFrom<DeviceCode>(...Object.keys(deviceCodes).filter(isDeviceCode));
const reason = fc.string({ maxLength: 200 });

const idleRecord: fc.Arbitrary<DeviceState> = fc
  .record({
    confirmed: fc.record({ group, version, manifestSha256: sha256 }, plainObjects),
    A: fc.option(installed, { nil: undefined }),
    B: fc.option(installed, { nil: undefined }),
    floor: version,
    lastResult: fc.record({ attempt: fc.string({ maxLength: 64 }), code, reason, version }, plainObjects),
    failures: fc.array(
      fc.record({ manifestSha256: sha256, count: fc.integer({ min: 0, max: 1000 }) }, plainObjects),
      {
        maxLength: 8,
      },
    ),
    refusals: fc.array(fc.record({ manifestSha256: sha256, code }, plainObjects), { maxLength: 8 }),
  })
  .map(({ A, B, ...rest }) => ({ schema: 'airlock-record/1', state: 'Idle', groups: { A, B }, ...rest }));

test('TEST-OTA-260 REQ-OTA-APPLY-07: any record, written and read: equal; one byte changed: not read at all', () => {
  fc.assert(
    fc.property(idleRecord, fc.nat({ max: 4095 }), fc.integer({ min: 1, max: 255 }), (record, at, flip) => {
      const block = encodeRecord({ sequence: 7, record });
      assert.deepEqual(decodeRecord(block), { sequence: 7, record });
      const used = block.indexOf(0);
      const place = used < 0 ? at : at % used;
      block[place] = (block[place] ?? 0) ^ flip;
      assert.equal(decodeRecord(block), undefined);
    }),
    { numRuns: 200 },
  );
});

test('TEST-OTA-261 REQ-OTA-APPLY-07: bytes that are no record, of any kind: read as nothing, never thrown', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 4096 }), (bytes) => decodeRecord(bytes) === undefined));
});

test('TEST-OTA-262 REQ-OTA-APPLY-09: any boot control, written and read: equal; the newest whole copy counts; both damaged: nothing', () => {
  const counts = fc.record({ A: fc.nat({ max: 1000 }), B: fc.nat({ max: 1000 }) }, plainObjects);
  const state = fc.record({ order: fc.uniqueArray(group, { maxLength: 2 }), left: counts }, plainObjects);
  fc.assert(
    fc.property(state, state, fc.nat({ max: 60 }), (older, newer, at) => {
      const bytes = encodeBootFile({ sequence: 1, state: older });
      bytes.set(encodeBootCopy({ sequence: 2, state: { ...newer, trial: 'B' } }), 4096);
      assert.deepEqual(decodeBootFile(bytes)?.state, { ...newer, trial: 'B' });
      bytes[4096 + at] = (bytes[4096 + at] ?? 0) ^ 1;
      assert.deepEqual(decodeBootFile(bytes)?.state, older);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      assert.equal(decodeBootFile(bytes), undefined);
    }),
    { numRuns: 100 },
  );
});

async function newLog(cells: number) {
  const disk = new SimDisk();
  await openEventLog(port(disk), '/state', cells);
  return disk;
}

const event = (text: string) => ({ time: 1, bootId: 'b', code: 'OTA_BOOT', reason: text }) as const;

test('TEST-OTA-263 REQ-OTA-LOG-01, REQ-OTA-LOG-03: a log of any length, the power cut before any of its writes: what was appended before is there, chained without a break', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 40 }), fc.nat({ max: 90 }), async (entries, cutBefore) => {
      const disk = await newLog(16);
      const power = new Power(cutBefore);
      let appended = 0;
      const write = async () => {
        const log = await openEventLog(port(disk, power), '/state', 16);
        for (; appended < entries; appended += 1) {
          log.setUploaded(log.head().sequence);
          await log.append(event(`entry ${appended}`));
        }
      };
      await Promise.race([write(), power.lost]);
      disk.loseUnflushed();
      const recovered = await openEventLog(port(disk), '/state', 16);
      assert.equal(recovered.head().sequence, appended);
      const kept = await recovered.after(0, 100);
      assert.equal(kept.at(-1)?.sequence ?? 0, appended);
      for (const [index, entry] of kept.entries()) {
        if (index > 0) assert.equal(entry.previous, recovered.sha256Of(entry.sequence - 1));
      }
    }),
    { numRuns: 60 },
  );
});

test('TEST-OTA-264 REQ-OTA-LOG-03: a ring that overwrites what the server never got: announced by OTA_LOG_GAP', async () => {
  const disk = await newLog(8);
  const log = await openEventLog(port(disk), '/state', 8);
  for (let entry = 0; entry < 30; entry += 1) await log.append(event(`entry ${entry}`));
  const kept = await log.after(0, 100);
  assert.ok(kept.length <= 8);
  assert.ok(kept.some((entry) => entry.code === 'OTA_LOG_GAP'));
  assert.equal(log.head().sequence, kept.at(-1)?.sequence);
});

test('TEST-OTA-1143 REQ-OTA-LOG-03: the entry that announces a gap cannot be written at first: the gap is announced by the next', async () => {
  const disk = new SimDisk();
  const log = await openEventLog(port(disk), '/state', 8);
  const entry = { time: 1, bootId: 'b', code: 'OTA_BOOT', reason: 'group A' } as const;
  for (let at = 0; at < 6; at += 1) await log.append(entry);
  disk.faults.push({ op: 'write', path: '/state/log' });
  await assert.rejects(log.append(entry));
  for (let at = 0; at < 4; at += 1) await log.append(entry);
  const gap = (await log.after(0, 100)).find((one) => one.code === 'OTA_LOG_GAP');
  assert.equal(gap?.facts?.['first'], 1);
});

test('TEST-OTA-898 REQ-OTA-LOG-01, REQ-OTA-APPLY-03: a result whose chain to the newest entry rotted: it is known all the same, and not told a second time', async () => {
  const disk = await newLog(8);
  const log = await openEventLog(port(disk), '/state', 8);
  await log.append(event('a start'));
  await log.append({ ...event('rolled back'), attempt: 'a1', facts: { result: true } });
  await log.append(event('another start'));
  await log.append(event('and one more'));
  const file = await port(disk).open('/state/log');
  assert.ok(file);
  await file.write(3 * 4096, new Uint8Array(4096).fill(7));
  await file.flush();
  const recovered = await openEventLog(port(disk), '/state', 8);
  assert.equal((await recovered.after(0, 100)).length, 1, 'the chain ends where the cell rotted');
  assert.equal(recovered.hasResult('a1'), true);
  assert.equal(recovered.hasResult('a2'), false);
});

test('TEST-OTA-265 REQ-OTA-APPLY-06, REQ-OTA-MAN-05: images of any length into a slot: proven when they fit, refused when a byte too long, too short or changed', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 3000 }),
      fc.integer({ min: 1, max: 500 }),
      async (image, cut) => {
        const disk = new SimDisk();
        await port(disk).create('/slot', 2048);
        const sizes = { pieceBytes: 512, flushBytes: 1024 };
        const source = async function* () {
          for (let at = 0; at < image.length; at += cut) yield image.subarray(at, at + cut);
        };
        const target = { path: '/slot', len: image.length, hash: sha256Hex(image) };
        const written = await writeSlot(port(disk), target, source(), sizes);
        const proven = await proveSlot(port(disk), target);
        const fits = image.length <= 2048;
        assert.deepEqual([written.ok, proven.ok], [fits, fits]);
        const longer = await writeSlot(port(disk), { ...target, len: image.length - 1 }, source(), sizes);
        const other = await writeSlot(
          port(disk),
          { ...target, hash: sha256Hex(new Uint8Array(3)) },
          source(),
          sizes,
        );
        assert.deepEqual([longer.ok, other.ok], [false, false]);
      },
    ),
    { numRuns: 60 },
  );
});

test('TEST-OTA-266 REQ-OTA-LIMIT-01: windows in the time zone of the device, over midnight as well: open inside, closed outside, the stricter of two counts', () => {
  const at = (text: string) => Date.parse(text) / 1000;
  const night = { fromMinute: 22 * 60, toMinute: 4 * 60, days: [5] };
  const friday = at('2026-11-06T23:00:00Z');
  assert.ok(inWindows(friday, 'UTC', [night]));
  assert.ok(inWindows(friday + 4 * 3600, 'UTC', [night]), 'Saturday at three belongs to Friday night');
  assert.ok(!inWindows(friday + 6 * 3600, 'UTC', [night]));
  assert.ok(!inWindows(friday - 24 * 3600, 'UTC', [night]));
  assert.ok(!inWindows(friday, 'Asia/Tokyo', [night]), 'it is Saturday morning there');
  assert.ok(!inWindows(friday, 'UTC', [night, { fromMinute: 0, toMinute: 60, days: [0, 1, 2, 3, 4, 5, 6] }]));
});

test('TEST-OTA-267 REQ-OTA-LIMIT-02: back-off after any number of failures: between nothing and its doubled bound, never above the largest', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 1000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (failures, fraction) => {
        const seconds = backoffSeconds(failures, { secondsMin: 30, secondsMax: 21_600 }, fraction);
        const bound = Math.min(21_600, 30 * 2 ** Math.max(0, Math.min(failures - 1, 30)));
        assert.ok(seconds >= 0 && seconds <= bound);
        assert.equal(seconds, bound * fraction);
      },
    ),
  );
  assert.equal(newRecord('A', { version: 1, manifestSha256: '0'.repeat(64) }).state, 'Idle');
});

test('TEST-OTA-268 REQ-OTA-LOG-01: reasons of any text, cut to their bound: one line, well formed, so that they can always be logged', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.nat({ max: 210 }), (text, at) => {
      const bounded = boundReason(`${'x'.repeat(at)}\u{1f4a5}\ud800${text}`);
      assert.ok(bounded.length <= reasonCharactersMax && bounded.isWellFormed());
      assert.ok(!/[\n\r]/.test(bounded));
    }),
  );
});
