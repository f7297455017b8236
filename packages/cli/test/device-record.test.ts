/** `device record`: what is shown before a later device record is signed, and each wrong input. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  draftRoot,
  readEnvelopeUnverified,
  readRole,
  signEnvelope,
  signerFrom,
  verifyDeviceRecord,
} from '@airlock/trust';
import {
  type Company,
  type Desk,
  makeCompany,
  now,
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

const add = ['device', 'add', 'pump-1', '--product', 'pump', '--market', 'us', '--hardware', 'hw:rev2'];

/** A device that the server knows, as it reports itself. */
async function registered(desk: Desk, reported: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const made = await desk.run(...add, '--slot', 'rootfs=a,b', '--out', 'dev');
  assert.equal(made.status, 0, made.err);
  const record = await readFile(join(desk.folder, 'dev/device-record.json'), 'utf8');
  const version = { version: 3, manifestSha256: 'a'.repeat(64) };
  desk.server.devices.set('pump-1', {
    device: 'pump-1',
    product: 'pump',
    safetyClass: 'C',
    market: 'us',
    hardware: ['hw:rev2'],
    recordNumber: 1,
    record,
    registered: new Date(now * 1000).toISOString(),
    reported: { report: { state: 'Idle', booted: version, confirmed: version, floor: 3, ...reported } },
    logFindings: 0,
  });
}

test('TEST-OTA-1103 REQ-OTA-ROLL-04, REQ-OTA-POL-10: device record, the floor of a restored disk named with its counter: shown first, signed by the provisioning key, one number higher', async (t) => {
  const desk = await sitDown(t, company);
  await registered(desk, { restored: true, counter: 12 });
  const shown = await desk.run('device', 'show', 'pump-1');
  assert.match(shown.out, /TPM counter +12\nrestored disk +installs nothing/);
  const named = ['--floor', '7', '--counter', '12', '--reason', 'CAPA-77'];
  const signed = await desk.type(['pump-1', passphrase], 'device', 'record', 'pump-1', ...named);
  assert.equal(signed.status, 0, signed.err);
  assert.match(
    signed.err,
    /Device record of pump-1:\n {2}number: 1 -> 2\n {2}floor: none -> 7\n {2}counter: none -> 12\n {2}\(its counter, as it last reported: 12\)\nTo sign, type pump-1: .*Passphrase/,
  );
  const envelope = desk.server.records.get('pump-1') ?? '';
  const root = await readFile(join(desk.home, 'products/pump/1.root.json'), 'utf8');
  const record = verifyDeviceRecord(envelope, root, { product: 'pump', device: 'pump-1' });
  assert.ok(record.ok, 'signed by the provisioning key');
  const { number, floor, counter, market } = record.value;
  assert.deepEqual([number, floor, counter, market], [2, 7, 12, 'us']);
  const used = await readFile(join(desk.home, 'key-use.jsonl'), 'utf8');
  assert.match(used, /"act":"device record pump-1 2".*"reason":"CAPA-77"/);
});

test('TEST-OTA-1104 REQ-OTA-OPS-01, REQ-OTA-ROLL-04: device record, each wrong input and a server that hands over a forged or older record: one line, nothing signed', async (t) => {
  const desk = await sitDown(t, company);
  await registered(desk, { restored: true, counter: 12 });
  await desk.run('product', 'show', 'pump');
  const call = (...words: readonly string[]) => [
    'device',
    'record',
    'pump-1',
    '--yes',
    '--reason',
    'r',
    ...words,
  ];
  await refused(desk, call(), 'CLI_USAGE', 'nothing would change', 2);
  await refused(desk, call('--counter', '12'), 'CLI_USAGE', '--floor', 2);
  await refused(desk, call('--floor', '7'), 'CLI_USAGE', 'counter 12', 2);
  await refused(desk, call('--floor', '0', '--counter', '12'), 'CLI_NUMBER', '--floor', 2);
  await refused(desk, call('--floor', '7', '--counter', '1e3'), 'CLI_NUMBER', '--counter', 2);
  await refused(desk, call('--market', 'jp'), 'CLI_DEVICE', 'jp', 1);
  await refused(desk, ['device', 'record', 'pump-1', '--floor', '7'], 'CLI_USAGE', '--reason', 2);
  await refused(desk, ['device', 'record', 'pump-9', '--reason', 'r'], 'CLI_DEVICE_UNKNOWN', 'pump-9', 1);
  const named = ['--floor', '7', '--counter', '12'];
  const declined = await desk.type(['pump-2'], 'device', 'record', 'pump-1', ...named, '--reason', 'r');
  assert.match(declined.err, /CLI_DECLINED/);
  const held = desk.server.devices.get('pump-1') as Readonly<Record<string, unknown>>;
  const signed = readEnvelopeUnverified(Buffer.from(String(held['record'])), 16_000);
  assert.ok(signed.ok);
  const stranger = Buffer.from(signEnvelope(signed.value, [company.snapshot.snapshotKey])).toString();
  desk.server.devices.set('pump-1', { ...held, record: stranger });
  await refused(desk, call(...named), 'OTA_DEVICE_RECORD', 'device record', 1);
  desk.server.devices.set('pump-1', { ...held, recordNumber: 4 });
  await refused(desk, call(...named), 'CLI_SERVER_ANSWER', 'record 4', 1);
  assert.equal(desk.server.records.size, 0);
});

test('TEST-OTA-1245 REQ-OTA-SIGN-05, REQ-OTA-POL-10: a record signed anew with a provisioning key that is named, also one whose own key was taken away, under the root that named it: one number higher, nothing else changed', async (t) => {
  const desk = await sitDown(t, company);
  await registered(desk);
  const call = (...words: readonly string[]) => ['device', 'record', 'pump-1', '--reason', 'CR-9', ...words];
  await refused(desk, [...call('--key', 'nobody'), '--yes'], 'CLI_KEY_MISSING', 'nobody', 1);
  const anew = await desk.type(['pump-1', passphrase], ...call('--key', 'pump.provisioning-1'));
  assert.equal(anew.status, 0, anew.err);
  assert.match(anew.err, /Device record of pump-1:\n {2}number: 1 -> 2\nTo sign/);

  // The key of the record in force is in no root any more.
  const held = desk.server.devices.get('pump-1') as Readonly<Record<string, unknown>>;
  const signed = readEnvelopeUnverified(Buffer.from(String(held['record'])), 16_000);
  assert.ok(signed.ok);
  const gone = signerFrom(generateKeyPairSync('ed25519').privateKey);
  const orphan = Buffer.from(signEnvelope(signed.value, [gone])).toString();
  desk.server.devices.set('pump-1', { ...held, record: orphan });
  desk.server.records.clear();
  const key = ['--key', 'pump.provisioning-1'];
  await refused(desk, [...call(...key), '--yes'], 'OTA_DEVICE_RECORD', 'device record', 1);
  const first = readRole(await readFile(join(desk.home, 'products/pump/1.root.json')));
  assert.ok(first.ok && first.value.kind === 'root' && first.value.image !== undefined);
  const { roles, image, expires } = first.value;
  const older = draftRoot({
    ...image,
    repository: 'image',
    product: 'pump',
    version: 1,
    expires,
    roles,
    provisioning: { keys: [gone.publicKey], threshold: 1 },
  });
  await writeFile(join(desk.folder, 'old.root.json'), older.unsigned);
  const under = await desk.type(['pump-1', passphrase], ...call(...key, '--root', 'old.root.json'));
  assert.equal(under.status, 0, under.err);
  const root = await readFile(join(desk.home, 'products/pump/1.root.json'), 'utf8');
  const envelope = desk.server.records.get('pump-1') ?? '';
  const record = verifyDeviceRecord(envelope, root, { product: 'pump', device: 'pump-1' });
  assert.ok(record.ok && record.value.number === 2 && record.value.market === 'us');
});

test('TEST-OTA-1133 REQ-OTA-POL-06, REQ-OTA-LOG-01: device show and device list, of a device that defers a release past its deadline: what it waits for, and the alarm', async (t) => {
  const desk = await sitDown(t, company);
  const since = { by: 'window', reason: 'outside the update window', since: now };
  await registered(desk, { state: 'Staged', waiting: { ...since, overdue: false } });
  const waits = await desk.run('device', 'show', 'pump-1');
  assert.match(waits.out, /waits for +outside the update window\n/);
  assert.doesNotMatch(waits.out, /overdue/i);
  const held = desk.server.devices.get('pump-1') as { readonly reported: { readonly report: object } };
  const report = { ...held.reported.report, waiting: { ...since, overdue: true } };
  desk.server.devices.clear();
  desk.server.devices.set('pump-1', { ...held, reported: { report } });
  assert.match((await desk.run('device', 'show', 'pump-1')).out, /overdue +deferred past the deadline/);
  assert.match((await desk.run('device', 'list')).out, /Staged, OVERDUE/);
});
