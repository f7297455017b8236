/** Public face of audit: the Merkle log, its checkpoints and entries, and statements. Nothing here does I/O. */
export { auditErrors, type AuditCode } from './errors.ts';
export { auditLimits } from './limits.ts';
export {
  type Appended,
  type Edge,
  type Hash,
  type InclusionProof,
  type NodeAt,
  type ProofPlan,
  type TreeHead,
  appendLeaf,
  consistencyPlan,
  emptyEdge,
  emptyRoot,
  foldHashes,
  hashBytes,
  hashLeaf,
  hashNode,
  inclusionPlan,
  rootPlan,
  sameHash,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts';
export { type Checkpoint, type LogIdentity, openCheckpoint, signCheckpoint } from './checkpoint.ts';
export { type ConsistencyAsked, followLog } from './follow.ts';
export {
  type AuditAct,
  type AuditEntry,
  type AuditFact,
  type AuditFacts,
  auditActs,
  encodeEntry,
  parseEntry,
} from './entry.ts';
export {
  type ApprovalMeaning,
  type Meaning,
  type OpenedStatement,
  type Statement,
  approvalMeanings,
  openStatement,
  readStatementUnverified,
  signStatement,
  statementSha256,
} from './statement.ts';
export {
  type CountedSignatures,
  type ProvenLeaf,
  type ProvenSignature,
  type SignatureEvidence,
  type StatedRole,
  countProven,
  logOf,
  matchStatement,
  proveSignature,
} from './prove.ts';
