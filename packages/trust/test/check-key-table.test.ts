/**
 * The key table of docs/threat-model.md, row by row: what stolen keys give, and that one key more gives the rest.
 *
 * Each attack is complete but for the keys that its row lacks; the same attack with them installs, so that what
 * refused it was the missing key. The thief also is the network: every answer is the thief's.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestDevice } from './support/device.ts';
import { newDevice } from './support/device.ts';
import type { Company } from './support/repository.ts';
import { day, newSigner, start } from './support/signing.ts';
import { backupOf, installs, online, type OnlineRole, takeOver, victim } from './support/theft.ts';

const nothingNew = (image: number, director: number) => [
  `image/${image}.root.json`,
  `director/${director}.root.json`,
  'image/timestamp.json',
  'director/timestamp.json',
];

/** Every function approves release 13 with its own, stolen keys. */
const approveAll = (company: Company) => company.approveByAll(13);

/** `targets` delegates every function to new keys of the thief's, who then approves release 13 with them. */
function delegateAll(company: Company): void {
  company.rekey('engineering', [newSigner()]);
  company.rekey('quality', [newSigner(), newSigner()]);
  company.rekey('regulatory-us', [newSigner()]);
  company.approveByAll(13);
}

interface Attacked {
  readonly company: Company;
  readonly device: TestDevice;
  readonly restore: () => void;
}

/** The whole attack: offline roles by `sign`, then everything online, by stolen keys or the thief's own. */
function attack(sign: (company: Company) => void, stolen: readonly OnlineRole[]): Attacked {
  const { company, device } = victim();
  const restore = backupOf(company);
  takeOver(company, stolen);
  sign(company);
  company.publish();
  company.assign('pump-1', 13);
  return { company, device, restore };
}

/** Without any online key: refused at both timestamps, nothing kept, nothing else asked for, and no harm remains. */
function refusedAtOnce({ device, restore }: Attacked): void {
  const before = device.state;
  const { code, requests, keeps } = device.check();
  assert.equal(code, 'OTA_BAD_SIGNATURE');
  assert.deepEqual(requests, nothingNew(3, 2));
  assert.equal(keeps, 0);
  assert.deepEqual(device.state, before);
  restore();
  assert.equal(installs(device.check()), 12);
}

/** Stolen role files put in the place of published ones: unasked by who holds those, refused by who does not. */
function refusedAsSwapped({ company, device, restore }: Attacked, role: string): void {
  const newer = company.imageFiles.get(`2.${role}.json`);
  assert.ok(newer);
  restore();
  const answers = { [`image/1.${role}.json`]: newer, [`image/2.${role}.json`]: newer };
  const held = device.check({ answers });
  assert.equal(installs(held), 12);
  assert.deepEqual(held.requests, nothingNew(3, 2));
  const fresh = newDevice(company, 'pump-1');
  const first = fresh.check({ answers });
  assert.equal(first.code, 'OTA_HASH_MISMATCH');
  assert.ok(!first.requests.includes(`image/2.${role}.json`));
  assert.equal(fresh.kept()[role], undefined);
  assert.equal(installs(fresh.check()), 12);
}

/** One online key short of success, each in turn: refused, and the release never kept. */
function refusedWithoutAnyOne(sign: (company: Company) => void): void {
  for (const missing of online) {
    const stolen = online.filter((role) => role !== missing);
    const { device } = attack(sign, stolen);
    const { code, requests } = device.check();
    assert.equal(code, 'OTA_BAD_SIGNATURE', missing);
    assert.ok(!requests.some((path) => path.endsWith('.13.json')), missing);
    assert.match(device.state.manifest ?? '', /"version":12\b/, missing);
  }
}

test('TEST-OTA-840 REQ-OTA-SIGN-04, REQ-OTA-SIGN-03: thresholds of every function stolen, no online key: approvals that nobody publishes install nothing, and do once the online keys are stolen too', () => {
  refusedAtOnce(attack(approveAll, []));
  const { company, device, restore } = attack(approveAll, []);
  const stolen = [...company.functions.values()].flatMap(({ signers }) => signers);
  // The stolen keys are good keys of this product, only not of this role.
  company.publishTimestamp({ signers: stolen });
  refusedAtOnce({ company, device, restore });
  for (const role of ['engineering', 'quality', 'regulatory-us']) {
    refusedAsSwapped(attack(approveAll, []), role);
  }
  assert.equal(installs(attack(approveAll, online).device.check()), 13);
});

test('TEST-OTA-841 REQ-OTA-SIGN-04, REQ-OTA-POL-01: thresholds of every function and all online keys stolen: installs, by design, and not with one online key, one function or one function key less', () => {
  const { verdict } = attack(approveAll, online).device.check();
  assert.ok(verdict?.kind === 'approved');
  assert.equal(verdict.manifest.version, 13);
  assert.deepEqual(verdict.demand, { engineering: 1, quality: 2, 'regulatory-us': 1 });
  refusedWithoutAnyOne(approveAll);
  for (const name of ['engineering', 'quality', 'regulatory-us']) {
    const others = (company: Company) => {
      for (const other of company.functions.keys()) if (other !== name) company.approve(other, 13);
    };
    const short = attack(others, online).device.check();
    assert.equal(short.code, 'OTA_NOT_APPROVED');
    assert.ok(short.verdict?.kind === 'refused' && short.verdict.error.field === name);
  }
  const { device } = attack((company) => {
    company.approveByAll(13);
    const quality = company.function('quality');
    quality.signers = quality.signers.slice(0, 1);
  }, online);
  const below = device.check();
  assert.equal(below.code, 'OTA_BAD_SIGNATURE');
  assert.ok(below.verdict?.kind === 'refused' && below.verdict.error.field === 'quality');
  assert.deepEqual([device.kept()['quality'], device.kept()['engineering']], [1, 2]);
});

test('TEST-OTA-842 REQ-OTA-SIGN-04, REQ-OTA-SIGN-03: targets keys stolen, threshold, no online key: a delegation to the keys of the thief is never read, and is once the online keys are stolen too', () => {
  refusedAtOnce(attack(delegateAll, []));
  const { company, device, restore } = attack(delegateAll, []);
  company.publishTimestamp({ signers: company.image.targets });
  refusedAtOnce({ company, device, restore });
  refusedAsSwapped(attack(delegateAll, []), 'targets');
  assert.equal(installs(attack(delegateAll, online).device.check()), 13);
});

test('TEST-OTA-843 REQ-OTA-SIGN-04, REQ-OTA-POL-09: targets keys, threshold, and all online keys stolen: installs, by design, but never below the minimum of the root, nor with one online or targets key less', () => {
  assert.equal(installs(attack(delegateAll, online).device.check()), 13);
  refusedWithoutAnyOne(delegateAll);
  const below = attack((company) => {
    company.image = { ...company.image, targets: company.image.targets.slice(0, 1) };
    delegateAll(company);
  }, online).device;
  assert.equal(below.check().code, 'OTA_BAD_SIGNATURE');
  assert.deepEqual([below.kept()['targets'], below.kept()['snapshot']], [1, 2]);

  const weak = { classes: { C: { engineering: 1, quality: 1 } }, markets: { us: {} } };
  const oneKey = attack((company) => {
    company.policyChanges = weak;
    delegateAll(company);
    company.rekey('quality', [newSigner()]);
  }, online).device.check();
  assert.equal(oneKey.code, 'OTA_BELOW_MINIMUM');
  const fewer = attack((company) => {
    company.policyChanges = weak;
    delegateAll(company);
    const file = company.imageFiles.get('1.regulatory-us.json');
    assert.ok(file);
    company.functions.delete('regulatory-us');
    company.touchTargets();
    // A name never leaves the snapshot, so the thief leaves something there.
    company.forged.set('regulatory-us', file);
  }, online).device.check();
  assert.equal(fewer.code, 'OTA_DEMAND_UNKNOWN');
  assert.ok(fewer.verdict?.kind === 'refused' && fewer.verdict.error.field === 'regulatory-us');
});

/** The thief signs a director root with `count` of its two keys; it names the thief's keys for every role. */
function directorTheft(count: number, image: readonly OnlineRole[] = []) {
  const { company, device } = victim();
  const restore = backupOf(company);
  const honest = company.director;
  takeOver(company, image);
  company.director = { ...company.director, root: [newSigner()] };
  company.life.root = 100 * 365 * day;
  company.publishDirectorRoot(honest.root.slice(0, count));
  return { company, device, restore, honest };
}

test('TEST-OTA-844 REQ-OTA-SIGN-04: one director root key of two stolen: the root is refused and nothing kept; with the second it is kept', () => {
  const { company, device, restore } = directorTheft(1);
  company.assign('pump-1', undefined);
  const before = device.state;
  const { code, requests, keeps } = device.check();
  assert.equal(code, 'OTA_BAD_SIGNATURE');
  assert.deepEqual(requests, nothingNew(3, 2).slice(0, 3));
  assert.equal(keeps, 0);
  assert.deepEqual(device.state, before);
  restore();
  assert.equal(installs(device.check()), 12);
  const both = directorTheft(2);
  both.company.assign('pump-1', undefined);
  assert.equal(both.device.check().code, 'none');
  assert.equal(both.device.kept('director')['root'], 2);
});

test('TEST-OTA-845 REQ-OTA-SIGN-04, REQ-OTA-SIGN-03: director root keys stolen, threshold: assigns what is approved, and for good, but nothing else until every function and the online image keys are stolen too', () => {
  const { company, device, restore, honest } = directorTheft(2);
  const image = device.state.image;
  company.assign('pump-1', 12);
  assert.equal(installs(device.check()), 12);
  const tries = [
    ['OTA_NOT_APPROVED', () => company.assign('pump-1', 13)],
    ['OTA_AGREEMENT', () => company.assign('pump-1', 12, { bytes: company.manifest(13) })],
    ['OTA_WRONG_PRODUCT', () => company.assign('pump-1', 12, { product: 'ventilator' })],
  ] as const;
  for (const [code, assign] of tries) {
    assign();
    const tried = device.check();
    assert.equal(tried.code, code);
    assert.ok(!tried.requests.some((path) => path.startsWith('image/targets/')), code);
  }
  // The director's root keys say nothing about the image repository.
  const signers = [...honest.root, ...company.director.root];
  company.image = { ...company.image, root: signers };
  company.publishRoot();
  assert.equal(device.check().code, 'OTA_BAD_SIGNATURE');
  assert.deepEqual(device.state.image, image);
  company.imageVersion.root -= 1;

  // Kept for good: neither the old online keys nor the old root keys speak any more, until a new root by hand.
  restore();
  company.director = honest;
  company.assign('pump-1', 12);
  assert.equal(device.check().code, 'OTA_BAD_SIGNATURE');
  company.publishDirectorRoot();
  assert.equal(device.check().code, 'OTA_BAD_SIGNATURE');
  assert.equal(device.kept('director')['root'], 2);
  company.directorFiles.delete('3.root.json');
  company.directorVersion.root = 1;
  assert.equal(installs(newDevice(company, 'pump-1').check()), 12);

  const more = directorTheft(2, ['image/snapshot', 'image/timestamp']);
  more.company.approveByAll(13);
  more.company.publish();
  more.company.assign('pump-1', 13);
  assert.equal(installs(more.device.check()), 13);
});

test('TEST-OTA-846 REQ-OTA-SIGN-04, REQ-OTA-ROLL-06: director root keys stolen, threshold, signing a moment fifty years ahead: nothing installs any more until the device is given a director root by hand', () => {
  const { company, device, restore } = directorTheft(2);
  const future = start + 50 * 365 * day;
  company.now = future;
  company.assign('pump-1', 12);
  assert.equal(device.check({ now: start }).code, 'OTA_EXPIRED');
  assert.equal(device.state.timeLowerBound, future);
  assert.equal(device.kept()['engineering'], 1);
  restore();
  company.now = start;
  company.directorVersion.root = 1;
  assert.equal(installs(newDevice(company, 'pump-1').check()), 12);
});

/** The thief signs an image root with `count` of its two keys: own keys everywhere, and the lowest minimum there is. */
function imageRootTheft(count: number, stolen: readonly OnlineRole[]): Attacked {
  return attack((company) => {
    const previous = company.image.root.slice(0, count);
    const lowest = { classes: { C: { engineering: 1, quality: 1 } }, markets: { us: {} } };
    company.image = {
      root: [newSigner()],
      targets: [newSigner()],
      snapshot: [newSigner()],
      timestamp: [newSigner()],
    };
    company.minimum = lowest;
    company.policyChanges = lowest;
    company.publishRoot(previous);
    delegateAll(company);
    company.rekey('quality', [newSigner()]);
    company.withdraw('regulatory-us', 13);
  }, stolen);
}

test('TEST-OTA-847 REQ-OTA-SIGN-04, REQ-OTA-SIGN-05: image root keys stolen, threshold: installs, by design, what the director names, below the old minimum; not with one root key less, nor against the director', () => {
  const director = online.filter((role) => role.startsWith('director/'));
  const { verdict } = imageRootTheft(2, director).device.check();
  assert.ok(verdict?.kind === 'approved');
  assert.equal(verdict.manifest.version, 13);
  assert.deepEqual(verdict.demand, { engineering: 1, quality: 1 });

  const below = imageRootTheft(1, director).device;
  const { image } = below.state;
  assert.equal(below.check().code, 'OTA_BAD_SIGNATURE');
  assert.deepEqual(below.state.image, image);

  const alone = imageRootTheft(2, []);
  assert.equal(alone.device.check().code, 'OTA_BAD_SIGNATURE');
  const { imageFiles } = alone.company;
  alone.restore();
  alone.company.imageFiles = imageFiles;
  assert.equal(installs(alone.device.check()), 12, 'the director still names 12');
  assert.equal(alone.device.kept()['root'], 3);
});
