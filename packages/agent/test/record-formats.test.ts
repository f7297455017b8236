/**
 * An older agent on the state that a newer one left (REQ-OTA-APPLY-10): what it does not know costs it nothing, and
 * the bytes of the first record format stay what they are. Two record formats side by side are testbench's.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256Hex } from '@airlock/trust';
import {
  decodeBootCopy,
  DiskError,
  formatNumber,
  openBlock,
  openEventLog,
  recordFormats,
  recordStore,
  sealBlock,
  type DeviceState,
  type Disk,
} from '../src/index.ts';
import { createRecordFile } from '../src/durable/record-store.ts';
import { newRecord } from '../src/core/record.ts';
import { trustFileNames, trustStore } from '../src/durable/trust-store.ts';
import { logAsNewer, trustAsNewer } from './support/newer-state.ts';
import { SimDevice, statePath } from './support/sim-device.ts';
import { Power, SimDisk } from './support/sim-disk.ts';

const portOf = (disk: SimDisk, power = new Power()): Disk => disk.port(power, (op, path) => `${op} ${path}`);
const installed = { version: 7, manifestSha256: 'ab'.repeat(32) };
const failing: DeviceState = {
  ...newRecord('A', installed),
  state: 'Failing',
  floor: 7,
  attempt: {
    id: '0123456789abcdef0123456789abcdef',
    kind: 'update',
    manifestSha256: 'cd'.repeat(32),
    version: 8,
    fromVersion: 7,
    group: 'B',
    pendingBootId: 'boot-1',
    serverReached: true,
    staged: true,
    trialBoots: 2,
    notTried: 1,
    rotted: 0,
  },
  failing: { code: 'OTA_FAIL_TRIES', reason: 'not confirmed within 3 tries' },
  lastResult: { attempt: 'f'.repeat(32), version: 7, code: 'OTA_CONFIRMED', reason: 'confirmed' },
  failures: [{ manifestSha256: 'cd'.repeat(32), count: 1 }],
  refusals: [{ manifestSha256: 'ef'.repeat(32), code: 'OTA_NOT_APPROVED' }],
};

test('TEST-OTA-880 REQ-OTA-APPLY-10: the first record format, of a record with everything in it: the bytes that it always had, under its own name', () => {
  const [first] = recordFormats;
  assert.deepEqual([first.schema, first.file], ['airlock-record/1', 'record']);
  const block = first.encode({ sequence: 41, record: failing });
  // Whoever changes this changes what agents in the field read: add a format instead (docs/adr/0013).
  assert.equal(sha256Hex(block), '6f6c5e596c3c90381a77cc1922ed9bf05bb28e6d08f63803084919b94ca8a725');
  assert.deepEqual(first.decode(block), { sequence: 41, record: failing });
  for (const [index, { schema, file }] of recordFormats.entries()) {
    assert.equal(schema, `airlock-record/${index + 1}`, 'no number is left out or used twice');
    assert.equal(formatNumber(file), index + 1);
  }
});

test('TEST-OTA-881 REQ-OTA-APPLY-10: a record with codes of a newer agent: read, and its attempt ends with them; with what is no code at all: not read', async () => {
  const [first] = recordFormats;
  const text = (code: string): Uint8Array => {
    const value = openBlock(first.encode({ sequence: 3, record: failing }));
    const changed: unknown = JSON.parse(JSON.stringify(value).replaceAll('OTA_FAIL_TRIES', code));
    return sealBlock(changed, 4096) ?? assert.fail('it fits');
  };
  assert.equal(
    first.decode(text('OTA_FAIL_OF_A_NEWER_AGENT'))?.record.failing?.code,
    'OTA_FAIL_OF_A_NEWER_AGENT',
  );
  for (const code of ['', 'FAIL', 'OTA_', 'OTA_fail', `OTA_${'X'.repeat(41)}`])
    assert.equal(first.decode(text(code)), undefined, code);

  const device = await SimDevice.provisioned();
  device.world.settings = { attemptsPerReleaseMax: 1 };
  device.world.company.release(2);
  device.world.company.publish(2);
  assert.equal(await device.boot(), 'restart');
  const record = await device.record();
  assert.equal(record.state, 'Pending');
  const why = { code: 'OTA_FAIL_OF_A_NEWER_AGENT', reason: 'new kinds of fault' } as const;
  const store = recordStore(portOf(device.disk), statePath);
  await store.read();
  await store.write({ ...record, state: 'Failing', failing: why });
  const state = device.bootState();
  device.setBootState({ ...state, left: { ...state.left, B: 0 } });
  await device.settle();
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_FAIL_OF_A_NEWER_AGENT'],
  );
  assert.ok(!(await device.log()).some(({ code }) => code === 'OTA_STATE_LOST'));
});

test('TEST-OTA-882 REQ-OTA-APPLY-10, REQ-OTA-LOG-03: log entries with a code and a field that this agent does not know: they keep their place and their hash, and the chain goes on', async () => {
  const disk = new SimDisk();
  const open = async () => await openEventLog(portOf(disk), statePath, 16);
  const known = { time: 1, bootId: 'boot-1', code: 'OTA_BOOT', reason: 'group A' } as const;
  await (await open()).append(known);
  await logAsNewer(disk, statePath, 16);
  const head = (await open()).head();
  await (await open()).append(known);
  const log = await open();
  const entries = await log.after(0, 10);
  assert.deepEqual(
    entries.map(({ code }) => code),
    ['OTA_BOOT', 'OTA_OF_A_NEWER_AGENT', 'OTA_BOOT'],
  );
  assert.deepEqual([head.sequence, entries[2]?.previous], [2, head.sha256]);
  const newer = entries[1] ?? assert.fail('the entry is there');
  assert.ok('battery' in newer, 'it is uploaded as it was written');
  assert.equal(log.sha256Of(2), head.sha256);
});

test('TEST-OTA-883 REQ-OTA-APPLY-10, REQ-OTA-APPLY-07: a trust state with fields that this agent does not know: read without them, nothing is lost, the update goes on', async () => {
  const device = await SimDevice.provisioned();
  device.world.company.release(2);
  device.world.company.publish(undefined);
  await device.settle();
  const before = await trustStore(portOf(device.disk.clone()), statePath).read();
  await trustAsNewer(device.disk, statePath);
  assert.ok(
    trustFileNames.every((name) =>
      new TextDecoder().decode(device.disk.bytes(`${statePath}/${name}`)).includes('"mirrors"'),
    ),
  );
  const read = await trustStore(portOf(device.disk.clone()), statePath).read();
  assert.deepEqual(read, before);
  device.world.company.publish(2);
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 2);
  const codes = (await device.log()).map(({ code }) => code);
  assert.ok(!codes.includes('OTA_STATE_LOST') && !codes.includes('OTA_STATE_REPAIRED'));
});

test('TEST-OTA-884 REQ-OTA-APPLY-10, REQ-OTA-APPLY-09: a boot file with a field that this agent or boot loader does not know: read by what it does know', () => {
  const state = { order: ['B', 'A'], trial: 'B', left: { A: 16, B: 2 } };
  const block = sealBlock({ schema: 'airlock-boot/1', sequence: 9, ...state, slowStarts: 1 }, 512);
  assert.ok(block);
  assert.deepEqual(decodeBootCopy(block), { sequence: 9, state });
});

test("TEST-OTA-885 REQ-OTA-APPLY-10: files of newer record formats beside this agent's own: blanked before its first write and not before, their room kept; other files untouched", async () => {
  const disk = new SimDisk();
  const record = newRecord('A', installed);
  await createRecordFile(portOf(disk), statePath, record);
  for (const name of ['record-2', 'record-17', 'recording', 'record-02', 'log']) {
    const file = await portOf(disk).create(`${statePath}/${name}`, 8192);
    await file.write(0, new Uint8Array(8192).fill(7));
    await file.flush();
  }
  await portOf(disk).flushFolder(statePath);
  const isBlank = (name: string) => disk.bytes(`${statePath}/${name}`)?.every((byte) => byte === 0);
  const power = new Power();
  const store = recordStore(portOf(disk, power), statePath);
  assert.deepEqual((await store.read())?.record, record);
  assert.equal(power.trace.length, 0, 'a start that changes nothing writes nothing');
  await store.write(failing);
  assert.ok(
    power.trace.findLastIndex((op) => /record-/.test(op)) < power.trace.indexOf(`write ${statePath}/record`),
  );
  const names = ['record-2', 'record-17', 'recording', 'record-02', 'log'];
  assert.deepEqual(
    names.map((name) => [isBlank(name), disk.bytes(`${statePath}/${name}`)?.length]),
    names.map((name) => [name === 'record-2' || name === 'record-17', 8192]),
  );
  const operations = power.trace.length;
  await store.write(record);
  assert.equal(power.trace.length - operations, 4, 'later writes are two copies, each written and flushed');
});

test("TEST-OTA-886 REQ-OTA-APPLY-10, REQ-OTA-APPLY-06: a newer format's file that cannot be listed, read or written: this agent writes its own record all the same", async () => {
  for (const broken of ['list', 'open', 'read', 'write'] as const) {
    const disk = new SimDisk();
    await createRecordFile(portOf(disk), statePath, newRecord('A', installed));
    const file = await portOf(disk).create(`${statePath}/record-2`, 8192);
    await file.write(0, new Uint8Array(8192).fill(7));
    await file.flush();
    await portOf(disk).flushFolder(statePath);
    const plain = portOf(disk);
    const fault = async (path: string): Promise<never> => {
      throw new DiskError('OTA_DISK_READ', path, 'a bad block');
    };
    const port: Disk = {
      ...plain,
      list: async (path) => (broken === 'list' ? await fault(path) : await plain.list(path)),
      open: async (path) => {
        if (path.endsWith('record-2') && broken === 'open') await fault(path);
        return await plain.open(path);
      },
    };
    if (broken === 'read' || broken === 'write')
      disk.faults.push({ op: broken, path: `${statePath}/record-2` });
    const store = recordStore(port, statePath);
    await store.read();
    await store.write(failing);
    assert.deepEqual((await recordStore(portOf(disk), statePath).read())?.record, failing, broken);
  }
});
