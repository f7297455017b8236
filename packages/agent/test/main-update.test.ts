/**
 * The whole program with its real adapters: a server over TLS, files as slots, programs as self-test and restart.
 * The test plays the boot loader only: it writes the kernel's command line and a new boot id, as a restart would.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { access, readFile, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodeBootFile } from '../src/durable/boot-codec.ts';
import { imageBytes } from './support/factory.ts';
import { bundleFile, installedSlot, runAgent, testDevice, type TestDevice } from './support/provisioned.ts';
import { json, withServer } from './support/tls-server.ts';

/** A server that answers check-ins with `files`, images by range, and takes every report and log. */
function updateServer(files: () => Record<string, string>): RequestListener {
  return (request, response) => {
    const url = request.url ?? '';
    if (url.startsWith('/device/v1/check-in')) {
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
      else json(response, { etag: '"1"', files: files() });
      return;
    }
    if (url.startsWith('/device/v1/images/')) {
      const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      response.writeHead(206, { 'content-range': `bytes ${start}-${last}/${imageBytes.length}` });
      response.end(imageBytes.subarray(Number(start), Number(last) + 1));
      return;
    }
    const pieces: Uint8Array[] = [];
    request.on('data', (piece: Uint8Array) => pieces.push(piece));
    request.on('end', () => {
      if (url !== '/device/v1/log') return json(response, {}, 200);
      const batch = JSON.parse(Buffer.concat(pieces).toString()) as { entries: { sequence: number }[] };
      json(response, { sequence: batch.entries.at(-1)?.sequence ?? 0 });
    });
  };
}

async function until(what: string, holds: () => Promise<boolean>, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 3000; tries += 1) {
    if (await holds()) return;
    assert.equal(child.exitCode, null, `the agent ended before: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`never: ${what}`);
}

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}

/** Runs the agent until `holds`, then kills it as a restart would. */
async function runUntil(device: TestDevice, what: string, holds: () => Promise<boolean>): Promise<void> {
  const child = spawn(process.execPath, [bundleFile, 'run', '--config', device.config], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await until(what, holds, child);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

async function boot(device: TestDevice, group: string, bootId: string): Promise<void> {
  await writeFile(join(device.folder, 'cmdline'), `quiet airlock.group=${group}`);
  await writeFile(join(device.folder, 'boot-id'), bootId);
}

async function bootOrder(device: TestDevice): Promise<unknown> {
  const { state } = decodeBootFile(await readFile(join(device.folder, 'boot'))) ?? {};
  return { order: state?.order, trial: state?.trial };
}

async function status(device: TestDevice): Promise<string> {
  return (await runAgent(['status', '--config', device.config])).stdout;
}

const selfTest = (script: string): Record<string, unknown> => ({
  selfTest: {
    tests: [{ name: 'sensor', command: ['/bin/sh', '-c', script, 'sh', '{group}'], critical: true }],
  },
});

test('TEST-OTA-318 REQ-OTA-APPLY-02, REQ-OTA-VERIFY-01: agent with real adapters, an approved release, then booted into it: written, armed, tested, confirmed', async () => {
  let device: TestDevice | undefined;
  const files = (): Record<string, string> => device?.factory.checkIn({ quality: true }) ?? {};
  await withServer({ answer: updateServer(files) }, async (_transport, seen, url) => {
    const own = await testDevice(url);
    device = own;
    const restart = join(own.folder, 'restart');
    const settings = { poll: { intervalSeconds: 1 }, reboot: { command: ['/usr/bin/touch', restart] } };
    try {
      await own.configure({ ...settings, ...selfTest('test "$1" = B') });
      assert.equal((await runAgent(own.provisionWords)).code, 0);
      await runUntil(own, 'the restart is asked for', async () => await exists(restart));
      assert.deepEqual(
        (await readFile(join(own.folder, 'slots/b'))).subarray(0, imageBytes.length),
        imageBytes,
      );
      assert.deepEqual(await readFile(join(own.folder, 'slots/a')), installedSlot());
      assert.deepEqual(await bootOrder(own), { order: ['B', 'A'], trial: 'B' });
      assert.match(await status(own), /state +Pending/);
      await boot(own, 'B', '11111111-3c1e-4e0a-9d38-1f7a1c7e9a11');
      const logged = (): boolean => seen.some((request) => request.url === '/device/v1/log');
      await runUntil(
        own,
        'confirmed and logged',
        async () => (await status(own)).includes('OTA_CONFIRMED') && logged(),
      );
      assert.match(await status(own), /confirmed +version 2 in group B/);
      assert.match(await status(own), /floor +version 2/);
      assert.deepEqual(await bootOrder(own), { order: ['B', 'A'], trial: undefined });
      const check = await runAgent(['check', '--config', own.config]);
      assert.equal(check.stdout, 'version 2 (Release 2) is assigned, and confirmed here\n');
    } finally {
      await own.dispose();
    }
  });
});

test('TEST-OTA-319 REQ-OTA-VERIFY-02: agent with real adapters, a self-test that hangs in the trial: rolled back, the reason in status and log', async () => {
  let device: TestDevice | undefined;
  const files = (): Record<string, string> => device?.factory.checkIn({ quality: true }) ?? {};
  await withServer({ answer: updateServer(files) }, async (_transport, _seen, url) => {
    const own = await testDevice(url);
    device = own;
    const restart = join(own.folder, 'restart');
    const tests = [{ name: 'sensor', command: ['/bin/sleep', '600'], critical: true, timeLimitSeconds: 1 }];
    try {
      // The restart of the trial takes the file away again, so that each of the two is seen.
      const toggle = 'if test -e "$0"; then rm "$0"; else touch "$0"; fi';
      await own.configure({
        poll: { intervalSeconds: 1 },
        reboot: { command: ['/bin/sh', '-c', toggle, restart] },
        selfTest: { tests },
        limits: { attemptsPerReleaseMax: 1 },
      });
      assert.equal((await runAgent(own.provisionWords)).code, 0);
      await runUntil(own, 'the restart into the trial', async () => await exists(restart));
      await boot(own, 'B', '22222222-3c1e-4e0a-9d38-1f7a1c7e9a11');
      await runUntil(own, 'the restart out of the trial', async () => !(await exists(restart)));
      assert.deepEqual(await bootOrder(own), { order: ['A'], trial: undefined });
      await boot(own, 'A', '33333333-3c1e-4e0a-9d38-1f7a1c7e9a11');
      await runUntil(own, 'the result', async () => /^state +Idle$/m.test(await status(own)));
      assert.match(await status(own), /last result +OTA_FAIL_SELFTEST for version 2: .*sensor/);
      const log = await runAgent(['log', '--config', own.config, '--json']);
      const entries = JSON.parse(log.stdout) as { code: string; reason: string }[];
      const results = entries.filter((entry) => entry.code === 'OTA_FAIL_SELFTEST');
      assert.equal(results.length, 1);
      assert.match(results[0]?.reason ?? '', /sensor did not end within 1 s/);
    } finally {
      await own.dispose();
    }
  });
});
