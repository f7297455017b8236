/**
 * The volatile disk loses what it may lose, keeps what it must keep, and does both again by the same seed.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { CutTrigger, writeCutPlan } from '../src/power-cut/cut-plan.ts';
import { settle } from '../src/power-cut/settle.ts';
import { openVolatileDisk } from '../src/power-cut/volatile-disk.ts';

const fileBytes = 4096;

async function inFolder(work: (folder: string, scratch: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'airlock-volatile-'));
  try {
    const folder = join(root, 'data');
    mkdirSync(folder);
    await work(folder, join(root, 'scratch'));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test('TEST-OTA-605 REQ-OTA-APPLY-03: volatile disk, a power cut at any seed: every sector is old or new, and flushed bytes survive', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 0xffffffff }), async (seed) => {
      await inFolder(async (folder, scratch) => {
        const path = join(folder, 'file');
        writeFileSync(path, Buffer.alloc(fileBytes, 1));
        const file = await openVolatileDisk(scratch).open(path);
        assert.ok(file);
        await file.write(0, Buffer.alloc(1024, 2));
        await file.flush();
        await file.write(512, Buffer.alloc(2048, 3));
        settle(scratch, { kind: 'power-cut', seed });
        const bytes = readFileSync(path);
        for (let at = 0; at < fileBytes; at += 512) {
          const sector = [...new Set(bytes.subarray(at, at + 512))];
          assert.equal(sector.length, 1, `sector at ${at} is split`);
          const before = at < 1024 ? 2 : 1;
          assert.ok(sector[0] === before || (at >= 512 && at < 2560 && sector[0] === 3));
        }
      });
    }),
    { numRuns: 40 },
  );
});

test('TEST-OTA-606 REQ-OTA-APPLY-03: volatile disk, unflushed bytes before a cut: seen by reads, not on the medium', async () => {
  await inFolder(async (folder, scratch) => {
    const path = join(folder, 'file');
    writeFileSync(path, Buffer.alloc(fileBytes, 1));
    const file = await openVolatileDisk(scratch).open(path);
    assert.ok(file);
    await file.write(100, Buffer.alloc(10, 7));
    assert.deepEqual([...(await file.read(99, 3))], [1, 7, 7]);
    assert.deepEqual([...readFileSync(path).subarray(99, 102)], [1, 1, 1]);
    settle(scratch, { kind: 'keep-all' });
    assert.deepEqual([...readFileSync(path).subarray(99, 102)], [1, 7, 7]);
  });
});

test('TEST-OTA-607 REQ-OTA-APPLY-03: volatile disk, a replaced name without a flushed folder: a cut leaves the old file or the new one whole', async () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 24; seed += 1) {
    await inFolder(async (folder, scratch) => {
      writeFileSync(join(folder, 'state'), 'old');
      const disk = openVolatileDisk(scratch);
      const file = await disk.create(join(folder, 'state.new'), 3);
      await file.write(0, Buffer.from('new'));
      await file.flush();
      await file.close();
      await disk.rename(join(folder, 'state.new'), join(folder, 'state'));
      assert.equal(readFileSync(join(folder, 'state'), 'utf8'), 'new');
      settle(scratch, { kind: 'power-cut', seed });
      const names = readdirSync(folder).join(' ');
      seen.add(`${names}: ${readFileSync(join(folder, 'state'), 'utf8')}`);
    });
  }
  assert.deepEqual([...seen].sort(), ['state state.new: old', 'state: new', 'state: old']);
});

test('TEST-OTA-608 REQ-OTA-APPLY-03: volatile disk, a flushed folder: the new name survives every cut', async () => {
  for (let seed = 0; seed < 12; seed += 1) {
    await inFolder(async (folder, scratch) => {
      writeFileSync(join(folder, 'state'), 'old');
      const disk = openVolatileDisk(scratch);
      const file = await disk.create(join(folder, 'state.new'), 3);
      await file.write(0, Buffer.from('new'));
      await file.flush();
      await disk.rename(join(folder, 'state.new'), join(folder, 'state'));
      await disk.flushFolder(folder);
      settle(scratch, { kind: 'power-cut', seed });
      assert.equal(readFileSync(join(folder, 'state'), 'utf8'), 'new');
    });
  }
});

test('TEST-OTA-609 REQ-OTA-APPLY-03: cut plan, the second write that holds a word after another word: named exactly once', async () => {
  await inFolder(async (_folder, scratch) => {
    mkdirSync(scratch);
    const trigger = new CutTrigger(scratch);
    const write = (path: string, text: string) =>
      trigger.judge({ operation: 'write', path, bytes: Buffer.from(text) });
    assert.equal(write('/record', 'Pending'), undefined);
    writeCutPlan(scratch, {
      path: '/record',
      operation: 'write',
      contains: 'Trial',
      afterWriteOf: 'Pending',
      nth: 2,
      moment: 'after',
    });
    assert.equal(write('/record', 'Trial'), undefined);
    assert.equal(write('/record', 'Pending'), undefined);
    assert.equal(write('/record', 'Trial'), undefined);
    assert.equal(write('/other', 'Trial'), undefined);
    assert.equal(write('/record', 'Trial'), 'after');
    assert.equal(write('/record', 'Trial'), undefined);
  });
});
