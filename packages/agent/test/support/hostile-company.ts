/**
 * A company whose server is the attacker's: what people signed offline is one thing, what the server serves another.
 *
 * `people...` are acts of holders, with keys that the server never has. `database` is the server's: whoever owns it
 * puts any bytes there, and `serve` signs snapshot, timestamp and the device's director files over them with the online
 * keys. So whatever a device refuses here, it refuses although the server does all that a server can do.
 */
import {
  type DeviceRecord,
  draftDirectorTargets,
  draftFunction,
  draftRoot,
  draftSnapshot,
  draftTargets,
  draftTimestamp,
  encodePolicy,
  type Manifest,
  type Minimum,
  type Policy,
  type PublicKey,
  sha256Hex,
  signDraft,
  signEnvelope,
  type Signer,
  signTimeAnswer,
} from '@airlock/trust';
import { Company, day, device, newSigner, product } from './sim-company.ts';

const utf8 = new TextEncoder();
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const keysOf = (signers: readonly Signer[], threshold = signers.length) => ({
  keys: signers.map(({ publicKey }): PublicKey => publicKey),
  threshold,
});

interface FunctionRole {
  signers: Signer[];
  threshold: number;
  version: number;
}

export interface Plan {
  readonly minimum?: Minimum;
  readonly policy?: Partial<Policy>;
  readonly record?: Partial<DeviceRecord>;
}

/** Three functions; engineering has two holders, and both must sign. */
const functionNames = ['engineering', 'quality', 'regulatory-us', 'regulatory-eu'] as const;

export class HostileCompany extends Company {
  override readonly imageRoot: string;
  override readonly directorRoot: string;
  override readonly deviceRecord: string;
  readonly functions = new Map<string, FunctionRole>();
  /** What the server serves, by role name: `targets` and the functions. */
  readonly database = new Map<string, Uint8Array>();
  readonly #plan: Plan;
  readonly #root = newSigner();
  readonly #targets = [newSigner(), newSigner()];
  readonly #provisioning = newSigner();
  readonly #online = { snapshot: newSigner(), timestamp: newSigner() };
  readonly #director = {
    root: newSigner(),
    targets: newSigner(),
    snapshot: newSigner(),
    timestamp: newSigner(),
  };
  #targetsVersion = 0;
  #onlineVersion = 0;

  constructor(plan: Plan = {}) {
    super();
    this.#plan = plan;
    for (const name of functionNames) {
      const signers = name === 'engineering' ? [newSigner(), newSigner()] : [newSigner()];
      this.functions.set(name, { signers, threshold: signers.length, version: 0 });
    }
    const { snapshot, timestamp } = this.#online;
    const term = { version: 1, expires: this.now + 365 * day };
    const imageRoot = draftRoot({
      ...term,
      repository: 'image',
      product,
      roles: {
        root: keysOf([this.#root]),
        targets: keysOf(this.#targets),
        snapshot: keysOf([snapshot]),
        timestamp: keysOf([timestamp]),
      },
      minimum: plan.minimum ?? {
        classes: { C: { engineering: 2, quality: 1 } },
        markets: { us: {}, eu: {} },
      },
      provisioning: keysOf([this.#provisioning]),
      demo: false,
    });
    this.imageRoot = textOf(signDraft(imageRoot, [this.#root]));
    const { root, ...director } = this.#director;
    const directorRoot = draftRoot({
      ...term,
      repository: 'director',
      roles: {
        root: keysOf([root]),
        targets: keysOf([director.targets]),
        snapshot: keysOf([director.snapshot]),
        timestamp: keysOf([director.timestamp]),
      },
    });
    this.directorRoot = textOf(signDraft(directorRoot, [root]));
    this.deviceRecord = this.record(1, plan.record, this.#provisioning);
    this.peopleSignTargets();
    for (const name of functionNames) this.peopleSign(name, []);
  }

  function(name: string): FunctionRole {
    const found = this.functions.get(name);
    if (found === undefined) throw new Error(`there is no function ${name}`);
    return found;
  }

  /** A device record of the factory. */
  factoryRecord(number: number, changes: Partial<DeviceRecord>): string {
    return this.record(number, changes, this.#provisioning);
  }

  /** A record as the attacker would like it, signed with the best key that a server has. */
  forgedRecord(number: number, changes: Partial<DeviceRecord>): string {
    const honest: unknown = JSON.parse(this.record(number, { ...this.#plan.record, ...changes }));
    const signed = typeof honest === 'object' && honest !== null && 'signed' in honest ? honest.signed : {};
    return textOf(signEnvelope(signed, [this.#online.timestamp]));
  }

  /** The holders of a function sign their whole list; `changes` is what they do wrong, or are made to do. */
  peopleSign(
    name: string,
    versions: readonly number[],
    changes: { readonly signers?: readonly Signer[]; readonly expires?: number; readonly texts?: Texts } = {},
  ): Uint8Array {
    const found = this.function(name);
    found.version += 1;
    const draft = draftFunction({
      product,
      function: name,
      version: found.version,
      expires: changes.expires ?? this.now + 60 * day,
      releases: versions.map((version) => this.#entry(name, version, changes.texts?.[version])),
    });
    const file = signDraft(draft, changes.signers ?? found.signers);
    this.database.set(name, file);
    return file;
  }

  /** Everybody who is asked for a class C device in the US; `without`: but for these. */
  peopleApprove(version: number, without: readonly string[] = []): void {
    for (const name of functionNames) this.peopleSign(name, without.includes(name) ? [] : [version]);
  }

  /** The holders of `targets` sign policy and delegations; `changes` is what they are made to sign. */
  peopleSignTargets(
    changes: { readonly policy?: Partial<Policy>; readonly functions?: readonly string[] } = {},
  ): void {
    this.#targetsVersion += 1;
    const policy = this.#policy(changes.policy);
    this.files.set(`image/targets/${sha256Hex(policy)}.policy.json`, textOf(policy));
    const names = changes.functions ?? [...this.functions.keys()];
    const draft = draftTargets({
      product,
      version: this.#targetsVersion,
      expires: this.now + 180 * day,
      functions: names.map((name) => {
        const { signers, threshold } = this.function(name);
        return { name, ...keysOf(signers, threshold) };
      }),
      policy,
    });
    this.database.set('targets', signDraft(draft, this.#targets));
  }

  /** The holders that the policy names when nobody does anything wrong. */
  holders(): Policy['holders'] {
    return [...this.functions].flatMap(([name, { signers }]) =>
      signers.map(({ publicKey }, at) => ({
        keyId: publicKey.keyId,
        holder: `${name}-${at}`,
        name: `Holder ${at} of ${name}`,
        function: name,
      })),
    );
  }

  #policy(changes: Partial<Policy> = {}): Uint8Array {
    return encodePolicy({
      schema: 'airlock-policy/1',
      product,
      classes: { C: { engineering: 2, quality: 1 } },
      markets: { us: { 'regulatory-us': 1 }, eu: { 'regulatory-eu': 1 } },
      holders: this.holders(),
      secureBootRevoked: [],
      ...this.#plan.policy,
      ...changes,
    });
  }

  /** The server's whole power: its database as it is now, under fresh signatures of all online keys. */
  serve(version: number | undefined, text = this.manifests.get(version ?? 0)): void {
    this.#onlineVersion += 1;
    const next = this.#onlineVersion;
    for (const [name, file] of this.database) {
      const { signed } = JSON.parse(textOf(file)) as { signed: { version: number } };
      this.files.set(`image/${signed.version}.${name}.json`, textOf(file));
    }
    const roles = Object.fromEntries(this.database);
    const expires = this.now + 7 * day;
    this.#sign('image', draftSnapshot({ repository: 'image', product, version: next, expires, roles }), next);
    const bytes = utf8.encode(text ?? '');
    const target =
      version === undefined
        ? {}
        : {
            assignment: {
              product,
              version,
              length: bytes.length,
              sha256: sha256Hex(bytes),
              assignment: { rollout: 'hostile', consentRequired: false },
            },
          };
    const targets = signDraft(draftDirectorTargets({ device, version: next, expires, ...target }), [
      this.#director.targets,
    ]);
    this.files.set(`director/${next}.targets.json`, textOf(targets));
    const owner = { repository: 'director', device } as const;
    this.#sign('director', draftSnapshot({ ...owner, version: next, expires, roles: { targets } }), next);
  }

  override publish(version: number | undefined): void {
    this.serve(version);
  }

  #sign(repository: 'image' | 'director', draft: ReturnType<typeof draftSnapshot>, version: number): void {
    const keys = repository === 'image' ? this.#online : this.#director;
    const snapshot = signDraft(draft, [keys.snapshot]);
    const stamp = { version, expires: this.now + day, issued: this.now, snapshot };
    const timestamp =
      repository === 'image'
        ? draftTimestamp({ repository, product, ...stamp })
        : draftTimestamp({ repository, device, ...stamp });
    this.files.set(`${repository}/${version}.snapshot.json`, textOf(snapshot));
    this.files.set(`${repository}/timestamp.json`, textOf(signDraft(timestamp, [keys.timestamp])));
  }

  override time(nonce: string, changes: { readonly time?: number } = {}): string {
    const answer = { device, nonce, time: this.now, ...changes };
    return textOf(signTimeAnswer(answer, [this.#director.timestamp, this.#online.timestamp]));
  }

  /** Any content under any release's number: `texts` of a function that was shown another manifest. */
  forgedManifest(version: number, changes: Partial<Manifest>): string {
    const honest = this.manifests.get(version);
    const text = this.release(version, changes);
    if (honest !== undefined) this.manifests.set(version, honest);
    return text;
  }

  #entry(name: string, version: number, text = this.manifests.get(version)) {
    const bytes = utf8.encode(text);
    const sha256 = sha256Hex(bytes);
    this.files.set(`image/targets/${name}/${sha256}.${version}.json`, textOf(bytes));
    return { version, length: bytes.length, sha256 };
  }
}

type Texts = Readonly<Record<number, string>>;
