/** Signed moments ahead of time: how far one stolen key gets, and that new keys end it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { timeForClock } from '../src/index.ts';
import type { TestDevice } from './support/device.ts';
import type { Company } from './support/repository.ts';
import { day, newSigner, start } from './support/signing.ts';
import { backupOf, installs, online, type OnlineRole, takeOver, victim } from './support/theft.ts';

/** Far ahead, and still before the roots expire. */
const ahead = start + 365 * day - 5;

/** The thief signs timestamps, and snapshots if it can, `at` a moment of its own; the device takes what it believes. */
function attacked(stolen: readonly OnlineRole[], at: number): { company: Company; device: TestDevice } {
  const { company, device } = victim();
  const restore = backupOf(company);
  const honest = { image: company.image, director: company.director };
  takeOver(company, stolen);
  company.now = at;
  if (stolen.includes('image/timestamp')) {
    if (stolen.includes('image/snapshot')) company.publish();
    else company.publishTimestamp();
  }
  if (stolen.includes('director/timestamp')) {
    if (stolen.includes('director/targets')) company.assign('pump-1', 12);
    else company.publishDirectorTimestamp('pump-1');
  }
  assert.equal(device.check({ now: start }).code, 'OTA_EXPIRED');
  restore();
  company.image = honest.image;
  company.director = honest.director;
  company.now = start + day / 2;
  return { company, device };
}

/** New online keys by new roots, whose offline keys were never stolen; numbers begin again. */
function rotateOnline(company: Company): void {
  const { image, director } = company;
  company.image = { ...image, snapshot: [newSigner()], timestamp: [newSigner()] };
  company.publishRoot(image.root);
  company.director = {
    ...director,
    targets: [newSigner()],
    snapshot: [newSigner()],
    timestamp: [newSigner()],
  };
  company.publishDirectorRoot(director.root);
  company.imageVersion = { ...company.imageVersion, snapshot: 20, timestamp: 20 };
  company.directorVersion = { ...company.directorVersion, targets: 20, snapshot: 20, timestamp: 20 };
  company.publish();
  company.assign('pump-1', 12);
}

test('TEST-OTA-1000 REQ-OTA-ROLL-06, REQ-OTA-SIGN-05: a stolen timestamp key, signing a moment as far ahead as the root lives: no bound moves beyond the life of a snapshot, and the clock not at all', () => {
  for (const [stolen, life] of [
    ['director/timestamp', 30],
    ['image/timestamp', 7],
  ] as const) {
    const far = attacked([stolen], ahead);
    assert.equal(far.device.state.timeLowerBound, start);
    far.company.publishTimestamp();
    far.company.publishDirectorTimestamp('pump-1');
    assert.equal(installs(far.device.check()), 12, 'nothing is left of it, even without new keys');

    const near = attacked([stolen], start + life * day - 1);
    assert.equal(near.device.state.timeLowerBound, start + life * day - 1);
    assert.equal(timeForClock(near.device.state), start);
    rotateOnline(near.company);
    assert.equal(installs(near.device.check()), 12, 'in the first check after the new roots');
    assert.equal(near.device.state.timeLowerBound, start + day / 2);
  }
});

test('TEST-OTA-1001 REQ-OTA-ROLL-06, REQ-OTA-SIGN-05: every online key stolen, signing a moment nearly a year ahead: new online keys end it in one check, the bound is the true one again, and a withdrawal is seen again', () => {
  const { company, device } = attacked(online, ahead);
  assert.equal(device.state.timeLowerBound, ahead);
  assert.equal(timeForClock(device.state), ahead);
  assert.equal(device.check({ now: start, offline: true }).code, 'OTA_EXPIRED');
  rotateOnline(company);
  assert.equal(device.check({ keepsMax: 1 }).code, 'power lost');
  assert.equal(installs(device.check()), 12);
  assert.equal(device.state.timeLowerBound, company.now);
  assert.equal(timeForClock(device.state), company.now);
  company.withdraw('quality', 12);
  company.publish();
  assert.equal(device.check().code, 'OTA_WITHDRAWN');
});

test('TEST-OTA-1002 REQ-OTA-ROLL-06: new keys of one repository only: the moment that the other signed still counts, and never one before the build time', () => {
  const { company, device } = attacked(online, ahead);
  const { image } = company;
  company.image = { ...image, timestamp: [newSigner()] };
  company.publishRoot(image.root);
  company.imageVersion = { ...company.imageVersion, snapshot: 20, timestamp: 20 };
  company.publish();
  assert.equal(device.check().code, 'OTA_EXPIRED');
  assert.equal(device.state.timeLowerBound, ahead, 'the director signed it');
  assert.equal(
    timeForClock(device.state),
    start - 10 * day,
    'the image repository has signed nothing new yet',
  );
  rotateOnline(company);
  assert.equal(
    device.check({ now: 0, answers: { 'image/timestamp.json': undefined } }).code,
    'OTA_MISSING_FILE',
  );
  assert.equal(device.check({ now: 0 }).code, 'approved');
  assert.equal(device.state.timeLowerBound, company.now);
});

test('TEST-OTA-1003 REQ-OTA-ROLL-06: an honest server whose clock was 300 days ahead for one check-in: new online keys bring the device back', () => {
  const { company, device } = victim();
  company.now = start + 300 * day;
  company.publish();
  company.assign('pump-1', 12);
  assert.equal(device.check({ now: start }).code, 'OTA_EXPIRED');
  assert.equal(device.state.timeLowerBound, start + 300 * day);
  company.now = start + day / 2;
  company.publish();
  company.assign('pump-1', 12);
  assert.equal(device.check().code, 'OTA_EXPIRED', 'a moment once signed counts as long as its key');
  rotateOnline(company);
  assert.equal(installs(device.check()), 12);
});
