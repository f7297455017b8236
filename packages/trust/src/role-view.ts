/** Role files as typed values: parsed and checked on their own by read.ts, NOT verified. */
import type { JsonObject } from './fields.ts';
import type { PublicKey } from './keys.ts';
import type { UtcSeconds } from './result.ts';
import type { Assignment, Minimum, RepositoryName } from './types.ts';

export type TopLevelRole = 'root' | 'targets' | 'snapshot' | 'timestamp';

/** Keys of a role and how many of them must sign. */
export interface KeysAndThreshold {
  readonly keys: readonly PublicKey[];
  readonly threshold: number;
}

/** Version, length and hash of a metadata file, as snapshot and timestamp give them. */
export interface FileEntry {
  readonly version: number;
  readonly length: number;
  readonly sha256: string;
}

export interface RoleCommon {
  readonly repository: RepositoryName;
  /** `root`, `targets`, `snapshot`, `timestamp`, or the function's name. */
  readonly role: string;
  /** Of the image repository. */
  readonly product?: string;
  /** Of the director, but for its root, which is one for the fleet. */
  readonly device?: string;
  readonly version: number;
  readonly expires: UtcSeconds;
  readonly signatures: readonly { readonly keyId: string; readonly sig: string }[];
  /** The signed part as parsed; its TUF canonical form is what was signed. */
  readonly signed: JsonObject;
}

export interface RootView extends RoleCommon {
  readonly kind: 'root';
  readonly roles: Readonly<Record<TopLevelRole, KeysAndThreshold>>;
  /** What only the image root says. */
  readonly image?: {
    readonly minimum: Minimum;
    readonly provisioning: KeysAndThreshold;
    readonly demo: boolean;
  };
}

export interface TargetsView extends RoleCommon {
  readonly kind: 'targets';
  readonly functions: readonly (KeysAndThreshold & { readonly name: string })[];
  readonly policy: { readonly length: number; readonly sha256: string };
}

export interface FunctionView extends RoleCommon {
  readonly kind: 'function';
  /** Releases that the function approves, by the version in their path. */
  readonly releases: readonly FileEntry[];
}

export interface DirectorTargetsView extends RoleCommon {
  readonly kind: 'director-targets';
  readonly assignment?: FileEntry & { readonly product: string; readonly assignment: Assignment };
}

export interface SnapshotView extends RoleCommon {
  readonly kind: 'snapshot';
  /** By role name, without `.json`. */
  readonly roles: Readonly<Record<string, FileEntry>>;
}

export interface TimestampView extends RoleCommon {
  readonly kind: 'timestamp';
  readonly snapshot: FileEntry;
  readonly issued: UtcSeconds;
}

export type RoleView =
  | RootView
  | TargetsView
  | FunctionView
  | DirectorTargetsView
  | SnapshotView
  | TimestampView;
