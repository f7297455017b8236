/** How the audit log is kept: what an append writes, with its act or not at all, and that every proof follows from it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { appendLeaf, emptyEdge, hashLeaf, verifyInclusion } from '@airlock/audit';
import { openStore } from '../src/adapters/sqlite/database.ts';
import { inclusion, record, rootAt, startLog } from '../src/app/audit.ts';
import type { Context } from '../src/app/context.ts';
import { storedNodes } from '../src/core/audit-tree.ts';
import { makeSigner } from './support/online.ts';
import { checkpointOf } from './support/stating.ts';
import { addDevice, makeWorld, must, publishProduct } from './support/world.ts';

test('TEST-OTA-1169 REQ-OTA-POL-07: a log of 10000 acts appended one by one, proofs at its borders: all verify; an append writes no more at its end than at its beginning', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'airlock-audit-'));
  const store = await openStore(path.join(folder, 'data.sqlite'));
  try {
    const key = makeSigner();
    await startLog(store, key.publicKey, 1_800_000_000);
    const count = 10_000;
    const act = { act: 'device.register', subject: { device: 'pump-1' } } as const;
    for (let done = 1; done < count; done += 500) {
      await store.transaction(async (inside) => {
        for (let n = done; n < Math.min(done + 500, count); n += 1) {
          const at = await record(inside, { name: 'loader' }, 1_800_000_000 + n, act);
          assert.equal(at, n);
        }
      });
    }
    const head = await store.auditHead();
    assert.equal(head?.size, count);
    assert.ok((head?.edge.length ?? 99) <= 14, 'the edge has one hash for each bit of the size');
    const raw = new DatabaseSync(path.join(folder, 'data.sqlite'), { readOnly: true });
    const { nodes } = raw.prepare('select count(*) as nodes from audit_nodes').get() as { nodes: number };
    raw.close();
    assert.equal(nodes, Math.floor(count / 256), 'one hash in 256 appends');
    const context = { store } as unknown as Context;
    for (const size of [1, 255, 256, 257, 511, 512, 4096, 8192, 9999, count]) {
      const root = await rootAt(store, size);
      for (const index of [0, 255, 256, size - 1].filter((at) => at < size)) {
        const [leaf = ''] = await store.auditLeaves(index, 1);
        const hashes = await inclusion(context, index, size);
        assert.ok(hashes.ok);
        assert.ok(
          verifyInclusion(hashLeaf(Buffer.from(leaf)), { index, size, hashes: hashes.value }, root).ok,
        );
      }
    }
  } finally {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  }
});

test('TEST-OTA-1170 REQ-OTA-POL-07: nodes that are stored, of a tree of 70000 leaves: every eighth level, each once, and no other', () => {
  let edge = emptyEdge;
  const leaf = hashLeaf(Buffer.from('x'));
  const stored = new Map<number, number>();
  for (let n = 0; n < 70_000; n += 1) {
    const appended = appendLeaf(edge, leaf);
    edge = appended.edge;
    for (const { level, index } of storedNodes(appended)) {
      assert.equal(index, stored.get(level) ?? 0);
      stored.set(level, index + 1);
    }
  }
  assert.deepEqual(
    [...stored],
    [
      [8, 273],
      [16, 1],
    ],
  );
});

test('TEST-OTA-1168 REQ-OTA-POL-07, REQ-OTA-OPS-02: an entry that cannot be appended, in the middle of an act: the act did not happen either', async () => {
  const other = await makeWorld({
    adapt: (context: Context): Context => ({
      ...context,
      store: {
        ...context.store,
        transaction: async (work) =>
          await context.store.transaction(async (inside) => {
            return await work({
              ...inside,
              appendAudit: async (append) => {
                if (append.leaf.includes('device.register')) throw new Error('no entry');
                await inside.appendAudit(append);
              },
            });
          }),
      },
    }),
  });
  try {
    await publishProduct(other);
    const size = (await checkpointOf(other)).size;
    await assert.rejects(addDevice(other, 'pump-1'), /answered 500/);
    await must(other.people('GET', '/api/v1/devices/pump-1'), 404);
    assert.equal((await checkpointOf(other)).size, size);
  } finally {
    await other.close();
  }
});
