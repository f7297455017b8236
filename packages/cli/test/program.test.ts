/** The real programs, `airlock` and `airlock-server`, as processes over real TLS: from an empty folder to an assignment. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { newTrustState, readRole } from '@airlock/trust';

const program = fileURLToPath(new URL('../bin/airlock.mjs', import.meta.url));
const product = ['--product', 'pump', '--class', 'C', '--market', 'us', '--udi', '(01)00844588003288'];
const people = ['--function', 'engineering=Bo Lind <bo>', '--function', 'quality=Dr. Ada Quill <ada>'];
const minimum = ['--minimum', 'C=engineering,quality', '--minimum', 'us='];

interface Shop {
  readonly folder: string;
  readonly home: string;
  run(...argv: readonly string[]): Promise<{ status: number; out: string; err: string }>;
  start(...argv: readonly string[]): ChildProcess;
}

async function openShop(t: TestContext): Promise<Shop> {
  const folder = await mkdtemp(join(tmpdir(), 'airlock-program-'));
  const children: ChildProcess[] = [];
  t.after(async () => {
    for (const child of children) {
      if (child.exitCode === null) {
        child.kill('SIGKILL');
        await once(child, 'close');
      }
    }
    await rm(folder, { recursive: true, force: true });
  });
  await writeFile(join(folder, 'passphrase'), 'correct horse battery staple\n');
  const start = (...argv: readonly string[]) => {
    const options = ['--home', 'home', '--passphrase-file', 'passphrase', ...argv];
    const child = spawn(process.execPath, [program, ...options], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    return child;
  };
  const run = async (...argv: readonly string[]) => {
    const child = start(...argv);
    const said = { out: '', err: '' };
    child.stdout?.on('data', (data: unknown) => (said.out += String(data)));
    child.stderr?.on('data', (data: unknown) => (said.err += String(data)));
    await once(child, 'close');
    return { status: child.exitCode ?? -1, ...said };
  };
  return { folder, home: join(folder, 'home'), run, start };
}

async function ready(server: ChildProcess): Promise<void> {
  let said = '';
  for await (const data of server.stdout ?? []) {
    said += String(data);
    if (said.includes('"listening"')) return;
  }
  assert.fail(`the server ended: ${said}`);
}

test('TEST-OTA-531 REQ-OTA-SIGN-06, REQ-OTA-POL-01, REQ-OTA-POL-09: a company, from an empty folder to an assigned device: each step by the real programs', async (t) => {
  const shop = await openShop(t);
  const made = await shop.run('init', '--demo', ...product, ...people, ...minimum);
  assert.equal(made.status, 0, made.err);
  for (const name of await readdir(join(shop.home, 'keys'))) {
    const file = join(shop.home, 'keys', name);
    const text = await readFile(file, 'utf8');
    assert.ok(text.includes('"aes-256-gcm"') && !text.includes('PRIVATE KEY'), name);
    assert.equal((await stat(file)).mode & 0o777, 0o600, name);
  }
  const server = shop.start('server');
  await ready(server);
  await writeFile(join(shop.folder, 'image'), Buffer.alloc(300_000, 7));
  const steps: string[][] = [
    [
      'release',
      'create',
      'pump',
      '12',
      '--name',
      '2.4.0',
      '--compat',
      'hw:rev2',
      '--image',
      'rootfs=image',
      '--change-record',
      'CR-812',
      '--impact',
      'none',
      '--touches',
      'none',
      '--link',
      'https://qms.example/CR-1',
      '--regulatory',
      'letter to file',
      '--author',
      'bo',
    ],
    ['release', 'approve', 'pump', '12', '--as', 'quality', '--yes'],
    ['release', 'approve', 'pump', '12', '--as', 'engineering', '--yes'],
    [
      'device',
      'add',
      'pump-1',
      '--product',
      'pump',
      '--market',
      'us',
      '--hardware',
      'hw:rev2',
      '--slot',
      'rootfs=a,b',
      '--out',
      'dev',
    ],
    ['assign', 'pump-1', '12'],
    ['renew', 'pump', '--as', 'quality', '--yes'],
  ];
  for (const step of steps) {
    const outcome = await shop.run(...step);
    assert.equal(outcome.status, 0, `${step.join(' ')}: ${outcome.err}`);
    // What the integrator has to decide is said by the command that guesses it.
    if (step[1] === 'add') assert.match(outcome.out, /^ {2}interlock +left open: .*\n {2}selfTest /m);
  }
  const status = await shop.run('status', '--json');
  const told: unknown = JSON.parse(status.out);
  assert.match(JSON.stringify(told), /"device":"pump-1".*"assigned":12/);
  const listed = await shop.run('release', 'list', 'pump');
  assert.match(listed.out, /12 +2\.4\.0 +C +engineering, quality/);
  await checkDeviceFolder(join(shop.folder, 'dev'));
  const used = await shop.run('release', 'create', 'pump', '12', '--name', 'x');
  assert.notEqual(used.status, 0);
  const withdrawn = await shop.run(
    'release',
    'withdraw',
    'pump',
    '12',
    '--as',
    'quality',
    '--reason',
    'CAPA-77',
    '--yes',
  );
  assert.equal(withdrawn.status, 0, withdrawn.err);
  server.kill('SIGTERM');
  await once(server, 'close');
  assert.equal(server.exitCode, 0, 'the signal reached the server, which ended by itself');
  const away = await shop.run('status');
  assert.deepEqual([away.status, /CLI_SERVER_UNREACHABLE/.test(away.err)], [3, true]);
});

/** What `device add` made is what a device's first trust state is made from. */
async function checkDeviceFolder(folder: string): Promise<void> {
  const text = (name: string) => readFile(join(folder, name), 'utf8');
  const state = newTrustState({
    identity: { product: 'pump', device: 'pump-1' },
    imageRoot: await text('image-root.json'),
    directorRoot: await text('director-root.json'),
    deviceRecord: await text('device-record.json'),
    builtAt: 0,
  });
  assert.ok(state.ok, state.ok ? '' : state.error.message);
  const root = readRole(Buffer.from(await text('image-root.json')));
  assert.ok(root.ok && root.value.kind === 'root' && root.value.image?.demo === true);
  // Started by hand on a desk, an agent with a default here would restart that machine.
  const agent = JSON.parse(await text('agent.json')) as Record<string, unknown>;
  for (const name of ['interlock', 'reboot']) assert.match(String(agent[name]), /^\(fill in/, name);
  for (const name of ['tls.key', 'log.key']) {
    assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
  }
}

test('TEST-OTA-532 REQ-OTA-OPS-01: init, a wrong port, a missing minimum or an unattended class C: refused, and no home is left', async (t) => {
  const shop = await openShop(t);
  const refused = await shop.run('init', '--demo', '--people-port', '70000');
  assert.deepEqual([refused.status, /CLI_NUMBER.*--people-port/.test(refused.err)], [2, true], refused.err);
  const noMinimum = await shop.run('init', '--demo', ...product, ...people);
  assert.deepEqual([noMinimum.status, /CLI_DEMAND.*--minimum/.test(noMinimum.err)], [2, true], noMinimum.err);
  const attended = await shop.run('init', ...product, ...people, ...minimum);
  assert.deepEqual([attended.status, /CLI_UNATTENDED/.test(attended.err)], [1, true], attended.err);
  assert.deepEqual(await readdir(shop.folder), ['passphrase']);
});
