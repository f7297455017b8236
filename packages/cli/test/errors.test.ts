/** Every error that a person can make: one clear line with its code, a status that is not 0, and nothing changed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeAuthority, makeServerCertificate } from '../src/certificates.ts';
import { parseHolder, planCompany } from '../src/core/company.ts';
import { cliErrors, exitStatusOf } from '../src/errors.ts';
import { writeDurably } from '../src/files.ts';
import { commands, runAirlock } from '../src/main.ts';
import { choosePort } from '../src/setup.ts';
import { Stop } from '../src/stop.ts';
import {
  type Company,
  hashFolder,
  makeCompany,
  passphrase,
  removeCompany,
  sitDown,
} from './support/company.ts';
import { refused } from './support/refused.ts';
import { SimulatedServer } from './support/simulated-server.ts';

let company: Company;
before(async () => {
  company = await makeCompany();
});
after(async () => {
  await removeCompany(company);
});

const complete = [
  '--name',
  '1.2.0',
  '--compat',
  'hw:rev2',
  '--change-record',
  'CR-1',
  '--impact',
  'none',
  '--touches',
  'none',
  '--link',
  'https://qms.example/CR-1',
  '--regulatory',
  'none needed',
  '--author',
  'bo',
];

test('TEST-OTA-523 REQ-OTA-OPS-01: signing, assigning and showing, each wrong input: one line, nothing changed', async (t) => {
  const desk = await sitDown(t, company);
  await writeFile(join(desk.folder, 'image'), 'bytes');
  await desk.run('release', 'create', 'pump', '5', ...complete, '--image', 'rootfs=image');
  await desk.run('audit', 'show', 'pump');
  await refused(desk, ['release', 'approve', 'pump', '5'], 'CLI_USAGE', '--as', 2);
  await refused(desk, ['release', 'approve', 'pump', 'x', '--as', 'quality'], 'CLI_NUMBER', 'VERSION', 2);
  await refused(
    desk,
    ['release', 'approve', 'pump', '9', '--as', 'quality'],
    'CLI_RELEASE_UNKNOWN',
    'release 9',
    1,
  );
  await refused(
    desk,
    ['release', 'approve', 'pump', '5', '--as', 'sales'],
    'CLI_FUNCTION',
    'engineering, quality',
    2,
  );
  await refused(
    desk,
    ['release', 'approve', 'pump', '5', '--as', 'quality', '--holder', 'bo'],
    'CLI_KEY_MISSING',
    'bo',
    1,
  );
  await refused(
    desk,
    ['release', 'approve', 'ghost', '5', '--as', 'quality'],
    'CLI_PRODUCT_UNKNOWN',
    'ghost',
    1,
  );
  await refused(desk, ['assign', 'pump-1', '5'], 'CLI_DEVICE_UNKNOWN', 'pump-1', 1);
  await refused(desk, ['log', 'pump-1'], 'CLI_DEVICE_UNKNOWN', 'pump-1', 1);
  await refused(desk, ['relase', 'list', 'pump'], 'CLI_USAGE', 'relase', 2);
  await writeFile(join(desk.folder, 'passphrase'), 'wrong wrong wrong\n');
  await refused(
    desk,
    ['release', 'approve', 'pump', '5', '--as', 'quality', '--yes'],
    'KEY_PASSPHRASE',
    'quality.ada.key.json',
    1,
  );
});

test('TEST-OTA-524 REQ-OTA-OPS-01: device add, each wrong input: one line, nothing changed and no folder left', async (t) => {
  const desk = await sitDown(t, company);
  await desk.run('product', 'show', 'pump');
  const base = [
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
  ];
  const drop = (option: string) => [
    ...base.slice(0, base.indexOf(option)),
    ...base.slice(base.indexOf(option) + 2),
  ];
  const add = (...options: readonly string[]) => ['device', 'add', 'pump-1', ...options];
  await refused(desk, ['device', 'add', 'pump 1', ...base], 'CLI_USAGE', 'DEVICE', 2);
  await refused(desk, add(...drop('--product')), 'CLI_USAGE', '--product', 2);
  await refused(desk, add(...drop('--market')), 'CLI_USAGE', '--market', 2);
  await refused(desk, add(...drop('--hardware')), 'CLI_USAGE', '--hardware', 2);
  await refused(desk, add(...drop('--slot')), 'CLI_USAGE', '--slot', 2);
  await refused(desk, add(...base, '--slot', 'app=a'), 'CLI_USAGE', '--slot', 2);
  await refused(desk, add(...base, '--class', 'B'), 'CLI_DEVICE', 'class B', 1);
  await refused(desk, add(...base, '--market', 'jp'), 'CLI_DEVICE', 'jp', 1);
  await refused(desk, add(...base, '--out', '.'), 'CLI_EXISTS', '--out', 1);
  const held = await hashFolder(desk.folder);
  await writeFile(join(desk.folder, 'passphrase'), 'wrong wrong wrong\n');
  await refused(desk, add(...base), 'KEY_PASSPHRASE', 'provisioning', 1);
  await writeFile(join(desk.folder, 'passphrase'), `${passphrase}\n`);
  assert.equal(await hashFolder(desk.folder), held);
});

test('TEST-OTA-525 REQ-OTA-OPS-01: any command, the server is away or is another one: status 3, nothing changed', async (t) => {
  const desk = await sitDown(t, company);
  const seconds = Math.floor(Date.now() / 1000);
  const stranger = await makeServerCertificate(
    await makeAuthority('stranger', seconds),
    ['localhost'],
    seconds,
  );
  const other = new SimulatedServer(stranger);
  const url = await other.listen();
  t.after(() => other.close());
  const settings = {
    schema: 'airlock-home/1',
    deviceUrl: url,
    authorityFile: 'tls/server-authority.pem',
    tokenFile: 'token',
  };
  const say = async (apiUrl: string) => {
    await writeFile(join(desk.home, 'airlock.json'), JSON.stringify({ ...settings, apiUrl }));
  };
  await say(url);
  await refused(desk, ['product', 'list'], 'CLI_SERVER_CERTIFICATE', 'authority', 3);
  assert.deepEqual(other.requests, [], 'the token was not sent');
  await say('https://localhost:1');
  await refused(desk, ['product', 'list'], 'CLI_SERVER_UNREACHABLE', 'https://localhost:1', 3);
  await refused(
    desk,
    ['release', 'approve', 'pump', '5', '--as', 'quality'],
    'CLI_SERVER_UNREACHABLE',
    'ECONNREFUSED',
    3,
  );
  await writeFile(join(desk.home, 'airlock.json'), '{"schema":"airlock-home/1","apiUrll":""}');
  await refused(desk, ['product', 'list'], 'CLI_HOME_DAMAGED', 'apiUrll', 1);
});

test('TEST-OTA-526 REQ-OTA-OPS-01, REQ-OTA-POL-02: a product, one person or key in two functions, or a demand that cannot be met: refused before a key is made', async (t) => {
  const desk = await sitDown(t, company);
  const plan = (change: object) => {
    const result = planCompany({
      product: 'pump',
      safetyClass: 'C',
      markets: ['us'],
      functions: ['engineering=Bo <bo>', 'quality=Ada <ada>'],
      thresholds: [],
      minimum: ['C=engineering,quality', 'us='],
      policy: [],
      ...change,
    });
    return result.ok ? 'planned' : result.error.code;
  };
  assert.equal(plan({}), 'planned');
  assert.equal(plan({ functions: ['engineering=Bo <bo>', 'quality=Bo <bo>'] }), 'CLI_KEY_SHARED');
  assert.equal(plan({ functions: ['quality=Bo <bo>', 'quality=Bo <bo>'] }), 'CLI_KEY_SHARED');
  assert.equal(plan({ minimum: ['C=engineering', 'us='] }), 'CLI_DEMAND');
  assert.equal(plan({ minimum: ['C=engineering,sales', 'us='] }), 'CLI_DEMAND');
  assert.equal(plan({ minimum: ['C=engineering,quality:2', 'us='] }), 'CLI_DEMAND');
  assert.equal(plan({ minimum: ['us='] }), 'CLI_DEMAND');
  assert.equal(plan({ minimum: ['C=engineering,quality'] }), 'CLI_DEMAND');
  assert.equal(plan({ minimum: ['C=engineering,quality', 'C=quality,engineering'] }), 'CLI_SET');
  assert.equal(plan({ thresholds: ['quality=2'] }), 'CLI_THRESHOLD');
  assert.equal(plan({ thresholds: ['sales=1'] }), 'CLI_THRESHOLD');
  for (const text of ['quality', 'quality=Ada', 'Quality=Ada <ada>', 'root=Ada <ada>', 'quality=<ada>']) {
    assert.equal(parseHolder(text).ok, false, text);
  }
  await refused(desk, ['product', 'add', 'pump', '--class', 'D'], 'CLI_USAGE', '--class', 2);
  await refused(desk, ['product', 'add', 'Pump', '--class', 'C', '--demo'], 'CLI_USAGE', 'PRODUCT', 2);
  await refused(desk, ['product', 'add', 'valve', '--class', 'C'], 'CLI_UNATTENDED', 'valve', 1);
  const shared = [
    '--class',
    'C',
    '--demo',
    '--function',
    'engineering=Bo <bo>',
    '--function',
    'quality=Bo <bo>',
  ];
  await refused(desk, ['product', 'add', 'valve', ...shared], 'CLI_KEY_SHARED', 'bo', 2);
  const key = join(desk.home, 'keys', 'pump.quality.ada.key.json');
  const functions = [
    '--function',
    'engineering=Bo <bo>',
    '--function',
    'quality=Ada <ada>',
    '--minimum',
    'C=engineering,quality',
  ];
  const twice = ['--class', 'C', '--demo', ...functions, '--key', `bo=${key}`, '--key', `ada=${key}`];
  await refused(desk, ['product', 'add', 'valve', ...twice], 'CLI_KEY_SHARED', 'one key', 2);
});

test('TEST-OTA-527 REQ-OTA-OPS-01: writing, the disk is full: CLI_DISK_FULL with the file, and nothing in its place', async (t) => {
  const desk = await sitDown(t, company);
  const link = join(desk.folder, 'full');
  await symlink('/dev/full', link);
  await assert.rejects(writeDurably(link, 'bytes', 0o600), (error) => {
    assert.ok(error instanceof Stop);
    assert.deepEqual([error.failure.code, error.failure.field], ['CLI_DISK_FULL', link]);
    return true;
  });
});

test('TEST-OTA-528 REQ-OTA-OPS-01: init, a port is taken, a passphrase differs, or the folder is in use: refused, nothing made', async (t) => {
  const desk = await sitDown(t, company);
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const address = taken.address();
  assert.ok(address !== null && typeof address === 'object');
  await assert.rejects(choosePort(address.port, '--people-port'), (error) => {
    return (
      error instanceof Stop &&
      error.failure.code === 'CLI_PORT_TAKEN' &&
      error.failure.field === '--people-port'
    );
  });
  await refused(desk, ['init'], 'CLI_EXISTS', '--home', 1);
  const hash = await hashFolder(desk.folder);
  const io = { cwd: desk.folder, env: {}, out: () => undefined, bars: false, now: () => 1 };
  let err = '';
  const answers = ['first passphrase', 'another passphrase'];
  const ask = () => Promise.resolve(answers.shift() ?? '');
  const status = await runAirlock(['init', '--home', 'fresh'], {
    ...io,
    err: (text) => {
      err += text;
    },
    terminal: { ask, askSecret: ask },
  });
  assert.deepEqual([status, /CLI_PASSPHRASE_DIFFERS/.test(err)], [2, true], err);
  assert.equal(await hashFolder(desk.folder), hash);
  const portTaken = ['init', '--home', 'fresh', '--device-port', String(address.port)];
  err = '';
  assert.equal(await runAirlock(portTaken, { ...io, err: (text) => void (err += text) }), 1);
  assert.match(err, /CLI_PORT_TAKEN.*--device-port/);
  assert.equal(await hashFolder(desk.folder), hash);
});

test('TEST-OTA-529 REQ-OTA-OPS-01: every command, asked for help: it has a summary, an example that names it, and its options', async () => {
  for (const spec of commands) {
    const words = spec.usage.split(' ').filter((word) => !/^[<[]/.test(word));
    let out = '';
    const io = {
      cwd: '/',
      env: {},
      out: (text: string) => void (out += text),
      err: () => undefined,
      bars: false,
      now: () => 1,
    };
    assert.equal(await runAirlock([...words, '--help'], io), 0, spec.usage);
    assert.ok(out.includes(`Example:\n  airlock ${words.join(' ')}`), spec.usage);
    for (const { flags } of spec.options ?? []) assert.ok(out.includes(flags.split(' ')[0] ?? flags), flags);
    assert.ok(out.includes('--passphrase-file') && out.includes('--json') && out.includes('--home'));
  }
});

test('TEST-OTA-530 REQ-OTA-OPS-01: the error table, every code: it has a remedy, and a status between 1 and 4', () => {
  for (const [code, entry] of Object.entries(cliErrors)) {
    assert.ok(entry.remedy.length > 10 && entry.summary.length > 10, code);
    assert.ok([1, 2, 3, 4].includes(exitStatusOf(code)), code);
  }
});
