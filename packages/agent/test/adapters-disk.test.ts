/** The real disk: its contract, and what only a real kernel shows (block devices, tmpfs, full and failing media). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { diskErrorFrom, nodeDisk } from '../src/adapters/node-disk.ts';
import { readDropped } from '../src/adapters/read-medium.ts';
import { DiskError, type DiskFile } from '../src/ports/disk.ts';
import { collected, diskContract } from './support/disk-contract.ts';
import { scratchFolder } from './support/scratch.ts';
import { Power, SimDisk } from './support/sim-disk.ts';

diskContract(
  'the real disk',
  async () => {
    const { folder, dispose } = await scratchFolder();
    return { disk: nodeDisk(), folder, dispose };
  },
  300,
);

// The crash explorer's disk keeps the same contract, so that what is proved on it holds for the real one.
diskContract(
  'the simulated disk',
  async () => ({
    disk: new SimDisk().port(new Power(), (op) => op),
    folder: '/disk',
    dispose: async () => undefined,
  }),
  290,
);

async function opened(path: string): Promise<DiskFile> {
  const file = await nodeDisk().open(path);
  assert.ok(file !== undefined);
  return file;
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof DiskError && error.code === code;
}

/** Runs a system tool; skips the test where it is missing or not allowed. */
function tool(context: TestContext, program: string, ...rest: string[]): string | undefined {
  try {
    return execFileSync(program, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  } catch (error) {
    context.skip(
      `${program} cannot be used here: ${error instanceof Error ? error.message.split('\n')[0] : ''}`,
    );
    return undefined;
  }
}

test('TEST-OTA-310 REQ-OTA-MAN-05: read-back, on a file system in memory: refused as unproven', async () => {
  const folder = mkdtempSync('/dev/shm/airlock-');
  try {
    const file = await nodeDisk().create(join(folder, 'slot'), 8192);
    await assert.rejects(collected(file, 0, 8192), hasCode('OTA_READBACK_UNPROVEN'));
    await file.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('TEST-OTA-311 REQ-OTA-MAN-05: read-back, where O_DIRECT is refused: flushed, dropped and read, or unproven without dd', async () => {
  const { folder, dispose } = await scratchFolder();
  const path = join(folder, 'slot with spaces');
  await writeFile(path, Buffer.alloc(1_500_000, 'x'));
  const handle = await open(path, 'r+');
  const pathBefore = process.env['PATH'];
  try {
    let length = 0;
    for await (const piece of readDropped({ path, handle, position: 10, length: 1_400_000 })) {
      assert.ok(piece.every((byte) => byte === 0x78));
      length += piece.length;
    }
    assert.equal(length, 1_400_000);
    process.env['PATH'] = folder;
    const read = readDropped({ path, handle, position: 0, length: 10 });
    await assert.rejects(async () => await read.next(), hasCode('OTA_READBACK_UNPROVEN'));
  } finally {
    process.env['PATH'] = pathBefore;
    await handle.close();
    await dispose();
  }
});

test('TEST-OTA-312 REQ-OTA-APPLY-01, REQ-OTA-MAN-05: block device, opened twice and changed behind the cache: exclusive, and read from the medium', async (context) => {
  const { folder, dispose } = await scratchFolder();
  const backing = join(folder, 'disk');
  await writeFile(backing, Buffer.alloc(2 * 1024 * 1024, 1));
  const device = tool(context, 'losetup', '--find', '--show', backing);
  if (device === undefined) return await dispose();
  try {
    const file = await opened(device);
    assert.equal(file.sizeBytes, 2 * 1024 * 1024);
    await assert.rejects(nodeDisk().open(device), hasCode('OTA_DISK_BUSY'));
    const reader = await nodeDisk({ access: 'read' }).open(device);
    assert.equal(reader?.sizeBytes, file.sizeBytes);
    await assert.rejects(async () => await reader?.write(0, new Uint8Array(1)), hasCode('OTA_DISK_WRITE'));
    await reader?.close();
    await file.write(4096, new Uint8Array(4096).fill(2));
    await file.flush();
    assert.equal((await file.read(0, 1))[0], 1);
    // The medium changes behind the device's cache, as a worn block would.
    const behind = await open(backing, 'r+');
    await behind.write(Buffer.alloc(512, 9), 0, 512, 0);
    await behind.sync();
    await behind.close();
    assert.equal((await file.read(0, 1))[0], 1);
    assert.equal((await collected(file, 0, 1))[0], 9);
    assert.equal((await collected(file, 4096, 1))[0], 2);
    await file.close();
  } finally {
    execFileSync('losetup', ['--detach', device]);
    await dispose();
  }
});

test('TEST-OTA-313 REQ-OTA-APPLY-06: disk, full while a file is created: OTA_DISK_FULL, and no half file stays', async (context) => {
  const folder = mkdtempSync('/dev/shm/airlock-');
  try {
    if (tool(context, 'mount', '-t', 'tmpfs', '-o', 'size=64k', 'airlock-test', folder) === undefined) return;
    try {
      await assert.rejects(nodeDisk().create(join(folder, 'log'), 1 << 20), hasCode('OTA_DISK_FULL'));
      assert.deepEqual(await nodeDisk().list(folder), []);
    } finally {
      execFileSync('umount', [folder]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('TEST-OTA-314 REQ-OTA-APPLY-06: flush, failed once: the file is not used again, even if a second flush would pass', async (context) => {
  const folder = mkdtempSync('/dev/shm/airlock-');
  try {
    if (tool(context, 'mount', '-t', 'tmpfs', '-o', 'size=128k', 'airlock-test', folder) === undefined)
      return;
    let device: string | undefined;
    try {
      execFileSync('truncate', ['--size', '1M', join(folder, 'disk')]);
      device = tool(context, 'losetup', '--find', '--show', join(folder, 'disk'));
      if (device === undefined) return;
      const file = await opened(device);
      // The cache takes it all; the thin medium below has no room when it is flushed.
      await file.write(0, new Uint8Array(1 << 20).fill(5));
      await assert.rejects(file.flush(), hasCode('OTA_DISK_WRITE'));
      await assert.rejects(file.flush(), /not used again/);
      await assert.rejects(file.write(0, new Uint8Array(1)), /not used again/);
      await assert.rejects(file.read(0, 1), /not used again/);
      await file.close();
    } finally {
      if (device !== undefined) execFileSync('losetup', ['--detach', device]);
      execFileSync('umount', [folder]);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('TEST-OTA-315 REQ-OTA-APPLY-06: disk errors, every answer of the system: one code of the table each', () => {
  const codeFor = (what: 'read' | 'write', code: string): string =>
    diskErrorFrom(what, '/slot', Object.assign(new Error(code), { code })).code;
  assert.equal(codeFor('write', 'ENOSPC'), 'OTA_DISK_FULL');
  assert.equal(codeFor('write', 'EDQUOT'), 'OTA_DISK_FULL');
  assert.equal(codeFor('read', 'EBUSY'), 'OTA_DISK_BUSY');
  assert.equal(codeFor('read', 'EIO'), 'OTA_DISK_READ');
  assert.equal(codeFor('write', 'EIO'), 'OTA_DISK_WRITE');
  assert.equal(codeFor('read', 'EROFS'), 'OTA_DISK_WRITE');
  assert.equal(diskErrorFrom('read', '/slot', 'odd').code, 'OTA_DISK_READ');
});

test('TEST-OTA-316 REQ-OTA-APPLY-06: disk, a folder, a FIFO or a new file: refused or private to the agent', async () => {
  const { folder, dispose } = await scratchFolder();
  try {
    await assert.rejects(nodeDisk().open(folder), hasCode('OTA_DISK_READ'));
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    await assert.rejects(nodeDisk().open(join(folder, 'fifo')), hasCode('OTA_DISK_READ'));
    const file = await nodeDisk().create(join(folder, 'record'), 512);
    await assert.rejects(file.read(-1, 1), TypeError);
    await file.close();
    assert.equal((await stat(join(folder, 'record'))).mode & 0o777, 0o600);
  } finally {
    await dispose();
  }
});

test('TEST-OTA-317 REQ-OTA-LOG-02: disk opened for reading, every change: refused, and nothing is changed', async () => {
  const { folder, dispose } = await scratchFolder();
  try {
    await writeFile(join(folder, 'a'), 'text');
    const disk = nodeDisk({ access: 'read' });
    await assert.rejects(disk.create(join(folder, 'b'), 1), hasCode('OTA_DISK_WRITE'));
    await assert.rejects(disk.rename(join(folder, 'a'), join(folder, 'b')), hasCode('OTA_DISK_WRITE'));
    await assert.rejects(disk.remove(join(folder, 'a')), hasCode('OTA_DISK_WRITE'));
    await assert.rejects(disk.flushFolder(folder), hasCode('OTA_DISK_WRITE'));
    const file = await disk.open(join(folder, 'a'));
    assert.ok(file !== undefined);
    await assert.rejects(file.write(0, new Uint8Array(1)), hasCode('OTA_DISK_WRITE'));
    await assert.rejects(file.flush(), hasCode('OTA_DISK_WRITE'));
    assert.equal((await collected(file, 0, 4)).toString(), 'text');
    await file.close();
    assert.equal(await readFile(join(folder, 'a'), 'utf8'), 'text');
  } finally {
    await dispose();
  }
});
