/**
 * A company, for tests: it signs, approves, withdraws, assigns and publishes in domain verbs, with the product's own
 * writers. What those would refuse to write is put into `forged` by a test, made with `forge` of signing.ts.
 */
import assert from 'node:assert/strict';
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
  type Minimum,
  type Policy,
  type PublicKey,
  signDraft,
  signEnvelope,
  type Signer,
} from '../../src/index.ts';
import { day, forge, manifestOf, newSigner, product, sha256, signedOf, start } from './signing.ts';

interface TestFunction {
  signers: Signer[];
  threshold: number;
  releases: Map<number, Uint8Array>;
  version: number;
  expires: number;
  file?: Uint8Array;
}

interface Roles {
  root: Signer[];
  targets: Signer[];
  snapshot: Signer[];
  timestamp: Signer[];
}

const keysOf = (signers: readonly Signer[]): PublicKey[] => signers.map(({ publicKey }) => publicKey);
const all = (signers: readonly Signer[], threshold = signers.length) => ({
  keys: keysOf(signers),
  threshold,
});

export class Company {
  readonly product: string;
  now = start;
  image: Roles = {
    root: [newSigner()],
    targets: [newSigner(), newSigner('p256')],
    snapshot: [newSigner()],
    timestamp: [newSigner()],
  };
  director: Roles = {
    root: [newSigner('p256')],
    targets: [newSigner()],
    snapshot: [newSigner()],
    timestamp: [newSigner()],
  };
  provisioning = [newSigner()];
  provisioningThreshold = 1;
  functions = new Map<string, TestFunction>();
  manifests = new Map<number, Uint8Array>();
  minimum: Minimum = {
    classes: { B: { engineering: 1, quality: 1 }, C: { engineering: 1, quality: 1 } },
    markets: { us: { 'regulatory-us': 1 }, eu: {} },
  };
  /** Replaces fields of the policy that `publish` writes. */
  policyChanges: Partial<Policy> = {};
  imageVersion = { root: 0, targets: 0, snapshot: 0, timestamp: 0 };
  directorVersion = { root: 0, targets: 0, snapshot: 0, timestamp: 0 };
  imageFiles = new Map<string, Uint8Array>();
  directorFiles = new Map<string, Uint8Array>();
  /** Expiry of what is signed next, in seconds after `now`. */
  life = { root: 365 * day, targets: 180 * day, snapshot: 7 * day, director: 30 * day, timestamp: day };
  /** Roles replaced in the next publications by files that no writer of ours would make. */
  forged = new Map<string, Uint8Array>();
  private targetsFile: Uint8Array | undefined;

  constructor(name: string = product) {
    this.product = name;
    for (const role of ['engineering', 'quality', 'regulatory-us']) this.addFunction(role);
    this.publishRoot();
    this.publishDirectorRoot();
  }

  addFunction(name: string, signers: Signer[] = [newSigner()], threshold = signers.length): void {
    const expires = start + 180 * day;
    this.functions.set(name, { signers, threshold, releases: new Map(), version: 0, expires });
    this.targetsFile = undefined;
  }

  function(name: string): TestFunction {
    const found = this.functions.get(name);
    assert.ok(found);
    return found;
  }

  /** Gives a function new keys: `targets` is signed anew, and the function's role by the new keys. */
  rekey(name: string, signers: Signer[]): void {
    const found = this.function(name);
    found.signers = signers;
    found.threshold = signers.length;
    delete found.file;
    this.targetsFile = undefined;
  }

  release(version: number, changes: Partial<Manifest> = {}): Uint8Array {
    const bytes = encodeManifest(manifestOf(version, { product: this.product, ...changes }));
    this.manifests.set(version, bytes);
    return bytes;
  }

  manifest(version: number): Uint8Array {
    return this.manifests.get(version) ?? this.release(version);
  }

  approve(name: string, version: number, bytes: Uint8Array = this.manifest(version)): void {
    const found = this.function(name);
    found.releases.set(version, bytes);
    delete found.file;
  }

  approveByAll(...versions: number[]): void {
    for (const version of versions) for (const name of this.functions.keys()) this.approve(name, version);
  }

  withdraw(name: string, version: number): void {
    const found = this.function(name);
    found.releases.delete(version);
    delete found.file;
  }

  publishRoot(previous: readonly Signer[] = [], changes: { expires?: number } = {}): void {
    this.imageVersion.root += 1;
    const { root, targets, snapshot, timestamp } = this.image;
    const draft = draftRoot({
      repository: 'image',
      product: this.product,
      version: this.imageVersion.root,
      expires: changes.expires ?? this.now + this.life.root,
      roles: { root: all(root), targets: all(targets), snapshot: all(snapshot), timestamp: all(timestamp) },
      minimum: this.minimum,
      provisioning: all(this.provisioning, this.provisioningThreshold),
      demo: true,
    });
    const signers = [...root, ...previous.filter((signer) => !root.includes(signer))];
    this.imageFiles.set(`${draft.version}.root.json`, signDraft(draft, signers));
  }

  publishDirectorRoot(previous: readonly Signer[] = [], changes: { expires?: number } = {}): void {
    this.directorVersion.root += 1;
    const { root, targets, snapshot, timestamp } = this.director;
    const draft = draftRoot({
      repository: 'director',
      version: this.directorVersion.root,
      expires: changes.expires ?? this.now + this.life.root,
      roles: { root: all(root), targets: all(targets), snapshot: all(snapshot), timestamp: all(timestamp) },
    });
    const signers = [...root, ...previous.filter((signer) => !root.includes(signer))];
    this.directorFiles.set(`${draft.version}.root.json`, signDraft(draft, signers));
  }

  policy(): Uint8Array {
    const holders = [...this.functions].flatMap(([name, { signers }]) =>
      signers.map(({ publicKey }, index) => ({
        keyId: publicKey.keyId,
        holder: `${name}-${index}`,
        name: `Holder ${index} of ${name}`,
        function: name,
      })),
    );
    return encodePolicy({
      schema: 'airlock-policy/1',
      product: this.product,
      classes: { B: { engineering: 1, quality: 1 }, C: { engineering: 1, quality: 1 } },
      markets: { us: { 'regulatory-us': 1 }, eu: {} },
      holders,
      secureBootRevoked: [],
      ...this.policyChanges,
    });
  }

  /** Signs `targets` anew at the next publication. */
  touchTargets(): void {
    this.targetsFile = undefined;
  }

  /** Publishes the image repository: what changed gets a new version, then snapshot and timestamp. */
  publish(): void {
    for (const [name, found] of this.functions) {
      if (found.file === undefined) this.signFunction(name, found);
    }
    if (this.targetsFile === undefined) this.signTargets();
    const roles: Record<string, Uint8Array> = { targets: this.targetsFile ?? new Uint8Array() };
    for (const [name, { file }] of this.functions) if (file !== undefined) roles[name] = file;
    for (const [name, file] of this.forged) roles[name] = file;
    for (const [name, file] of Object.entries(roles)) {
      this.imageFiles.set(`${String(signedOf(file)['version'])}.${name}.json`, file);
    }
    this.publishSnapshot(roles);
    this.publishTimestamp();
  }

  private signFunction(name: string, found: TestFunction): void {
    found.version += 1;
    const releases = [...found.releases].map(([version, bytes]) => ({
      version,
      length: bytes.length,
      sha256: sha256(bytes),
    }));
    const { expires, version } = found;
    const draft = draftFunction({ product: this.product, function: name, version, expires, releases });
    found.file = signDraft(draft, found.signers);
    for (const [release, bytes] of found.releases) {
      this.imageFiles.set(`targets/${name}/${sha256(bytes)}.${release}.json`, bytes);
    }
  }

  private signTargets(): void {
    this.imageVersion.targets += 1;
    const policy = this.policy();
    this.imageFiles.set(`targets/${sha256(policy)}.policy.json`, policy);
    const functions = [...this.functions].map(([name, { signers, threshold }]) => ({
      name,
      ...all(signers, threshold),
    }));
    const draft = draftTargets({
      product: this.product,
      version: this.imageVersion.targets,
      expires: this.now + this.life.targets,
      functions,
      policy,
    });
    this.targetsFile = signDraft(draft, this.image.targets);
  }

  publishSnapshot(
    roles: Readonly<Record<string, Uint8Array>>,
    signers: readonly Signer[] = this.image.snapshot,
  ): void {
    const version = (this.imageVersion.snapshot += 1);
    const meta = Object.entries(roles).map(([name, file]) => [
      `${name}.json`,
      { version: signedOf(file)['version'], length: file.length, hashes: { sha256: sha256(file) } },
    ]);
    const expires = this.now + this.life.snapshot;
    const owner = { repository: 'image', product: this.product } as const;
    if (this.forged.size === 0) {
      const file = signDraft(draftSnapshot({ ...owner, version, expires, roles }), signers);
      this.imageFiles.set(`${version}.snapshot.json`, file);
      return;
    }
    const like = signedOf(
      signDraft(
        draftSnapshot({
          ...owner,
          version,
          expires,
          roles: { targets: this.targetsFile ?? new Uint8Array() },
        }),
        signers,
      ),
    );
    this.imageFiles.set(
      `${version}.snapshot.json`,
      forge({ ...like, meta: Object.fromEntries(meta) }, signers),
    );
  }

  publishTimestamp(
    changes: { issued?: number; life?: number; version?: number; signers?: readonly Signer[] } = {},
  ): void {
    const version = changes.version ?? this.imageVersion.timestamp + 1;
    this.imageVersion.timestamp = version;
    const issued = changes.issued ?? this.now;
    const snapshot = this.imageFiles.get(`${this.imageVersion.snapshot}.snapshot.json`);
    assert.ok(snapshot);
    const draft = draftTimestamp({
      repository: 'image',
      product: this.product,
      version,
      expires: issued + (changes.life ?? this.life.timestamp),
      issued,
      snapshot,
    });
    this.imageFiles.set('timestamp.json', signDraft(draft, changes.signers ?? this.image.timestamp));
  }

  /** The director assigns a release to one device, or nothing. */
  assign(
    device: string,
    version: number | undefined,
    changes: { bytes?: Uint8Array; product?: string } = {},
  ): void {
    const bytes = version === undefined ? undefined : (changes.bytes ?? this.manifest(version));
    const assignment =
      version === undefined || bytes === undefined
        ? {}
        : {
            assignment: {
              product: changes.product ?? this.product,
              version,
              length: bytes.length,
              sha256: sha256(bytes),
              assignment: { rollout: 'r1', consentRequired: false },
            },
          };
    const next = (this.directorVersion.targets += 1);
    const draft = draftDirectorTargets({
      device,
      version: next,
      expires: this.now + this.life.director,
      ...assignment,
    });
    this.publishDirector(device, signDraft(draft, this.director.targets));
  }

  publishDirector(device: string, targets: Uint8Array): void {
    this.directorFiles.set(`${String(signedOf(targets)['version'])}.targets.json`, targets);
    const version = (this.directorVersion.snapshot += 1);
    const owner = { repository: 'director', device } as const;
    const expires = this.now + this.life.director;
    const snapshot = signDraft(
      draftSnapshot({ ...owner, version, expires, roles: { targets } }),
      this.director.snapshot,
    );
    this.directorFiles.set(`${version}.snapshot.json`, snapshot);
    this.publishDirectorTimestamp(device);
  }

  publishDirectorTimestamp(device: string): void {
    const snapshot = this.directorFiles.get(`${this.directorVersion.snapshot}.snapshot.json`);
    assert.ok(snapshot);
    const version = (this.directorVersion.timestamp += 1);
    const expires = this.now + this.life.timestamp;
    const draft = draftTimestamp({
      repository: 'director',
      device,
      version,
      expires,
      issued: this.now,
      snapshot,
    });
    this.directorFiles.set('timestamp.json', signDraft(draft, this.director.timestamp));
  }

  deviceRecord(
    device: string,
    changes: Record<string, unknown> = {},
    signers: readonly Signer[] = this.provisioning,
  ): string {
    const record = {
      schema: 'airlock-device-record/1',
      number: 1,
      device,
      udi: '(01)00000000000000(21)1',
      product: this.product,
      safetyClass: 'C',
      market: 'us',
      hardware: ['hw:rev2'],
      emergencyAllowed: false,
      ...changes,
    };
    return Buffer.from(signEnvelope(record, signers)).toString('utf8');
  }
}
