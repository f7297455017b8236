/** JSON Schemas (TypeBox) of the management API's view of the audit log and of statements. Hashes are hex. */
import { Type, type Static } from 'typebox';
import { Count, Name, Sha256, strict, Version } from './schemas.ts';

/** A proof between two sizes of the log, or of one entry in a log of `size`. */
export const ConsistencyView = Type.Object(
  { first: Count, size: Count, hashes: Type.Array(Sha256, { maxItems: 64 }) },
  strict,
);
export type ConsistencyView = Static<typeof ConsistencyView>;
export const InclusionView = Type.Object(
  { index: Count, size: Count, hashes: Type.Array(Sha256, { maxItems: 64 }) },
  strict,
);
export type InclusionView = Static<typeof InclusionView>;

/** Leaves from `first` on, each as its exact text. */
export const AuditEntries = Type.Object({ first: Count, entries: Type.Array(Type.String()) }, strict);
export type AuditEntries = Static<typeof AuditEntries>;

const statementFields = {
  keyId: Sha256,
  signedSha256: Sha256,
  statement: Type.String(),
  entry: Count,
  /** The entry's exact text: whoever signed proves that it stands in the log. */
  leaf: Type.String(),
};

/** The statements that were made about one release, by every function, in the order of the log. */
export const ReleaseStatements = Type.Object(
  {
    statements: Type.Array(Type.Object({ role: Name, version: Version, ...statementFields }, strict)),
  },
  strict,
);
export type ReleaseStatements = Static<typeof ReleaseStatements>;

/** The statements that were made about one version of a function's role, and the entry of each. */
export const StatementList = Type.Object(
  {
    product: Name,
    role: Name,
    version: Version,
    statements: Type.Array(Type.Object(statementFields, strict)),
  },
  strict,
);
export type StatementList = Static<typeof StatementList>;
