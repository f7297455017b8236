/** `server` at a terminal, in a process group of its own, and `init` on a disk that is really full: by the real programs. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Time for the signal that is passed on to arrive, on a machine with much to do. */
const secondSignalMs = 300;
const program = fileURLToPath(new URL('../bin/airlock.mjs', import.meta.url));

test('TEST-OTA-1060 REQ-OTA-OPS-01: server, Ctrl-C at a terminal, which signals it and its parent: a clean stop, status 0, nothing said', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'airlock-ctrl-c-'));
  let running: ChildProcess | undefined;
  t.after(async () => {
    running?.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });
  const env = { ...process.env, AIRLOCK_PASSPHRASE: 'correct horse battery staple' };
  const start = (...argv: readonly string[]) => {
    running = spawn(process.execPath, [program, '--home', 'home', ...argv], {
      cwd: folder,
      env,
      // A group of its own, as a shell gives to each command line.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return running;
  };
  const init = start('init', '--demo');
  await once(init, 'close');
  assert.equal(init.exitCode, 0);

  const server = start('server');
  let err = '';
  server.stderr?.on('data', (data: unknown) => (err += String(data)));
  const { promise: listening, resolve } = Promise.withResolvers<string>();
  server.stdout?.on('data', (data: unknown) => {
    const [, port] = /"peopleUrl":"https:..[^:]+:(\d+)/.exec(String(data)) ?? [];
    if (port !== undefined) resolve(port);
  });
  const port = Number(await listening);
  // A request that has begun and does not end: the stop waits for it, so that every signal meets it.
  const ca = await readFile(join(folder, 'home/tls/server-authority.pem'));
  const request = connect({ host: '127.0.0.1', servername: 'localhost', port, ca });
  request.on('error', () => undefined);
  await once(request, 'secureConnect');
  request.write('GET /health HTTP/1.1\r\n');
  const ended = once(server, 'close');
  const group = -(server.pid ?? assert.fail('no process'));
  process.kill(group, 'SIGINT');
  await setTimeout(secondSignalMs);
  process.kill(group, 'SIGINT');
  await setTimeout(secondSignalMs);
  request.destroy();
  await ended;
  assert.deepEqual({ status: server.exitCode, err }, { status: 0, err: '' });
});

/** Full at the certificates, the online keys, or the first tables: each is met by another program. */
const diskSizes = ['20k', '60k', '120k'];

test('TEST-OTA-1072 REQ-OTA-OPS-01: init, the disk full at several moments, also in the program of the server: CLI_DISK_FULL, nothing left', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'airlock-full-'));
  t.after(async () => await rm(folder, { recursive: true, force: true }));
  for (const size of diskSizes) {
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'airlock-test', folder]);
    } catch {
      t.skip('a file system cannot be mounted here');
      return;
    }
    try {
      const env = { ...process.env, AIRLOCK_PASSPHRASE: 'correct horse battery staple' };
      const init = spawn(process.execPath, [program, '--home', 'home', 'init', '--demo'], {
        cwd: folder,
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let err = '';
      init.stderr.on('data', (data: unknown) => (err += String(data)));
      await once(init, 'close');
      assert.match(err, /^airlock: CLI_DISK_FULL: no space is left/, size);
      assert.deepEqual(await readdir(folder), []);
    } finally {
      await run('umount', [folder]);
    }
  }
});
