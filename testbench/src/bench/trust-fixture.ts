/**
 * A whole product for the bench of the trust check: three functions with so many releases each, one device.
 *
 * Written with trust's own writers and freshly made keys. Everything is in memory, by the path that the check asks
 * for. Not a test of anything: only something real to check.
 */
import { generateKeyPairSync } from 'node:crypto';
import {
  draftDirectorTargets,
  draftFunction,
  draftRoot,
  draftSnapshot,
  draftTargets,
  draftTimestamp,
  encodeManifest,
  encodePolicy,
  type Manifest,
  newTrustState,
  type PublicKey,
  sha256Hex,
  signDraft,
  signEnvelope,
  type Signer,
  signerFrom,
  type TrustState,
  type UtcSeconds,
} from '@airlock/trust';

const product = 'infusion-pump';
const device = 'bench-1';
const functions = ['engineering', 'quality', 'regulatory-us'] as const;
const yearSeconds = 365 * 24 * 3600;
const daySeconds = 24 * 3600;

export interface TrustFixture {
  readonly identity: { readonly product: string; readonly device: string };
  readonly state: TrustState;
  readonly now: UtcSeconds;
  /** File by `<repository>/<path>`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

interface Keys {
  readonly root: Signer;
  readonly targets: Signer;
  readonly online: Signer;
}

function newKeys(): Keys {
  return { root: newSigner(), targets: newSigner(), online: newSigner() };
}

function newSigner(): Signer {
  return signerFrom(generateKeyPairSync('ed25519').privateKey);
}

function one(key: PublicKey): { keys: PublicKey[]; threshold: number } {
  return { keys: [key], threshold: 1 };
}

function rolesOf(keys: Keys) {
  return {
    root: one(keys.root.publicKey),
    targets: one(keys.targets.publicKey),
    snapshot: one(keys.online.publicKey),
    timestamp: one(keys.online.publicKey),
  };
}

/** Builds it all for `releases` releases in each function; the newest is the one assigned. */
export function makeTrustFixture(releases: number, now: UtcSeconds): TrustFixture {
  const image = newKeys();
  const director = newKeys();
  const provisioning = newSigner();
  const thresholds = Object.fromEntries(functions.map((name) => [name, 1]));
  const term = { version: 1, expires: now + yearSeconds };
  const imageRoot = signDraft(
    draftRoot({
      ...term,
      repository: 'image',
      product,
      roles: rolesOf(image),
      minimum: { classes: { C: thresholds }, markets: { us: {} } },
      provisioning: one(provisioning.publicKey),
      demo: true,
    }),
    [image.root],
  );
  const directorRoot = signDraft(draftRoot({ ...term, repository: 'director', roles: rolesOf(director) }), [
    director.root,
  ]);
  const manifests = Array.from({ length: releases }, (_, index) => encodeManifest(manifest(index + 2)));
  const files = new Map<string, Uint8Array>();
  addImageRepository({ files, image, manifests, now, thresholds });
  addDirector(files, director, manifests, now);
  const record = {
    schema: 'airlock-device-record/1',
    number: 1,
    device,
    udi: '(01)00844588003288(21)1',
    product,
    safetyClass: 'C',
    market: 'us',
    hardware: ['hw:rev2'],
    emergencyAllowed: false,
  };
  const state = newTrustState({
    identity: { product, device },
    imageRoot: textOf(imageRoot),
    directorRoot: textOf(directorRoot),
    deviceRecord: textOf(signEnvelope(record, [provisioning])),
    builtAt: now - daySeconds,
  });
  if (!state.ok) throw new Error(state.error.message);
  return { identity: { product, device }, state: state.value, now, files };
}

function addImageRepository(options: {
  readonly files: Map<string, Uint8Array>;
  readonly image: Keys;
  readonly manifests: readonly Uint8Array[];
  readonly now: UtcSeconds;
  readonly thresholds: Record<string, number>;
}): void {
  const { files, image, manifests, now, thresholds } = options;
  const term = { version: 1, expires: now + daySeconds * 90 };
  const signers = functions.map((name) => ({ name, signer: newSigner() }));
  const policy = encodePolicy({
    schema: 'airlock-policy/1',
    product,
    classes: { C: thresholds },
    markets: { us: {} },
    holders: signers.map(({ name, signer }) => ({
      keyId: signer.publicKey.keyId,
      holder: `${name}-1`,
      name: `Holder of ${name}`,
      function: name,
    })),
    secureBootRevoked: [],
  });
  const roles: Record<string, Uint8Array> = {
    targets: signDraft(
      draftTargets({
        ...term,
        product,
        functions: signers.map(({ name, signer }) => ({ name, ...one(signer.publicKey) })),
        policy,
      }),
      [image.targets],
    ),
  };
  files.set(`image/targets/${sha256Hex(policy)}.policy.json`, policy);
  for (const { name, signer } of signers) {
    const listed = manifests.map((bytes, index) => ({
      version: index + 2,
      length: bytes.length,
      sha256: sha256Hex(bytes),
    }));
    roles[name] = signDraft(draftFunction({ ...term, product, function: name, releases: listed }), [signer]);
    manifests.forEach((bytes, index) =>
      files.set(`image/targets/${name}/${sha256Hex(bytes)}.${index + 2}.json`, bytes),
    );
  }
  for (const [name, bytes] of Object.entries(roles)) files.set(`image/1.${name}.json`, bytes);
  addOnline(files, { repository: 'image', product }, image.online, { roles, now });
}

function addDirector(
  files: Map<string, Uint8Array>,
  director: Keys,
  manifests: readonly Uint8Array[],
  now: UtcSeconds,
): void {
  const newest = manifests.at(-1) ?? new Uint8Array();
  const assignment = {
    product,
    version: manifests.length + 1,
    length: newest.length,
    sha256: sha256Hex(newest),
    assignment: { rollout: 'bench', consentRequired: false },
  };
  const targets = signDraft(
    draftDirectorTargets({ version: 1, expires: now + daySeconds * 30, device, assignment }),
    [director.targets],
  );
  files.set('director/1.targets.json', targets);
  addOnline(files, { repository: 'director', device }, director.online, { roles: { targets }, now });
}

function addOnline(
  files: Map<string, Uint8Array>,
  owner: { repository: 'image'; product: string } | { repository: 'director'; device: string },
  signer: Signer,
  options: { readonly roles: Record<string, Uint8Array>; readonly now: UtcSeconds },
): void {
  const { roles, now } = options;
  const expires = now + daySeconds;
  const snapshot = signDraft(draftSnapshot({ version: 1, expires: now + daySeconds * 7, ...owner, roles }), [
    signer,
  ]);
  const timestamp = signDraft(draftTimestamp({ version: 1, expires, ...owner, issued: now, snapshot }), [
    signer,
  ]);
  files.set(`${owner.repository}/1.snapshot.json`, snapshot);
  files.set(`${owner.repository}/timestamp.json`, timestamp);
}

function manifest(version: number): Manifest {
  return {
    schema: 'airlock-manifest/1',
    product,
    version,
    name: `4.${version}.0`,
    udi: '(01)00844588003288',
    safetyClass: 'C',
    compat: ['hw:rev2'],
    slot: 'inactive',
    requires: {},
    images: [
      { component: 'rootfs', len: 1_000_000 + version, hash: sha256Hex(new Uint8Array([version % 256])) },
    ],
    secureBoot: [],
    change: {
      record: `CR-${version}`,
      impact: 'none',
      regulatory: { decision: 'letter-to-file', reference: 'R-1' },
    },
    authors: ['ada'],
    emergency: false,
    urgency: { level: 'routine' },
    selfTest: { timeLimitSeconds: 60, critical: [] },
    notes: '',
    demand: {},
    critical: [],
  };
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
