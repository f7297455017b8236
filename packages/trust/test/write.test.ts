/**
 * Drafts and signatures: tuf-js itself verifies what is written, and nothing that a device would refuse is written.
 * Leaves publishing and online versions to the server's tests.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  addSignature,
  draftDirectorTargets,
  draftFunction,
  draftOf,
  draftRoot,
  draftSnapshot,
  draftTargets,
  draftTimestamp,
  readRole,
  sha256Hex,
  signDraft,
  trustLimits,
  verifySignature,
} from '@airlock/trust';
import { TrustedMetadataStore } from 'tuf-js/dist/store.js';
import {
  assignment,
  directorRoot,
  ed25519,
  expires,
  imageRoot,
  now,
  sampleFiles,
  signers,
  textOf,
  verdict,
} from './support/samples.ts';

const files = sampleFiles();
const product = 'infusion-pump';
const one = (signer: (typeof signers)['root1']) => ({ keys: [signer.publicKey], threshold: 1 });

function store(root: Uint8Array): TrustedMetadataStore {
  const created = new TrustedMetadataStore(Buffer.from(root));
  Reflect.set(created, 'referenceTime', new Date(now * 1000));
  return created;
}

test('TEST-OTA-129 REQ-OTA-SIGN-01: drafts, signed and published: tuf-js verifies the whole chain of both repositories', () => {
  const image = store(files.root);
  image.updateTimestamp(Buffer.from(files.timestamp));
  image.updateSnapshot(Buffer.from(files.snapshot));
  image.updateDelegatedTargets(Buffer.from(files.targets), 'targets', 'root');
  image.updateDelegatedTargets(Buffer.from(files.quality), 'quality', 'targets');
  const { director } = signers;
  const owner = { repository: 'director', device: 'PUMP-0001' } as const;
  const snapshot = signDraft(
    draftSnapshot({ ...owner, version: 8, expires, roles: { targets: files.directorTargets } }),
    [director],
  );
  const timestamp = signDraft(draftTimestamp({ ...owner, version: 9, expires, issued: now, snapshot }), [
    director,
  ]);
  const device = store(files.director);
  device.updateTimestamp(Buffer.from(timestamp));
  device.updateSnapshot(Buffer.from(snapshot));
  device.updateDelegatedTargets(Buffer.from(files.directorTargets), 'targets', 'root');
  assert.throws(() => store(files.root).updateTimestamp(Buffer.from(timestamp)), /signed by 0\/1/);
});

test('TEST-OTA-130 REQ-OTA-SIGN-04: signatures, added one after the other on two machines: the same file as all at once', () => {
  const draft = draftRoot(imageRoot);
  assert.deepEqual([draft.repository, draft.role, draft.version], ['image', 'root', 1]);
  const first = signDraft(draft, [signers.root1]);
  const again = draftOf(first);
  assert.ok(again.ok);
  assert.deepEqual(again.value, draft);
  const signature = signers.root2.sign(again.value.bytesToSign);
  const { keyId } = signers.root2.publicKey;
  assert.ok(verifySignature(signers.root2.publicKey, draft.bytesToSign, signature));
  const second = addSignature(first, { keyId, signature });
  assert.ok(second.ok);
  store(second.value);
  assert.throws(() => store(first), /signed by 1\/2/);
  // A key that signs again replaces its own signature, in the other order as well.
  const replaced = addSignature(second.value, { keyId, signature: signers.root2.sign(draft.bytesToSign) });
  assert.ok(replaced.ok);
  store(replaced.value);
  const view = readRole(replaced.value);
  assert.equal(view.ok && view.value.signatures.length, 2);
  const reversed = addSignature(signDraft(draft, [signers.root1]), { keyId, signature });
  assert.ok(reversed.ok);
  assert.equal(textOf(reversed.value), textOf(second.value));
  assert.equal(
    verdict(addSignature(first, { keyId: 'x', signature })),
    'OTA_BAD_METADATA signatures[1].keyid',
  );
  const empty = addSignature(first, { keyId, signature: new Uint8Array() });
  assert.match(verdict(empty), /^OTA_BAD_METADATA signatures\[\d\]\.sig$/);
  assert.equal(verdict(addSignature(new Uint8Array(3), { keyId, signature })), 'OTA_BAD_JSON role file');
  assert.equal(verdict(draftOf(new Uint8Array(3))), 'OTA_BAD_JSON role file');
  assert.throws(() => signDraft(draft, [signers.root1, signers.root1]), TypeError);
  const many = Array.from({ length: trustLimits.signaturesMax }, (_, i) => ed25519(i + 100));
  const full = signDraft(draft, many);
  assert.equal(verdict(addSignature(full, { keyId, signature })), 'OTA_BAD_METADATA signatures');
  assert.throws(() => signDraft(draft, [...many, signers.root1]), /32 signatures/);
});

test('TEST-OTA-131 REQ-OTA-SIGN-01: drafts, what a device would refuse: never written', () => {
  const targetsOf = (functions: Parameters<typeof draftTargets>[0]['functions']) => () =>
    draftTargets({ product, version: 1, expires, functions, policy: files.policy });
  const releases = [{ version: 1, length: 1, sha256: sha256Hex(files.policy) }];
  const quality = { product, function: 'quality', version: 1, expires };
  const refused: [string, () => unknown, RegExp][] = [
    ['version 0', () => draftRoot({ ...directorRoot, version: 0 }), /signed\.version/],
    ['no product', () => draftRoot({ ...directorRoot, repository: 'image' }), /x-airlock\.product/],
    [
      'a director with a minimum',
      () => draftRoot({ ...directorRoot, minimum: imageRoot.minimum }),
      /minimum/,
    ],
    [
      'threshold above keys',
      () =>
        draftRoot({
          ...directorRoot,
          roles: { ...directorRoot.roles, root: { ...one(signers.root1), threshold: 2 } },
        }),
      /threshold/,
    ],
    [
      'the same function twice',
      targetsOf([
        { name: 'a', ...one(signers.root1) },
        { name: 'a', ...one(signers.root1) },
      ]),
      /twice/,
    ],
    ['a function named as a role', targetsOf([{ name: 'root', ...one(signers.root1) }]), /top-level/],
    ['a path as a name', targetsOf([{ name: '../x', ...one(signers.root1) }]), /name/],
    ['a release twice', () => draftFunction({ ...quality, releases: [...releases, ...releases] }), /twice/],
    [
      'a release of version 0',
      () => draftFunction({ ...quality, releases: [{ ...releases[0], version: 0, length: 1, sha256: 'a' }] }),
      /quality\/0/,
    ],
    [
      'a hash of another form',
      () => draftFunction({ ...quality, releases: [{ version: 1, length: 1, sha256: 'A'.repeat(64) }] }),
      /SHA-256/,
    ],
    [
      'a snapshot without targets',
      () => draftSnapshot({ repository: 'image', product, version: 1, expires, roles: {} }),
      /targets\.json/,
    ],
    [
      'a snapshot over garbage',
      () =>
        draftSnapshot({
          repository: 'image',
          product,
          version: 1,
          expires,
          roles: { targets: new Uint8Array(2) },
        }),
      /targets/,
    ],
    [
      'issued after expiry',
      () =>
        draftTimestamp({
          repository: 'image',
          product,
          version: 1,
          expires,
          issued: expires + 1,
          snapshot: files.snapshot,
        }),
      /issued/,
    ],
    [
      'a device id with a slash',
      () => draftDirectorTargets({ device: 'a/b', version: 1, expires }),
      /device/,
    ],
    [
      'an assignment to version 0',
      () =>
        draftDirectorTargets({
          device: 'D',
          version: 1,
          expires,
          assignment: { product, version: 0, length: 1, sha256: 'a'.repeat(64), assignment },
        }),
      /infusion-pump\/0/,
    ],
    [
      'an expiry in milliseconds',
      () => draftDirectorTargets({ device: 'D', version: 1, expires: Date.UTC(2030, 1) }),
      /UTC seconds/,
    ],
  ];
  for (const [what, draft, message] of refused) assert.throws(draft, message, what);
});
