/**
 * The matrix of a hostile server: its database edited, all its online keys used - and the whole agent still refuses.
 *
 * One row for each rule that DESIGN gives to the device. Every row is played twice on whole devices with disks: with
 * the one thing wrong, and then with that thing put right (control), where the same device installs. So it is the one
 * thing, and nothing else, for which it was refused. What the server alone cannot do, since it needs an offline key,
 * is done by the people who hold it: misled, bribed or robbed, as far as the row says.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Plan, HostileCompany } from './support/hostile-company.ts';
import { day, newSigner } from './support/sim-company.ts';
import { SimDevice, slotPath, World } from './support/sim-device.ts';

interface Scene {
  readonly device: SimDevice;
  readonly world: World;
  readonly company: HostileCompany;
}

async function scene(plan: Plan = {}): Promise<Scene> {
  const company = new HostileCompany(plan);
  const world = new World(company);
  const device = await SimDevice.provisioned(world);
  company.release(2);
  return { device, world, company };
}

/** Sectors of the other group as bytes: nothing was written there. */
function otherGroup({ device }: Scene): string {
  return ['app', 'rootfs']
    .map((component) => Buffer.from(device.disk.bytes(slotPath(component, 'B')) ?? []).toString('base64'))
    .join();
}

/** The device polls, and refuses with this code: told to the server, nothing fetched, nothing written, nothing armed. */
async function refuses(played: Scene, code: string, words = ''): Promise<void> {
  const { device, world } = played;
  const [before, asked] = [otherGroup(played), world.imageRequests.length];
  const end = await device.settle();
  assert.deepEqual(end.kind === 'refused' ? end.code : end, code, JSON.stringify(end));
  assert.ok(end.kind === 'refused' && end.reason.includes(words), JSON.stringify(end));
  const record = await device.record();
  assert.deepEqual([record.confirmed.version, record.state, device.bootedGroup], [1, 'Idle', 'A']);
  assert.deepEqual(device.bootState().order, ['A']);
  assert.equal(otherGroup(played), before, 'no byte was written');
  assert.equal(world.imageRequests.length, asked, 'no byte was fetched');
  assert.ok(
    world.uploaded.some((entry) => entry.code === code),
    'the refusal is in the log that the server has',
  );
}

/** The control: the same device, with nothing wrong any more. */
async function installs({ device }: Scene): Promise<void> {
  const end = await device.settle();
  assert.equal((await device.record()).confirmed.version, 2, JSON.stringify(end));
}

test('TEST-OTA-1300 REQ-OTA-POL-01, REQ-OTA-SIGN-03: a hostile server, one function has not approved - left out, or written into its file in the database: refused; once it signs: installed', async () => {
  for (const missing of ['engineering', 'quality']) {
    const played = await scene();
    const { company } = played;
    company.peopleApprove(2, [missing]);
    company.serve(2);
    await refuses(played, 'OTA_NOT_APPROVED', `function ${missing} does not approve release 2`);
    const honest = company.database.get(missing);
    const edited = company.peopleSign(missing, [2], { signers: [newSigner()] });
    company.serve(2);
    await refuses(played, 'OTA_BAD_SIGNATURE', missing);
    // The signatures that people made, over the list that the attacker wants.
    const { signatures } = JSON.parse(Buffer.from(honest ?? []).toString()) as { signatures: unknown };
    const { signed } = JSON.parse(Buffer.from(edited).toString()) as { signed: unknown };
    company.database.set(missing, Buffer.from(JSON.stringify({ signatures, signed })));
    company.serve(2);
    const end = await played.device.settle();
    assert.equal(end.kind === 'refused' && end.code, 'OTA_BAD_SIGNATURE');
    company.peopleSign(missing, [2]);
    company.serve(2);
    await installs(played);
  }
});

test("TEST-OTA-1301 REQ-OTA-POL-01, REQ-OTA-MAN-03: a hostile server, a release that is not approved for the device's market - also under a device record of another market, forged: refused; in the market that approved it, and once this one does: installed", async () => {
  const cleared = async (market: string) => {
    const played = await scene({ record: { market } });
    played.company.peopleApprove(2, ['regulatory-us']);
    played.company.serve(2);
    return played;
  };
  const played = await cleared('us');
  await refuses(played, 'OTA_NOT_APPROVED', 'function regulatory-us does not approve');
  played.world.deviceRecord = played.company.forgedRecord(2, { market: 'eu' });
  played.company.serve(2);
  await refuses(played, 'OTA_NOT_APPROVED', 'function regulatory-us does not approve');
  await installs(await cleared('eu'));
  played.company.peopleSign('regulatory-us', [2]);
  played.company.serve(2);
  await installs(played);
});

test('TEST-OTA-1302 REQ-OTA-SIGN-04, REQ-OTA-POL-01: a hostile server, one signature of two - alone, under both names, or beside one of a stranger: refused; with both: installed', async () => {
  const played = await scene();
  const { company } = played;
  const { signers } = company.function('engineering');
  const [first] = signers;
  assert.ok(first);
  company.peopleApprove(2);
  const one = company.peopleSign('engineering', [2], { signers: [first] });
  company.serve(2);
  await refuses(played, 'OTA_BAD_SIGNATURE', 'engineering');
  const { signatures, signed } = JSON.parse(Buffer.from(one).toString()) as {
    signatures: { keyid: string; sig: string }[];
    signed: unknown;
  };
  const served = async (all: unknown) => {
    company.database.set('engineering', Buffer.from(JSON.stringify({ signatures: all, signed })));
    company.serve(2);
    const end = await played.device.settle();
    assert.ok(end.kind === 'refused', JSON.stringify(end));
    return end.code;
  };
  const again = signatures.map(({ sig }) => ({ keyid: signers[1]?.publicKey.keyId, sig }));
  assert.equal(await served([...signatures, ...again]), 'OTA_BAD_SIGNATURE');
  company.peopleSign('engineering', [2], { signers: [first, newSigner()] });
  company.serve(2);
  await refuses(played, 'OTA_BAD_SIGNATURE', 'engineering');
  company.peopleSign('engineering', [2]);
  company.serve(2);
  await installs(played);
});

test('TEST-OTA-1303 REQ-OTA-POL-02: a hostile server whose policy signers were misled: one key, or one holder, under two functions: refused; with keys and holders apart: installed', async () => {
  const key = await scene();
  const [shared] = key.company.function('quality').signers;
  const own = key.company.function('regulatory-us').signers;
  assert.ok(shared);
  key.company.function('regulatory-us').signers = [shared];
  const holders = key.company.holders().filter(({ function: name }) => name !== 'regulatory-us');
  key.company.peopleSignTargets({ policy: { holders } });
  key.company.peopleApprove(2);
  key.company.serve(2);
  await refuses(key, 'OTA_KEY_SHARED', 'stands in quality and in function regulatory-us');
  key.company.function('regulatory-us').signers = own;

  const holder = await scene();
  const named = holder.company
    .holders()
    .map((entry) => (entry.function === 'regulatory-us' ? { ...entry, holder: 'quality-0' } : entry));
  holder.company.peopleSignTargets({ policy: { holders: named } });
  holder.company.peopleApprove(2);
  holder.company.serve(2);
  await refuses(holder, 'OTA_KEY_SHARED', 'holder quality-0 stands in functions quality and regulatory-us');

  for (const played of [key, holder]) {
    played.company.peopleSignTargets();
    played.company.peopleApprove(2);
    played.company.serve(2);
    await installs(played);
  }
});

test('TEST-OTA-1304 REQ-OTA-SIGN-01, REQ-OTA-POL-01: a hostile server, approvals bound to other bytes - another manifest assigned, one function shown another one, bytes exchanged under their name, another image: refused; the approved bytes: installed', async () => {
  const shown = await scene();
  const forged = shown.company.forgedManifest(2, { name: 'Release X' });
  shown.company.peopleApprove(2, ['quality']);
  shown.company.peopleSign('quality', [2], { texts: { 2: forged } });
  shown.company.serve(2);
  await refuses(shown, 'OTA_AGREEMENT', 'function quality approves release 2 with another content');
  shown.company.peopleSign('quality', [2]);
  shown.company.serve(2);
  await installs(shown);

  const played = await scene();
  const { company, world, device } = played;
  const other = company.forgedManifest(2, { name: 'Release X' });
  company.peopleApprove(2);
  company.serve(2, other);
  await refuses(played, 'OTA_AGREEMENT', 'with another content than the director names');
  const honest = company.manifests.get(2) ?? '';
  company.serve(2);
  const named = [...company.files].filter(([, text]) => text === honest).map(([path]) => path);
  for (const path of named) company.files.set(path, other);
  await refuses(played, 'OTA_HASH_MISMATCH');
  for (const path of named) company.files.set(path, honest);
  company.serve(2);
  world.corrupt = true;
  world.settings = { attemptsPerReleaseMax: 9 };
  await device.settle();
  assert.equal((await device.record()).confirmed.version, 1);
  assert.ok((await device.log()).some(({ code }) => code === 'OTA_FAIL_HASH'));
  assert.deepEqual(device.bootState().order, ['A']);
  world.corrupt = false;
  company.serve(2);
  await installs(played);
});

test('TEST-OTA-1305 REQ-OTA-POL-09: a hostile server whose policy signers were misled: a policy or a delegation below the minimum of the root: refused; the minimum met: installed', async () => {
  const lower = await scene();
  const without = { classes: { C: { engineering: 1, 'regulatory-us': 1 } } };
  lower.company.peopleSignTargets({ policy: without });
  lower.company.peopleApprove(2, ['quality']);
  lower.company.serve(2);
  await refuses(lower, 'OTA_NOT_APPROVED', 'function quality does not approve');
  lower.company.peopleApprove(2);

  const threshold = await scene();
  const { company } = threshold;
  const engineering = company.function('engineering');
  const full = engineering.signers;
  engineering.signers = full.slice(0, 1);
  engineering.threshold = 1;
  company.peopleSignTargets({ policy: { classes: { C: { engineering: 1, quality: 1 } } } });
  company.peopleApprove(2);
  company.serve(2);
  await refuses(threshold, 'OTA_BELOW_MINIMUM', 'must be signed by 2 keys, but targets asks 1');
  engineering.signers = full;
  engineering.threshold = 2;

  const gone = await scene();
  const names = [...gone.company.functions.keys()].filter((name) => name !== 'quality');
  const holders = gone.company.holders().filter(({ function: name }) => name !== 'quality');
  gone.company.peopleApprove(2);
  gone.company.peopleSignTargets({ policy: { ...without, holders }, functions: names });
  gone.company.serve(2);
  await refuses(gone, 'OTA_DEMAND_UNKNOWN', 'function quality is demanded, but targets does not delegate');

  for (const played of [lower, threshold, gone]) {
    played.company.peopleSignTargets();
    played.company.peopleApprove(2);
    played.company.serve(2);
    await installs(played);
  }
});

test('TEST-OTA-1306 REQ-OTA-ROLL-03: a hostile server that signs everything fresh around an expired function role: refused; once the function renews: installed', async () => {
  const played = await scene();
  const { company, world } = played;
  company.peopleApprove(2);
  company.peopleSign('quality', [2], { expires: company.now + 10 * day });
  company.now += 10 * day;
  world.now = company.now + 5;
  company.serve(2);
  await refuses(played, 'OTA_EXPIRED', 'function quality is expired');
  company.peopleSign('quality', [2]);
  company.serve(2);
  await installs(played);
});

test('TEST-OTA-1307 REQ-OTA-ROLL-02: a hostile server that goes back to an older version of a role, under fresh snapshots: refused, also after a restart; the newest one: installed', async () => {
  const played = await scene();
  const { company, world } = played;
  company.peopleApprove(2);
  const older = company.peopleSign('quality', [2]);
  const newest = company.peopleSign('quality', [2]);
  company.serve(undefined);
  assert.equal((await played.device.settle()).kind, 'idle');
  company.database.set('quality', older);
  company.serve(2);
  await refuses(played, 'OTA_ROLLBACK_METADATA', 'quality');
  const end = await played.device.settle();
  assert.equal(end.kind === 'refused' && end.code, 'OTA_ROLLBACK_METADATA', 'after a restart');
  company.database.set('quality', newest);
  company.serve(2);
  await installs(played);
  assert.ok(world.checkIns > 0);
});

test('TEST-OTA-1308 REQ-OTA-POL-01, REQ-OTA-POL-09, REQ-OTA-LOG-01: a hostile server, an emergency release on a device that does not allow it - also under a forged record that does - or below the minimum of the root: refused; where it is allowed: installed, and marked in log and report', async () => {
  const policy = { emergency: { engineering: 2, quality: 1 } };
  const marked = async (plan: Plan) => {
    const played = await scene({ policy, ...plan });
    played.company.release(2, { emergency: true });
    played.company.peopleApprove(2, ['regulatory-us']);
    played.company.serve(2);
    return played;
  };
  const plain = await marked({});
  await refuses(plain, 'OTA_NOT_APPROVED', 'function regulatory-us does not approve');
  plain.world.deviceRecord = plain.company.forgedRecord(2, { emergencyAllowed: true });
  plain.company.serve(2);
  await refuses(plain, 'OTA_NOT_APPROVED', 'function regulatory-us does not approve');

  const minimum = { classes: { C: { engineering: 2, quality: 1 } }, markets: { us: { 'regulatory-us': 1 } } };
  const below = await marked({ minimum, record: { emergencyAllowed: true } });
  await refuses(below, 'OTA_NOT_APPROVED', 'function regulatory-us does not approve');

  const alone = await marked({ policy: {}, record: { emergencyAllowed: true } });
  alone.company.peopleSignTargets({ policy: { emergency: { quality: 1 } } });
  alone.company.serve(2);
  await refuses(alone, 'OTA_POLICY', 'emergency must name at least 2 functions');

  const allowed = await marked({ record: { emergencyAllowed: true } });
  allowed.world.interlock = (what) => what === 'fetch';
  await allowed.device.settle();
  const reported = allowed.world.reports.at(-1) ?? '';
  assert.match(reported, /"attempt":\{[^}]*"emergency":true/);
  assert.match(reported, /"waiting":\{[^}]*"emergency":true/);
  allowed.world.interlock = () => true;
  await installs(allowed);
  const told = (await allowed.device.log()).filter(({ code }) => code === 'OTA_EMERGENCY');
  assert.equal(told.length, 1);
  assert.match(
    told[0]?.reason ?? '',
    /release 2 is marked EMERGENCY; the emergency set stood in .* approved by engineering, quality/,
  );

  plain.world.deviceRecord = undefined;
  plain.company.peopleSign('regulatory-us', [2]);
  plain.company.serve(2);
  await installs(plain);
  assert.match(
    plain.world.uploaded.find(({ code }) => code === 'OTA_EMERGENCY')?.reason ?? '',
    /does not count here, class and market were asked; approved by engineering, quality, regulatory-us/,
  );
});

test('TEST-OTA-1309 REQ-OTA-POL-05: a withdrawn release on a device that saw the withdrawal - idle, and staged - with a server that hides it again, or a function that approves again: OTA_WITHDRAWN, for good; a higher version: installed', async () => {
  for (const staged of [false, true]) {
    const played = await scene();
    const { company, world, device } = played;
    company.peopleApprove(2);
    const older = company.database.get('quality') ?? new Uint8Array();
    if (staged) {
      world.interlock = (what) => what === 'fetch';
      company.serve(2);
      await device.settle();
      assert.equal((await device.record()).state, 'Staged');
    } else {
      company.serve(undefined);
      await device.settle();
    }
    company.peopleSign('quality', []);
    company.serve(2);
    world.interlock = () => true;
    if (staged) {
      await device.settle();
      assert.deepEqual(
        (await device.results()).map(({ code, toVersion }) => [code, toVersion]),
        [['OTA_WITHDRAWN', 2]],
      );
      assert.deepEqual([(await device.record()).state, device.bootState().order], ['Idle', ['A']]);
    } else await refuses(played, 'OTA_WITHDRAWN', 'release 2 was withdrawn');
    company.database.set('quality', older);
    company.serve(2);
    await refuses(played, 'OTA_ROLLBACK_METADATA');
    company.peopleSign('quality', [2]);
    company.serve(2);
    const end = await device.settle();
    assert.equal(end.kind === 'refused' && end.code, 'OTA_WITHDRAWN', 'approved again is in vain');
    company.release(3);
    for (const name of company.functions.keys()) company.peopleSign(name, [2, 3]);
    company.serve(3);
    await device.settle();
    assert.equal((await device.record()).confirmed.version, 3);
  }
});

test('TEST-OTA-1310 REQ-OTA-POL-05, REQ-OTA-ROLL-03: a withdrawn release on a device that is kept from seeing it: installed while the role that lists it lives - and not a second longer, staged or not; OTA_WITHDRAWN once it is seen', async () => {
  const life = 10 * day;
  const hidden = async (later: number) => {
    const played = await scene();
    const { company, world } = played;
    company.peopleApprove(2);
    const listing = company.peopleSign('quality', [2], { expires: company.now + life });
    const withdrawal = company.peopleSign('quality', []);
    company.database.set('quality', listing);
    company.now += later;
    world.now = company.now;
    company.serve(2);
    return { played, withdrawal };
  };
  // What the threat model concedes: nothing tells this device from one in a world without the withdrawal.
  await installs((await hidden(life - 1)).played);
  await refuses((await hidden(life)).played, 'OTA_EXPIRED', 'function quality is expired');

  const { played, withdrawal } = await hidden(life - day);
  const { company, world, device } = played;
  world.interlock = (what) => what === 'fetch';
  await device.settle();
  assert.equal((await device.record()).state, 'Staged');
  world.interlock = () => true;
  company.now += day;
  world.now = company.now;
  company.serve(2);
  const end = await device.settle();
  assert.ok(end.kind === 'waiting' && end.reason.includes('OTA_EXPIRED'), JSON.stringify(end));
  assert.deepEqual([(await device.record()).state, device.bootState().order], ['Staged', ['A']]);
  company.database.set('quality', withdrawal);
  company.serve(2);
  await device.settle();
  assert.deepEqual(
    (await device.results()).map(({ code }) => code),
    ['OTA_WITHDRAWN'],
  );
  assert.equal((await device.record()).confirmed.version, 1);
});
