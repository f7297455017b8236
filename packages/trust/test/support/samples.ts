/** Valid documents and keys for tests: fixed keys, so that a failing seed reproduces; each test changes one thing. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import {
  draftDirectorTargets,
  draftFunction,
  draftRoot,
  draftSnapshot,
  draftTargets,
  draftTimestamp,
  encodePolicy,
  type Manifest,
  type Policy,
  publicKeyJson,
  sha256Hex,
  signDraft,
  type Signer,
  signerFrom,
} from '@airlock/trust';

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** An Ed25519 signer from one byte: the same byte gives the same key. */
export function ed25519(seed: number): Signer {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, seed)]);
  return signerFrom(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
}

export function p256(): Signer {
  return signerFrom(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
}

export const signers = {
  root1: ed25519(1),
  root2: p256(),
  targets: ed25519(2),
  snapshot: ed25519(3),
  timestamp: p256(),
  provisioning: ed25519(4),
  engineering: ed25519(5),
  quality1: ed25519(6),
  quality2: p256(),
  director: ed25519(7),
} as const;

export const expires = 1_900_000_000;
export const now = 1_800_000_000;
const one = (signer: Signer) => ({ keys: [signer.publicKey], threshold: 1 });

export function samplePolicy(changes: Partial<Policy> = {}): Policy {
  const holder = (signer: Signer, id: string, role: string) => ({
    keyId: signer.publicKey.keyId,
    holder: id,
    name: `Person ${id}`,
    function: role,
  });
  return {
    schema: 'airlock-policy/1',
    product: 'infusion-pump',
    classes: { B: { engineering: 1, quality: 1 }, C: { engineering: 1, quality: 2 } },
    markets: { us: { 'regulatory-us': 1 }, eu: {} },
    emergency: { engineering: 1, quality: 1 },
    holders: [
      holder(signers.engineering, 'e1', 'engineering'),
      holder(signers.quality1, 'q1', 'quality'),
      holder(signers.quality2, 'q2', 'quality'),
    ],
    auditKey: publicKeyJson(signers.root1.publicKey),
    auditOrigin: 'updates.example/audit',
    secureBootRevoked: ['key-2019'],
    ...changes,
  };
}

export function sampleManifest(changes: Partial<Manifest> = {}): Manifest {
  return {
    schema: 'airlock-manifest/1',
    product: 'infusion-pump',
    version: 12,
    name: '4.2.0',
    udi: '(01)00844588003288',
    safetyClass: 'C',
    compat: ['hw:rev2', 'hw:rev3'],
    slot: 'inactive',
    requires: { installedMin: 3, bootloaderMin: 2 },
    images: [
      { component: 'rootfs', len: 262_144, hash: 'a'.repeat(64) },
      { component: 'app', len: 4096, hash: 'b'.repeat(64) },
    ],
    data: { writes: 4, reads: [3, 4], reversible: true },
    secureBoot: ['key-2024'],
    change: {
      record: 'CR-1042',
      impact: {
        assessment: 'No new hazard;\nsee RA-77.',
        safety: true,
        effectiveness: false,
        cybersecurity: true,
        labelling: false,
      },
      regulatory: { decision: 'letter to file', reference: 'LTF-9' },
      links: ['https://qms.example/CR-1042', 'RA-77 rev 3'],
    },
    authors: ['ada'],
    emergency: false,
    urgency: { level: 'security', deadline: '2027-01-01T00:00:00Z' },
    selfTest: { timeLimitSeconds: 120, critical: ['pump-motor'] },
    sbom: { len: 1000, hash: 'c'.repeat(64) },
    vex: { len: 10, hash: 'd'.repeat(64) },
    notes: 'Fixes the "drift" \\ alarm.\n\tÄnderung µ 1.',
    demand: { 'regulatory-us': 1 },
    critical: [],
    ...changes,
  };
}

export const imageRoot = {
  repository: 'image',
  product: 'infusion-pump',
  version: 1,
  expires,
  roles: {
    root: { keys: [signers.root1.publicKey, signers.root2.publicKey], threshold: 2 },
    targets: one(signers.targets),
    snapshot: one(signers.snapshot),
    timestamp: one(signers.timestamp),
  },
  minimum: {
    classes: { B: { engineering: 1, quality: 1 }, C: { engineering: 1, quality: 1 } },
    markets: { us: {}, eu: {} },
  },
  provisioning: one(signers.provisioning),
  demo: true,
} as const;

export const directorRoot = {
  repository: 'director',
  version: 1,
  expires,
  roles: {
    root: one(signers.root1),
    targets: one(signers.director),
    snapshot: one(signers.director),
    timestamp: one(signers.director),
  },
} as const;

export const assignment = { rollout: 'r1', consentRequired: false } as const;

/** One signed file of every kind, that fit together. */
export function sampleFiles() {
  const policy = encodePolicy(samplePolicy());
  const product = 'infusion-pump';
  const sha256 = sha256Hex(utf8('manifest'));
  const root = signDraft(draftRoot(imageRoot), [signers.root1, signers.root2]);
  const functions = [
    { name: 'quality', keys: [signers.quality1.publicKey, signers.quality2.publicKey], threshold: 2 },
    { name: 'engineering', ...one(signers.engineering) },
  ];
  const targets = signDraft(draftTargets({ product, version: 1, expires, functions, policy }), [
    signers.targets,
  ]);
  const releases = [
    { version: 9, length: 8, sha256 },
    { version: 10, length: 8, sha256 },
  ];
  const quality = signDraft(draftFunction({ product, function: 'quality', version: 3, expires, releases }), [
    signers.quality1,
    signers.quality2,
  ]);
  const snapshot = signDraft(
    draftSnapshot({ repository: 'image', product, version: 5, expires, roles: { targets, quality } }),
    [signers.snapshot],
  );
  const timestamp = signDraft(
    draftTimestamp({ repository: 'image', product, version: 6, expires, issued: now, snapshot }),
    [signers.timestamp],
  );
  const device = 'PUMP-0001';
  const directorTargets = signDraft(
    draftDirectorTargets({
      device,
      version: 7,
      expires,
      assignment: { product, version: 10, length: 8, sha256, assignment },
    }),
    [signers.director],
  );
  const director = signDraft(draftRoot(directorRoot), [signers.root1]);
  return { root, targets, quality, snapshot, timestamp, director, directorTargets, policy };
}

type Json = Record<string, unknown>;

/** The file with its parsed JSON changed by `edit`, written as the raw check wants it. */
export function edited(
  file: Uint8Array,
  edit: (file: { signed: Json; signatures: Json[] }) => void,
): Uint8Array {
  const value = JSON.parse(textOf(file)) as { signed: Json; signatures: Json[] };
  edit(value);
  return utf8(JSON.stringify(value));
}

/** Sets (or with undefined deletes) the value at a path inside a JSON value; nothing when an earlier edit took the path. */
export function put(value: unknown, path: readonly (string | number)[], replacement: unknown): void {
  let at = value as Json;
  for (const key of path.slice(0, -1)) {
    const next = at[key];
    if (typeof next !== 'object' || next === null) return;
    at = next as Json;
  }
  const last = path.at(-1) ?? '';
  if (Array.isArray(at) && typeof last !== 'number') return;
  if (replacement === undefined) delete at[last];
  else at[last] = replacement;
}

/** The failure's code and field, or `ok`: short enough to compare whole tables. */
export function verdict(
  result: { ok: true } | { ok: false; error: { code: string; field?: string } },
): string {
  return result.ok ? 'ok' : `${result.error.code} ${result.error.field ?? ''}`.trim();
}
