/**
 * A product as a holder's machine verified it, in memory, and ceremonies on it: for tests of what may be signed.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  addSignature,
  draftFunction,
  draftRoot,
  draftTargets,
  encodePolicy,
  type Policy,
  type Result,
  signDraft,
  type Signer,
  signerFrom,
} from '@airlock/trust';
import { type CheckedAt, checkCeremony, nextTerms } from '../../src/core/ceremony-check.ts';
import type { CeremonyAct, CeremonyFile } from '../../src/core/ceremony-file.ts';
import { type Ground, planCeremony } from '../../src/core/ceremony.ts';

export const now = 1_800_000_000;
export const day = 86_400;
export const key = (): Signer => signerFrom(generateKeyPairSync('ed25519').privateKey);
export const keys = {
  root: [key(), key(), key()],
  targets: [key(), key()],
  snapshot: [key()],
  timestamp: [key()],
  provisioning: [key()],
  engineering: [key()],
  quality: [key(), key()],
};
export const named = (list: readonly Signer[], threshold: number) => ({
  keys: list.map(({ publicKey }) => publicKey),
  threshold,
});
export const id = (signer: Signer | undefined): string => signer?.publicKey.keyId ?? '';
export const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const releases = [3, 4].map((version) => ({ version, length: 10, sha256: String(version).repeat(64) }));

export const rootOptions = {
  repository: 'image',
  product: 'pump',
  expires: now + 100 * day,
  roles: {
    root: named(keys.root, 2),
    targets: named(keys.targets, 2),
    snapshot: named(keys.snapshot, 1),
    timestamp: named(keys.timestamp, 1),
  },
  minimum: { classes: { C: { engineering: 1, quality: 1 } }, markets: { us: {} } },
  provisioning: named(keys.provisioning, 1),
} as const;

const holderNames = { engineering: ['bo'], quality: ['ada', 'kim'] } as const;
export const policy: Policy = {
  schema: 'airlock-policy/1',
  product: 'pump',
  classes: { C: { engineering: 1, quality: 1 } },
  markets: { us: {} },
  holders: (['engineering', 'quality'] as const).flatMap((name) =>
    keys[name].map((signer, at) => ({
      keyId: id(signer),
      holder: holderNames[name][at] ?? '',
      name: `Holder ${holderNames[name][at]}`,
      function: name,
    })),
  ),
  secureBootRevoked: [],
};

export function functionFile(
  name: 'engineering' | 'quality',
  version: number,
  signers = keys[name].slice(0, 1),
) {
  return signDraft(
    draftFunction({ product: 'pump', function: name, version, expires: now + 50 * day, releases }),
    signers,
  );
}

export function makeGround(changes: Partial<NonNullable<Ground['image']>> = {}): Ground {
  const bytes = encodePolicy(policy);
  const targets = draftTargets({
    product: 'pump',
    version: 5,
    expires: now + 90 * day,
    functions: [
      { name: 'engineering', ...named(keys.engineering, 1) },
      { name: 'quality', ...named(keys.quality, 1) },
    ],
    policy: bytes,
  });
  return {
    owner: { repository: 'image', product: 'pump' },
    root: signDraft(draftRoot({ ...rootOptions, version: 3 }), keys.root.slice(0, 2)),
    image: {
      targets: signDraft(targets, keys.targets),
      policy: text(bytes),
      functions: new Map([
        ['engineering', functionFile('engineering', 7)],
        ['quality', functionFile('quality', 8)],
      ]),
      ...changes,
    },
  };
}

export const ground = makeGround();
export const nothing: CeremonyAct = { keys: [], holders: [], drop: [], renew: [] };
export const at: CheckedAt = { now, signed: {}, signedAs: {} };

export function take<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : `${result.error.code}: ${result.error.message}`);
  return result.value;
}

/** The file of an act, as an honest holder starts it. */
export function start(act: CeremonyAct, on = ground, numbers: Record<string, number> = {}): CeremonyFile {
  const terms = take(nextTerms(on, act, { now, signed: {}, numbers }));
  const { drafts, policy: next } = take(planCeremony(on, act, terms));
  return {
    owner: on.owner,
    reason: 'test',
    started: now,
    act,
    files: Object.fromEntries([...drafts].map(([role, { unsigned }]) => [role, text(unsigned)])),
    ...(next === undefined ? {} : { policy: next }),
    before: {},
    chain: [text(on.root)],
    signed: [],
    statements: {},
  };
}

export function sign(file: CeremonyFile, role: string, ...signers: readonly Signer[]): CeremonyFile {
  let bytes: Uint8Array = Buffer.from(file.files[role] ?? '');
  const { draft } = take(checkCeremony(ground, file, at)).roles.find((entry) => entry.role === role) ?? {};
  assert.ok(draft);
  for (const signer of signers) {
    const signature = signer.sign(draft.bytesToSign);
    bytes = take(addSignature(bytes, { keyId: id(signer), signature }));
  }
  return { ...file, files: { ...file.files, [role]: text(bytes) } };
}

export function codeOf(result: Result<unknown>): string {
  return result.ok ? 'taken' : result.error.code;
}

export const fresh = key();
const fourth = key();
export const replaceRoot: CeremonyAct = {
  ...nothing,
  keys: [{ role: 'root', remove: [id(keys.root[2])], add: [fresh.publicKey], threshold: 2 }],
};
export const stolen: CeremonyAct = {
  ...nothing,
  keys: [
    { role: 'snapshot', remove: [id(keys.snapshot[0])], add: [fresh.publicKey], threshold: 1 },
    { role: 'timestamp', remove: [id(keys.timestamp[0])], add: [fourth.publicKey], threshold: 1 },
  ],
  holders: [
    {
      function: 'quality',
      remove: ['ada'],
      add: [{ holder: 'eve', name: 'Eve Stone', key: key().publicKey }],
      threshold: 1,
    },
  ],
  drop: [{ function: 'quality', version: 4 }],
};
