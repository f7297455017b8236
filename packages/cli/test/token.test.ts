/**
 * Keys in files and keys in tokens (SoftHSM): one contract for both, both types; then what a person meets at the
 * command line, and what a token that is gone, locked or swapped does.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { publicKeyFrom, signerFrom, verifySignature } from '@airlock/trust';
import fc from 'fast-check';
import { derOfRaw, publicKeyOfPoint, readKeyFile } from '../src/core/token-key.ts';
import { writeNewFiles } from '../src/files.ts';
import { Home } from '../src/home.ts';
import type { CliIo } from '../src/io.ts';
import { generateKey, KeyRing, type KeyType } from '../src/keys.ts';
import { runAirlock } from '../src/main.ts';
import { Passphrases } from '../src/passphrases.ts';
import { Stop } from '../src/stop.ts';
import { everyCheck, signsWell } from './support/signer-contract.ts';
import { module, noPkcs11Tool, noSoftHsm, openSoftHsm, pin, type SoftHsm } from './support/softhsm.ts';

const skip = noSoftHsm;
let folder = '';
let hsm: SoftHsm | undefined;
let secret = pin;

/** A person who types `secret` whenever a secret is asked for, and `asked` of them. */
let asked: string[] = [];
function io(): CliIo {
  const answer = (question: string) => {
    asked.push(question);
    return Promise.resolve(secret);
  };
  return {
    cwd: folder,
    env: {},
    out: () => undefined,
    err: () => undefined,
    bars: false,
    terminal: { ask: answer, askSecret: answer },
    now: () => 1_800_000_000,
  };
}

function ring(): KeyRing {
  return new KeyRing(new Home(join(folder, 'home')), io(), new Passphrases(io(), undefined));
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'airlock-token-'));
  if (skip !== false) return;
  hsm = await openSoftHsm();
  hsm.makeToken('root safe');
});
after(async () => {
  await hsm?.remove();
  await rm(folder, { recursive: true, force: true });
});

const ask = (label: string, token = 'root safe') => ({ module, token, label });

/** The two backends: each makes a key and opens it again by its file, as a later command would. */
const backends = {
  file: async (keys: KeyRing, name: string, type: KeyType) => {
    const made = await keys.make(name, type);
    await writeNewFiles([made.sealed], folder);
    return { signer: await keys.signer(made), bytes: made.sealed.bytes };
  },
  token: async (keys: KeyRing, name: string, type: KeyType) => {
    const made = await keys.makeInToken(name, type, ask(name));
    const signer = await keys.signer(made);
    return { signer, bytes: made.sealed.bytes };
  },
} as const;

/** More keys of a backend. Sealing costs a third of a second, and what an opened file gives is this very signer. */
async function anotherKey(keys: KeyRing, backend: 'file' | 'token', name: string, type: KeyType) {
  if (backend === 'file') return signerFrom(generateKey(type));
  return (await backends.token(keys, name, type)).signer;
}

const contract = [
  ['TEST-OTA-1200', 'file', 'ed25519', false],
  ['TEST-OTA-1201', 'file', 'p256', false],
  ['TEST-OTA-1202', 'token', 'ed25519', skip],
  ['TEST-OTA-1203', 'token', 'p256', skip],
] as const;

for (const [number, backend, type, unless] of contract) {
  test(`${number} REQ-OTA-SIGN-06, REQ-OTA-SIGN-01: every offline key a ${type} key in a ${backend}: each signature verifies, a device finds the release approved, follows a rotation to new keys, and refuses the old ones`, {
    skip: unless,
  }, async () => {
    const keys = ring();
    // Enough that ECDSA's numbers begin with a zero byte and with a set bit.
    const { signer, bytes } = await backends[backend](keys, `${type}-alone`, type);
    signsWell(signer, backend === 'token' ? 300 : 50);
    const read = readKeyFile(Buffer.from(bytes), 'the file');
    assert.ok(read.ok);
    assert.deepEqual(read.value.publicKey, signer.publicKey);
    await everyCheck(async (name) => await anotherKey(keys, backend, `${type}-${name}`, type));
    keys.close();
  });
}

test('TEST-OTA-1204 REQ-OTA-SIGN-06: a raw ECDSA signature, with numbers of every length: its DER is the one that Node writes, and anything else is refused', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = publicKeyFrom(privateKey);
  for (let turn = 0; turn < 600; turn += 1) {
    const message = Buffer.from(`turn ${turn}`);
    const raw = sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
    const der = derOfRaw(raw);
    assert.ok(der.ok && verifySignature(publicKey, message, der.value));
  }
  const scalar = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(scalar, scalar, fc.nat(31), (r, s, zeros) => {
      r.fill(0, 0, zeros);
      const der = derOfRaw(Buffer.concat([r, s]));
      const isZero = [r, s].some((number) => number.every((byte) => byte === 0));
      assert.equal(der.ok, !isZero);
      if (!der.ok) return;
      const [, , tag, length = 0] = der.value;
      assert.equal(tag, 2);
      const number = der.value.subarray(4, 4 + length);
      // Shortest form, never negative.
      assert.ok((number[0] ?? 0) < 0x80);
      assert.ok(number.length === 1 || number[0] !== 0 || (number[1] ?? 0) >= 0x80);
      assert.equal(
        BigInt(`0x${Buffer.from(number).toString('hex')}`),
        BigInt(`0x${Buffer.from(r).toString('hex')}`),
      );
    }),
  );
  for (const length of [0, 63, 65, 70]) assert.equal(derOfRaw(Buffer.alloc(length, 1)).ok, false);
  for (const bytes of [Buffer.alloc(32, 1), Buffer.alloc(65, 4), Buffer.alloc(0)]) {
    assert.equal(publicKeyOfPoint('p256', bytes).ok, false);
  }
  // A point of small order is no key, whatever a token says.
  assert.equal(publicKeyOfPoint('ed25519', Buffer.alloc(32)).ok, false);
});

async function codeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'nothing';
  } catch (error) {
    assert.ok(error instanceof Stop, String(error));
    return error.failure.code;
  }
}

test('TEST-OTA-1205 REQ-OTA-SIGN-06, REQ-OTA-POL-08: a key in a token, wrong PIN, missing token, swapped token, lying file: one clear refusal each, nothing signed, the PIN in none of them', {
  skip,
}, async () => {
  hsm?.makeToken('twin');
  const keys = ring();
  const made = await keys.makeInToken('ada', 'p256', ask('ada', 'twin'));
  const other = await keys.makeInToken('eve', 'p256', ask('eve', 'twin'));
  assert.equal(await codeOf(() => keys.makeInToken('ada', 'p256', ask('ada', 'twin'))), 'CLI_EXISTS');
  assert.equal(await codeOf(() => keys.open(made)), 'CLI_TOKEN');
  // The file says ada's key, the place is eve's: her signature is not let out.
  const lying = await keys.signer({ ...made, place: other.place });
  assert.equal(await codeOf(async () => lying.sign(Buffer.from('x'))), 'CLI_TOKEN');
  const serial = { ...made.place, serial: '0000000000000000' };
  assert.equal(await codeOf(() => keys.signer({ ...made, place: serial })), 'CLI_TOKEN');
  assert.equal(
    await codeOf(() => keys.signer({ ...made, place: { ...made.place, module: '/nowhere/p11.so' } })),
    'CLI_TOKEN',
  );
  secret = 'a wrong pin';
  let message = '';
  try {
    await keys.signer(made);
  } catch (error) {
    assert.ok(error instanceof Stop);
    message = `${error.failure.code} ${error.failure.message}`;
  }
  secret = pin;
  assert.match(message, /^CLI_TOKEN_PIN .*twin/);
  assert.doesNotMatch(message, /a wrong pin/);
  // Another label on the same key: gone for this file.
  const renamed = { ...made.place, label: 'nobody' };
  assert.equal(await codeOf(() => keys.signer({ ...made, place: renamed })), 'CLI_TOKEN');
  // Each use asks: the token is not left open for the next.
  asked = [];
  (await keys.signer(made)).sign(Buffer.from('x'));
  (await keys.signer(made)).sign(Buffer.from('y'));
  assert.deepEqual(asked, ['PIN of token twin for ada: ', 'PIN of token twin for ada: ']);
  keys.close();
});

test('TEST-OTA-1206 REQ-OTA-SIGN-06, REQ-OTA-OPS-01: a file that names a token, with a field unknown, missing, relative or of another form: refused by name', () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const { keytype, scheme, keyval } = publicKeyFrom(privateKey);
  const good = {
    schema: 'airlock-token-key/1',
    publicKey: { keytype, scheme, keyval },
    module: '/usr/lib/p11.so',
    token: 'safe',
    serial: 'abc',
    label: 'ada',
    id: '00ff',
  };
  const read = (value: unknown) => readKeyFile(Buffer.from(JSON.stringify(value)), 'ada.key.json');
  assert.ok(read(good).ok);
  const bad: readonly [string, unknown][] = [
    ['module', { ...good, module: 'p11.so' }],
    ['token', { ...good, token: '' }],
    ['label', { ...good, label: 'two\nlines' }],
    ['serial', { ...good, serial: 'x'.repeat(65) }],
    ['id', { ...good, id: 'FF' }],
    ['pin', { ...good, pin: '1234' }],
    ['publicKey', { ...good, publicKey: { ...good.publicKey, keyval: { public: '00'.repeat(32) } } }],
    ['label', { ...good, label: undefined }],
  ];
  for (const [field, value] of bad) {
    const refused = read(value);
    assert.ok(!refused.ok, field);
    assert.match(refused.error.message, new RegExp(field), field);
  }
});

test('TEST-OTA-1207 REQ-OTA-SIGN-06: key new with a token: the file names the key and holds no secret, wrong options change nothing', {
  skip,
}, async () => {
  hsm?.makeToken('desk');
  const run = async (...argv: string[]) => {
    let err = '';
    const status = await runAirlock(argv, { ...io(), err: (text) => void (err += text) });
    return { status, err };
  };
  const token = ['--module', module, '--token', 'desk'];
  const made = await run('key', 'new', 'ada.key.json', ...token, '--label', 'ada', '--key-type', 'p256');
  assert.equal(made.status, 0, made.err);
  const file = await readFile(join(folder, 'ada.key.json'), 'utf8');
  assert.doesNotMatch(file, new RegExp(pin));
  const read = readKeyFile(Buffer.from(file), 'ada');
  assert.ok(read.ok && read.value.place?.label === 'ada' && read.value.publicKey.keytype === 'ecdsa');
  const half = await run('key', 'new', 'b.key.json', '--token', 'desk');
  assert.match(half.err, /CLI_USAGE.*--module/);
  const stray = await run('key', 'new', 'b.key.json', '--existing');
  assert.match(stray.err, /CLI_USAGE.*--existing/);
  const relative = await run(
    'key',
    'new',
    'b.key.json',
    '--module',
    'p11.so',
    '--token',
    'desk',
    '--label',
    'b',
  );
  assert.match(relative.err, /CLI_USAGE.*absolute/);

  const again = await run('key', 'new', 'again.key.json', ...token, '--label', 'ada', '--existing');
  assert.equal(again.status, 0, again.err);
  const same = readKeyFile(await readFile(join(folder, 'again.key.json')), 'again');
  assert.ok(same.ok && same.value.publicKey.keyId === read.value.publicKey.keyId);
});

test('TEST-OTA-1208 REQ-OTA-SIGN-06: keys that another tool made in a token: one that wants the PIN for each signature signs, one that may leave its token is not taken up', {
  skip: skip === false ? noPkcs11Tool : skip,
}, async () => {
  hsm?.makeToken('foreign');
  const login = ['--module', module, '--token-label', 'foreign', '--login', '--pin', pin];
  const tool = (...args: readonly string[]) =>
    execFileSync('pkcs11-tool', [...login, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  const pair = ['--keypairgen', '--key-type', 'EC:prime256v1', '--usage-sign'];
  tool(...pair, '--label', 'each-time', '--id', '01', '--sensitive', '--always-auth');
  tool(...pair, '--label', 'loose', '--id', '02', '--extractable');
  const keys = ring();
  const made = await keys.makeInToken('each-time', undefined, ask('each-time', 'foreign'));
  signsWell(await keys.signer(made), 3);
  assert.equal(
    await codeOf(() => keys.makeInToken('loose', undefined, ask('loose', 'foreign'))),
    'CLI_TOKEN',
  );
  const own = await keys.makeInToken('own', 'ed25519', ask('own', 'foreign'));
  keys.close();
  const listed = tool('--list-objects', '--type', 'privkey');
  const [, mine = ''] = listed.split(/label:\s+own/);
  assert.match(mine, /sensitive.*never extractable/);
  assert.equal(own.publicKey.keytype, 'ed25519');
});
