/**
 * A release that one country cleared, and a device of another: real commands, real server, whole agents, and a thief who
 * has the server with its online keys and its database.
 *
 * The second market is opened as a company does it: the minimum in the root, then the policy with its new functions, each
 * in a ceremony. The home of this company holds every key.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { readEnvelopeUnverified, signEnvelope } from '@airlock/trust';
import { forgeDirector } from '../src/forge.ts';
import { seededSigner } from '../src/paper-company.ts';
import { cleanUp } from '../src/processes.ts';
import { readRecord } from '../src/virtual-device/device-view.ts';
import { product } from '../src/world/company.ts';
import { askAgent, type Device } from '../src/world/device.ts';
import { forgedRelease, readServerConfig, stealDirectorKeys } from '../src/world/thief.ts';
import { makeWorld, type World } from './support/world.ts';

let world: World;

before(async () => {
  world = await makeWorld();
});
after(async () => {
  await world.close();
  cleanUp();
});

async function refusal(args: readonly string[]): Promise<string> {
  return await world.company.airlock(args).then(
    () => 'done',
    (error: unknown) => String(error),
  );
}

async function ceremony(args: readonly string[]): Promise<void> {
  const { company } = world;
  await company.airlock([...args, '--reason', 'CR-31: Germany']);
  const file = args.find((word) => word.endsWith('.json')) ?? '';
  await company.airlock(['keys', 'ceremony', 'sign', file, '--yes']);
  await company.airlock(['keys', 'ceremony', 'finish', file]);
}

const file = (name: string): string => join(world.folder, `${name}.json`);

interface Shown {
  readonly minimum: { readonly markets: unknown };
  readonly policy: { readonly markets: unknown };
  readonly functions: readonly { function: string; holders: readonly { holder: string; name: string }[] }[];
}

test('TEST-OTA-1271 REQ-OTA-POL-09, REQ-OTA-POL-10: a second market, opened by root minimum and policy set: what devices would refuse makes no file, the right holders sign, and the policy names whose each key is', async () => {
  const { company } = world;
  const early = ['policy', 'set', product, file('early'), '--set', 'de=', '--reason', 'too early'];
  assert.match(
    await refusal(early),
    /OTA_DEMAND_UNKNOWN.*market de, of which the root's minimum knows nothing/,
  );
  const nobody = [
    'root',
    'minimum',
    product,
    file('nobody'),
    '--set',
    'us=regulatory-us',
    '--reason',
    'too early',
  ];
  assert.match(await refusal(nobody), /OTA_DEMAND_UNKNOWN.*targets does not delegate to it/);
  await ceremony(['root', 'minimum', product, file('minimum'), '--set', 'de=']);
  const people: string[] = [];
  for (const [name, country] of [
    ['uma', 'us'],
    ['dora', 'de'],
  ] as const) {
    const key = join(company.home, 'keys', `${name}.key.json`);
    await company.airlock(['key', 'new', key, '--public-out', file(`${name}.public`)]);
    people.push('--function', `regulatory-${country}=${name} Roth <${name}>`);
    people.push('--key', `${name}=${file(`${name}.public`)}`);
  }
  const sets = ['--set', 'us=regulatory-us', '--set', 'de=regulatory-de'];
  await ceremony(['policy', 'set', product, file('policy'), ...sets, ...people]);
  await ceremony(['root', 'minimum', product, file('raised'), ...sets]);
  const below = ['policy', 'set', product, file('below'), '--set', 'de=', '--reason', 'quietly'];
  assert.match(await refusal(below), /OTA_BELOW_MINIMUM.*asks 0 of regulatory-de for market de/);
  const shown = (await company.airlock(['policy', 'show', product])) as Shown;
  const markets = { us: { 'regulatory-us': 1 }, de: { 'regulatory-de': 1 } };
  assert.deepEqual([shown.minimum.markets, shown.policy.markets], [markets, markets]);
  assert.deepEqual(
    shown.functions.map((entry) => [entry.function, entry.holders.map(({ holder }) => holder)]),
    [
      ['engineering', ['bo']],
      ['quality', ['ada']],
      ['regulatory-de', ['dora']],
      ['regulatory-us', ['uma']],
    ],
  );
  for (const country of ['us', 'de']) await approve(1, country);
});

async function approve(version: number, country: string): Promise<void> {
  const args = ['release', 'approve', product, String(version), '--as', `regulatory-${country}`, '--yes'];
  await world.company.airlock(args);
}

test('TEST-OTA-1272 REQ-OTA-POL-01, REQ-OTA-POL-09, REQ-OTA-SIGN-03: a release cleared in one country: installed there; refused by the server, and by the device when the server is in the hands of a thief, in another - until that country approves it', async () => {
  const { company, stolen } = world;
  const release = await world.release({ version: 2 });
  await approve(2, 'us');
  const there = await world.device('us-1');
  const here = await world.device('de-1', { market: 'de', serverUrl: stolen.url });
  there.virtual.powerOn();
  await company.assign(there.id, 2);
  await there.waitForCode('OTA_CONFIRMED', { version: 2 });
  await there.virtual.killAgent();

  assert.match(
    await refusal(['assign', here.id, '2']),
    /OTA_NOT_APPROVED.*regulatory-de does not approve release 2/,
  );
  const keys = stealDirectorKeys(company);
  const steal = (deviceRecord?: string) =>
    stolen.lie((answer, device) => ({
      ...forgeDirector({
        answer,
        device,
        keys,
        release: forgedRelease(release),
        now: Math.floor(Date.now() / 1000),
      }),
      ...(deviceRecord === undefined ? {} : { deviceRecord }),
    }));
  steal();
  here.virtual.powerOn();
  const refused = await here.waitForCode('OTA_NOT_APPROVED');
  assert.match(refused.reason, /regulatory-de/);

  // Neither the record of a device of the other market, nor one that the thief signed, moves the device.
  const theirs = readFileSync(join(there.given, 'device-record.json'), 'utf8');
  await moved(here, theirs, steal);
  const own = readEnvelopeUnverified(readFileSync(join(here.given, 'device-record.json')), 100_000);
  assert.ok(own.ok);
  const lie = { ...(own.value as Record<string, unknown>), market: 'us', number: 9 };
  const forged = Buffer.from(signEnvelope(lie, [seededSigner('thief')])).toString();
  await moved(here, forged, steal);
  assert.equal(readRecord(here.folder.stateFolder)?.confirmed.version, 1);

  const status = await askAgent(here, world.images.agentFile, 'status');
  assert.match(status, /number 1\b/, 'the record of the factory');

  // The thief's numbers are the highest by now, and what he names is approved for this market, too.
  steal();
  await approve(2, 'de');
  await company.assign(here.id, 2);
  await here.waitForCode('OTA_CONFIRMED', { version: 2 });
  await here.virtual.killAgent();
});

/** The database says that the device has this record, and the stolen server hands it out; the device was asked twice. */
async function moved(device: Device, envelope: string, steal: (record: string) => void): Promise<void> {
  const database = new DatabaseSync(join(readServerConfig(world.company).folder, 'data.sqlite'), {
    // The server writes as well.
    timeout: 30_000,
  });
  const held = database.prepare('select record from devices where device = ?').get(device.id);
  const set = database.prepare('update devices set record = ? where device = ?');
  set.run(envelope, device.id);
  steal(envelope);
  const from = world.stolen.requests.length;
  await device.virtual.waitFor('to be asked with another record', 60_000, () => {
    const asked = world.stolen.requests.slice(from).filter((path) => path.includes('/check-in'));
    return asked.length >= 2 ? true : undefined;
  });
  assert.equal(readRecord(device.folder.stateFolder)?.state, 'Idle');
  set.run(String(held?.['record']), device.id);
  database.close();
}
