/**
 * The server killed at any moment. Goal: what was acknowledged is there after a restart. Method: a real server process
 * gets a stream of reports, log batches and images, is killed with SIGKILL in the middle, and is asked afterwards.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { sha256Hex } from '@airlock/trust';
import {
  addDevice,
  ask,
  logBatch,
  makeWorld,
  publishProduct,
  reportOf,
  type TestDevice,
  upload,
  type World,
} from './support/world.ts';

const program = fileURLToPath(new URL('../bin/airlock-server.mjs', import.meta.url));
let world: World;
let device: TestDevice;
let configFile = '';

interface Running {
  readonly child: ChildProcess;
  readonly deviceUrl: string;
  readonly peopleUrl: string;
}

async function startProcess(): Promise<Running> {
  const child = spawn(process.execPath, [program, 'run', '--config', configFile], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  if (child.stdout === null) throw new Error('no output');
  for await (const line of createInterface({ input: child.stdout })) {
    const ready = JSON.parse(line) as { deviceUrl: string; peopleUrl: string };
    return { child, ...ready };
  }
  throw new Error('the server ended before it listened');
}

before(async () => {
  world = await makeWorld({ sealed: true });
  await publishProduct(world);
  device = await addDevice(world, 'pump-1');
  configFile = path.join(world.folder, 'config.json');
  await writeFile(configFile, JSON.stringify(world.config));
  await world.server.close();
});
after(async () => {
  await world.close();
});

test('TEST-OTA-430 REQ-OTA-OPS-02: a server process killed by SIGKILL under a stream of requests, started again: holds every acknowledged one', async () => {
  const tls = { cert: device.issued.certificate, key: device.issued.key };
  const people = { authorization: `Bearer ${world.token}`, ...upload };
  const acknowledged = { reports: [] as number[], log: 0, images: [] as string[] };
  let sequence = 0;
  let previous = '0'.repeat(64);
  for (let round = 0; round < 3; round += 1) {
    const running = await startProcess();
    const send = async (url: string, options: object) => await ask(url, world.authority.certificate, options);
    const goal = { reports: acknowledged.reports.length + 4 + round * 3, images: round + 1 };
    const stream = { killed: false };
    /** Killed by whoever notices first, so that the other requests are under way at that moment. */
    const killWhenDone = (): void => {
      const { reports, images } = acknowledged;
      if (stream.killed || reports.length < goal.reports || images.length < goal.images) return;
      stream.killed = true;
      running.child.kill('SIGKILL');
    };
    /** Repeats a request until the kill; what fails before it is a fault of the server and ends the stream. */
    const repeat = async (request: () => Promise<void>): Promise<void> => {
      try {
        while (!stream.killed) {
          await request();
          killWhenDone();
        }
      } catch (error) {
        if (stream.killed) return;
        stream.killed = true;
        running.child.kill('SIGKILL');
        throw error;
      }
    };
    const reports = async (): Promise<void> => {
      sequence += 1;
      const mine = sequence;
      const body = reportOf(device, mine);
      const answer = await send(`${running.deviceUrl}/device/v1/reports`, { method: 'POST', body, tls });
      assert.equal(answer.status, 204, answer.bytes.toString());
      acknowledged.reports.push(mine);
    };
    const log = async (): Promise<void> => {
      const { batch, last } = logBatch(device, acknowledged.log + 1, 3, previous);
      const answer = await send(`${running.deviceUrl}/device/v1/log`, { method: 'POST', body: batch, tls });
      assert.equal(answer.status, 200, answer.bytes.toString());
      acknowledged.log += 3;
      previous = last;
    };
    const images = async (): Promise<void> => {
      const image = Buffer.alloc(100_000, acknowledged.images.length + round * 64);
      const sha256 = sha256Hex(image);
      const url = `${running.peopleUrl}/api/v1/images/${sha256}`;
      const answer = await send(url, { method: 'PUT', body: image, headers: people });
      assert.ok(answer.status < 300, answer.bytes.toString());
      acknowledged.images.push(sha256);
    };
    await Promise.all([reports, reports, log, images].map(repeat));
    if (running.child.exitCode === null && running.child.signalCode === null)
      await once(running.child, 'exit');
  }
  const running = await startProcess();
  const get = async (url: string) => {
    const headers = { authorization: `Bearer ${world.token}` };
    return await ask(running.peopleUrl + url, world.authority.certificate, { headers });
  };
  const kept = (await get('/api/v1/devices/pump-1/reports?limit=500')).body['reports'] as {
    report: { sequence: number };
  }[];
  const sequences = new Set(kept.map(({ report }) => report.sequence));
  for (const number of acknowledged.reports) assert.ok(sequences.has(number), `report ${number} was lost`);
  const held = (await get('/api/v1/devices/pump-1/log?limit=500')).body;
  // A batch may be stored whose acknowledgement the kill swallowed; one less would be a loss.
  const entries = (held['entries'] as unknown[]).length;
  assert.ok(
    entries >= Math.min(acknowledged.log, 500),
    `${entries} of ${acknowledged.log} log entries are held`,
  );
  assert.deepEqual(held['findings'], []);
  for (const sha256 of acknowledged.images) assert.equal((await get(`/api/v1/images/${sha256}`)).status, 200);
  running.child.kill('SIGTERM');
  const [code] = (await once(running.child, 'exit')) as [number | null];
  assert.equal(code, 0, 'SIGTERM ends it gracefully');
});
