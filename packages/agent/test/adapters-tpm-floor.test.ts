/**
 * The counter in a TPM through tpm2-tools, against swtpm: the port's contract, tools that fail, a whole simulated
 * update, and the program's `provision` and `status` (REQ-OTA-ROLL-04).
 */
import assert from 'node:assert/strict';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepareTpmCounter, tpmFloorStore } from '../src/adapters/tpm-floor.ts';
import { parseConfig } from '../src/config.ts';
import { FloorStoreError, type FloorCounter } from '../src/ports/platform.ts';
import { exampleConfig } from './support/example-config.ts';
import { floorStoreContract } from './support/floor-store-contract.ts';
import { runAgent, testDevice } from './support/provisioned.ts';
import { scratchFolder } from './support/scratch.ts';
import { SimDevice, World } from './support/sim-device.ts';
import { Power } from './support/sim-disk.ts';
import { SimTpm } from './support/sim-tpm.ts';
import { startSwtpm, tpmMissing, type Swtpm } from './support/swtpm.ts';

floorStoreContract('a simulated counter', 865, async () => {
  const tpm = new SimTpm();
  return {
    counter: tpm.port(new Power()),
    restart: async () => undefined,
    redefine: async () => tpm.redefine(),
    dispose: async () => undefined,
  };
});

const redefine = async (swtpm: Swtpm): Promise<void> => {
  await swtpm.tool('tpm2_nvundefine', '-C', 'o', swtpm.options.index);
  await prepareTpmCounter(swtpm.options);
};

floorStoreContract(
  'a counter in swtpm',
  866,
  async () => {
    const swtpm = await startSwtpm();
    await prepareTpmCounter(swtpm.options);
    return {
      counter: tpmFloorStore(swtpm.options),
      restart: async () => await swtpm.restart(),
      redefine: async () => await redefine(swtpm),
      dispose: async () => await swtpm.dispose(),
    };
  },
  tpmMissing,
);

test('TEST-OTA-867 REQ-OTA-ROLL-04: tools that are missing, fail, hang or print something else than eight bytes: an operating error in one line, and never a value', async () => {
  const { folder, dispose } = await scratchFolder();
  const path = process.env['PATH'];
  const say = async (body: string): Promise<void> => {
    for (const name of ['tpm2_nvread', 'tpm2_nvincrement', 'tpm2_nvdefine', 'tpm2_nvreadpublic']) {
      await writeFile(join(folder, name), `#!/bin/sh\n${body}\n`);
      await chmod(join(folder, name), 0o755);
    }
  };
  const options = { index: '0x01800010', tcti: 'device:/dev/tpmrm0', timeLimitSeconds: 1 };
  const store = tpmFloorStore(options);
  try {
    process.env['PATH'] = folder;
    await assert.rejects(store.read(), /tpm2_nvread could not be started .*is tpm2-tools there\?/);
    await assert.rejects(prepareTpmCounter(options), /tpm2_nvdefine could not be started/);
    process.env['PATH'] = `${folder}:${path}`;
    for (const [body, expected] of [
      ['exec sleep 60', /did not end within 1 s/],
      ['echo WARNING:esys:x >&2; echo "ERROR: no TPM" >&2; exit 1', /exit code 1: ERROR: no TPM$/],
      ['kill -9 $$', /was ended by SIGKILL/],
    ] as const) {
      await say(body);
      await assert.rejects(store.read(), expected);
      await assert.rejects(store.increment(), expected);
      await assert.rejects(prepareTpmCounter(options), FloorStoreError);
    }
    // Bytes above 127 must come through as they are; 2^53 and more, a short and a long answer are no counter.
    await say(String.raw`printf '\0\0\0\0\0\0\377\376'`);
    assert.equal(await store.read(), 65_534);
    for (const body of [
      String.raw`printf '\377\377\377\377\377\377\377\377'`,
      String.raw`printf '\0\040\0\0\0\0\0\0'`,
      String.raw`printf '\0\0\0\0\0\0\1'`,
      String.raw`printf '\0\0\0\0\0\0\0\0\1'`,
      'true',
    ]) {
      await say(body);
      await assert.rejects(store.read(), FloorStoreError, body);
    }
    // The command line is never a shell's, and says where the TPM is.
    await say(`echo "$TPM2TOOLS_TCTI $*" > "${folder}/seen"`);
    await store.increment();
    assert.equal(
      await readFile(join(folder, 'seen'), 'utf8'),
      'device:/dev/tpmrm0 -C 0x01800010 0x01800010\n',
    );
  } finally {
    process.env['PATH'] = path;
    await dispose();
  }
});

test('TEST-OTA-868 REQ-OTA-ROLL-04: `tpm` in the configuration: an index and where the TPM is, strictly; absent means none', () => {
  const parsed = (tpm: unknown) =>
    parseConfig(new TextEncoder().encode(JSON.stringify({ ...exampleConfig, tpm })), '/etc/agent.json');
  const given = parsed({ index: '0x01800010' });
  assert.ok(given.ok);
  assert.deepEqual(given.value.tpm, {
    index: '0x01800010',
    tcti: 'device:/dev/tpmrm0',
    timeLimitSeconds: 10,
  });
  const absent = parsed(undefined);
  assert.ok(absent.ok && absent.value.tpm === undefined);
  for (const [tpm, field] of [
    [{}, 'tpm.index'],
    [{ index: 'owner' }, 'tpm.index'],
    [{ index: '0x81000001' }, 'tpm.index'],
    [{ index: '0x01800010', tcti: '/dev/tpmrm0' }, 'tpm.tcti'],
    [{ index: '0x01800010', tcti: '' }, 'tpm.tcti'],
    [{ index: '0x01800010', timeLimitSeconds: 0 }, 'tpm.timeLimitSeconds'],
    [{ index: '0x01800010', auth: 'secret' }, 'tpm'],
  ] as const) {
    const refused = parsed(tpm);
    assert.ok(
      !refused.ok && refused.error.message.startsWith(`/etc/agent.json: ${field}`),
      JSON.stringify(refused),
    );
  }
});

test('TEST-OTA-869 REQ-OTA-ROLL-04, REQ-OTA-ROLL-01: whole simulated updates with a real NV counter in swtpm, a cut between record and increment, an old state partition, a counter defined anew: as the simulated one', {
  skip: tpmMissing,
}, async () => {
  const swtpm = await startSwtpm();
  try {
    await prepareTpmCounter(swtpm.options);
    const counter = tpmFloorStore(swtpm.options);
    const world = new World();
    world.floorStore = counter;
    const device = await SimDevice.provisioned(world);
    const agrees = async (floor: number): Promise<void> => {
      const record = await device.record();
      assert.deepEqual([record.floor, record.counter], [floor, await counter.read()]);
    };
    await agrees(1);
    const old = device.disk.clone();
    world.company.release(2);
    world.company.publish(2);
    await device.settle();
    await agrees(2);

    await cutBeforeIncrement(device, counter);
    assert.equal((await device.record()).counter, (await counter.read()) + 1, 'written, not committed');
    await swtpm.restart();
    world.floorStore = counter;
    await device.settle();
    await agrees(3);

    const good = device.disk.clone();
    device.disk = old;
    world.company.publish(2);
    const refused = await device.settle();
    assert.equal(refused.kind === 'refused' ? refused.code : refused.kind, 'OTA_STATE_RESTORED');

    device.disk = good;
    await device.settle();
    assert.equal((await device.record()).restored, undefined, 'the right disk is believed again');
    await redefine(swtpm);
    world.company.release(4);
    world.company.publish(4);
    const redefined = await device.settle();
    assert.equal(redefined.kind === 'refused' ? redefined.code : redefined.kind, 'OTA_STATE_RESTORED');
    world.deviceRecord = world.company.record(2, { floor: 3, counter: await counter.read() });
    await device.settle();
    await agrees(4);
  } finally {
    await swtpm.dispose();
  }
});

/** Update to release 3; the power goes in the moment in which the agent asks the TPM to increment. */
async function cutBeforeIncrement(device: SimDevice, counter: FloorCounter): Promise<void> {
  const { world } = device;
  world.company.release(3);
  world.company.publish(3);
  const { promise: asked, resolve } = Promise.withResolvers<'cut'>();
  const increment = async (): Promise<never> => {
    resolve('cut');
    return await new Promise<never>(() => undefined);
  };
  world.floorStore = { ...counter, increment };
  assert.equal(await device.boot(), 'restart');
  assert.equal(await Promise.race([device.boot(), asked]), 'cut');
}

test('TEST-OTA-879 REQ-OTA-ROLL-04: the program with a TPM: `provision` defines the counter and seals the first record, `status` shows it and a counter that went on without it; without a TPM nothing is provisioned', {
  skip: tpmMissing,
}, async () => {
  const swtpm = await startSwtpm();
  const device = await testDevice();
  try {
    const { index, tcti } = swtpm.options;
    await device.configure({ tpm: { index, tcti: 'swtpm:path=/nonexistent', timeLimitSeconds: 5 } });
    const silent = await runAgent(device.provisionWords);
    assert.deepEqual([silent.code, silent.stdout], [1, '']);
    assert.match(
      silent.stderr,
      /^airlock-agent: OTA_FAIL_FLOOR: tpm2_nvdefine exit code .*nothing was changed\n$/,
    );

    // An index that is there and is no counter.
    await swtpm.tool('tpm2_nvdefine', '-C', 'o', '-s', '8', '-a', 'authread|authwrite', index);
    await device.configure({ tpm: { index, tcti } });
    const plain = await runAgent(device.provisionWords);
    assert.match(plain.stderr, /OTA_FAIL_FLOOR: NV index 0x01800010: expected a counter that is not orderly/);
    await swtpm.tool('tpm2_nvundefine', '-C', 'o', index);

    assert.equal((await runAgent(device.provisionWords)).code, 0);
    const counter = tpmFloorStore(swtpm.options);
    const value = await counter.read();
    const status = await runAgent(['status', '--config', device.config]);
    assert.match(status.stdout, new RegExp(String.raw`floor +version 1, sealed with counter ${value}\n`));
    await counter.increment();
    const after = await runAgent(['status', '--config', device.config]);
    assert.match(after.stdout, /floor +version 1, OTA_STATE_RESTORED: the record is not sealed/);
    const json = await runAgent(['status', '--config', device.config, '--json']);
    assert.equal((JSON.parse(json.stdout) as { seal: string }).seal, 'restored');
  } finally {
    await swtpm.dispose();
    await device.dispose();
  }
});
