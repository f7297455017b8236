/** A company in a few verbs: it signs releases, has them approved or withdrawn, and assigns them to one device. */
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
  sha256Hex,
  signDraft,
  signEnvelope,
  signerFrom,
  signTimeAnswer,
  type Assignment,
  type Manifest,
  type Signer,
} from '@airlock/trust';

export const product = 'infusion-pump';
export const device = 'PUMP-0001';
export const day = 24 * 3600;
/** 2026-11-01T00:00:00Z. */
export const start = 1_793_491_200;
const functionNames = ['engineering', 'quality'] as const;

export const newSigner = (): Signer => signerFrom(generateKeyPairSync('ed25519').privateKey);
const one = (signer: Signer) => ({ keys: [signer.publicKey], threshold: 1 });
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** An image that says what it is in its first line. */
export function imageOf(component: string, version: number, len = 5000): Uint8Array {
  const bytes = new Uint8Array(len).fill(version % 256);
  bytes.set(new TextEncoder().encode(`${JSON.stringify({ product, version, component })}\n`), 0);
  return bytes;
}

export class Company {
  now = start;
  /** What timestamps say of when they were issued; undefined: the truth. */
  issued: number | undefined;
  readonly files = new Map<string, string>();
  readonly blobs = new Map<string, Uint8Array>();
  readonly manifests = new Map<number, string>();
  readonly imageRoot: string;
  readonly directorRoot: string;
  readonly deviceRecord: string;
  readonly #keys = {
    imageRoot: newSigner(),
    targets: newSigner(),
    snapshot: newSigner(),
    timestamp: newSigner(),
    directorRoot: newSigner(),
    director: newSigner(),
    directorSnapshot: newSigner(),
    directorTimestamp: newSigner(),
    provisioning: newSigner(),
    engineering: newSigner(),
    quality: newSigner(),
  };
  readonly #approved = new Map<string, Set<number>>(functionNames.map((name) => [name, new Set()]));
  #version = 0;
  #roots = 1;

  constructor() {
    this.imageRoot = this.#signImageRoot([this.#keys.imageRoot]);
    this.directorRoot = this.#signDirectorRoot([this.#keys.directorRoot]);
    this.deviceRecord = this.record(1);
  }

  /** New roots of both repositories, with new root keys and new online keys; each lives a year from now. */
  rotateRoots(): void {
    const old = { ...this.#keys };
    for (const name of ['imageRoot', 'snapshot', 'timestamp', 'directorRoot', 'directorTimestamp'] as const)
      this.#keys[name] = newSigner();
    this.#roots += 1;
    const [image, director] = [`image/${this.#roots}.root.json`, `director/${this.#roots}.root.json`];
    this.files.set(image, this.#signImageRoot([old.imageRoot, this.#keys.imageRoot]));
    this.files.set(director, this.#signDirectorRoot([old.directorRoot, this.#keys.directorRoot]));
  }

  #signImageRoot(signers: readonly Signer[]): string {
    const keys = this.#keys;
    const draft = draftRoot({
      repository: 'image',
      product,
      version: this.#roots,
      expires: this.now + 365 * day,
      roles: {
        root: one(keys.imageRoot),
        targets: one(keys.targets),
        snapshot: one(keys.snapshot),
        timestamp: one(keys.timestamp),
      },
      minimum: { classes: { C: { engineering: 1, quality: 1 } }, markets: { us: {} } },
      provisioning: one(keys.provisioning),
      demo: true,
    });
    return textOf(signDraft(draft, signers));
  }

  #signDirectorRoot(signers: readonly Signer[]): string {
    const keys = this.#keys;
    const draft = draftRoot({
      repository: 'director',
      version: this.#roots,
      expires: this.now + 365 * day,
      roles: {
        root: one(keys.directorRoot),
        targets: one(keys.director),
        snapshot: one(keys.directorSnapshot),
        timestamp: one(keys.directorTimestamp),
      },
    });
    return textOf(signDraft(draft, signers));
  }

  /** A device record; signed by the provisioning key unless said otherwise. */
  record(number: number, changes: Readonly<Record<string, unknown>> = {}, signer?: Signer): string {
    const record = {
      schema: 'airlock-device-record/1',
      number,
      device,
      udi: '(01)00000000000000(21)1',
      product,
      safetyClass: 'C',
      market: 'us',
      hardware: ['hw:rev2'],
      emergencyAllowed: false,
      ...changes,
    };
    return textOf(signEnvelope(record, [signer ?? this.#keys.provisioning]));
  }

  /** Makes a release of two images; approved by all unless said otherwise. */
  release(
    version: number,
    changes: Partial<Manifest> = {},
    approvedBy: readonly string[] = functionNames,
  ): string {
    const images = ['app', 'rootfs'].map((component) => {
      const bytes = imageOf(component, version);
      const hash = sha256Hex(bytes);
      this.blobs.set(hash, bytes);
      return { component, len: bytes.length, hash };
    });
    const text = textOf(encodeManifest(manifestOf(version, { images, ...changes })));
    this.manifests.set(version, text);
    for (const name of approvedBy) this.#approved.get(name)?.add(version);
    return text;
  }

  withdraw(name: string, version: number): void {
    this.#approved.get(name)?.delete(version);
  }

  /** Publishes all roles anew, and assigns a release, or nothing. */
  publish(version: number | undefined, assignment: Partial<Assignment> = {}): void {
    const next = (this.#version += 1);
    const keys = this.#keys;
    const expires = this.now + 30 * day;
    const policy = encodePolicy({
      schema: 'airlock-policy/1',
      product,
      classes: { C: { engineering: 1, quality: 1 } },
      markets: { us: {} },
      holders: functionNames.map((name) => ({
        keyId: keys[name].publicKey.keyId,
        holder: `holder-${name}`,
        name,
        function: name,
      })),
      secureBootRevoked: [],
    });
    const functions = functionNames.map((name) => ({ name, ...one(keys[name]) }));
    const roles: Record<string, Uint8Array> = {
      targets: signDraft(draftTargets({ product, version: next, expires, functions, policy }), [
        keys.targets,
      ]),
    };
    this.files.set(`image/targets/${sha256Hex(policy)}.policy.json`, textOf(policy));
    for (const name of functionNames) {
      const releases = [...(this.#approved.get(name) ?? [])].map((one_) => this.#entry(name, one_));
      const draft = draftFunction({ product, function: name, version: next, expires, releases });
      roles[name] = signDraft(draft, [keys[name]]);
    }
    const snapshot = signDraft(
      draftSnapshot({ repository: 'image', product, version: next, expires, roles }),
      [keys.snapshot],
    );
    for (const [name, file] of Object.entries(roles))
      this.files.set(`image/${next}.${name}.json`, textOf(file));
    this.files.set(`image/${next}.snapshot.json`, textOf(snapshot));
    const stamp = this.#stamp(next);
    const timestamp = draftTimestamp({ repository: 'image', product, ...stamp, snapshot });
    this.files.set('image/timestamp.json', textOf(signDraft(timestamp, [keys.timestamp])));
    this.#publishDirector(next, version, assignment);
  }

  #stamp(version: number) {
    const issued = this.issued ?? this.now;
    return { version, issued, expires: issued + day };
  }

  /** A signed time; `changes`: for another device, of another moment, or by other keys than both timestamp keys. */
  time(nonce: string, changes: { device?: string; time?: number; signers?: readonly Signer[] } = {}): string {
    const { signers = [this.#keys.directorTimestamp, this.#keys.timestamp], ...more } = changes;
    return textOf(signTimeAnswer({ device, nonce, time: this.now, ...more }, signers));
  }

  /** A timestamp key, for a thief of it. */
  timestampKey(repository: 'image' | 'director'): Signer {
    return repository === 'image' ? this.#keys.timestamp : this.#keys.directorTimestamp;
  }

  /** What a thief of the director's timestamp key can sign: a timestamp, of any moment, over what is published. */
  stampDirector(issued: number): void {
    const snapshot = new TextEncoder().encode(this.files.get(`director/${this.#version}.snapshot.json`));
    const stamp = { version: this.#version + 1, expires: issued + day, issued };
    const timestamp = draftTimestamp({ repository: 'director', device, ...stamp, snapshot });
    this.files.set('director/timestamp.json', textOf(signDraft(timestamp, [this.#keys.directorTimestamp])));
  }

  /** New roots that name new online keys; what is published next is signed with them, and numbers begin again. */
  rotateOnline(): void {
    const online = ['snapshot', 'timestamp', 'director', 'directorSnapshot', 'directorTimestamp'] as const;
    for (const name of online) this.#keys[name] = newSigner();
    this.#roots += 1;
    this.files.set(`image/${this.#roots}.root.json`, this.#signImageRoot([this.#keys.imageRoot]));
    this.files.set(`director/${this.#roots}.root.json`, this.#signDirectorRoot([this.#keys.directorRoot]));
  }

  #entry(name: string, version: number) {
    const bytes = new TextEncoder().encode(this.manifests.get(version));
    const sha256 = sha256Hex(bytes);
    this.files.set(`image/targets/${name}/${sha256}.${version}.json`, textOf(bytes));
    return { version, length: bytes.length, sha256 };
  }

  #publishDirector(next: number, version: number | undefined, changes: Partial<Assignment>): void {
    const keys = this.#keys;
    const expires = this.now + 30 * day;
    const assignment = { rollout: 'r1', consentRequired: false, ...changes };
    const target =
      version === undefined
        ? {}
        : { assignment: { product, ...this.#entry('quality', version), assignment } };
    const targets = signDraft(draftDirectorTargets({ device, version: next, expires, ...target }), [
      keys.director,
    ]);
    const snapshot = signDraft(
      draftSnapshot({ repository: 'director', device, version: next, expires, roles: { targets } }),
      [keys.directorSnapshot],
    );
    const stamp = this.#stamp(next);
    const timestamp = draftTimestamp({ repository: 'director', device, ...stamp, snapshot });
    this.files.set(`director/${next}.targets.json`, textOf(targets));
    this.files.set(`director/${next}.snapshot.json`, textOf(snapshot));
    this.files.set('director/timestamp.json', textOf(signDraft(timestamp, [keys.directorTimestamp])));
  }
}

function manifestOf(version: number, changes: Partial<Manifest> = {}): Manifest {
  return {
    schema: 'airlock-manifest/1',
    product,
    version,
    name: `Release ${version}`,
    udi: '(01)00000000000000',
    safetyClass: 'C',
    compat: ['hw:rev2'],
    slot: 'inactive',
    requires: {},
    images: [],
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
      regulatory: { decision: 'letter-to-file', reference: 'LTF-1' },
      links: ['https://qms.example/CR-1'],
    },
    authors: ['dev@example.org'],
    emergency: false,
    urgency: { level: 'routine' },
    selfTest: { timeLimitSeconds: 60, critical: [] },
    notes: '',
    demand: {},
    critical: [],
    ...changes,
  };
}
