/** What a new user met in a first trial: each once, by the program with a simulated server or by its parts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import { sha256Hex } from '@airlock/trust';
import { Api } from '../src/api.ts';
import { makeAuthority, makeServerCertificate, privateKeyPem } from '../src/certificates.ts';
import { agentConfigNames, checkAgentConfig } from '../src/core/agent-config.ts';
import { runAirlock } from '../src/main.ts';
import { Stop } from '../src/stop.ts';
import {
  type Company,
  type Desk,
  makeCompany,
  passphrase,
  removeCompany,
  sitDown,
} from './support/company.ts';
import { refused } from './support/refused.ts';

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
].concat(['--regulatory', 'none needed', '--author', 'bo', '--image', 'rootfs=image']);

function create(version: string, ...more: readonly string[]): string[] {
  return ['release', 'create', 'pump', version, ...complete, ...more];
}

async function made(desk: Desk, ...argv: readonly string[]): Promise<string> {
  const outcome = await desk.run(...argv);
  assert.equal(outcome.status, 0, outcome.err);
  return outcome.out;
}

test('TEST-OTA-1061 REQ-OTA-OPS-01: an upload, the server refuses it before its end: its code is what is said', async (t) => {
  const now = Math.floor(Date.now() / 1000);
  const authority = await makeAuthority('test server authority', now);
  const identity = await makeServerCertificate(authority, ['localhost'], now);
  const tls = { cert: identity.certificate, key: privateKeyPem(identity.privateKey) };
  const server = createServer(tls, (request, response) => {
    request.once('data', () => {
      const body = JSON.stringify({ code: 'API_DISK_FULL', message: 'no space is left' });
      response.writeHead(507, { 'content-type': 'application/json' }).end(body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const url = `https://localhost:${address.port}`;
  const api = new Api({ url, authority: authority.certificate, token: 'token' });
  // More than every buffer between the two: the server must be heard while most of it is not sent.
  const piece = Buffer.alloc(1_000_000);
  const body = { kind: 'stream', stream: Readable.from(Array(40).fill(piece)), length: 40_000_000 } as const;
  await assert.rejects(api.send({ method: 'PUT', path: '/api/v1/images/0', body }), (error) => {
    assert.ok(error instanceof Stop);
    assert.equal(error.failure.code, 'API_DISK_FULL');
    return true;
  });
  api.close();
});

test('TEST-OTA-1063 REQ-OTA-OPS-01: release show --manifest-out: the exact bytes that are signed; never over another file', async (t) => {
  const desk = await sitDown(t, company);
  await writeFile(join(desk.folder, 'image'), 'bytes');
  await made(desk, ...create('5'));
  const show = ['release', 'show', 'pump', '5', '--manifest-out', 'manifest.json'];
  const out = await made(desk, ...show);
  const bytes = await readFile(join(desk.folder, 'manifest.json'));
  assert.ok(out.includes(sha256Hex(bytes)));
  await refused(desk, show, 'CLI_EXISTS', 'manifest.json', 1);
});

test('TEST-OTA-1064 REQ-OTA-OPS-01: release create, below the highest number or for a class that the product does not know: refused before an upload', async (t) => {
  const desk = await sitDown(t, company);
  await writeFile(join(desk.folder, 'image'), 'bytes');
  await made(desk, ...create('5'));
  await refused(desk, create('4'), 'CLI_VERSION_USED', 'the highest is 5', 1);
  await refused(desk, [...create('5'), '--below-highest'], 'CLI_VERSION_USED', 'is used', 1);
  await refused(desk, create('6', '--class', 'B'), 'CLI_MANIFEST_FIELD', '--class', 2);
  await made(desk, ...create('6', '--class', 'C'));
});

test('TEST-OTA-1065 REQ-OTA-POL-05: a release that was withdrawn: shown in the list, and approving it again warns', async (t) => {
  const desk = await sitDown(t, company);
  await writeFile(join(desk.folder, 'image'), 'bytes');
  await made(desk, ...create('5'));
  const approve = ['release', 'approve', 'pump', '5', '--yes', '--as'];
  const clean = await desk.run(...approve, 'engineering');
  assert.equal(clean.status, 0, clean.err);
  assert.doesNotMatch(clean.err, /WARNING/);
  desk.server.withdrawnBy = ['quality'];
  assert.match(await made(desk, 'release', 'list', 'pump'), /WITHDRAWN BY.*\n.*quality/);
  const again = await desk.run(...approve, 'quality');
  assert.equal(again.status, 0, again.err);
  assert.match(again.err, /WARNING: quality withdrew release 5.*for good/);
});

test('TEST-OTA-1066 REQ-OTA-OPS-01: device add, fields of agent.json that the agent would refuse: refused before the device is registered', async (t) => {
  const desk = await sitDown(t, company);
  const add = ['device', 'add', 'pump-9', '--product', 'pump', '--market', 'us', '--hardware', 'hw:rev2'];
  const wrong = {
    interlok: 'none',
    poll: { seconds: 1 },
    limits: { window: { from: 1 } },
    reboot: ['/sbin/reboot'],
  };
  for (const [field, value] of Object.entries(wrong)) {
    await writeFile(join(desk.folder, 'agent.json'), JSON.stringify({ [field]: value }));
    const argv = [...add, '--slot', 'rootfs=a,b', '--agent-config', 'agent.json'];
    await refused(desk, argv, 'CLI_AGENT_CONFIG', `agent.json: ${field}`, 2);
  }
  const tests = { selfTest: { tests: [{ name: 'pump', comand: ['x'] }] } };
  assert.equal(checkAgentConfig({ interlock: 'none', ...tests }, 'f').ok, false);
  assert.equal(checkAgentConfig({ interlock: 'none', slots: { rootfs: { A: 'a', B: 'b' } } }, 'f').ok, true);
});

test("TEST-OTA-1067 REQ-OTA-OPS-01: the names of the agent's configuration, as its own parser lists them: the same here", async () => {
  const source = (name: string) => readFile(new URL(`../../agent/src/${name}`, import.meta.url), 'utf8');
  const parser = `${await source('config.ts')}\n${await source('config-service.ts')}`;
  const lists = [...parser.matchAll(/(?:const fields = |\.object\()\[([^\]]*)\]/g)].map(
    ([, list]) => list ?? '',
  );
  const theirs = lists.map((list) => [...list.matchAll(/'([A-Za-z]+)'/g)].map(([, name]) => name ?? ''));
  const known = Object.values(agentConfigNames);
  const missing = theirs.flat().filter((name) => !known.flat().includes(name));
  assert.deepEqual(missing, []);
  assert.deepEqual(
    known.flat().filter((name) => !theirs.flat().includes(name)),
    [],
  );
  // One list here is the union of the two kinds of boot control; every other one is one of theirs.
  for (const list of known.filter((names) => !names.includes('armingSurvivesPowerOff'))) {
    const same = theirs.some((names) => names.toSorted().join() === list.toSorted().join());
    assert.ok(same, list.join());
  }
});

test('TEST-OTA-1068 REQ-OTA-POL-10: a new signer who pins the root and has no key yet: the same command again says the same', async (t) => {
  const desk = await sitDown(t, company);
  const root = join(desk.folder, 'root.json');
  await copyFile(join(desk.home, 'products/pump/1.root.json'), root);
  for (const name of await readdir(join(desk.home, 'keys'))) {
    if (/quality.*\.json$/.test(name)) await rm(join(desk.home, 'keys', name));
  }
  const renew = ['renew', 'pump', '--as', 'quality', '--root', root];
  for (const outcome of [await desk.run(...renew), await desk.run(...renew)]) {
    assert.match(outcome.err, /CLI_KEY_MISSING/);
  }
  await writeFile(root, '{}');
  assert.match((await desk.run(...renew)).err, /CLI_EXISTS.*another root/);
});

test('TEST-OTA-1069 REQ-OTA-OPS-01, REQ-OTA-POL-08: key new and join, on a machine that only signs: a sealed key, a home, and a signature from there', async (t) => {
  const desk = await sitDown(t, company);
  const at = (name: string) => join(desk.folder, name);
  const typed = [passphrase, passphrase];
  const key = await desk.type(typed, 'key', 'new', at('ada.key.json'), '--public-out', at('ada.public.json'));
  assert.equal(key.status, 0, key.err);
  const sealed = await readFile(at('ada.key.json'), 'utf8');
  const half: unknown = JSON.parse(await readFile(at('ada.public.json'), 'utf8'));
  assert.ok(sealed.includes('"aes-256-gcm"') && !sealed.includes('PRIVATE KEY'));
  assert.ok(key.out.includes(JSON.stringify(half, undefined, 2)));
  const differs = await desk.type([passphrase, 'another one'], 'key', 'new', at('b.key.json'));
  assert.deepEqual([differs.status, /CLI_PASSPHRASE_DIFFERS/.test(differs.err)], [2, true]);

  const settings: unknown = JSON.parse(await readFile(join(desk.home, 'airlock.json'), 'utf8'));
  assert.ok(typeof settings === 'object' && settings !== null && 'apiUrl' in settings);
  const name = (await readdir(join(desk.home, 'keys'))).find((entry) => entry.includes('quality')) ?? '';
  await writeFile(at('token'), 'token\n');
  const argv = ['join', String(settings.apiUrl), '--token-file', 'token', '--home', at('ada')];
  const options = [
    '--authority',
    join(desk.home, 'tls/server-authority.pem'),
    '--key',
    join(desk.home, 'keys', name),
  ];
  const joined = await desk.run(...argv, ...options);
  assert.equal(joined.status, 0, joined.err);
  await refused(desk, [...argv, ...options], 'CLI_EXISTS', 'ada', 1);
  await writeFile(at('image'), 'bytes');
  await made(desk, ...create('5'));
  const approve = ['release', 'approve', 'pump', '5', '--as', 'quality', '--yes', '--home', at('ada')];
  await made(desk, ...approve, '--root', join(desk.home, 'products/pump/1.root.json'));
});

test('TEST-OTA-1070 REQ-OTA-OPS-01: options and folders that cannot be meant: refused by name, never a fault of the program', async (t) => {
  const desk = await sitDown(t, company);
  await writeFile(join(desk.folder, 'file'), '');
  const init = ['init', '--demo', '--home', join(desk.folder, 'new')];
  await refused(desk, [...init, '--class', 'C'], 'CLI_USAGE', '--class', 2);
  await refused(desk, [...init, '--host', 'bad host'], 'CLI_USAGE', '--host', 2);
  const below = join(desk.folder, 'file', 'x');
  await refused(desk, ['init', '--demo', '--home', below], 'CLI_FILE_WRITE', 'file/x', 1);
  assert.equal((await readdir(desk.folder)).includes('new'), false);
  assert.match((await desk.run('--version')).out, /^\d+\.\d+\.\d+\n$/);
});

test('TEST-OTA-1071 REQ-OTA-OPS-01: help of one command, named after the word help: that command with its options', async (t) => {
  const desk = await sitDown(t, company);
  let out = '';
  const io = { cwd: desk.folder, env: {}, bars: false, now: () => 0, err: () => undefined };
  const status = await runAirlock(['help', 'release', 'create'], {
    ...io,
    out: (text) => void (out += text),
  });
  assert.deepEqual([status, /--change-record/.test(out)], [0, true]);
});
