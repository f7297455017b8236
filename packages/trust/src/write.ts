/**
 * Writing role files: drafts of every role, built with @tufjs/models, and signatures added to them.
 *
 * A draft is written once: the bytes that are signed (TUF's canonical form of the signed part), and the text that
 * goes into the file, are computed together and never again, since snapshot and timestamp hash the file as it is
 * written. Time, versions and keys are always given. Every draft passes the device's own raw checks before it is
 * handed out, so that what a device would refuse is never signed; a draft that fails them is a programmer's error.
 */
import { Key, Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp } from '@tufjs/models';
import { Delegations } from '@tufjs/models/dist/delegations.js';
import { DelegatedRole, Role } from '@tufjs/models/dist/role.js';
import type { JSONValue } from '@tufjs/models/dist/utils/types.js';
import { sha256Hex, tufCanonicalBytes } from './canonical.ts';
import { formatInstant } from './instant.ts';
import { type PublicKey, publicKeyJson, type Signer } from './keys.ts';
import { trustLimits } from './limits.ts';
import { type KeysAndThreshold, readRole, type RoleView } from './read.ts';
import { fail, ok, type Result, type UtcSeconds } from './result.ts';
import type { Assignment, Minimum, RepositoryName } from './types.ts';

/** A role file that waits for its signatures. */
export interface Draft {
  readonly repository: RepositoryName;
  /** `root`, `targets`, `snapshot`, `timestamp`, or the function's name. */
  readonly role: string;
  readonly version: number;
  /** Exactly what every signer signs. */
  readonly bytesToSign: Uint8Array;
  /** The role file with an empty list of signatures. */
  readonly unsigned: Uint8Array;
}

/** Whose snapshot or timestamp it is: a product's image repository, or one device's director metadata. */
export type Owner =
  | { readonly repository: 'image'; readonly product: string }
  | { readonly repository: 'director'; readonly device: string };

interface Term {
  /** From 1 to 2^53 - 1, above every version of the role that was ever signed. */
  readonly version: number;
  readonly expires: UtcSeconds;
}

const specVersion = '1.0.31';
const encoder = new TextEncoder();

function common(term: Term, airlock: Record<string, unknown>) {
  return {
    version: term.version,
    specVersion,
    expires: formatInstant(term.expires),
    unrecognizedFields: { 'x-airlock': plainJson(airlock) },
  };
}

/** A copy as plain JSON, which is all that @tufjs/models takes: fields that are undefined drop out. */
function plainJson(value: unknown): JSONValue {
  return JSON.parse(JSON.stringify(value)) as JSONValue;
}

function keyMap(keys: readonly PublicKey[]): Record<string, Key> {
  const sorted = keys.toSorted((a, b) => (a.keyId < b.keyId ? -1 : 1));
  return Object.fromEntries(
    sorted.map((key) => {
      const { keytype, scheme, keyval } = publicKeyJson(key);
      return [key.keyId, new Key({ keyID: key.keyId, keyType: keytype, scheme, keyVal: { ...keyval } })];
    }),
  );
}

/** Key ids sorted, so that the same keys always give the same file. */
function keyIds(keys: readonly PublicKey[]): string[] {
  return keys.map((key) => key.keyId).toSorted();
}

function hashed(bytes: Uint8Array) {
  return { length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
}

/** Writes the unsigned file once and reads it back through the device's own checks. */
function finish(signed: Root | Targets | Snapshot | Timestamp, role: string): Draft {
  const unsigned = encoder.encode(JSON.stringify(new Metadata(signed).toJSON()));
  const draft = draftOf(unsigned);
  if (!draft.ok) throw new TypeError(`cannot draft ${role}: ${draft.error.message}`);
  return draft.value;
}

/**
 * A root: `image` for one product (with minimum, provisioning keys and demo mark), `director` for the whole fleet.
 * A new root must be signed by the threshold of the old root's keys and of its own (TUF 5.3.4).
 */
export function draftRoot(
  options: Term & {
    readonly repository: RepositoryName;
    readonly product?: string;
    readonly roles: Readonly<Record<'root' | 'targets' | 'snapshot' | 'timestamp', KeysAndThreshold>>;
    readonly minimum?: Minimum;
    readonly provisioning?: KeysAndThreshold;
    readonly demo?: boolean;
  },
): Draft {
  const { repository, product, roles, minimum, provisioning, demo } = options;
  const image = repository === 'image';
  const airlock = {
    repository,
    ...(product === undefined ? {} : { product }),
    ...(image ? { demo: demo === true } : {}),
    ...(minimum === undefined ? {} : { minimum }),
    ...(provisioning === undefined
      ? {}
      : {
          provisioning: {
            keys: Object.fromEntries(
              provisioning.keys
                .toSorted((a, b) => (a.keyId < b.keyId ? -1 : 1))
                .map((key) => [key.keyId, publicKeyJson(key)]),
            ),
            threshold: provisioning.threshold,
          },
        }),
  };
  const role = ({ keys, threshold }: KeysAndThreshold) => new Role({ keyIDs: keyIds(keys), threshold });
  const { root, targets, snapshot, timestamp } = roles;
  return finish(
    new Root({
      ...common(options, airlock),
      keys: keyMap([...root.keys, ...targets.keys, ...snapshot.keys, ...timestamp.keys]),
      roles: {
        root: role(root),
        targets: role(targets),
        snapshot: role(snapshot),
        timestamp: role(timestamp),
      },
      consistentSnapshot: true,
    }),
    'root',
  );
}

/** The image repository's `targets`: the policy, and one terminating delegation for each function. */
export function draftTargets(
  options: Term & {
    readonly product: string;
    readonly functions: readonly (KeysAndThreshold & { readonly name: string })[];
    /** Exact bytes of policy.json. */
    readonly policy: Uint8Array;
  },
): Draft {
  const functions = options.functions.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const roles = functions.map(({ name, keys, threshold }): [string, DelegatedRole] => [
    name,
    new DelegatedRole({ name, keyIDs: keyIds(keys), threshold, terminating: true, paths: [`${name}/*`] }),
  ]);
  if (new Set(roles.map(([name]) => name)).size !== roles.length) {
    throw new TypeError('cannot draft targets: a function stands twice');
  }
  const signed = new Targets({
    ...common(options, { repository: 'image', product: options.product }),
    targets: { 'policy.json': new TargetFile({ path: 'policy.json', ...hashed(options.policy) }) },
    delegations: new Delegations({
      keys: keyMap(functions.flatMap(({ keys }) => keys)),
      roles: Object.fromEntries(roles),
    }),
  });
  return finish(signed, 'targets');
}

/** A function's role: every release that it approves now. Leaving one out withdraws it. */
export function draftFunction(
  options: Term & {
    readonly product: string;
    readonly function: string;
    /** Manifests by release version, with the length and hash of their bytes. */
    readonly releases: readonly {
      readonly version: number;
      readonly length: number;
      readonly sha256: string;
    }[];
  },
): Draft {
  const signed = new Targets(
    common(options, { repository: 'image', product: options.product, function: options.function }),
  );
  for (const { version, length, sha256 } of options.releases.toSorted((a, b) => a.version - b.version)) {
    const path = `${options.function}/${version}.json`;
    if (Object.hasOwn(signed.targets, path)) {
      throw new TypeError(`cannot draft ${options.function}: release ${version} stands twice`);
    }
    signed.addTarget(new TargetFile({ path, length, hashes: { sha256 } }));
  }
  return finish(signed, options.function);
}

/** A device's director `targets`: at most one target, the manifest that it shall install now. */
export function draftDirectorTargets(
  options: Term & {
    readonly device: string;
    readonly assignment?: {
      readonly product: string;
      readonly version: number;
      /** Bytes of the manifest. */
      readonly length: number;
      readonly sha256: string;
      readonly assignment: Assignment;
    };
  },
): Draft {
  const signed = new Targets(common(options, { repository: 'director', device: options.device }));
  if (options.assignment !== undefined) {
    const { product, version, length, sha256, assignment } = options.assignment;
    const custom = plainJson(assignment);
    const path = `${product}/${version}.json`;
    signed.addTarget(new TargetFile({ path, length, hashes: { sha256 }, unrecognizedFields: { custom } }));
  }
  return finish(signed, 'targets');
}

/** A snapshot over the files given, by role name. The image repository's holds every function ever published. */
export function draftSnapshot(
  options: Term & Owner & { readonly roles: Readonly<Record<string, Uint8Array>> },
): Draft {
  const names = Object.keys(options.roles).toSorted();
  const meta = names.map((name): [string, MetaFile] => {
    const bytes = options.roles[name] ?? new Uint8Array();
    return [`${name}.json`, new MetaFile({ version: versionIn(bytes, name), ...hashed(bytes) })];
  });
  const signed = new Snapshot({ ...common(options, ownerOf(options)), meta: Object.fromEntries(meta) });
  return finish(signed, 'snapshot');
}

/** A timestamp over a snapshot file; `issued` is the moment of signing, a lower bound of time for devices. */
export function draftTimestamp(
  options: Term & Owner & { readonly issued: UtcSeconds; readonly snapshot: Uint8Array },
): Draft {
  const { issued, snapshot } = options;
  const snapshotMeta = new MetaFile({ version: versionIn(snapshot, 'snapshot'), ...hashed(snapshot) });
  const signed = new Timestamp({ ...common(options, { ...ownerOf(options), issued }), snapshotMeta });
  return finish(signed, 'timestamp');
}

function ownerOf(owner: Owner): Record<string, string> {
  return owner.repository === 'image'
    ? { repository: 'image', product: owner.product }
    : { repository: 'director', device: owner.device };
}

function versionIn(bytes: Uint8Array, name: string): number {
  const parsed = readRole(bytes, `${name}.json`);
  if (!parsed.ok) throw new TypeError(`cannot refer to ${name}: ${parsed.error.message}`);
  return parsed.value.version;
}

/**
 * The draft of an existing role file, whatever its signatures: what a second signer signs.
 * Codes: those of `parseRaw` and `checkRole`.
 */
export function draftOf(file: Uint8Array): Result<Draft> {
  const parsed = readRole(file);
  if (!parsed.ok) return parsed;
  const view = parsed.value;
  return ok({
    repository: view.repository,
    role: view.role,
    version: view.version,
    bytesToSign: tufCanonicalBytes(view.signed),
    unsigned: assemble(view, []),
  });
}

function assemble(view: RoleView, signatures: readonly { keyid: string; sig: string }[]): Uint8Array {
  const sorted = signatures.toSorted((a, b) => (a.keyid < b.keyid ? -1 : 1));
  return encoder.encode(JSON.stringify({ signatures: sorted, signed: view.signed }));
}

/** The role file, signed by every signer. Throws TypeError when one key is given twice. */
export function signDraft(draft: Draft, signers: readonly Signer[]): Uint8Array {
  const ids = new Set(signers.map(({ publicKey }) => publicKey.keyId));
  if (ids.size !== signers.length) throw new TypeError('a key signs once');
  let file = draft.unsigned;
  for (const signer of signers) {
    const signature = signer.sign(draft.bytesToSign);
    const next = addSignature(file, { keyId: signer.publicKey.keyId, signature });
    if (!next.ok) throw new TypeError(next.error.message);
    file = next.value;
  }
  return file;
}

/**
 * A role file with one more signature; one of the same key is replaced (ECDSA never signs twice alike).
 * The signature is not verified here: only the delegator's file tells whose it is and whether it counts.
 * Codes: those of `parseRaw` and `checkRole`; OTA_BAD_METADATA for a malformed key id or too many signatures.
 */
export function addSignature(
  file: Uint8Array,
  added: { readonly keyId: string; readonly signature: Uint8Array },
): Result<Uint8Array> {
  const parsed = readRole(file);
  if (!parsed.ok) return parsed;
  const view = parsed.value;
  const others = view.signatures.filter(({ keyId }) => keyId !== added.keyId);
  if (others.length >= trustLimits.signaturesMax) {
    return fail('OTA_BAD_METADATA', `role file has ${others.length} signatures already`, 'signatures');
  }
  const signatures = [
    ...others.map(({ keyId, sig }) => ({ keyid: keyId, sig })),
    { keyid: added.keyId, sig: Buffer.from(added.signature).toString('hex') },
  ];
  const next = assemble(view, signatures);
  const checked = readRole(next);
  return checked.ok ? ok(next) : checked;
}
