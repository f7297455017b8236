/** The image repository as signers and servers see it, and the count of signatures of files not yet published. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkImageRepository,
  newRepositoryState,
  type RepositoryState,
  verifyRoleFile,
} from '../src/index.ts';
import { Company } from './support/repository.ts';
import { day, newSigner, product, sha256, start } from './support/signing.ts';

function run(company: Company, state: RepositoryState, now = company.now) {
  const steps = checkImageRepository({ product, state, now, source: 'network' });
  const requests: string[] = [];
  let kept = state;
  let next = steps.next();
  while (next.done !== true) {
    const step = next.value;
    if (step.kind === 'keep') {
      kept = step.state;
      next = steps.next(undefined);
    } else {
      requests.push(step.path);
      next = steps.next(company.imageFiles.get(step.path));
    }
  }
  return { result: next.value, kept, requests };
}

function pinned(company: Company): RepositoryState {
  const root = Buffer.from(company.imageFiles.get('1.root.json') ?? []).toString('utf8');
  const state = newRepositoryState({ repository: 'image', product }, root);
  assert.ok(state.ok);
  return state.value;
}

test('TEST-OTA-193 REQ-OTA-POL-10: a signer with a pinned root: sees verified functions, also an expired one with its reason, and one never published', () => {
  const company = new Company();
  company.approveByAll(12);
  company.function('quality').expires = start + day;
  company.publish();
  company.now = start + 2 * day;
  company.publishTimestamp();
  const { result, kept } = run(company, pinned(company));
  assert.ok(result.ok);
  const { value } = result;
  assert.deepEqual(kept, value.state);
  assert.equal(value.demo, true);
  assert.deepEqual(Object.keys(value.functions), ['engineering', 'quality', 'regulatory-us']);
  const manifest = company.manifest(12);
  const release = { version: 12, length: manifest.length, sha256: sha256(manifest) };
  assert.deepEqual(value.functions['quality']?.releases, [release]);
  assert.equal(value.functions['quality'].threshold, 1);
  assert.deepEqual(Object.keys(value.failures), ['quality']);
  assert.equal(value.failures['quality']?.code, 'OTA_EXPIRED');

  const again = run(company, kept);
  assert.ok(again.result.ok);
  assert.deepEqual(again.kept, kept);
  assert.deepEqual(again.requests.slice(0, 2), ['2.root.json', 'timestamp.json']);
});

test('TEST-OTA-194 REQ-OTA-POL-10, REQ-OTA-ROLL-02: a server that shows a signer an older function role: refused, what the signer verified stays', () => {
  const company = new Company();
  company.approveByAll(12);
  company.publish();
  const backup = new Map(company.imageFiles);
  company.approve('quality', 13);
  company.publish();
  const { kept } = run(company, pinned(company));
  company.imageFiles = backup;
  const older = run(company, kept);
  assert.ok(!older.result.ok);
  assert.equal(older.result.error.code, 'OTA_ROLLBACK_METADATA');
  assert.deepEqual(older.kept, kept);
  const other = checkImageRepository({
    product: 'ventilator',
    state: kept,
    now: start,
    source: 'network',
  }).next();
  assert.ok(other.done === true && !other.value.ok && other.value.error.code === 'OTA_WRONG_BINDING');
});

test('TEST-OTA-195 REQ-OTA-SIGN-04, REQ-OTA-SIGN-05: signatures of a role file: counted under its delegator only', () => {
  const company = new Company();
  company.rekey('quality', [newSigner(), newSigner('p256')]);
  company.publish();
  const file = (name: string) => company.imageFiles.get(name) ?? new Uint8Array();
  const quality = company.function('quality');
  const [first, second] = quality.signers.map(({ publicKey }) => publicKey.keyId).toSorted();
  assert.ok(first !== undefined && second !== undefined && quality.file);
  assert.deepEqual(verifyRoleFile(quality.file, file('1.targets.json')), {
    ok: true,
    value: { validKeyIds: [first, second], threshold: 2, enough: true },
  });
  quality.signers = quality.signers.slice(0, 1);
  delete quality.file;
  company.publish();
  const half = verifyRoleFile(quality.file ?? new Uint8Array(), file('1.targets.json'));
  assert.ok(half.ok && !half.value.enough && half.value.validKeyIds.length === 1);

  const root = verifyRoleFile(file('1.targets.json'), file('1.root.json'));
  assert.ok(root.ok && root.value.enough && root.value.threshold === 2);
  const old = company.image.root;
  company.image = { ...company.image, root: [newSigner()] };
  company.publishRoot(old);
  for (const delegator of ['1.root.json', '2.root.json']) {
    const counted = verifyRoleFile(file('2.root.json'), file(delegator));
    assert.ok(counted.ok && counted.value.enough, delegator);
  }
  const text = Buffer.from(quality.file ?? []).toString('utf8');
  const edited = verifyRoleFile(
    Buffer.from(text.replace('"version":2', '"version":3')),
    file('1.targets.json'),
  );
  assert.ok(edited.ok && edited.value.validKeyIds.length === 0);
  const wrong = verifyRoleFile(file('1.engineering.json'), file('1.root.json'));
  assert.ok(!wrong.ok && wrong.error.code === 'OTA_WRONG_BINDING');
  const director = company.directorFiles.get('1.root.json') ?? new Uint8Array();
  const foreign = verifyRoleFile(file('1.targets.json'), director);
  assert.ok(!foreign.ok && foreign.error.code === 'OTA_WRONG_BINDING');
  const nothing = verifyRoleFile(new Uint8Array(), file('1.root.json'));
  assert.ok(!nothing.ok && nothing.error.code === 'OTA_BAD_JSON');
});
