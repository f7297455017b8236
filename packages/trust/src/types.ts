/**
 * The values that trust speaks in: who a device is, what it keeps, what it is told to install, and the verdict.
 *
 * Only shapes; the parsers and checks that produce them live beside. Nothing here does I/O.
 */
import type { Failure, UtcSeconds } from './result.ts';

export type SafetyClass = 'A' | 'B' | 'C';
export type GroupLetter = 'A' | 'B';
export type RepositoryName = 'image' | 'director';

/** What a device was provisioned with and compares every signed file against. */
export interface TrustIdentity {
  readonly product: string;
  readonly device: string;
}

/** Highest version of a role ever verified, forgotten only when the role's own keys change. */
export interface RoleMemory {
  readonly version: number;
  /** SHA-256 of the canonical signed part: the same number may never come with another content. */
  readonly signedSha256: string;
  /** Key ids that the delegator named for the role when this version was verified, sorted. */
  readonly keyIds: readonly string[];
  /** Of `timestamp`, and of it only: the largest `issued` ever verified under these keys. */
  readonly issued?: UtcSeconds;
}

/** What is kept of one repository. File texts are exact, so that hashes can be computed again. */
export interface RepositoryState {
  readonly root: string;
  readonly timestamp?: string;
  readonly snapshot?: string;
  /** `targets` and the functions, by role name, as last verified. */
  readonly roles: Readonly<Record<string, string>>;
  readonly memory: Readonly<Record<string, RoleMemory>>;
}

/** Everything the device keeps about trust; replaced as one file, atomically. */
export interface TrustState {
  readonly schema: 'airlock-trust-state/1';
  readonly image: RepositoryState;
  readonly director: RepositoryState;
  /** Exact text of `policy.json` and of the assigned manifest, as last verified by hash. */
  readonly policy?: string;
  readonly manifest?: string;
  /** The signed device record (envelope text). */
  readonly deviceRecord: string;
  /** Manifest hashes that a function once listed here and later dropped, newest last, at most `withdrawnMax`. */
  readonly withdrawn: readonly string[];
  /** Build time of the image that the device was provisioned with: time is never earlier. */
  readonly builtAt: UtcSeconds;
  /** What `timeLowerBound` of time-bound.ts says of the fields above, written out for whoever reads a state. */
  readonly timeLowerBound: UtcSeconds;
}

/** What a device is; signed at manufacture by a provisioning key that the image root names. */
export interface DeviceRecord {
  readonly schema: 'airlock-device-record/1';
  /** A record replaces another only with a higher number. */
  readonly number: number;
  readonly device: string;
  readonly udi: string;
  readonly product: string;
  readonly safetyClass: SafetyClass;
  readonly market: string;
  readonly hardware: readonly string[];
  readonly emergencyAllowed: boolean;
  /** Names the floor after a restored disk; absent otherwise. */
  readonly floor?: number;
  /**
   * The value of the device's counter for which it names the floor, so that it counts once: whatever raises the floor
   * later, raises the counter. Only beside `floor`; a device with a TPM believes no floor without it.
   */
  readonly counter?: number;
}

export interface ManifestImage {
  readonly component: string;
  readonly len: number;
  /** SHA-256 of the whole image, 64 lower-case hex digits. */
  readonly hash: string;
}

/** `airlock-manifest/1`; see docs/formats.md. */
export interface Manifest {
  readonly schema: 'airlock-manifest/1';
  readonly product: string;
  readonly version: number;
  readonly name: string;
  readonly udi: string;
  readonly safetyClass: SafetyClass;
  readonly compat: readonly string[];
  readonly slot: 'inactive' | GroupLetter;
  readonly requires: { readonly installedMin?: number; readonly bootloaderMin?: number };
  readonly images: readonly ManifestImage[];
  readonly data?: {
    readonly writes: number;
    readonly reads: readonly number[];
    readonly reversible: boolean;
  };
  readonly secureBoot: readonly string[];
  readonly change: {
    readonly record: string;
    /** What the change touches, each answered; `assessment` says why. */
    readonly impact: {
      readonly assessment: string;
      readonly safety: boolean;
      readonly effectiveness: boolean;
      readonly cybersecurity: boolean;
      readonly labelling: boolean;
    };
    /** Such as `letter to file`, `Special 510(k)`, `PMA supplement`, `EU notified body`. */
    readonly regulatory: { readonly decision: string; readonly reference: string };
    /** Where record, assessment and decision are found: addresses, or names of documents; at least one. */
    readonly links: readonly string[];
  };
  readonly authors: readonly string[];
  readonly emergency: boolean;
  readonly urgency: { readonly level: 'routine' | 'security' | 'safety'; readonly deadline?: string };
  readonly selfTest: { readonly timeLimitSeconds: number; readonly critical: readonly string[] };
  readonly sbom?: { readonly len: number; readonly hash: string };
  readonly vex?: { readonly len: number; readonly hash: string };
  readonly notes: string;
  /** Functions the manifest adds to the demand, with thresholds. */
  readonly demand: Readonly<Record<string, number>>;
  readonly critical: readonly string[];
}

/** A map from function to the threshold it must have. */
export type FunctionThresholds = Readonly<Record<string, number>>;

/** In the image root's `x-airlock`: what no policy can go below. */
export interface Minimum {
  readonly classes: Readonly<Partial<Record<SafetyClass, FunctionThresholds>>>;
  readonly markets: Readonly<Record<string, FunctionThresholds>>;
}

/** `policy.json`: the company's rules, signed by `targets`. RFC 8785 canonical JSON. */
export interface Policy {
  readonly schema: 'airlock-policy/1';
  readonly product: string;
  readonly classes: Readonly<Partial<Record<SafetyClass, FunctionThresholds>>>;
  readonly markets: Readonly<Record<string, FunctionThresholds>>;
  /** Stands in for class and market sets, never for the root minimum; absent: no emergency path. */
  readonly emergency?: FunctionThresholds;
  /** Who holds each function key. `holder` is a stable id of the person. */
  readonly holders: readonly {
    readonly keyId: string;
    readonly holder: string;
    readonly name: string;
    readonly function: string;
  }[];
  /** TUF-style Ed25519 public key of the audit log's checkpoints, and the log's name; both or neither. */
  readonly auditKey?: {
    readonly keytype: string;
    readonly scheme: string;
    readonly keyval: { readonly public: string };
  };
  readonly auditOrigin?: string;
  /** Ids of secure-boot keys that releases may no longer be signed with. */
  readonly secureBootRevoked: readonly string[];
}

/** What the director adds to the manifest it names; it can only make the device stricter. */
export interface Assignment {
  readonly rollout: string;
  /** Minutes of the day in the device's time zone, `[from, to)`, and days 0 (Sunday) to 6; absent: any time. */
  readonly window?: {
    readonly fromMinute: number;
    readonly toMinute: number;
    readonly days: readonly number[];
  };
  readonly bytesPerSecondMax?: number;
  readonly consentRequired: boolean;
}

export interface ApprovedRelease {
  readonly kind: 'approved';
  readonly manifest: Manifest;
  readonly manifestText: string;
  readonly manifestSha256: string;
  readonly assignment: Assignment;
  /** The functions whose signatures were demanded and found, with the thresholds demanded. */
  readonly demand: FunctionThresholds;
  /** True when the policy's emergency set stood in for class and market. */
  readonly emergency: boolean;
  /** The first moment at which some metadata that authorises this is expired. */
  readonly validUntil: UtcSeconds;
}

export type Verdict =
  | ApprovedRelease
  /** The director names nothing: the device keeps what it runs. */
  | { readonly kind: 'none' }
  | {
      readonly kind: 'refused';
      readonly error: Failure;
      /** Known when the director's target was read before the refusal. */
      readonly manifestSha256?: string;
      readonly version?: number;
    };

/**
 * What `checkTrust` asks of its caller.
 * `fetch`: answer with the bytes (at most `bytesMax`; more is the caller's error) or undefined when not there.
 * `keep`: make `state` durable, atomically, before answering (with undefined).
 */
export type TrustStep =
  | {
      readonly kind: 'fetch';
      readonly repository: RepositoryName;
      readonly path: string;
      readonly bytesMax: number;
    }
  | { readonly kind: 'keep'; readonly state: TrustState };

export interface TrustInput {
  readonly identity: TrustIdentity;
  readonly state: TrustState;
  /** The clock, or the signed time; the check itself counts no moment before the lower bound. */
  readonly now: UtcSeconds;
  /** Timestamps that live longer than `timestampLifeSecondsMax` count in bundles only. */
  readonly source: 'network' | 'bundle';
}

export interface TrustOutcome {
  readonly state: TrustState;
  readonly verdict: Verdict;
}
