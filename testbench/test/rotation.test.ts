/**
 * Every key of a company changes, while fifty devices look now and then: real `airlock` processes, a real server that
 * is never stopped, real TLS, and the agent's own trust client with its state on "disk".
 *
 * Devices are the trust part of an agent (see light-device.ts), not whole processes. Those of group g hear of the first
 * g changes and are then switched off, so that at the end they are nought to five image roots behind; every seventh
 * loses all that is not kept before each poll.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readStatementUnverified, signStatement, type Statement } from '@airlock/audit';
import {
  draftFunction,
  openPrivateKey,
  publicKeyFrom,
  readRole,
  sha256Hex,
  signDraft,
  type Signer,
  signerFrom,
  type TrustState,
  updateDeviceRecord,
  type Verdict,
} from '@airlock/trust';
import type { CheckInAnswer } from '@airlock/protocol';
import { cleanUp, removeAtEnd } from '../src/processes.ts';
import { Company, product } from '../src/world/company.ts';
import { readServerConfig } from '../src/world/thief.ts';
import {
  assign,
  deviceRecord,
  type Factory,
  LightDevice,
  manage,
  openFactory,
  openKey,
} from './support/light-device.ts';
import { thiefAnswer, type ThiefKeys } from './support/thief-repository.ts';

const deviceCount = 50;
/** The number after which there is none: what a thief signs to end a function. */
const numberMax = Number.MAX_SAFE_INTEGER;

let folder = '';
let company: Company;
let factory: Factory;
const devices: LightDevice[] = [];
/** Keys that were in force before anything changed. */
let old: { readonly root: Signer; readonly targets: Signer; readonly provisioning: Signer } & ThiefKeys;
/** What a device held that was switched off before anything changed. */
let unheardState: TrustState;
let serverAnswered = 0;

const groupOf = (index: number): number => index % 6;

/** Keys of the server's folder, as whoever owns the machine would open them. */
function onlineKeys(): Map<string, Signer> {
  const config = readServerConfig(company);
  const passphrase = readFileSync(config.onlineKeys.passphraseFile, 'utf8').replace(/\r?\n$/, '');
  const path = join(config.folder, 'online-keys');
  return new Map(
    readdirSync(path).map((name) => {
      const key = openPrivateKey(readFileSync(join(path, name)), passphrase);
      if (!key.ok) throw new Error(key.error.message);
      return [publicKeyFrom(key.value).keyId, signerFrom(key.value)];
    }),
  );
}

/** Those that the device's roots name. */
function onlineFor(device: LightDevice): Pick<ThiefKeys, 'online' | 'director'> {
  const held = onlineKeys();
  const state = device.state();
  const signer = (root: string, role: 'targets' | 'snapshot' | 'timestamp'): Signer => {
    const view = readRole(Buffer.from(root));
    assert.ok(view.ok && view.value.kind === 'root');
    const found = view.value.roles[role].keys.map(({ keyId }) => held.get(keyId))[0];
    assert.ok(found, `the server holds no key of ${role}`);
    return found;
  };
  const { image, director } = state;
  return {
    online: { snapshot: signer(image.root, 'snapshot'), timestamp: signer(image.root, 'timestamp') },
    director: {
      targets: signer(director.root, 'targets'),
      snapshot: signer(director.root, 'snapshot'),
      timestamp: signer(director.root, 'timestamp'),
    },
  };
}

/** A new key of a person, made by `airlock key new`; its sealed file is brought into the home to sign with. */
async function newKey(name: string): Promise<string> {
  const file = join(company.home, 'keys', `${name}.key.json`);
  await company.airlock(['key', 'new', file]);
  return file;
}

async function ceremony(name: string, owner: string, args: readonly string[]): Promise<void> {
  const file = join(folder, `${name}.json`);
  await company.airlock(['keys', 'ceremony', 'start', owner, file, ...args, '--reason', name]);
  await company.airlock(['keys', 'ceremony', 'sign', file, '--yes']);
  await company.airlock(['keys', 'ceremony', 'finish', file]);
}

async function pollAll(which: readonly LightDevice[]): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const device of which) {
    if (Number(device.id.replace('light-', '')) % 7 === 0) device.restart();
    verdicts.push(await device.poll());
    serverAnswered += 1;
  }
  return verdicts;
}

/** Devices of the groups from `round` on still run and look. */
async function look(round: number): Promise<void> {
  const verdicts = await pollAll(devices.filter((_, index) => groupOf(index) >= round));
  const failed = verdicts.filter((verdict) => verdict.kind === 'refused');
  assert.deepEqual(failed, [], `after change ${round}`);
}

async function makeRelease(version: number): Promise<void> {
  const image = join(folder, `image-${version}`);
  writeFileSync(image, `image of ${version}`);
  await company.createRelease({ version, image });
}

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'airlock-rotation-'));
  removeAtEnd(folder);
  company = new Company(folder);
  await company.init();
  await company.startServer();
  factory = openFactory(company);
  const keyOf = (name: string) => openKey(company, name);
  await makeRelease(1);
  await company.approve(1);
  for (let index = 0; index < deviceCount; index += 1) {
    devices.push(await LightDevice.make(factory, `light-${index}`));
  }
  for (const { id } of devices) await assign(company, id, 1);
  const first = await pollAll(devices);
  assert.ok(first.every((verdict) => verdict.kind === 'approved'));
  const [someone] = devices;
  assert.ok(someone);
  unheardState = someone.state();
  old = {
    root: keyOf(`${product}.root-1`),
    targets: keyOf(`${product}.targets-1`),
    provisioning: factory.provisioning,
    functions: {
      engineering: keyOf(`${product}.engineering.bo`),
      quality: keyOf(`${product}.quality.ada`),
    },
    ...onlineFor(someone),
  };
});

after(async () => {
  for (const { transport } of devices) transport.close();
  await company.stopServer();
  cleanUp();
});

async function renewRecord(id: string, signer: Signer): Promise<void> {
  const { status } = await manage(company, 'PUT', `/devices/${id}/record`, {
    record: deviceRecord(id, 2, signer),
  });
  assert.equal(status, 200);
}

/** The thief has the key of quality and a token, and uses up every number there is. */
async function thiefPublishes(): Promise<void> {
  const manifest = Buffer.from(company.releases.get(1)?.manifestText ?? '');
  const now = Math.floor(Date.now() / 1000);
  const draft = draftFunction({
    product,
    function: 'quality',
    version: numberMax,
    expires: now + 60 * 86_400,
    releases: [{ version: 1, length: manifest.length, sha256: sha256Hex(manifest) }],
  });
  const file = Buffer.from(signDraft(draft, [old.functions.quality])).toString();
  const put = async (statements: readonly string[]) =>
    await manage(company, 'PUT', `/products/${product}/proposals/quality`, { file, statements });
  assert.match((await put([])).body, /API_STATEMENT/, 'a signature alone is refused');
  // A statement is no obstacle to whoever has the key: it says so in the name of the person.
  const note = await manage(company, 'GET', '/audit/checkpoint');
  const [origin = '', size = '', root = ''] = note.body.split('\n');
  const { publicKey } = old.functions.quality;
  const statement: Statement = {
    product,
    function: 'quality',
    roleVersion: numberMax,
    signedSha256: sha256Hex(draft.bytesToSign),
    meaning: 'renewed',
    reason: '',
    signer: { keyId: publicKey.keyId, holder: 'ada', name: 'Ada Quill' },
    time: now,
    checkpoint: { origin, size: Number(size), rootSha256: Buffer.from(root, 'base64').toString('hex') },
  };
  const stated = Buffer.from(signStatement(statement, old.functions.quality)).toString();
  const { status, body } = await put([stated]);
  assert.equal(status, 200, body);
}

test('TEST-OTA-1220 REQ-OTA-SIGN-05, REQ-OTA-ROLL-02: every role and root rotated five times over while fifty devices look, are switched off and come back up to five roots behind: all catch up untouched and install what the new keys approve', async () => {
  await look(0);
  // 1: root keys of the product and of the director; a second provisioning key, and records signed with it.
  const root = await newKey('new-root');
  const directorRoot = await newKey('new-director-root');
  const provisioning = await newKey('new-provisioning');
  const gone = (signer: Signer) => signer.publicKey.keyId.slice(0, 12);
  await ceremony('root', product, [
    '--add',
    `root=${root}`,
    '--remove',
    `root=${gone(old.root)}`,
    '--add',
    `provisioning=${provisioning}`,
  ]);
  const oldDirector = gone(openKey(company, 'director.root-1'));
  await ceremony('director', 'director', [
    '--add',
    `root=${directorRoot}`,
    '--remove',
    `root=${oldDirector}`,
  ]);
  const signer = openKey(company, 'new-provisioning');
  for (const { id } of devices) await renewRecord(id, signer);
  await look(1);
  // 2: targets.
  const targets = await newKey('new-targets');
  await ceremony('targets', product, [
    '--add',
    `targets=${targets}`,
    '--remove',
    `targets=${gone(old.targets)}`,
  ]);
  await look(2);
  // 3: all online keys, of both repositories, by one command.
  await company.airlock(['keys', 'rotate-online', '--reason', 'server replaced', '--yes']);
  await look(3);
  // 4: a function's key is stolen, its numbers are used up, and snapshot and timestamp keys go with it.
  await thiefPublishes();
  await look(3);
  const eve = await newKey('eve');
  await ceremony('stolen', product, [
    '--stolen',
    'quality=ada',
    '--function',
    'quality=Eve Stone <eve>',
    '--key',
    `eve=${eve}`,
    '--number',
    'quality=50',
  ]);
  await look(4);
  // What Eve signed in it is evidence like any approval.
  const { body } = await manage(company, 'GET', `/products/${product}/statements/quality/50`);
  const [said] = (JSON.parse(body) as { statements: { statement: string }[] }).statements;
  const statement = readStatementUnverified(Buffer.from(said?.statement ?? ''));
  assert.ok(
    statement.ok && statement.value.signer.name === 'Eve Stone' && statement.value.reason === 'stolen',
  );
  // 5: the other function by plan, and the old provisioning key, which no record needs any more.
  const ian = await newKey('ian');
  await ceremony('plan', product, [
    '--remove',
    'engineering=bo',
    '--function',
    'engineering=Ian Hall <ian>',
    '--key',
    `ian=${ian}`,
    '--remove',
    `provisioning=${gone(old.provisioning)}`,
  ]);
  await look(5);

  const behind = devices.map((device) => 6 - device.roots()[0]);
  assert.deepEqual(
    [...new Set(behind)].toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5],
    'some devices are five roots behind, some are up to date',
  );
  await makeRelease(2);
  await company.approve(2);
  for (const { id } of devices) await assign(company, id, 2);
  const verdicts = await pollAll(devices);
  for (const [index, verdict] of verdicts.entries()) {
    assert.equal(verdict.kind, 'approved', `${index}: ${JSON.stringify(verdict)}`);
    assert.ok(verdict.kind === 'approved' && verdict.manifest.version === 2);
  }
  assert.ok(devices.every((device) => device.roots().join() === '6,3'));
  assert.ok(serverAnswered > 250);
});

/** The device asks, the thief answers. */
async function robbed(device: LightDevice, keys: ThiefKeys): Promise<Verdict> {
  const state = device.state();
  const answer: CheckInAnswer = thiefAnswer(device.id, state, keys, 66);
  return await device.poll({
    checkIn: () => Promise.resolve(answer),
    signedTime: () => Promise.reject(new Error('the thief keeps silent')),
  });
}

test('TEST-OTA-1221 REQ-OTA-SIGN-05, REQ-OTA-SIGN-04: each revoked key with all other keys in force, shown to devices that have heard of it: installs nothing, before and after a restart; shown to one that has not, it does', async () => {
  const [first, second] = devices;
  assert.ok(first !== undefined && second !== undefined);
  const now: ThiefKeys = {
    ...onlineFor(first),
    functions: { engineering: openKey(company, 'ian'), quality: openKey(company, 'eve') },
  };
  const attacks: readonly [string, ThiefKeys][] = [
    ['quality', { ...now, functions: { ...now.functions, quality: old.functions.quality } }],
    ['engineering', { ...now, functions: { ...now.functions, engineering: old.functions.engineering } }],
    ['snapshot', { ...now, online: { ...now.online, snapshot: old.online.snapshot } }],
    ['timestamp', { ...now, online: { ...now.online, timestamp: old.online.timestamp } }],
    ['director targets', { ...now, director: { ...now.director, targets: old.director.targets } }],
    ['director snapshot', { ...now, director: { ...now.director, snapshot: old.director.snapshot } }],
    ['director timestamp', { ...now, director: { ...now.director, timestamp: old.director.timestamp } }],
    ['targets', { ...now, targets: old.targets, functions: old.functions }],
    ['root', { ...old }],
  ];
  const heard: readonly LightDevice[] = [first, second];
  for (const [key, keys] of attacks) {
    for (const device of heard) {
      // A copy: with online keys in force the thief could raise numbers that the true server has yet to reach.
      const victim = device.before(device.state());
      for (const turn of ['at once', 'after a restart']) {
        const verdict = await robbed(victim, keys);
        assert.equal(verdict.kind, 'refused', `old ${key} key at ${device.id}, ${turn}`);
        victim.restart();
      }
    }
  }
  for (const device of heard) {
    const forged = deviceRecord(device.id, 3, old.provisioning);
    const taken = updateDeviceRecord(device.state(), forged, { product, device: device.id });
    assert.ok(!taken.ok && taken.error.code === 'OTA_DEVICE_RECORD', 'old provisioning key');
    // What a thief could not do is no harm done: the device goes on with its own server.
    assert.equal((await device.poll()).kind, 'approved');
  }
  // The same keys install where nobody has heard: by design, until roles and roots end (threat model).
  const unheard = first.before(unheardState);
  assert.equal((await robbed(unheard, old)).kind, 'approved');
  // The very attack with keys in force is what approval is.
  const [third] = devices.slice(2);
  assert.ok(third);
  assert.equal((await robbed(third, now)).kind, 'approved');
});
