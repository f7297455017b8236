/** What somebody meets who puts the agent on a device for the first time, and gets something wrong. */
import assert from 'node:assert/strict';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LogEntry } from '@airlock/protocol';
import { createAgent } from '../src/agent.ts';
import { nodeDisk } from '../src/adapters/node-disk.ts';
import { compose, loadConfig } from '../src/compose.ts';
import type { AgentConfig } from '../src/config.ts';
import { newRecord } from '../src/core/record.ts';
import { newsOf } from '../src/news.ts';
import { type Disk, DiskError } from '../src/ports/disk.ts';
import { provision, type ProvisionInput } from '../src/provision.ts';
import { runAgent, testDevice, type TestDevice } from './support/provisioned.ts';
import { json, withServer } from './support/tls-server.ts';

async function configOf(device: TestDevice): Promise<AgentConfig> {
  const config = await loadConfig(device.config);
  assert.ok(config.ok, config.ok ? '' : config.error.message);
  return config.value;
}

function inputOf({ folder }: TestDevice): ProvisionInput {
  return {
    imageRootFile: join(folder, 'image-root.json'),
    directorRootFile: join(folder, 'director-root.json'),
    deviceRecordFile: join(folder, 'record.json'),
    installedFile: join(folder, 'installed.json'),
    group: 'A',
    builtAt: 1_800_000_000,
  };
}

/** The real disk, whose partition is full at the given change (from 1), and from then on. */
function fullAt(change: number): { readonly disk: Disk; readonly reached: () => boolean } {
  const disk = nodeDisk();
  let changes = 0;
  const take = (path: string): void => {
    changes += 1;
    if (changes >= change) throw new DiskError('OTA_DISK_FULL', path, `${path}: no space is left`);
  };
  return {
    reached: () => changes >= change,
    disk: {
      ...disk,
      create: async (path, sizeBytes) => {
        take(path);
        return await disk.create(path, sizeBytes);
      },
      rename: async (from, to) => {
        take(to);
        await disk.rename(from, to);
      },
      flushFolder: async (path) => {
        take(path);
        await disk.flushFolder(path);
      },
    },
  };
}

test('TEST-OTA-1080 REQ-OTA-OPS-01, REQ-OTA-APPLY-07: provision, the state partition full at each of its changes: nothing of it stays, what was there before does, and the next provisioning succeeds', async () => {
  const device = await testDevice();
  try {
    const config = await configOf(device);
    const input = inputOf(device);
    const before = await readdir(device.folder);
    let change = 1;
    for (; ; change += 1) {
      const { disk, reached } = fullAt(change);
      const mine = change % 2 === 0;
      if (mine) {
        await mkdir(config.stateFolder);
        await writeFile(join(config.stateFolder, 'lost+found'), '');
        await writeFile(join(config.stateFolder, 'trust-1.new'), '');
      }
      const end = await provision(config, input, disk, assert.fail).catch((error: unknown) => error);
      if (!reached()) {
        assert.ok(!(end instanceof Error), String(end));
        break;
      }
      assert.ok(end instanceof DiskError, String(end));
      if (mine) {
        const kept = await readdir(config.stateFolder);
        assert.ok(kept.includes('lost+found'));
        assert.deepEqual(
          kept.filter((name) => !['lost+found', 'trust-1.new'].includes(name)),
          [],
        );
        await rm(config.stateFolder, { recursive: true });
      }
      assert.deepEqual(await readdir(device.folder), before);
    }
    assert.ok(change > 8, 'every step was full once');
    const again = await runAgent(device.provisionWords);
    assert.equal(again.code, 1, again.stderr);
    assert.match(again.stderr, /OTA_PROVISIONED/);
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-1081 REQ-OTA-OPS-01: provision, a slot, key or program of the configuration missing: refused with field and path, nothing written; one that comes with an image: told only', async () => {
  const device = await testDevice();
  try {
    const away = join(device.folder, 'away');
    const selfTest = (command: string): object => ({
      tests: [{ name: 'a', command: [command], critical: true }],
    });
    const cases: [Record<string, unknown>, RegExp][] = [
      [
        { slots: { rootfs: { A: 'slots/a', B: 'away' } } },
        /slots\.rootfs\.B: \/.*away: expected a block device/,
      ],
      [{ logKeyFile: 'away' }, /logKeyFile: \/.*away: expected the device's log key/],
      [{ selfTest: selfTest(away) }, /selfTest\.tests\[0\]\.command: \/.*away: expected a program/],
      [
        { interlock: { command: ['no-such-program'] } },
        /interlock\.command: no-such-program: expected a program/,
      ],
      [{ reboot: { command: [device.config] } }, /reboot\.command: .*agent\.json: expected a program/],
    ];
    for (const [changes, expected] of cases) {
      await device.configure(changes);
      const { code, stderr } = await runAgent(device.provisionWords);
      assert.equal(code, 2, stderr);
      assert.match(stderr, expected);
      const names = await readdir(device.folder);
      assert.ok(!names.includes('state') && !names.includes('boot'));
    }
    await device.configure({ selfTest: selfTest(`${device.folder}/{group}/sensor`) });
    const made = await runAgent(device.provisionWords);
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stderr, /warning selfTest\.tests\[0\]\.command: .*\/A\/sensor: expected a program/);
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-1082 REQ-OTA-OPS-01: run and provision, no state folder or one that cannot be made: told at once with the folder, never tried for ever', async () => {
  const device = await testDevice();
  try {
    const run = await runAgent(['run', '--config', device.config]);
    assert.equal(run.code, 1, run.stderr);
    assert.match(
      run.stderr,
      /OTA_STATE_LOST: \/.*\/state: expected the state of a provisioned device, found none/,
    );
    await device.configure({ stateFolder: '/proc/nothing/x' });
    const made = await runAgent(device.provisionWords);
    assert.equal(made.code, 2, made.stderr);
    assert.match(made.stderr, /stateFolder: \/proc\/nothing\/x: expected a folder, or a place to make it/);
    assert.ok(!(await readdir(device.folder)).includes('boot'));
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-1083 REQ-OTA-OPS-01, REQ-OTA-LOG-02: --json, with every kind of error and with an empty log: JSON with a code and a message, or a list', async () => {
  const device = await testDevice();
  try {
    const cases: [string[], number, string][] = [
      [['dance'], 2, 'OTA_USAGE'],
      [[], 2, 'OTA_USAGE'],
      [['status'], 2, 'OTA_USAGE'],
      [['status', '--config', '/nonexistent'], 2, 'OTA_CONFIG'],
      [['log', '--config', device.config], 1, 'OTA_STATE_LOST'],
      [['run', '--config', device.config], 1, 'OTA_STATE_LOST'],
    ];
    for (const [words, expected, errorCode] of cases) {
      const { code, stdout, stderr } = await runAgent([...words, '--json']);
      assert.deepEqual([code, stdout], [expected, ''], stderr);
      const told = JSON.parse(stderr) as Record<string, unknown>;
      assert.deepEqual([told['code'], typeof told['message']], [errorCode, 'string'], stderr);
    }
    assert.equal((await runAgent(device.provisionWords)).code, 0);
    const log = await runAgent(['log', '--config', device.config, '--json']);
    assert.deepEqual([log.code, JSON.parse(log.stdout)], [0, []]);
    const { stdout } = await runAgent(['status', '--config', device.config]);
    assert.match(stdout, /0 entries, at least 0 known to be at the server/);
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-1084 REQ-OTA-APPLY-03: agent, closed at the end of its process: no file is left open for the garbage collector', async () => {
  const device = await testDevice();
  try {
    assert.equal((await runAgent(device.provisionWords)).code, 0);
    const real = nodeDisk();
    const open = new Set<string>();
    const disk: Disk = {
      ...real,
      open: async (path) => {
        const file = await real.open(path);
        if (file === undefined) return undefined;
        open.add(path);
        return Object.assign(Object.create(file) as typeof file, {
          sizeBytes: file.sizeBytes,
          read: file.read.bind(file),
          write: file.write.bind(file),
          flush: file.flush.bind(file),
          readMedium: file.readMedium.bind(file),
          close: async () => {
            open.delete(path);
            await file.close();
          },
        });
      },
    };
    const composed = await compose(await configOf(device), () => undefined, disk);
    assert.ok(composed.ok);
    const { ports, settings, transport } = composed.value;
    const agent = createAgent({ ports, settings });
    await agent.boot();
    assert.deepEqual([...open], [join(device.folder, 'state/log')]);
    await agent.close();
    assert.deepEqual([...open], []);
    transport.close();
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-1085 REQ-OTA-LOG-02: what a device waits for and refused last, out of record and log: reason and time, and no waiting that is over', () => {
  const entry = (sequence: number, code: LogEntry['code'], reason: string): LogEntry => ({
    schema: 'airlock-log-entry/1',
    sequence,
    previous: '0'.repeat(64),
    time: 1000 + sequence,
    bootId: 'b',
    code,
    reason,
  });
  const idle = newRecord('A', { version: 1, manifestSha256: '1'.repeat(64) });
  const refusals = [{ manifestSha256: '2'.repeat(64), code: 'OTA_NOT_APPROVED' as const }];
  const log = [
    entry(1, 'OTA_BOOT', 'group A'),
    entry(2, 'OTA_NOT_APPROVED', 'quality is missing'),
    entry(3, 'OTA_WAITING', 'interlock: in use'),
    entry(4, 'OTA_TIME_SIGNED', 'x'),
  ];
  assert.deepEqual(newsOf({ ...idle, refusals }, log), {
    waiting: { reason: 'interlock: in use', time: 1003 },
    refused: { code: 'OTA_NOT_APPROVED', reason: 'quality is missing', time: 1002 },
  });
  assert.deepEqual(newsOf(idle, [...log, entry(5, 'OTA_ATTEMPT_BEGUN', 'x')]), {});
  assert.deepEqual(newsOf({ ...idle, refusals }, []), { refused: { code: 'OTA_NOT_APPROVED' } });
  assert.deepEqual(newsOf(undefined, []), {});
});

test('TEST-OTA-1086 REQ-OTA-APPLY-05, REQ-OTA-LOG-02: a release for a device whose other slot is missing: refused as missing, with its path, and not as too small', async () => {
  let files: Record<string, string> = {};
  await withServer(
    { answer: (_request, response) => json(response, { etag: 'e', files }) },
    async (_transport, _seen, url) => {
      const device = await testDevice(url);
      try {
        assert.equal((await runAgent(device.provisionWords)).code, 0);
        files = device.factory.checkIn({ quality: true });
        await rm(join(device.folder, 'slots/b'));
        const refused = await runAgent(['check', '--config', device.config]);
        assert.equal(refused.code, 1, refused.stderr);
        assert.match(refused.stdout, /OTA_SLOT_TOO_SMALL: slot B of rootfs is missing: \/.*slots\/b/);
      } finally {
        await device.dispose();
      }
    },
  );
});
