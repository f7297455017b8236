/**
 * Store port: everything the server remembers but image bytes, in the words of the domain.
 *
 * Contract: a call that changes something has made it durable when its promise resolves; `transaction` does all or
 * nothing, and what it read is still true when it commits. Role files, documents, reports and log entries are never
 * changed once written; only old reports are removed. Times are UTC seconds. A writer that lost a race - a key that another one took meanwhile, a
 * transaction over what another process changed - gets `Raced`, and nothing of its work is stored. Leaves to others:
 * what may be written (core, app).
 */
import type { UtcSeconds } from '@airlock/trust';
import type { DeviceReport, LogEntry } from '@airlock/protocol';
import type { AuditStore } from './audit-store.ts';
import type { PeopleStore } from './people-store.ts';

/** Thrown to undo a transaction, by the store or inside it: somebody else changed the same thing meanwhile. */
export class Raced extends Error {
  constructor() {
    super('somebody else changed the same thing meanwhile');
    this.name = 'Raced';
  }
}

/** `image:<product>`, `director` (its root) or `device:<device>` (a device's director metadata). */
export type OwnerKey = string;

export interface RoleFile {
  readonly role: string;
  readonly version: number;
  /** Exact text. */
  readonly file: string;
}

/** One published version of a role, looked at for one hash. */
export interface Listing {
  readonly version: number;
  readonly created: UtcSeconds;
  readonly listed: boolean;
}

export interface RoleStore {
  /** From now on the current file of its role, also when its number is lower than one before. */
  addRole(owner: OwnerKey, file: RoleFile, now: UtcSeconds): Promise<void>;
  /** The current file of each role of the owner, root included. */
  currentRoles(owner: OwnerKey): Promise<readonly RoleFile[]>;
  /** Versions only: what a check-in compares. */
  currentVersions(owner: OwnerKey): Promise<ReadonlyMap<string, number>>;
  role(owner: OwnerKey, role: string, version: number): Promise<string | undefined>;
  /** Every version of the role, lowest first: when it was stored, and whether its text names this hash. */
  listings(owner: OwnerKey, role: string, sha256: string): Promise<readonly Listing[]>;
  /** The highest version of any snapshot; 0 when there is none. */
  highestSnapshot(): Promise<number>;
  /** Up to which version timestamps may have been signed; 0 when none. It is raised, never lowered. */
  timestampMark(): Promise<number>;
  raiseTimestampMark(upTo: number): Promise<void>;
  /** Roots above `above`, lowest first, at most `count`. */
  rootsAbove(owner: OwnerKey, above: number, count: number): Promise<readonly RoleFile[]>;
  /** Owners whose snapshot expires before `moment`. */
  snapshotsExpiringBefore(moment: UtcSeconds, count: number): Promise<readonly OwnerKey[]>;
  setExpiry(owner: OwnerKey, expires: UtcSeconds): Promise<void>;
  /** Marks the sets of all devices as expired, so that they are signed again: the director's keys changed. */
  expireDeviceSets(now: UtcSeconds): Promise<void>;
  /** Policies and manifests by hash. */
  addDocument(document: { sha256: string; product: string; text: string }): Promise<void>;
  document(product: string, sha256: string): Promise<string | undefined>;
}

export interface ProductRow {
  readonly product: string;
  readonly created: UtcSeconds;
  /** Raised by everything that is proposed or published: writers compare it (optimistic locking). */
  readonly revision: number;
}

export interface ProposalRow {
  readonly product: string;
  readonly role: string;
  readonly version: number;
  /** Raised by every signature and replacement. */
  readonly revision: number;
  readonly file: string;
  readonly proposedBy: string;
  readonly proposed: UtcSeconds;
}

/** A number and content that a key is about to sign: nobody else begins another one meanwhile. */
export interface ReservationRow {
  readonly product: string;
  readonly role: string;
  readonly version: number;
  readonly signedSha256: string;
  readonly keyId: string;
  readonly until: UtcSeconds;
}

/** What a number of a role stands for, for ever. */
export interface UsedNumber {
  /** SHA-256 of the signed part. */
  readonly signedSha256: string;
  /** The proposal ended without being published: nothing of it counts any more. */
  readonly voided: boolean;
}

export interface MissingRow {
  readonly role: string;
  readonly version: number;
  readonly evidence: 'signer' | 'device';
  readonly device?: string;
  readonly since: UtcSeconds;
}

/** What a device's check-in said to hold of a role, when that is newer than what is here. No proof of anything. */
export interface ClaimRow {
  readonly role: string;
  readonly version: number;
  readonly device: string;
  readonly since: UtcSeconds;
  /** When a person did not believe it. */
  readonly dismissed?: UtcSeconds;
}

/** Claims by the product of the device, or by the director's own name. */
export interface ClaimStore {
  /** Of devices that are not revoked. */
  claims(product: string): Promise<readonly ClaimRow[]>;
  /** Of one device. */
  claimsBy(product: string, device: string): Promise<readonly ClaimRow[]>;
  putClaim(product: string, row: ClaimRow): Promise<void>;
  dismissClaims(product: string, role: string, now: UtcSeconds): Promise<void>;
  /** Claims up to a version that is here by now, dismissed ones too: they were true. */
  removeClaims(product: string, role: string, upTo: number): Promise<void>;
  /** Registered devices of a product, or of all, that are not revoked. */
  countDevices(product: string | undefined): Promise<number>;
}

export interface ProductStore {
  addProduct(product: string, now: UtcSeconds): Promise<void>;
  product(product: string): Promise<ProductRow | undefined>;
  products(): Promise<readonly ProductRow[]>;
  /** False when the revision is another one by now. */
  raiseRevision(product: string, from: number): Promise<boolean>;
  proposal(product: string, role: string): Promise<ProposalRow | undefined>;
  proposals(product: string): Promise<readonly ProposalRow[]>;
  putProposal(row: ProposalRow): Promise<void>;
  removeProposal(product: string, role: string): Promise<void>;
  usedNumber(product: string, role: string, version: number): Promise<UsedNumber | undefined>;
  /** The highest number ever presented for a role, 0 when none. */
  highestNumber(product: string, role: string): Promise<number>;
  addNumber(product: string, role: string, version: number, signedSha256: string): Promise<void>;
  voidNumber(product: string, role: string, version: number): Promise<void>;
  reservation(product: string, role: string): Promise<ReservationRow | undefined>;
  reservations(product: string): Promise<readonly ReservationRow[]>;
  putReservation(row: ReservationRow): Promise<void>;
  removeReservation(product: string, role: string): Promise<void>;
  /** Proven to have existed. */
  missing(product: string): Promise<readonly MissingRow[]>;
  putMissing(product: string, row: MissingRow): Promise<void>;
  removeMissing(product: string, role: string): Promise<void>;
}

export interface ReleaseRow {
  readonly product: string;
  readonly version: number;
  readonly manifestSha256: string;
  readonly manifestLength: number;
  readonly name: string;
  readonly safetyClass: string;
  readonly created: UtcSeconds;
  readonly createdBy: string;
}

export interface ReleaseStore {
  addRelease(row: ReleaseRow): Promise<void>;
  release(product: string, version: number): Promise<ReleaseRow | undefined>;
  releases(product: string): Promise<readonly ReleaseRow[]>;
  addImage(sha256: string, length: number, now: UtcSeconds): Promise<void>;
  image(sha256: string): Promise<{ readonly length: number } | undefined>;
}

export interface DeviceRow {
  readonly device: string;
  readonly product: string;
  /** Envelope text. */
  readonly record: string;
  readonly recordNumber: number;
  /** SHA-256 of the DER of its certificate, lower-case hex. */
  readonly certificateSha256: string;
  /** JSON of the public log key. */
  readonly logKey: string;
  readonly registered: UtcSeconds;
  readonly revoked?: UtcSeconds;
  readonly lastSeen?: UtcSeconds;
}

export interface AssignmentRow {
  readonly device: string;
  readonly product: string;
  readonly release: number;
  readonly manifestSha256: string;
  /** JSON of trust's `Assignment`. */
  readonly custom: string;
  readonly revision: number;
  readonly assigned: UtcSeconds;
  readonly assignedBy: string;
}

export interface DeviceStore {
  addDevice(row: DeviceRow): Promise<void>;
  device(device: string): Promise<DeviceRow | undefined>;
  /** In the order of their ids; `products`: of these only. */
  devices(after: string, count: number, products?: readonly string[]): Promise<readonly DeviceRow[]>;
  setRecord(device: string, record: string, number: number): Promise<void>;
  revoke(device: string, now: UtcSeconds): Promise<void>;
  setLastSeen(seen: ReadonlyMap<string, UtcSeconds>): Promise<void>;
  assignment(device: string): Promise<AssignmentRow | undefined>;
  putAssignment(row: AssignmentRow): Promise<void>;
  removeAssignment(device: string): Promise<void>;
}

export interface StoredReport {
  readonly received: UtcSeconds;
  readonly envelope: string;
  readonly report: DeviceReport;
}

/**
 * One entry of a device's log. A generation is one unbroken story: a device whose log contradicts what is stored
 * (it was changed, or began anew) starts the next one, so that both stay to be compared.
 */
export interface StoredEntry {
  readonly generation: number;
  readonly sequence: number;
  readonly sha256: string;
  readonly entry: LogEntry;
}

export interface FindingRow {
  readonly kind: 'gap' | 'change' | 'restart';
  readonly sequence: number;
  readonly detail: string;
  readonly found: UtcSeconds;
}

export interface ReportStore {
  /** False when (device, bootId, sequence) is there already. */
  addReport(stored: StoredReport): Promise<boolean>;
  /** From now on this stored report is the device's latest. */
  markLatest(report: Pick<DeviceReport, 'device' | 'bootId' | 'sequence'>): Promise<void>;
  latestReport(device: string): Promise<StoredReport | undefined>;
  /** Removes all but the `count` that came last, and the latest. */
  keepReports(device: string, count: number): Promise<void>;
  reports(device: string, count: number): Promise<readonly StoredReport[]>;
  addLogEntry(device: string, stored: StoredEntry): Promise<void>;
  /** Entries of a generation from `first` to `last`. */
  logRange(device: string, generation: number, first: number, last: number): Promise<readonly StoredEntry[]>;
  /** The last entry of the newest generation. */
  lastLogEntry(device: string): Promise<StoredEntry | undefined>;
  /** Of the newest generation. */
  logEntries(device: string, after: number, count: number): Promise<readonly StoredEntry[]>;
  /** Keeps a head; the newest is answered by `logHead`. */
  putLogHead(device: string, sequence: number, envelope: string): Promise<void>;
  logHead(device: string): Promise<{ readonly sequence: number; readonly envelope: string } | undefined>;
  /** The same finding is kept once. */
  addFinding(device: string, finding: FindingRow): Promise<void>;
  findings(device: string): Promise<readonly FindingRow[]>;
}

export interface StoreParts
  extends RoleStore,
    ProductStore,
    ClaimStore,
    ReleaseStore,
    DeviceStore,
    ReportStore,
    PeopleStore,
    AuditStore {}

export interface Store extends StoreParts {
  transaction<T>(work: (store: StoreParts) => Promise<T>): Promise<T>;
  /**
   * Like `transaction`, but shares its commit with others that wait: for the many small writes of devices.
   * Work that fails undoes only itself.
   */
  grouped<T>(work: (store: StoreParts) => Promise<T>): Promise<T>;
  /** The registered, not revoked device of a certificate; answers at once, since a handshake waits for it. */
  deviceByCertificate(
    certificateSha256: string,
  ): { readonly device: string; readonly product: string } | undefined;
  close(): Promise<void>;
}
