/**
 * Audit part of the store port: the log's leaves and nodes, pseudonyms, and statements.
 *
 * Contract: leaves, nodes and statements are never changed or removed; an append that does not follow the stored head
 * gets `Raced`. Entries are appended inside the transaction of the act that they describe, so that neither is there
 * without the other.
 */
import type { Hash } from '@airlock/audit';
import type { UtcSeconds } from '@airlock/trust';

export interface AuditHead {
  /** Name of the log, given once. */
  readonly origin: string;
  readonly size: number;
  /** The right edge: roots of the perfect subtrees, the largest first. */
  readonly edge: readonly Hash[];
  /** Time of the last entry. */
  readonly time: UtcSeconds;
}

export interface AuditAppend {
  readonly leaf: string;
  /** The head with the leaf in it. */
  readonly head: AuditHead;
  /** Nodes of every eighth level that the leaf completed. */
  readonly nodes: readonly { readonly level: number; readonly index: number; readonly hash: Hash }[];
}

/** One person's statement about one content of a role. */
export interface StatementRow {
  readonly product: string;
  readonly role: string;
  readonly version: number;
  /** SHA-256 of the role's signed part. */
  readonly signedSha256: string;
  readonly keyId: string;
  /** What it approved or withdrew; absent for a renewal. */
  readonly release?: number;
  /** Exact text. */
  readonly envelope: string;
  /** Where it stands in the audit log. */
  readonly entry: number;
}

export interface AuditStore {
  /** Undefined until the log began. */
  auditHead(): Promise<AuditHead | undefined>;
  startAudit(origin: string, now: UtcSeconds): Promise<void>;
  appendAudit(append: AuditAppend): Promise<void>;
  /** Exact texts from `from` on, at most `count`. */
  auditLeaves(from: number, count: number): Promise<readonly string[]>;
  auditNodes(level: number, from: number, count: number): Promise<readonly Hash[]>;
  /** The pseudonym of a person or tool, as far as it is still known. */
  pseudonym(actor: string): Promise<string | undefined>;
  addPseudonym(actor: string, pseudonym: string): Promise<void>;
  addStatement(row: StatementRow): Promise<void>;
  /** Of one version of a role, whatever its content. */
  statements(product: string, role: string, version: number): Promise<readonly StatementRow[]>;
  /** About one release, of every function, in the order of the log. */
  statementsAbout(product: string, release: number): Promise<readonly StatementRow[]>;
}
