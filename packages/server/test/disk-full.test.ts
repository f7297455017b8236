/**
 * The disk full at the server. Goal: a clear answer, nothing lost, nothing half stored, and on it goes when there is
 * space again. Method: the server's folder is a small file system of its own in memory, really filled.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { sha256Hex } from '@airlock/trust';
import {
  addDevice,
  type Answer,
  approve,
  functionFile,
  logBatch,
  makeRelease,
  makeWorld,
  must,
  product,
  propose,
  publishProduct,
  reportOf,
  upload,
  uploadRelease,
} from './support/world.ts';

const run = promisify(execFile);
const diskBytes = 8 * 1024 * 1024;

/** A small disk; undefined where this machine does not let one be made, with the reason. */
async function smallDisk(): Promise<{ readonly folder: string } | { readonly reason: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'airlock-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes}`, 'airlock-test', folder]);
    return { folder };
  } catch (error) {
    await rm(folder, { recursive: true });
    const why = error instanceof Error ? (error.message.trim().split('\n').at(-1) ?? '') : '';
    return { reason: `a file system cannot be mounted here: ${why}` };
  }
}

async function fillUp(file: string): Promise<void> {
  const handle = await open(file, 'w');
  try {
    for (let size = 65_536; size >= 512; size /= 2) {
      try {
        for (;;) await handle.write(Buffer.alloc(size, 1));
      } catch (error) {
        if (!(error instanceof Error) || Reflect.get(error, 'code') !== 'ENOSPC') throw error;
      }
    }
  } finally {
    await handle.close();
  }
}

function full(answer: Answer): void {
  assert.deepEqual([answer.status, answer.body['code']], [507, 'API_DISK_FULL'], answer.bytes.toString());
}

test('TEST-OTA-810 REQ-OTA-OPS-02, REQ-OTA-OPS-01: the disk full at the server, everything that writes is sent: 507, what was there stays, and all of it is done when there is space again', async (t: TestContext) => {
  const disk = await smallDisk();
  if ('reason' in disk) {
    t.skip(disk.reason);
    return;
  }
  const data = path.join(disk.folder, 'data');
  const world = await makeWorld({ data });
  t.after(async () => {
    await world.close();
    await run('umount', [disk.folder]);
    await rm(disk.folder, { recursive: true });
  });
  await publishProduct(world);
  const release = makeRelease(2);
  await uploadRelease(world, release);
  await approve(world, 1, [release]);
  const device = await addDevice(world, 'pump-1');
  const report = (number: number) =>
    world.device(device, '/device/v1/reports', { method: 'POST', body: reportOf(device, number) });
  await must(report(1), 204);

  const image = Buffer.alloc(300_000, 3);
  const putImage = () =>
    world.people('PUT', `/api/v1/images/${sha256Hex(image)}`, { body: image, headers: upload });
  const assign = () => world.people('PUT', '/api/v1/devices/pump-1/assignment', { body: { release: 2 } });
  const withdraw = functionFile(world, 'quality', 2, []);
  const log = logBatch(device, 1, 200, '0'.repeat(64), 'x'.repeat(200)).batch;
  const putLog = () => world.device(device, '/device/v1/log', { method: 'POST', body: log });

  const filler = path.join(disk.folder, 'filler');
  await fillUp(filler);
  full(await putImage());
  // Most of this one is still on its way when the disk is full: the answer must arrive all the same.
  const large = Buffer.alloc(8_000_000, 4);
  full(await world.people('PUT', `/api/v1/images/${sha256Hex(large)}`, { body: large, headers: upload }));
  // What is committed may still fit into the pages of the log that are there; sooner or later it does not.
  let sent = 1;
  let answer: Answer;
  do {
    sent += 1;
    answer = await report(sent);
  } while (answer.status === 204 && sent < 2000);
  full(answer);
  full(await putLog());
  full(await propose(world, 'quality', withdraw));
  full(await assign());
  // Several at once share one commit: each is told.
  for (const each of await Promise.all([report(sent), report(sent + 1), putLog()])) full(each);
  const view = await must(world.people('GET', `/api/v1/products/${product}`), 200);
  assert.deepEqual(view.body['published'], { engineering: 1, quality: 1, targets: 1 }, 'reading goes on');

  await rm(filler);
  const reports = async () => {
    const kept = await must(world.people('GET', '/api/v1/devices/pump-1/reports?limit=500'), 200);
    return (kept.body['reports'] as { report: { sequence: number } }[]).map((it) => it.report.sequence);
  };
  const acknowledged = Array.from({ length: Math.min(sent - 1, 500) }, (_, at) => sent - 1 - at);
  assert.deepEqual(
    (await reports()).toSorted((a, b) => b - a),
    acknowledged,
  );
  assert.deepEqual(await readdir(path.join(data, 'blobs', 'incoming')), []);
  await must(report(sent), 204);
  await must(putImage(), 201);
  assert.equal((await must(putLog(), 200)).body['sequence'], 200);
  await must(assign(), 200);
  await must(propose(world, 'quality', withdraw), 200);

  // Full again at a start: what is there is served.
  await fillUp(filler);
  await world.restart();
  const after = await must(world.people('GET', `/api/v1/products/${product}`), 200);
  assert.deepEqual(after.body['published'], { engineering: 1, quality: 2, targets: 1 });
  await rm(filler);
});
