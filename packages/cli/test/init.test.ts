/** `init` cut in the middle, and `server` that cannot listen: by the real programs. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { choosePort } from '../src/setup.ts';

const program = fileURLToPath(new URL('../bin/airlock.mjs', import.meta.url));
/** Between two looks at what is waited for. */
const lookMs = 20;
const patienceMs = 60_000;

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const giveUp = Date.now() + patienceMs;
  while (!(await holds())) {
    assert.ok(Date.now() < giveUp, `waited in vain: ${what}`);
    await setTimeout(lookMs);
  }
}

async function isFree(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.once('connect', () => resolve(false)).once('error', () => resolve(true));
  const free = await promise;
  socket.destroy();
  return free;
}

async function isThere(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}

test('TEST-OTA-820 REQ-OTA-OPS-01, REQ-OTA-OPS-02: init, killed and interrupted in the middle: no home, no server left; the next init makes it; a server on a taken port says so in one line', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'airlock-init-'));
  const children: ChildProcess[] = [];
  t.after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  const env = { ...process.env, AIRLOCK_PASSPHRASE: 'correct horse battery staple' };
  const start = (...argv: readonly string[]) => {
    const child = spawn(process.execPath, [program, '--home', 'home', ...argv], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    let err = '';
    child.stderr.on('data', (data: unknown) => (err += String(data)));
    child.stdout.resume();
    return { child, ended: once(child, 'close').then(() => ({ status: child.exitCode, err })) };
  };
  const [devicePort, peoplePort] = [await choosePort(undefined, ''), await choosePort(undefined, '')];
  const init = ['init', '--demo', '--device-port', String(devicePort), '--people-port', String(peoplePort)];

  // Its server listens already: neither may stay behind.
  const killed = start(...init);
  const draft = join(folder, `.home.init-${killed.child.pid ?? 0}`);
  await until('the server of init', async () => !(await isFree(peoplePort)));
  killed.child.kill('SIGKILL');
  await killed.ended;
  assert.ok(await isThere(draft));
  assert.equal(await isThere(join(folder, 'home')), false);
  await until('the end of its server', async () => (await isFree(peoplePort)) && (await isFree(devicePort)));

  const cut = start(...init);
  const second = join(folder, `.home.init-${cut.child.pid ?? 0}`);
  await until('the first keys', async () => await isThere(join(second, 'keys')));
  cut.child.kill('SIGINT');
  await cut.ended;
  assert.equal(await isThere(join(folder, 'home')), false);

  const whole = await start(...init).ended;
  assert.equal(whole.status, 0, whole.err);
  assert.deepEqual(await readdir(folder), ['home'], 'nothing is left of the others');

  const taken = createServer().listen(peoplePort, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const refused = await start('server').ended;
  assert.equal(refused.status, 1);
  const lines = refused.err.trim().split('\n');
  assert.equal(lines.length, 1, refused.err);
  assert.match(
    lines[0] ?? '',
    new RegExp(`^airlock: CLI_PORT_TAKEN: .*peopleListener.*:${peoplePort} .*Remedy: `),
  );
});
