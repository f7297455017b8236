/** The rules of the check that no single attack shows: roots, thresholds, separation, demand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Manifest, type Policy, trustLimits } from '../src/index.ts';
import { approvedRelease, newDevice } from './support/device.ts';
import { Company } from './support/repository.ts';
import { day, newSigner, start } from './support/signing.ts';

const year = 365 * day;

test('TEST-OTA-169 REQ-OTA-ROLL-06: the clock of tuf-js, set after construction: 1970 accepts, 2040 refuses', () => {
  const { device } = approvedRelease();
  assert.equal(device.check({ now: 0 }).code, 'approved');
  const late = device.check({ now: 2_208_988_800 });
  assert.equal(late.code, 'OTA_EXPIRED');
  assert.equal(device.check({ now: start + day - 1 }).code, 'approved');
  assert.equal(device.check({ now: start + day }).code, 'OTA_EXPIRED');
});

test('TEST-OTA-170 REQ-OTA-NET-06, REQ-OTA-SIGN-05: a device several roots behind, its own long expired: fetches each root and keeps each alone', () => {
  const { company, device } = approvedRelease();
  for (let behind = 0; behind < 5; behind += 1) {
    const old = company.image.root;
    company.now += year;
    company.image = { ...company.image, root: [newSigner()] };
    company.publishRoot(old);
  }
  company.touchTargets();
  for (const name of company.functions.keys()) company.function(name).expires = company.now + 180 * day;
  company.approveByAll(13);
  company.publish();
  company.publishDirectorRoot(company.director.root);
  company.assign('pump-1', 13);
  const cut = device.check({ keepsMax: 3 });
  assert.equal(cut.code, 'power lost');
  assert.equal(device.kept()['root'], 4);
  const { code, requests, keeps } = device.check();
  assert.equal(code, 'approved');
  assert.deepEqual(requests.slice(0, 3), ['image/5.root.json', 'image/6.root.json', 'image/7.root.json']);
  assert.equal(keeps, 2 + 1 + 3);
  assert.equal(device.state.timeLowerBound, company.now);
});

test('TEST-OTA-171 REQ-OTA-ROLL-03: the final root expired: nothing is installed, and what was verified is kept', () => {
  const { company, device } = approvedRelease();
  company.publishRoot(company.image.root, { expires: start + day / 2 });
  company.now = start + day / 2;
  const { code, verdict, requests } = device.check();
  assert.equal(code, 'OTA_EXPIRED');
  assert.ok(verdict?.kind === 'refused' && verdict.error.field === 'root');
  assert.equal(verdict.version, 12);
  assert.ok(!requests.includes('image/1.snapshot.json'));
  assert.deepEqual(device.kept(), { root: 2 });
  assert.deepEqual(device.kept('director'), { root: 1, timestamp: 1, snapshot: 1, targets: 1 });
});

test('TEST-OTA-172 REQ-OTA-SIGN-05: a root, signed only by its own new keys or skipping a number: refused, the held one stays', () => {
  const { company, device } = approvedRelease();
  company.image = { ...company.image, root: [newSigner()] };
  company.publishRoot([]);
  assert.equal(device.check().code, 'OTA_BAD_SIGNATURE');
  const skipped = company.imageFiles.get('1.root.json');
  assert.equal(device.check({ answers: { 'image/2.root.json': skipped } }).code, 'OTA_ROLLBACK_METADATA');
  assert.deepEqual(device.kept(), { root: 1 });
});

test('TEST-OTA-173 REQ-OTA-NET-04: more newer roots than one check may fetch: stops there, keeps them, and goes on at the next check', () => {
  const { company, device } = approvedRelease();
  for (let count = 0; count < trustLimits.rootRotationsMax + 1; count += 1)
    company.publishRoot(company.image.root);
  assert.equal(device.check().code, 'OTA_TOO_LARGE');
  assert.equal(device.kept()['root'], trustLimits.rootRotationsMax + 1);
  assert.equal(device.check().code, 'approved');
});

test('TEST-OTA-174 REQ-OTA-SIGN-04: any set of keys below a threshold: installs nothing', () => {
  for (const role of ['root', 'targets', 'snapshot', 'timestamp'] as const) {
    const { company, device } = approvedRelease();
    const [first] = company.image[role];
    assert.ok(first);
    const full = [first, newSigner('p256')];
    company.image = { ...company.image, [role]: full };
    company.publishRoot([first]);
    company.image = { ...company.image, [role]: [first] };
    if (role === 'root') company.publishRoot([first]);
    company.touchTargets();
    company.publish();
    assert.equal(device.check().code, 'OTA_BAD_SIGNATURE', role);
    company.image = { ...company.image, [role]: full };
  }
  const { company, device } = approvedRelease();
  company.rekey('quality', [newSigner(), newSigner('p256')]);
  company.publish();
  const found = company.function('quality');
  found.signers = found.signers.slice(0, 1);
  delete found.file;
  company.publish();
  const { code, verdict } = device.check();
  assert.equal(code, 'OTA_BAD_SIGNATURE');
  assert.ok(verdict?.kind === 'refused' && verdict.error.field === 'quality');
});

test('TEST-OTA-175 REQ-OTA-POL-02, REQ-OTA-SIGN-04: one key or one holder in two places: refused', () => {
  const shared = newSigner();
  const cases: Readonly<Record<string, (company: Company) => void>> = {
    'two functions': (company) => {
      company.rekey('engineering', [shared]);
      company.rekey('quality', [shared]);
      const holder = (name: string, key: string) => ({ keyId: key, holder: name, name, function: name });
      const regulatory = company.function('regulatory-us').signers[0]?.publicKey.keyId ?? '';
      company.policyChanges = {
        holders: [holder('quality', shared.publicKey.keyId), holder('regulatory-us', regulatory)],
      };
    },
    'a function and an online role': (company) => {
      company.rekey('quality', [...company.image.timestamp]);
    },
    'a function and targets': (company) => company.rekey('quality', company.image.targets.slice(0, 1)),
    'a function and the director': (company) => company.rekey('quality', [...company.director.timestamp]),
    'one holder in two functions': (company) => {
      const holders = [...company.functions].flatMap(([name, { signers }]) =>
        signers.map(({ publicKey }) => ({
          keyId: publicKey.keyId,
          holder: 'ada',
          name: 'Ada',
          function: name,
        })),
      );
      company.policyChanges = { holders };
      company.touchTargets();
    },
    'one holder with two keys': (company) => {
      company.rekey('quality', [shared, newSigner()]);
      const holders = [...company.functions].flatMap(([name, { signers }]) =>
        signers.map(({ publicKey }) => ({ keyId: publicKey.keyId, holder: name, name, function: name })),
      );
      company.policyChanges = { holders };
    },
  };
  for (const [name, break_] of Object.entries(cases)) {
    const { company, device } = approvedRelease();
    break_(company);
    company.publish();
    assert.equal(device.check().code, 'OTA_KEY_SHARED', name);
  }
});

test('TEST-OTA-176 REQ-OTA-POL-02: a function key without a holder: refused', () => {
  const { company, device } = approvedRelease();
  company.policyChanges = { holders: [] };
  company.touchTargets();
  company.publish();
  assert.equal(device.check().code, 'OTA_POLICY');
});

test('TEST-OTA-177 REQ-OTA-SIGN-04: a root whose offline key is an online key too: refused before it is kept', () => {
  const { company, device } = approvedRelease();
  const [root] = company.image.root;
  assert.ok(root);
  company.image = { ...company.image, timestamp: [root] };
  company.publishRoot([root]);
  assert.equal(device.check().code, 'OTA_KEY_SHARED');
  assert.deepEqual(device.kept(), { root: 1 });
  const director = approvedRelease();
  director.company.director = { ...director.company.director, targets: director.company.director.root };
  director.company.publishDirectorRoot(director.company.director.root);
  assert.equal(director.device.check().code, 'OTA_KEY_SHARED');
});

test('TEST-OTA-178 REQ-OTA-POL-01, REQ-OTA-POL-09: class, market, functions and thresholds, one unknown or too low at a time: refused', () => {
  const rows: [string, (company: Company) => void, Record<string, unknown>?][] = [
    ['OTA_DEMAND_UNKNOWN', () => {}, { market: 'jp' }],
    [
      'OTA_DEMAND_UNKNOWN',
      (company) => {
        company.policyChanges = { classes: {} };
      },
    ],
    [
      'OTA_DEMAND_UNKNOWN',
      (company) => {
        company.policyChanges = { markets: { eu: {} } };
      },
    ],
    [
      'OTA_DEMAND_UNKNOWN',
      (company) => {
        company.policyChanges = { markets: { us: { cyber: 1 } } };
      },
    ],
    [
      'OTA_DEMAND_UNKNOWN',
      (company) => {
        company.release(12, { demand: { cyber: 1 } });
      },
    ],
    [
      'OTA_BELOW_MINIMUM',
      (company) => {
        company.release(12, { demand: { quality: 2 } });
      },
    ],
    [
      'OTA_WRONG_CLASS',
      (company) => {
        company.release(12, { safetyClass: 'B' });
      },
    ],
  ];
  for (const [expected, change, record] of rows) {
    const company = new Company();
    change(company);
    company.approveByAll(12);
    company.publish();
    company.assign('pump-1', 12);
    assert.equal(newDevice(company, 'pump-1', record).check().code, expected, change.toString());
  }
});

test('TEST-OTA-179 REQ-OTA-POL-01, REQ-OTA-POL-09: an emergency release: the emergency set stands in for class and market on a device that allows it, never for the root minimum', () => {
  const build = (
    minimum: Company['minimum'],
    approvers: readonly string[],
    changes: Partial<Manifest> = {},
    emergency: Policy['emergency'] = { engineering: 1, quality: 1 },
  ) => {
    const company = new Company();
    company.minimum = minimum;
    company.publishRoot(company.image.root);
    company.policyChanges = { emergency };
    company.release(12, { emergency: true, ...changes });
    for (const name of approvers) company.approve(name, 12);
    company.publish();
    company.assign('pump-1', 12);
    return company;
  };
  const lenient = { classes: { C: { engineering: 1, quality: 1 } }, markets: { us: {} } };
  const allowed = { emergencyAllowed: true };
  const company = build(lenient, ['engineering', 'quality']);
  const { verdict } = newDevice(company, 'pump-1', allowed).check();
  assert.ok(verdict?.kind === 'approved');
  assert.equal(verdict.emergency, true);
  assert.deepEqual(verdict.demand, { engineering: 1, quality: 1 });
  assert.equal(newDevice(company, 'pump-1').check().code, 'OTA_NOT_APPROVED');
  const strict = { ...lenient, markets: { us: { 'regulatory-us': 1 } } };
  assert.equal(
    newDevice(build(strict, ['engineering', 'quality']), 'pump-1', allowed).check().code,
    'OTA_NOT_APPROVED',
  );
  const ordinary = build(lenient, ['engineering', 'quality'], { emergency: false });
  assert.equal(newDevice(ordinary, 'pump-1', allowed).check().code, 'OTA_NOT_APPROVED');
  const alone = { classes: { C: {} }, markets: { us: {} } };
  const set = build(alone, ['quality'], {}, { quality: 1 });
  assert.equal(newDevice(set, 'pump-1', allowed).check().code, 'OTA_POLICY');
});
