/**
 * Group A holds the previous agent, group B the next one, whose record has a second format: whatever the next one was
 * doing when the device fell back, the previous one goes on from it (REQ-OTA-APPLY-10).
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskError, type AgentPorts } from '@airlock/agent';
import { logAsNewer, trustAsNewer } from '../../packages/agent/test/support/newer-state.ts';
import { slotPath, SimDevice, statePath } from '../../packages/agent/test/support/sim-device.ts';
import { Power } from '../../packages/agent/test/support/sim-disk.ts';
import { agentVariants } from '../src/crash/agent-variants.ts';

const { previous, next } = await agentVariants();

/** Release 2 brings the next agent; every other release has the previous one. */
function carriesNext(device: SimDevice): boolean {
  const bytes = device.disk.bytes(slotPath('app', device.bootedGroup)) ?? new Uint8Array();
  return /"version":2\b/.test(new TextDecoder('latin1').decode(bytes.subarray(0, 100)));
}

async function provisioned(): Promise<SimDevice> {
  const device = await SimDevice.provisioned();
  device.agentOf = (booted) => (carriesNext(booted) ? next : previous).createAgent;
  device.world.data.present = true;
  device.world.company.release(2);
  device.world.company.publish(2);
  return device;
}

/** All starts of this group are used up: the boot loader takes the other one. */
function useUp(device: SimDevice, group: 'A' | 'B'): void {
  const state = device.bootState();
  device.setBootState({ ...state, left: { ...state.left, [group]: 0 } });
}

async function remark(device: SimDevice, text?: string): Promise<string | undefined> {
  const disk = text === undefined ? device.disk.clone() : device.disk;
  const store = next.recordStore(
    disk.port(new Power(), () => ''),
    statePath,
  );
  const held = await store.read();
  assert.ok(held);
  if (text !== undefined) await store.write(Object.assign({}, held.record, { remark: text }));
  return 'remark' in held.record ? String(held.record.remark) : undefined;
}

async function assertNothingLost(device: SimDevice, where: string): Promise<void> {
  const log = await device.log();
  assert.ok(!log.some(({ code }) => code === 'OTA_STATE_LOST'), `${where}: no state is lost`);
  const sequences = log.map(({ sequence }) => sequence);
  assert.deepEqual(
    sequences,
    sequences.map((_one, index) => index + 1),
    `${where}: the log is one chain`,
  );
  const attempts = new Set(log.map(({ attempt }) => attempt).filter((attempt) => attempt !== undefined));
  const results = (await device.results()).map(({ attempt }) => attempt);
  assert.equal(results.length, attempts.size, `${where}: one result for each attempt`);
  assert.deepEqual(new Set(results), attempts, `${where}: one result for each attempt`);
  assert.equal((await device.record()).state, 'Idle', where);
}

/** Cuts the first boot of `ready` before each of its operations, falls back to group A, and goes on there. */
async function fallBackEverywhere(
  ready: SimDevice,
  check: (device: SimDevice, where: string) => Promise<void>,
): Promise<number> {
  for (let cut = 0; ; cut += 1) {
    const device = ready.clone();
    const end = await device.boot({ cutBefore: cut });
    assert.equal(device.bootedGroup, 'B');
    if (end !== 'cut') {
      assert.ok(device.power.trace.some((operation) => operation.includes('record-2')));
      return cut;
    }
    device.disk.loseUnflushed();
    // What else a newer agent may have left by then.
    await logAsNewer(device.disk, statePath, 64);
    await trustAsNewer(device.disk, statePath);
    useUp(device, 'B');
    // Out of reach of the server: nothing new begins before it was looked at.
    device.world.reachable = false;
    await device.boot();
    device.world.reachable = true;
    assert.equal(device.bootedGroup, 'A');
    const codes = (await device.log()).map(({ code }) => code);
    assert.ok(codes.includes('OTA_OF_A_NEWER_AGENT'), `cut before operation ${cut}: no entry is lost`);
    await check(device, `cut before operation ${cut}`);
  }
}

async function readyForTrial(): Promise<SimDevice> {
  const device = await provisioned();
  assert.equal(await device.boot(), 'restart');
  return device;
}

test('TEST-OTA-890 REQ-OTA-APPLY-10, REQ-OTA-APPLY-04: the next agent confirms its trial, power lost before every operation, then the previous agent boots: it reads record, log and trust, and ends the attempt with exactly one result', async () => {
  const codes = new Set<string>();
  const cuts = await fallBackEverywhere(await readyForTrial(), async (device, where) => {
    await assertNothingLost(device, where);
    const [result] = await device.results();
    codes.add(result?.code ?? '');
    const { confirmed, floor } = await device.record();
    const kept = result?.code === 'OTA_CONFIRMED' ? 2 : 1;
    assert.deepEqual([confirmed.version, floor], [kept, kept], where);
  });
  assert.ok(cuts > 25, `${cuts} operations`);
  assert.ok(codes.has('OTA_CONFIRMED') && [...codes].some((code) => code.startsWith('OTA_FAIL_')));
});

test('TEST-OTA-891 REQ-OTA-APPLY-10, REQ-OTA-VERIFY-02: the next agent fails its self-test, power lost before every operation, then the previous agent boots: one result, the reason of the next agent once it was recorded', async () => {
  const ready = await readyForTrial();
  ready.world.settings = { attemptsPerReleaseMax: 1 };
  ready.world.selfTest = async () => ({ passed: false, failed: 'pump', reason: 'no flow', tests: [] });
  const codes = new Set<string>();
  const cuts = await fallBackEverywhere(ready, async (device, where) => {
    await assertNothingLost(device, where);
    codes.add((await device.results())[0]?.code ?? '');
    assert.equal((await device.record()).confirmed.version, 1, where);
    assert.deepEqual(device.bootState().order, ['A'], where);
  });
  assert.ok(cuts > 15 && codes.has('OTA_FAIL_SELFTEST'), `${cuts} operations, ${[...codes].join()}`);
});

test('TEST-OTA-892 REQ-OTA-APPLY-10, REQ-OTA-APPLY-04: confirmed on the next agent, fallback to the previous, repair, back on the next, power lost before every operation of the fallback: the same release runs, and nothing that the previous agent could not keep up is believed', async () => {
  const ready = await provisioned();
  await ready.settle();
  assert.deepEqual([ready.bootedGroup, (await ready.record()).confirmed.version], ['B', 2]);
  await remark(ready, 'by the next agent');
  await ready.boot();
  assert.equal(await remark(ready), 'by the next agent', 'a start keeps it');
  useUp(ready, 'B');
  let cuts = 0;
  for (let cut: number | undefined = 0; cut !== undefined; ) {
    const device = ready.clone();
    const end = await device.boot({ cutBefore: cut });
    assert.equal(device.bootedGroup, 'A');
    await device.settle();
    const where: string = `cut before operation ${cut}`;
    await assertNothingLost(device, where);
    assert.deepEqual([device.bootedGroup, (await device.record()).confirmed.version], ['B', 2], where);
    assert.equal((await device.results()).at(-1)?.code, 'OTA_REPAIRED', where);
    assert.equal(await remark(device), undefined, where);
    cuts = cut;
    cut = end === 'cut' ? cut + 1 : undefined;
  }
  assert.ok(cuts > 25, `${cuts} operations`);
});

test('TEST-OTA-893 REQ-OTA-APPLY-10, REQ-OTA-APPLY-06: the next agent finds no room for its format in its trial: it says so, is confirmed in the older format, and the previous agent reads that', async () => {
  const device = await readyForTrial();
  const crowded = (ports: AgentPorts): AgentPorts => ({
    ...ports,
    disk: {
      ...ports.disk,
      create: async (path, sizeBytes) => {
        if (path.endsWith('record-2')) throw new DiskError('OTA_DISK_FULL', path, 'no room');
        return await ports.disk.create(path, sizeBytes);
      },
    },
  });
  const { agentOf } = device;
  device.agentOf =
    (booted) =>
    ({ ports, settings }) =>
      agentOf(booted)({ ports: crowded(ports), settings });
  await device.boot();
  assert.equal((await device.record()).confirmed.version, 2);
  assert.ok((await device.log()).some(({ reason }) => reason === 'airlock-record/2: no room'));
  device.agentOf = agentOf;
  useUp(device, 'B');
  await device.settle();
  await assertNothingLost(device, 'in the end');
  assert.deepEqual([device.bootedGroup, (await device.record()).confirmed.version], ['B', 2]);
});
