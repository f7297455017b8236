/** A small company for tests of the program: roots, device record, one installed and one assigned release, all signed. */
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
  sha256Hex,
  signDraft,
  signEnvelope,
  type Signer,
  signerFrom,
} from '@airlock/trust';

const day = 24 * 3600;
const product = 'infusion-pump';
const device = 'pump-1';
/** The image of both versions. */
export const imageBytes = Buffer.from('An image, not long, but whole. '.repeat(50));

export interface Factory {
  readonly imageRoot: Uint8Array;
  readonly directorRoot: Uint8Array;
  readonly deviceRecord: Uint8Array;
  readonly installed: Uint8Array;
  /** Files of a check-in that assigns version 2, by path; `quality` decides whether that function approved it. */
  checkIn(options: { readonly quality: boolean }): Record<string, string>;
}

export function makeFactory(now: number = Math.floor(Date.now() / 1000)): Factory {
  const keys = {
    root: newSigner(),
    targets: newSigner(),
    online: newSigner(),
    director: newSigner(),
    directorOnline: newSigner(),
    provisioning: newSigner(),
    engineering: newSigner(),
    quality: newSigner(),
  };
  const year = { version: 1, expires: now + 365 * day };
  const imageRoot = signDraft(
    draftRoot({
      ...year,
      repository: 'image',
      product,
      roles: {
        root: one(keys.root),
        targets: one(keys.targets),
        snapshot: one(keys.online),
        timestamp: one(keys.online),
      },
      minimum: { classes: { B: { engineering: 1, quality: 1 } }, markets: { eu: {} } },
      provisioning: one(keys.provisioning),
      demo: true,
    }),
    [keys.root],
  );
  const online = one(keys.directorOnline);
  const directorRoot = signDraft(
    draftRoot({
      ...year,
      repository: 'director',
      roles: { root: one(keys.director), targets: online, snapshot: online, timestamp: online },
    }),
    [keys.director],
  );
  const record = {
    schema: 'airlock-device-record/1',
    number: 1,
    device,
    udi: '(01)00000000000000',
    product,
    safetyClass: 'B',
    market: 'eu',
    hardware: ['hw:rev2'],
    emergencyAllowed: false,
  };
  return {
    imageRoot,
    directorRoot,
    deviceRecord: signEnvelope(record, [keys.provisioning]),
    installed: encodeManifest(manifestOf(1)),
    checkIn: ({ quality }) => checkInFiles(keys, now, quality),
  };
}

type Keys = Record<'targets' | 'online' | 'directorOnline' | 'engineering' | 'quality', Signer>;

function checkInFiles(keys: Keys, now: number, quality: boolean): Record<string, string> {
  const soon = { version: 1, expires: now + 5 * day };
  const holder = (name: 'engineering' | 'quality') => ({
    keyId: keys[name].publicKey.keyId,
    holder: name,
    name: `Holder of ${name}`,
    function: name,
  });
  const policy = encodePolicy({
    schema: 'airlock-policy/1',
    product,
    classes: { B: { engineering: 1, quality: 1 } },
    markets: { eu: {} },
    holders: [holder('engineering'), holder('quality')],
    secureBootRevoked: [],
  });
  const manifest = encodeManifest(manifestOf(2));
  const release = { version: 2, length: manifest.length, sha256: sha256Hex(manifest) };
  const functions = (['engineering', 'quality'] as const).map((name) => ({ name, ...one(keys[name]) }));
  const targets = signDraft(draftTargets({ ...soon, product, functions, policy }), [keys.targets]);
  const role = (name: 'engineering' | 'quality', listed: boolean): Uint8Array =>
    signDraft(draftFunction({ ...soon, product, function: name, releases: listed ? [release] : [] }), [
      keys[name],
    ]);
  const roles = { targets, engineering: role('engineering', true), quality: role('quality', quality) };
  const image = { ...soon, repository: 'image', product } as const;
  const snapshot = signDraft(draftSnapshot({ ...image, roles }), [keys.online]);
  const assignment = { rollout: 'r1', consentRequired: false };
  const directorTargets = signDraft(
    draftDirectorTargets({ ...soon, device, assignment: { ...release, product, assignment } }),
    [keys.directorOnline],
  );
  const director = { ...soon, repository: 'director', device } as const;
  const directorSnapshot = signDraft(draftSnapshot({ ...director, roles: { targets: directorTargets } }), [
    keys.directorOnline,
  ]);
  const term = { expires: now + day, issued: now };
  const bytes: Record<string, Uint8Array> = {
    'image/timestamp.json': signDraft(draftTimestamp({ ...image, ...term, snapshot }), [keys.online]),
    'image/1.snapshot.json': snapshot,
    'image/1.targets.json': roles.targets,
    'image/1.engineering.json': roles.engineering,
    'image/1.quality.json': roles.quality,
    [`image/targets/${sha256Hex(policy)}.policy.json`]: policy,
    [`image/targets/engineering/${release.sha256}.2.json`]: manifest,
    [`image/targets/quality/${release.sha256}.2.json`]: manifest,
    'director/timestamp.json': signDraft(
      draftTimestamp({ ...director, ...term, snapshot: directorSnapshot }),
      [keys.directorOnline],
    ),
    'director/1.snapshot.json': directorSnapshot,
    'director/1.targets.json': directorTargets,
  };
  return Object.fromEntries(
    Object.entries(bytes).map(([path, file]) => [path, new TextDecoder().decode(file)]),
  );
}

function manifestOf(version: number): Manifest {
  return {
    schema: 'airlock-manifest/1',
    product,
    version,
    name: `Release ${version}`,
    udi: '(01)00000000000000',
    safetyClass: 'B',
    compat: ['hw:rev2'],
    slot: 'inactive',
    requires: {},
    images: [{ component: 'rootfs', len: imageBytes.length, hash: sha256Hex(imageBytes) }],
    secureBoot: [],
    change: {
      record: 'CR-1',
      impact: {
        assessment: 'none',
        safety: false,
        effectiveness: false,
        cybersecurity: false,
        labelling: false,
      },
      regulatory: { decision: 'letter to file', reference: 'LTF-1' },
      links: ['https://qms.example/CR-1'],
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

function newSigner(): Signer {
  return signerFrom(generateKeyPairSync('ed25519').privateKey);
}

function one(signer: Signer): { keys: Signer['publicKey'][]; threshold: number } {
  return { keys: [signer.publicKey], threshold: 1 };
}
