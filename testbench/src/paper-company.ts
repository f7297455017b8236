/**
 * A company on paper: it signs releases, approves and withdraws them, and assigns them to one device - in memory.
 *
 * Written with trust's own writers. Keys come from a seed, so that one seed makes the same bytes again. `publish`
 * signs every role anew and gives all files by the path that the trust check asks for; what a server would do with
 * them is the caller's. Not for anything but the testbench: the keys are public knowledge.
 */
import { createHash, createPrivateKey } from 'node:crypto';
import {
  type Assignment,
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
  sha256Hex,
  signDraft,
  signEnvelope,
  type Signer,
  signerFrom,
  signTimeAnswer,
  type TrustState,
  type UtcSeconds,
} from '@airlock/trust';

const daySeconds = 24 * 3600;
/** DER of an Ed25519 private key (RFC 8410) up to its 32 secret bytes. */
const ed25519Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The same key for the same words. */
export function seededSigner(words: string): Signer {
  const secret = createHash('sha256').update(words).digest();
  const key = Buffer.concat([ed25519Prefix, secret]);
  return signerFrom(createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
}

export interface PaperOptions {
  readonly product: string;
  readonly device: string;
  readonly functions: readonly string[];
  readonly now: UtcSeconds;
  readonly seed?: string;
}

/** File text by `<repository>/<path>`. */
export type Files = Readonly<Record<string, string>>;

const onlineRoles = ['snapshot', 'timestamp'] as const;

export class PaperCompany {
  now: UtcSeconds;
  readonly product: string;
  readonly device: string;
  readonly imageRoot: string;
  readonly directorRoot: string;
  readonly manifests = new Map<number, Uint8Array>();
  readonly #functions: readonly string[];
  readonly #seed: string;
  readonly #approved: Map<string, Set<number>>;
  #version = 0;

  constructor({ product, device, functions, now, seed = 'paper' }: PaperOptions) {
    this.product = product;
    this.device = device;
    this.now = now;
    this.#functions = functions;
    this.#seed = seed;
    this.#approved = new Map(functions.map((name) => [name, new Set()]));
    const term = { version: 1, expires: now + 365 * daySeconds };
    this.imageRoot = textOf(
      signDraft(
        draftRoot({
          ...term,
          repository: 'image',
          product,
          roles: this.#roles('image'),
          minimum: { classes: { C: this.#thresholds() }, markets: { us: {} } },
          provisioning: this.#keys('provisioning'),
          demo: true,
        }),
        [this.#signer('image root')],
      ),
    );
    this.directorRoot = textOf(
      signDraft(draftRoot({ ...term, repository: 'director', roles: this.#roles('director') }), [
        this.#signer('director root'),
      ]),
    );
  }

  /** What the device is provisioned with. */
  trustState(): TrustState {
    const { product, device, imageRoot, directorRoot } = this;
    const state = newTrustState({
      identity: { product, device },
      imageRoot,
      directorRoot,
      deviceRecord: this.deviceRecord(1),
      builtAt: this.now,
    });
    if (!state.ok) throw new Error(state.error.message);
    return state.value;
  }

  deviceRecord(number: number, changes: Readonly<Record<string, unknown>> = {}): string {
    const record = {
      schema: 'airlock-device-record/1',
      number,
      device: this.device,
      udi: '(01)00844588003288(21)1',
      product: this.product,
      safetyClass: 'C',
      market: 'us',
      hardware: ['hw:rev2'],
      emergencyAllowed: false,
      ...changes,
    };
    return textOf(signEnvelope(record, [this.#signer('provisioning')]));
  }

  /** Makes a release and has every function approve it. Answers the manifest's text. */
  release(version: number, changes: Partial<Manifest>): string {
    const bytes = encodeManifest({ ...plainManifest(this.product, version), ...changes });
    this.manifests.set(version, bytes);
    for (const approved of this.#approved.values()) approved.add(version);
    return textOf(bytes);
  }

  withdraw(name: string, version: number): void {
    this.#approved.get(name)?.delete(version);
  }

  /** Signs every role anew, and assigns a release, or nothing. */
  publish(assigned: number | undefined, changes: Partial<Assignment> = {}): Files {
    this.#version += 1;
    const files: Record<string, string> = {};
    this.#publishImage(files);
    const { device } = this;
    const assignment = { rollout: 'r1', consentRequired: false, ...changes };
    const target =
      assigned === undefined
        ? {}
        : { assignment: { product: this.product, ...this.#entry(assigned), assignment } };
    const term = { version: this.#version, expires: this.now + 30 * daySeconds };
    const targets = signDraft(draftDirectorTargets({ ...term, device, ...target }), [
      this.#signer('director targets'),
    ]);
    files[`director/${this.#version}.targets.json`] = textOf(targets);
    this.#publishOnline(files, { repository: 'director', device }, { targets });
    return files;
  }

  /** Both repositories' answer to a device that asks for the time. */
  time(nonce: string): string {
    const answer = { device: this.device, nonce, time: this.now };
    return textOf(
      signTimeAnswer(answer, [this.#signer('director timestamp'), this.#signer('image timestamp')]),
    );
  }

  #publishImage(files: Record<string, string>): void {
    const { product } = this;
    const term = { product, version: this.#version, expires: this.now + 90 * daySeconds };
    const policy = encodePolicy({
      schema: 'airlock-policy/1',
      product,
      classes: { C: this.#thresholds() },
      markets: { us: {} },
      holders: this.#functions.map((name) => ({
        keyId: this.#signer(name).publicKey.keyId,
        holder: `${name}-1`,
        name: `Holder of ${name}`,
        function: name,
      })),
      secureBootRevoked: [],
    });
    files[`image/targets/${sha256Hex(policy)}.policy.json`] = textOf(policy);
    const functions = this.#functions.map((name) => ({ name, ...this.#keys(name) }));
    const targets = signDraft(draftTargets({ ...term, functions, policy }), [this.#signer('image targets')]);
    const roles: Record<string, Uint8Array> = { targets };
    for (const name of this.#functions) {
      const releases = [...(this.#approved.get(name) ?? [])].map((version) => this.#entry(version));
      roles[name] = signDraft(draftFunction({ ...term, function: name, releases }), [this.#signer(name)]);
      for (const { version, sha256 } of releases)
        files[`image/targets/${name}/${sha256}.${version}.json`] = textOf(
          this.manifests.get(version) ?? new Uint8Array(),
        );
    }
    for (const [name, file] of Object.entries(roles))
      files[`image/${this.#version}.${name}.json`] = textOf(file);
    this.#publishOnline(files, { repository: 'image', product }, roles);
  }

  #publishOnline(
    files: Record<string, string>,
    owner: { repository: 'image'; product: string } | { repository: 'director'; device: string },
    roles: Record<string, Uint8Array>,
  ): void {
    const version = this.#version;
    const { repository } = owner;
    const snapshot = signDraft(
      draftSnapshot({ ...owner, version, expires: this.now + 7 * daySeconds, roles }),
      [this.#signer(`${repository} snapshot`)],
    );
    const stamp = { version, expires: this.now + daySeconds, issued: this.now };
    const timestamp = signDraft(draftTimestamp({ ...owner, ...stamp, snapshot }), [
      this.#signer(`${repository} timestamp`),
    ]);
    files[`${repository}/${version}.snapshot.json`] = textOf(snapshot);
    files[`${repository}/timestamp.json`] = textOf(timestamp);
  }

  #entry(version: number) {
    const bytes = this.manifests.get(version);
    if (bytes === undefined) throw new Error(`there is no release ${version}`);
    return { version, length: bytes.length, sha256: sha256Hex(bytes) };
  }

  #thresholds(): Record<string, number> {
    return Object.fromEntries(this.#functions.map((name) => [name, 1]));
  }

  #signer(role: string): Signer {
    return seededSigner(`${this.#seed} ${role}`);
  }

  #keys(role: string) {
    return { keys: [this.#signer(role).publicKey], threshold: 1 };
  }

  #roles(repository: 'image' | 'director') {
    const [snapshot, timestamp] = onlineRoles.map((role) => this.#keys(`${repository} ${role}`));
    if (snapshot === undefined || timestamp === undefined) throw new Error('two online roles');
    const own = { root: this.#keys(`${repository} root`), targets: this.#keys(`${repository} targets`) };
    return { ...own, snapshot, timestamp };
  }
}

/** A release of class C without images. */
export function plainManifest(product: string, version: number): Manifest {
  return {
    schema: 'airlock-manifest/1',
    product,
    version,
    name: `${version}.0`,
    udi: '(01)00844588003288',
    safetyClass: 'C',
    compat: ['hw:rev2'],
    slot: 'inactive',
    requires: {},
    images: [],
    secureBoot: [],
    change: {
      record: `CR-${version}`,
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
