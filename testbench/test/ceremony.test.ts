/**
 * Three holders of a root who never meet: real server, real files handed on, passphrases and a PIN typed at a terminal.
 *
 * The company's machine starts and finishes; Bea signs at home over the network, Cid without any, with a key in a token
 * where SoftHSM is there (else in a sealed file). Their commands run in this process, with a person who types.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runAirlock } from '@airlock/cli';
import { cleanUp, removeAtEnd } from '../src/processes.ts';
import { Company, product } from '../src/world/company.ts';

const module = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so'].find(
  (path) => existsSync(path),
);
let folder = '';
let company: Company;
const secrets = { bea: 'the passphrase of bea', cid: 'pin-of-cid' };
let hasToken = false;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'airlock-ceremony-'));
  removeAtEnd(folder);
  company = new Company(folder);
  await company.init();
  await company.startServer();
  hasToken = makeToken();
});
after(async () => {
  await company.stopServer();
  cleanUp();
});

function makeToken(): boolean {
  if (module === undefined) return false;
  try {
    createRequire(import.meta.resolve('@airlock/cli'))('pkcs11js');
  } catch {
    return false;
  }
  const tokens = join(folder, 'tokens');
  mkdirSync(tokens);
  const file = join(folder, 'softhsm2.conf');
  writeFileSync(file, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  process.env['SOFTHSM2_CONF'] = file;
  const pins = ['--so-pin', 'so-pin-of-cid', '--pin', secrets.cid];
  execFileSync('softhsm2-util', ['--init-token', '--free', '--label', 'cid', ...pins], { stdio: 'ignore' });
  return true;
}

interface Said {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

/** A person at a terminal of their own; `typed` answers the question for the fingerprint, when not what is asked. */
async function person(name: 'bea' | 'cid', args: readonly string[], typed?: string): Promise<Said> {
  const said = { out: '', err: '' };
  const status = await runAirlock([...args, '--home', join(folder, name)], {
    cwd: folder,
    env: {},
    out: (text) => void (said.out += text),
    err: (text) => void (said.err += text),
    bars: false,
    terminal: {
      ask: (question) => {
        said.err += question;
        const shown = /\(([0-9a-f]{4} [0-9a-f]{4})\)/.exec(question)?.[1] ?? '';
        return Promise.resolve(typed ?? shown);
      },
      askSecret: (question) => {
        said.err += question;
        return Promise.resolve(secrets[name]);
      },
    },
    now: () => Math.floor(Date.now() / 1000),
  });
  return { status, ...said };
}

async function well(said: Promise<Said>): Promise<Said> {
  const done = await said;
  assert.equal(done.status, 0, done.err);
  return done;
}

async function makeHolder(name: 'bea' | 'cid'): Promise<void> {
  const token =
    name === 'cid' && hasToken
      ? ['--module', module ?? '', '--token', 'cid', '--label', 'root', '--key-type', 'p256']
      : [];
  await well(
    person(name, ['key', 'new', `${name}.key.json`, '--public-out', `${name}.public.json`, ...token]),
  );
  const call = ['join', company.paths().apiUrl, '--authority', `${company.home}/tls/server-authority.pem`];
  await well(person(name, [...call, '--token-file', `${company.home}/token`, '--key', `${name}.key.json`]));
}

const firstRoot = () => `${company.home}/products/${product}/1.root.json`;

test('TEST-OTA-1231 REQ-OTA-SIGN-05, REQ-OTA-SIGN-06, REQ-OTA-POL-10: a root handed to two holders who never meet, one of them without a network and with a token: in force when both signed, and not before', async (context) => {
  if (!hasToken)
    context.diagnostic('SoftHSM or pkcs11js is missing: apt-get install softhsm2; Cid signs with a file');
  await makeHolder('bea');
  await makeHolder('cid');
  const file = join(folder, 'hand-over.json');
  const { keys } = (await company.airlock(['keys', 'list', '--for', product])) as {
    keys: { role: string; keyId: string }[];
  };
  const own = keys.find(({ role }) => role === 'root')?.keyId ?? '';
  await company.airlock([
    'keys',
    'ceremony',
    'start',
    product,
    file,
    '--reason',
    'the root goes to its holders',
    '--add',
    `root=${folder}/bea.public.json`,
    '--add',
    `root=${folder}/cid.public.json`,
    '--remove',
    `root=${own.slice(0, 12)}`,
    '--threshold',
    'root=2',
  ]);
  // Another file for the same root: whoever signed one does not sign the other by mistake.
  const rival = join(folder, 'rival.json');
  await company.airlock([
    'keys',
    'ceremony',
    'start',
    product,
    rival,
    '--reason',
    'bea alone',
    '--add',
    `root=${folder}/bea.public.json`,
  ]);
  await company.airlock(['keys', 'ceremony', 'sign', file, '--yes']);
  const open = await company.airlock(['keys', 'ceremony', 'finish', file]).then(
    () => 'finished',
    (error: unknown) => String(error),
  );
  assert.match(open, /CLI_CEREMONY_OPEN.*root has 0 of 2 signatures that the new root asks/);

  const declined = await person('bea', ['keys', 'ceremony', 'sign', file, '--root', firstRoot()], 'yes');
  assert.match(declined.err, /CLI_DECLINED/);
  const signed = await well(person('bea', ['keys', 'ceremony', 'sign', file, '--name', 'Bea Ott']));
  assert.match(signed.err, /Reason: the root goes to its holders/);
  assert.match(signed.err, new RegExp(`Removes key ${own} of role root`));
  assert.match((await person('bea', ['keys', 'ceremony', 'sign', file])).err, /CLI_SIGNED_ALREADY/);
  assert.match((await person('bea', ['keys', 'ceremony', 'sign', rival])).err, /CLI_ROOT_SIGNED/);

  // Cid has no network at all, and pins the root that he was handed on paper or stick.
  const settings = join(folder, 'cid', 'airlock.json');
  const home = JSON.parse(readFileSync(settings, 'utf8')) as { apiUrl: string };
  writeFileSync(settings, JSON.stringify({ ...home, apiUrl: 'https://127.0.0.1:1' }));
  assert.equal((await person('cid', ['keys', 'ceremony', 'sign', file])).status, 1);
  const tampered = join(folder, 'tampered.json');
  const honest = readFileSync(file, 'utf8');
  writeFileSync(tampered, honest.replaceAll('\\"threshold\\":2', '\\"threshold\\":1'));
  const offline = ['--offline', '--root', firstRoot()];
  assert.match(
    (await person('cid', ['keys', 'ceremony', 'sign', tampered, ...offline])).err,
    /CLI_UNEXPECTED_CHANGE/,
  );
  const last = await well(
    person('cid', ['keys', 'ceremony', 'sign', file, ...offline, '--name', 'Cid Roth']),
  );
  assert.match(last.out, /Every signature is there/);
  assert.match(last.err, hasToken ? /PIN of token cid for cid: / : /Passphrase for cid: /);
  assert.doesNotMatch(`${last.out}${last.err}${readFileSync(file, 'utf8')}`, new RegExp(secrets.cid));

  await company.airlock(['keys', 'ceremony', 'finish', file]);
  const again = (await company.airlock(['keys', 'ceremony', 'finish', file])) as { inForce: string[] };
  assert.deepEqual(again.inForce, ['root'], 'finished once more, nothing changes');
  const record = readFileSync(`${file}.record.txt`, 'utf8');
  assert.match(record, /published and verified/);
  assert.match(record, /Bea Ott[\s\S]*by hand[\s\S]*Cid Roth/);
  const now = (await company.airlock(['keys', 'list', '--for', product])) as {
    keys: { role: string; threshold: string; where: string }[];
  };
  const root = now.keys.filter(({ role }) => role === 'root');
  assert.deepEqual(
    root.map(({ threshold, where }) => [threshold, where]),
    [
      ['2 of 2', 'elsewhere, offline'],
      ['2 of 2', 'elsewhere, offline'],
    ],
  );
});

test('TEST-OTA-1232 REQ-OTA-SIGN-05, REQ-OTA-SIGN-06: online keys rotated by one command where the root keys are elsewhere: a file waits for both holders, and the old keys are destroyed when it is finished, with the server running', async () => {
  const online = join(company.home, 'server', 'data', 'online-keys');
  const rotated = (await company.airlock([
    'keys',
    'rotate-online',
    '--for',
    product,
    '--reason',
    'yearly',
    '--yes',
  ])) as { rotated: { file: string; retired?: string[] }[] };
  const [waiting] = rotated.rotated;
  assert.ok(waiting !== undefined && waiting.retired === undefined);
  const name = `image.${product}.timestamp`;
  assert.ok(existsSync(join(online, `${name}.json`)) && existsSync(join(online, `${name}.2.json`)));
  const once = await company
    .airlock(['keys', 'rotate-online', '--for', product, '--reason', 'again', '--yes'])
    .then(
      () => 'rotated',
      (error: unknown) => String(error),
    );
  assert.match(once, /CLI_EXISTS/);
  await well(person('bea', ['keys', 'ceremony', 'sign', waiting.file, '--yes']));
  await well(person('cid', ['keys', 'ceremony', 'sign', waiting.file, '--offline', '--yes']));
  await company.airlock(['keys', 'ceremony', 'finish', waiting.file]);
  assert.ok(!existsSync(join(online, `${name}.json`)) && existsSync(join(online, `${name}.2.json`)));
  const { keys } = (await company.airlock(['keys', 'list', '--for', product])) as {
    keys: { role: string; where: string }[];
  };
  assert.equal(keys.find(({ role }) => role === 'timestamp')?.where, 'server, online');
  // What the company's own home can sign, it rotates at once.
  const director = (await company.airlock([
    'keys',
    'rotate-online',
    '--for',
    'director',
    '--reason',
    'yearly',
    '--yes',
  ])) as { rotated: { retired?: string[] }[] };
  assert.equal(director.rotated[0]?.retired?.length, 3);
});
