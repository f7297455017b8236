/**
 * Codes of the audit log and of statements: every reason for which a checkpoint, a proof, an entry or a statement is
 * refused. Runs in a browser. A check compares this table with docs/errors.md and with the functions it names.
 */
import type { ErrorTable } from '@airlock/trust';

export const auditErrors = {
  AUDIT_CHECKPOINT: {
    summary: 'A checkpoint of the audit log is not written as one, or is of another log.',
    remedy:
      'Fetch it again; if it persists, compare the origin with the one in the policy and suspect the server.',
    decidedIn: 'packages/audit/src/checkpoint.ts#openCheckpoint',
  },
  AUDIT_SIGNATURE: {
    summary: 'A checkpoint is not signed by the key that the policy names for the audit log.',
    remedy: 'Check that the server holds the key named in the policy; suspect the server otherwise.',
    decidedIn: 'packages/audit/src/note.ts#openNote',
  },
  AUDIT_PROOF: {
    summary: 'A proof does not show that the audit log holds what it is said to hold.',
    remedy: 'Fetch proof and checkpoint again; if it persists, keep both: the log was changed.',
    decidedIn: 'packages/audit/src/merkle.ts#verifyInclusion',
  },
  OTA_AUDIT_FORK: {
    summary: 'The audit log that is shown now does not continue the one that was shown before.',
    remedy: 'Keep both checkpoints and ask the operator: history was rewritten, or the server was restored.',
    decidedIn: 'packages/audit/src/follow.ts#followLog',
  },
  AUDIT_ENTRY: {
    summary: 'An entry of the audit log does not have the form of one.',
    remedy: 'Export the log again; if it persists, the entry was changed.',
    decidedIn: 'packages/audit/src/entry.ts#parseEntry',
  },
  STATEMENT_FORM: {
    summary: 'The statement of a signature is not written as one.',
    remedy: "Sign again with Airlock's own tools; the message names the field.",
    decidedIn: 'packages/audit/src/statement.ts#readPayload',
  },
  STATEMENT_SIGNATURE: {
    summary: 'The statement is not signed by the key whose signature it explains.',
    remedy: 'Sign again: role and statement are signed by one key in one act.',
    decidedIn: 'packages/audit/src/statement.ts#openStatement',
  },
  STATEMENT_OTHER: {
    summary: 'The statement says something else than the signed role, the policy or the log.',
    remedy:
      'Sign again; the message names what differs. A signature without its statement counts for nothing.',
    decidedIn: 'packages/audit/src/prove.ts#other',
  },
} as const satisfies ErrorTable;

export type AuditCode = keyof typeof auditErrors;
