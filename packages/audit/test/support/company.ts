/**
 * A company on paper with keys from fixed seeds: two releases, a function that approves them one by one, a policy that
 * names the log. The same seeds stand behind the test vectors of docs/formats.md.
 */
import { createHash, createPrivateKey } from 'node:crypto';
import {
  draftFunction,
  draftTargets,
  encodePolicy,
  type FunctionView,
  type Policy,
  publicKeyJson,
  readRole,
  sha256Hex,
  signDraft,
  type Signer,
  signerFrom,
} from '@airlock/trust';
import {
  type AuditEntry,
  encodeEntry,
  type LogIdentity,
  signCheckpoint,
  type SignatureEvidence,
  signStatement,
  type Statement,
  statementSha256,
} from '../../src/index.ts';
import { MemoryLog } from './memory-log.ts';

/** DER of an Ed25519 private key (RFC 8410) up to its 32 secret bytes, and of a P-256 one (RFC 5915) likewise. */
const ed25519Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
const p256Prefix = Buffer.from(
  '3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420',
  'hex',
);

/** The key whose secret is the SHA-256 of the words. */
export function seeded(words: string, kind: 'ed25519' | 'p256' = 'ed25519'): Signer {
  const secret = createHash('sha256').update(words).digest();
  const key = Buffer.concat([kind === 'p256' ? p256Prefix : ed25519Prefix, secret]);
  return signerFrom(createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
}

const product = 'infusion-pump';
export const origin = 'updates.example.com/audit';
/** 2026-11-02T00:00:00Z. */
export const noon = 1_793_577_600;
export const keys = {
  log: seeded('log'),
  targets: seeded('targets'),
  ada: seeded('ada'),
  bea: seeded('bea', 'p256'),
  stranger: seeded('stranger'),
};
export const log: LogIdentity = { origin, key: keys.log.publicKey };

export const policy: Policy = {
  schema: 'airlock-policy/1',
  product,
  classes: { C: { engineering: 1, quality: 2 } },
  markets: { us: {} },
  holders: [
    { keyId: keys.ada.publicKey.keyId, holder: 'ada', name: 'Dr. Ada Quill', function: 'quality' },
    { keyId: keys.bea.publicKey.keyId, holder: 'bea', name: 'Bea Lund', function: 'quality' },
  ],
  auditKey: publicKeyJson(keys.log.publicKey),
  auditOrigin: origin,
  secureBootRevoked: [],
};
export const policyBytes = encodePolicy(policy);

export const release = (version: number) => ({
  version,
  length: 1000 + version,
  sha256: sha256Hex(Buffer.from(`manifest ${version}`)),
});

const targetsFile = signDraft(
  draftTargets({
    product,
    version: 1,
    expires: noon + 86_400,
    functions: [{ name: 'quality', keys: [keys.ada.publicKey, keys.bea.publicKey], threshold: 2 }],
    policy: policyBytes,
  }),
  [keys.targets],
);

export function roleFile(
  version: number,
  releases: readonly number[],
  signers = [keys.ada, keys.bea],
): Uint8Array {
  const list = releases.map(release);
  const draft = draftFunction({
    product,
    function: 'quality',
    version,
    expires: noon + 86_400,
    releases: list,
  });
  return signDraft(draft, signers);
}

export function viewOf(file: Uint8Array): FunctionView {
  const view = readRole(file);
  if (!view.ok || view.value.kind !== 'function') throw new Error('no function role');
  return view.value;
}

/** What Ada states of role 2, which adds release 5. */
export function statementOf(signedSha256: string, changes: Partial<Statement> = {}): Statement {
  return {
    product,
    function: 'quality',
    roleVersion: 2,
    signedSha256,
    release: { version: 5, manifestSha256: release(5).sha256 },
    meaning: 'approved for release',
    reason: '',
    signer: { keyId: keys.ada.publicKey.keyId, holder: 'ada', name: 'Dr. Ada Quill' },
    time: noon + 60,
    checkpoint: { origin, size: 0, rootSha256: '' },
    ...changes,
  };
}

export function entryOf(changes: Partial<AuditEntry> = {}): AuditEntry {
  return {
    schema: 'airlock-audit-entry/1',
    time: noon,
    act: 'release.create',
    actor: `p-${'0'.repeat(31)}1`,
    permission: 'releases:write',
    subject: { product, release: 5 },
    before: null,
    after: { manifestSha256: release(5).sha256 },
    reason: '',
    ...changes,
  };
}

/** A log with a few acts, the statement of `signer` over `role` after `seen` of them, and the files that prove it. */
export function evidenceOf(
  role: Uint8Array,
  signedSha256: string,
  signer: Signer = keys.ada,
  changes: Partial<Statement> = {},
): SignatureEvidence {
  const held = policy.holders.find(({ keyId }) => keyId === signer.publicKey.keyId);
  const tree = new MemoryLog();
  const seen = 5;
  for (let n = 0; n < seen; n += 1) tree.append(encodeEntry(entryOf({ time: noon + n })));
  const checkpoint = { origin, size: seen, rootSha256: Buffer.from(tree.root()).toString('hex') };
  const person = { keyId: signer.publicKey.keyId, holder: held?.holder ?? '?', name: held?.name ?? '?' };
  const statement = signStatement(
    statementOf(signedSha256, { checkpoint, signer: person, ...changes }),
    signer,
  );
  tree.append(encodeEntry(entryOf({ time: noon + 90 })));
  const index = tree.leaves.length;
  const after = { statement: statementSha256(statement), keyId: signer.publicKey.keyId };
  const leaf = encodeEntry(entryOf({ time: noon + 120, act: 'role.sign', function: 'quality', after }));
  tree.append(leaf);
  tree.append(encodeEntry(entryOf({ time: noon + 200 })));
  const last = {
    index: seen - 1,
    leaf: tree.leaves[seen - 1] ?? leaf,
    proof: tree.inclusion(seen - 1, seen),
  };
  return {
    role,
    previous: roleFile(1, []),
    targets: targetsFile,
    policy: policyBytes,
    statement,
    checkpoint: Buffer.from(
      signCheckpoint({ origin, size: tree.leaves.length, root: tree.root() }, [keys.log]),
    ),
    entry: { index, leaf, proof: tree.inclusion(index) },
    seen: { proof: tree.consistency(seen), last },
  };
}
