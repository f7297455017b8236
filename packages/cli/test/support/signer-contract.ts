/**
 * What every backend of keys must do: one contract, run for sealed files and for tokens, for both types of keys.
 *
 * `everyCheck` is the whole way of a release: a company all of whose offline keys come from the backend, and a device
 * that must find the release approved; then its roots rotate to new keys of the backend, and the device follows.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  addSignature,
  checkTrust,
  draftDirectorTargets,
  draftFunction,
  draftRoot,
  draftSnapshot,
  draftTargets,
  draftTimestamp,
  encodeManifest,
  encodePolicy,
  newTrustState,
  parsePublicKey,
  publicKeyJson,
  readRole,
  sha256Hex,
  signDraft,
  signEnvelope,
  type Signer,
  signerFrom,
  type TrustOutcome,
  type TrustState,
  verifyRoleFile,
  verifySignature,
} from '@airlock/trust';

const now = 1_800_000_000;
const day = 86_400;
const identity = { product: 'pump', device: 'pump-1' };
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
const one = (signer: Signer) => ({ keys: [signer.publicKey], threshold: 1 });
const online = () => signerFrom(generateKeyPairSync('ed25519').privateKey);

/** One encoding of the public key; signatures that verify, alone, in a role file, and never under another message. */
export function signsWell(signer: Signer, turns: number): void {
  const again = parsePublicKey(publicKeyJson(signer.publicKey), 'key');
  assert.ok(again.ok);
  assert.deepEqual(again.value, signer.publicKey);
  for (let turn = 0; turn < turns; turn += 1) {
    const message = Buffer.from(`message ${turn} ${'x'.repeat(turn)}`);
    const signature = signer.sign(message);
    assert.ok(verifySignature(signer.publicKey, message, signature), `turn ${turn}`);
    assert.ok(!verifySignature(signer.publicKey, Buffer.concat([message, message]), signature));
  }
}

function manifest(version: number): Uint8Array {
  return encodeManifest({
    schema: 'airlock-manifest/1',
    product: 'pump',
    version,
    name: `${version}.0`,
    udi: '(01)00844588003288',
    safetyClass: 'C',
    compat: ['hw:rev2'],
    slot: 'inactive',
    requires: {},
    images: [{ component: 'rootfs', len: 1, hash: 'a'.repeat(64) }],
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
      regulatory: { decision: 'letter-to-file', reference: 'R-1' },
      links: ['https://qms.example/CR-1'],
    },
    authors: ['bo'],
    emergency: false,
    urgency: { level: 'routine' },
    selfTest: { timeLimitSeconds: 60, critical: [] },
    notes: '',
    demand: {},
    critical: [],
  });
}

interface Offline {
  readonly root: Signer;
  readonly directorRoot: Signer;
  readonly targets: Signer;
  readonly targets2: Signer;
  readonly engineering: Signer;
  readonly quality: Signer;
  readonly provisioning: Signer;
}

const names = [
  'root',
  'directorRoot',
  'targets',
  'targets2',
  'engineering',
  'quality',
  'provisioning',
] as const;

async function offlineKeys(make: (name: string) => Promise<Signer>, turn: number): Promise<Offline> {
  const made: [string, Signer][] = [];
  for (const name of names) made.push([name, await make(`${name}-${turn}`)]);
  const found = new Map(made);
  const key = (name: (typeof names)[number]): Signer => {
    const signer = found.get(name);
    assert.ok(signer);
    return signer;
  };
  return {
    root: key('root'),
    directorRoot: key('directorRoot'),
    targets: key('targets'),
    targets2: key('targets2'),
    engineering: key('engineering'),
    quality: key('quality'),
    provisioning: key('provisioning'),
  };
}

type OnlineKeys = Readonly<
  Record<'snapshot' | 'timestamp' | 'dTargets' | 'dSnapshot' | 'dTimestamp', Signer>
>;

function roots(version: number, keys: Offline, lines: OnlineKeys, before?: Offline) {
  const term = { version, expires: now + 365 * day };
  const image = draftRoot({
    ...term,
    repository: 'image',
    product: 'pump',
    roles: {
      root: one(keys.root),
      targets: { keys: [keys.targets.publicKey, keys.targets2.publicKey], threshold: 2 },
      snapshot: one(lines.snapshot),
      timestamp: one(lines.timestamp),
    },
    minimum: { classes: { C: { engineering: 1, quality: 1 } }, markets: { us: {} } },
    provisioning: one(keys.provisioning),
  });
  const director = draftRoot({
    ...term,
    repository: 'director',
    roles: {
      root: one(keys.directorRoot),
      targets: one(lines.dTargets),
      snapshot: one(lines.dSnapshot),
      timestamp: one(lines.dTimestamp),
    },
  });
  return {
    [`image/${version}.root.json`]: text(
      signDraft(image, [keys.root, ...(before === undefined ? [] : [before.root])]),
    ),
    [`director/${version}.root.json`]: text(
      signDraft(director, [keys.directorRoot, ...(before === undefined ? [] : [before.directorRoot])]),
    ),
  };
}

function published(version: number, keys: Offline, lines: OnlineKeys): Record<string, string> {
  const release = manifest(version);
  const entry = { version, length: release.length, sha256: sha256Hex(release) };
  const functions = ['engineering', 'quality'] as const;
  const policy = encodePolicy({
    schema: 'airlock-policy/1',
    product: 'pump',
    classes: { C: { engineering: 1, quality: 1 } },
    markets: { us: {} },
    holders: functions.map((name) => ({
      keyId: keys[name].publicKey.keyId,
      holder: `${name}-1`,
      name,
      function: name,
    })),
    secureBootRevoked: [],
  });
  const term = { product: 'pump', version, expires: now + 90 * day };
  const roles: Record<string, Uint8Array> = {
    targets: signDraft(
      draftTargets({ ...term, functions: functions.map((name) => ({ name, ...one(keys[name]) })), policy }),
      [keys.targets, keys.targets2],
    ),
  };
  for (const name of functions) {
    const draft = draftFunction({ ...term, function: name, releases: [entry] });
    // By the way that a second signer takes, too.
    const signature = keys[name].sign(draft.bytesToSign);
    const file = addSignature(draft.unsigned, { keyId: keys[name].publicKey.keyId, signature });
    assert.ok(file.ok);
    const counted = verifyRoleFile(file.value, roles['targets'] ?? new Uint8Array());
    assert.ok(counted.ok && counted.value.enough);
    roles[name] = file.value;
  }
  const director = signDraft(
    draftDirectorTargets({
      device: 'pump-1',
      version,
      expires: now + 30 * day,
      assignment: { product: 'pump', ...entry, assignment: { rollout: 'r', consentRequired: false } },
    }),
    [lines.dTargets],
  );
  const stamped = (
    owner: { repository: 'image'; product: string } | { repository: 'director'; device: string },
    files: Record<string, Uint8Array>,
    [snapshotKey, timestampKey]: readonly [Signer, Signer],
  ) => {
    const at = { ...owner, version, expires: now + day };
    const snapshot = signDraft(draftSnapshot({ ...at, roles: files }), [snapshotKey]);
    const timestamp = signDraft(draftTimestamp({ ...at, issued: now, snapshot }), [timestampKey]);
    return {
      [`${owner.repository}/${version}.snapshot.json`]: text(snapshot),
      [`${owner.repository}/timestamp.json`]: text(timestamp),
    };
  };
  return {
    ...Object.fromEntries(
      Object.entries(roles).map(([name, file]) => [`image/${version}.${name}.json`, text(file)]),
    ),
    [`image/targets/${sha256Hex(policy)}.policy.json`]: text(policy),
    [`image/targets/engineering/${entry.sha256}.${version}.json`]: text(release),
    [`director/${version}.targets.json`]: text(director),
    ...stamped({ repository: 'image', product: 'pump' }, roles, [lines.snapshot, lines.timestamp]),
    ...stamped({ repository: 'director', device: 'pump-1' }, { targets: director }, [
      lines.dSnapshot,
      lines.dTimestamp,
    ]),
  };
}

function check(state: TrustState, files: Readonly<Record<string, string>>): TrustOutcome {
  const steps = checkTrust({ identity, state, now, source: 'network' });
  let next = steps.next();
  while (next.done !== true) {
    const step = next.value;
    const found = step.kind === 'fetch' ? files[`${step.repository}/${step.path}`] : undefined;
    next = steps.next(found === undefined ? undefined : Buffer.from(found));
  }
  return next.value;
}

/** `make`: a key of the backend under a name that is not used twice. */
export async function everyCheck(make: (name: string) => Promise<Signer>): Promise<void> {
  const first = await offlineKeys(make, 1);
  const lines: OnlineKeys = {
    snapshot: online(),
    timestamp: online(),
    dTargets: online(),
    dSnapshot: online(),
    dTimestamp: online(),
  };
  const rootFiles = roots(1, first, lines);
  const record = signEnvelope(
    {
      schema: 'airlock-device-record/1',
      number: 1,
      device: 'pump-1',
      udi: '(01)00844588003288(21)1',
      product: 'pump',
      safetyClass: 'C',
      market: 'us',
      hardware: ['hw:rev2'],
      emergencyAllowed: false,
    },
    [first.provisioning],
  );
  const state = newTrustState({
    identity,
    imageRoot: rootFiles['image/1.root.json'] ?? '',
    directorRoot: rootFiles['director/1.root.json'] ?? '',
    deviceRecord: text(record),
    builtAt: now,
  });
  assert.ok(state.ok, state.ok ? '' : state.error.message);
  const approved = check(state.value, published(1, first, lines));
  assert.equal(
    approved.verdict.kind,
    'approved',
    approved.verdict.kind === 'refused' ? approved.verdict.error.message : '',
  );
  const second = { ...(await offlineKeys(make, 2)), provisioning: first.provisioning };
  const rotated = check(approved.state, {
    ...roots(2, second, lines, first),
    ...published(2, second, lines),
  });
  assert.equal(
    rotated.verdict.kind,
    'approved',
    rotated.verdict.kind === 'refused' ? rotated.verdict.error.message : '',
  );
  const held = readRole(Buffer.from(rotated.state.image.root));
  assert.equal(held.ok && held.value.version, 2);
  // What the old keys sign counts no more.
  const old = check(rotated.state, published(3, first, lines));
  assert.equal(old.verdict.kind, 'refused');
}
