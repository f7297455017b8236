/** A whole update decided over real local sockets, and the running program as a person at the device meets it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { openServiceSockets } from '../src/adapters/service-sockets.ts';
import { interlockClients } from '../src/adapters/socket-interlock.ts';
import { connectAgent, ServiceError, type ServiceClient } from '../src/client/index.ts';
import type { Agent } from '../src/index.ts';
import { serviceHandler } from '../src/service.ts';
import { consentDesk } from '../src/service-consent.ts';
import { bundleFile, runAgent, testDevice } from './support/provisioned.ts';
import { scratchFolder } from './support/scratch.ts';
import { SimDevice, World } from './support/sim-device.ts';

const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o600 };

test('TEST-OTA-1131 REQ-OTA-POL-06, REQ-OTA-LOG-01: an update whose interlock and operator speak over real sockets: waits in Staged for both, goes on, tells the trial and what was confirmed, and the log names who said what', async () => {
  const { folder, dispose } = await scratchFolder();
  const world = new World();
  const device = await SimDevice.provisioned(world);
  const clients = interlockClients(5);
  const agentNow = (): Agent => {
    assert.ok(device.agent);
    return device.agent;
  };
  const desk = consentDesk(3600, () => agentNow().moment());
  world.interlockPort = { ...clients.interlock, consents: desk.consents };
  world.company.release(2);
  world.company.publish(2, { consentRequired: true });
  const lazily: Agent = new Proxy({} as Agent, {
    get: (_none, name: keyof Agent) => agentNow()[name],
  });
  const handler = serviceHandler({ device: 'PUMP-0001', product: 'pump', agent: lazily, desk, clients });
  const sockets = { consent: own, interlock: own };
  const opened = await openServiceSockets({ folder: join(folder, 'run'), sockets }, handler);
  assert.ok(opened.ok);
  const open: ServiceClient[] = [];
  try {
    const waited = await device.boot();
    assert.deepEqual(waited, { kind: 'waiting', reason: 'interlock: nobody is connected to its socket' });
    const told: string[] = [];
    let busy = true;
    const pump = await connectAgent(join(folder, 'run'), 'interlock', {
      allows: (may) => (busy && may !== 'fetch' ? { allowed: false, reason: 'therapy' } : { allowed: true }),
      told: (news, { version }) => void told.push(`${news} ${version}`),
    });
    open.push(pump);
    await agentNow().poll();
    const { state, waiting, clinicalUse } = await pump.status();
    assert.deepEqual([state, waiting?.reason, clinicalUse], ['Staged', 'interlock: therapy', 'allowed']);
    busy = false;
    const stillWaits = await agentNow().poll();
    assert.deepEqual(stillWaits, { kind: 'waiting', reason: 'the operator has not consented' });
    const screen = await connectAgent(join(folder, 'run'), 'consent');
    open.push(screen);
    const { release } = await screen.status();
    assert.ok(release);
    await screen.consent({ operator: 'nurse-17', manifestSha256: release.manifestSha256 });
    await device.settle();
    assert.equal((await device.record()).confirmed.version, 2);
    await pump.again();
    assert.deepEqual(told, ['confirmed 1', 'confirmed 1', 'trial 2', 'confirmed 2']);
    const log = (await device.log()).map(({ code, reason }) => `${code} ${reason}`).join('\n');
    assert.match(log, /OTA_CONSENT operator nurse-17 consents to version 2 until /);
    assert.match(log, /OTA_ALLOWED activate: interlock socket, operator nurse-17 by consent socket/);
  } finally {
    for (const client of open) client.close();
    await opened.value.close();
    await dispose();
  }
});

test('TEST-OTA-1132 REQ-OTA-POL-06, REQ-OTA-LOG-02, REQ-OTA-OPS-01: the running program with local sockets, and the commands consent and install: answered, refused in one line, and told when no agent runs', async () => {
  const device = await testDevice();
  const run = join(device.folder, 'run');
  const socket = { uid: own.uid, gid: own.gid, mode: '600' };
  const sockets = { status: socket, log: socket, install: socket, consent: socket, interlock: socket };
  try {
    await device.configure({ interlock: { socket: {} }, service: { folder: 'run', sockets } });
    assert.equal((await runAgent(device.provisionWords)).code, 0);
    const shared = ['--config', device.config];
    const consent = ['consent', ...shared, '--operator', 'nurse-17'];
    const without = await runAgent(consent);
    assert.equal(without.code, 3);
    assert.match(
      without.stderr,
      /^airlock-agent: OTA_SERVICE_CLOSED: .*run\/consent: no agent can be asked \(ENOENT\)\n$/,
    );
    const daemon = spawn(process.execPath, [bundleFile, 'run', ...shared], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(daemon, 'exit');
    try {
      const status = await whenReady(run);
      assert.deepEqual([status.hello.permission, (await status.status()).device], ['status', 'pump-1']);
      while ((await status.status()).clinicalUse !== 'allowed') await new Promise(setImmediate);
      const seen = await status.status();
      assert.deepEqual([seen.state, seen.confirmedVersion, seen.release], ['Idle', 1, undefined]);
      const log = await connectAgent(run, 'log');
      assert.equal((await log.log(1)).length, 1);
      await assert.rejects(
        status.log(),
        (error) => error instanceof ServiceError && error.code === 'OTA_SERVICE_FORBIDDEN',
      );
      const refused = await runAgent(consent);
      assert.deepEqual([refused.code, refused.stdout], [1, '']);
      assert.match(
        refused.stderr,
        /^airlock-agent: OTA_SERVICE_NOT_NOW: no release waits for a consent.*\n$/,
      );
      const withdrawn = await runAgent([...consent, '--withdraw']);
      assert.deepEqual([withdrawn.code, withdrawn.stdout], [0, 'there was no consent\n']);
      const install = await runAgent(['install', ...shared, '--json']);
      assert.deepEqual([install.code, install.stdout], [0, '{"asked":true}\n']);
      log.close();
      daemon.kill('SIGTERM');
      await status.closed;
    } finally {
      daemon.kill('SIGTERM');
      await ended;
    }
    await device.configure({ interlock: 'none' });
    const none = await runAgent(consent);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /OTA_CONFIG: service\.sockets\.consent: expected a socket, found none/);
  } finally {
    await device.dispose();
  }
});

async function whenReady(folder: string): Promise<ServiceClient> {
  for (;;) {
    try {
      return await connectAgent(folder, 'status');
    } catch (error) {
      if (!(error instanceof ServiceError) || !['ENOENT', 'ECONNREFUSED', 'EACCES'].includes(error.code))
        throw error;
      await new Promise(setImmediate);
    }
  }
}
