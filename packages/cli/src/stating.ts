/**
 * The statement that goes with a signature: prepared before the person is asked, signed with the same key in the same
 * act, kept on this machine, and looked for in the audit log afterwards (21 CFR 11.50, 11.70).
 *
 * Keeps true: name and holder come from the verified policy and the checkpoint from this machine's own memory of the
 * log, never from what the server says of the proposal; a signature whose entry is not in the log is told to the person.
 */
import {
  type Checkpoint,
  hashLeaf,
  type LogIdentity,
  matchStatement,
  type Meaning,
  parseEntry,
  signStatement,
  type Statement,
  statementSha256,
  verifyInclusion,
} from '@airlock/audit';
import {
  type FunctionView,
  type Policy,
  readRole,
  sha256Hex,
  type Signer,
  type UtcSeconds,
} from '@airlock/trust';
import type { AuditApi } from './audit-api.ts';
import { followAuditLog, logOfPolicy } from './audit-memory.ts';
import { type Act, meaningOf } from './core/signing.ts';
import { secretMode, writeFileAtomic } from './files.ts';
import type { Home } from './home.ts';
import { instant } from './output.ts';
import { need, Stop, stop } from './stop.ts';

/** What is known before the person is asked. */
export interface Prepared {
  readonly log: LogIdentity;
  readonly checkpoint: Checkpoint;
  readonly signer: Statement['signer'];
  readonly policy: Policy;
}

/** Follows the log and finds the person. Stops with CLI_AUDIT_LOG, CLI_HOLDER, OTA_AUDIT_FORK and those of checkpoints. */
export async function prepareStatement(
  home: Home,
  api: AuditApi,
  about: { readonly product: string; readonly policy: Policy; readonly keyId: string },
): Promise<Prepared> {
  const { product, policy, keyId } = about;
  const log = logOfPolicy(product, policy);
  const held = policy.holders.find((one) => one.keyId === keyId);
  if (held === undefined) {
    return stop(
      'CLI_HOLDER',
      `the policy of ${product} says of key ${keyId.slice(0, 16)} not whose it is`,
      'policy',
    );
  }
  const checkpoint = need(await followAuditLog(home, log, api));
  return { log, checkpoint, policy, signer: { keyId, holder: held.holder, name: held.name } };
}

/** What the person is shown of it, before the passphrase. */
export function statementLine({ signer, checkpoint }: Prepared, meaning: Meaning): string {
  return `Your signature will say: "${meaning}", ${signer.name} <${signer.holder}>, after entry ${checkpoint.size} of the audit log`;
}

export interface Stating {
  readonly product: string;
  readonly act: Act;
  /** The role as it is signed now, and its releases before. */
  readonly file: Uint8Array;
  readonly bytesToSign: Uint8Array;
  readonly before: FunctionView['releases'];
  readonly now: UtcSeconds;
}

/** Signs the statement. Whatever does not fit role and policy is refused here, as by the server. */
export function makeStatement(prepared: Prepared, signer: Signer, stating: Stating): string {
  const { product, act, file, bytesToSign, before, now } = stating;
  const view = need(readRole(file));
  if (view.kind !== 'function') throw new TypeError('statements are about functions');
  const { checkpoint, policy } = prepared;
  const release = act.kind === 'renew' ? undefined : releaseOf(act, before);
  const statement: Statement = {
    product,
    function: view.role,
    roleVersion: view.version,
    signedSha256: sha256Hex(bytesToSign),
    ...(release === undefined ? {} : { release }),
    meaning: meaningOf(act),
    reason: act.kind === 'approve' ? '' : (act.reason ?? ''),
    signer: prepared.signer,
    time: now,
    checkpoint: {
      origin: checkpoint.origin,
      size: checkpoint.size,
      rootSha256: Buffer.from(checkpoint.root).toString('hex'),
    },
  };
  need(matchStatement(statement, { view, before }, policy));
  return Buffer.from(signStatement(statement, signer)).toString();
}

/** What was stated about one version of a role. */
export interface Stated {
  readonly product: string;
  readonly role: string;
  readonly version: number;
  readonly statement: string;
}

/** Kept before it leaves: a server that loses it is given it back from here. */
export async function keepStatement(
  home: Home,
  { product, role, version, statement }: Stated,
): Promise<void> {
  const sha256 = statementSha256(Buffer.from(statement));
  const file = home.path('statements', `${product}.${role}.${version}.${sha256.slice(0, 16)}.json`);
  await writeFileAtomic(file, statement, secretMode);
}

function releaseOf(act: Exclude<Act, { kind: 'renew' }>, before: FunctionView['releases']) {
  const { version } = act;
  if (act.kind === 'approve') return { version, manifestSha256: act.sha256 };
  const listed = before.find((entry) => entry.version === version);
  return listed === undefined ? undefined : { version, manifestSha256: listed.sha256 };
}

/**
 * The number of the statement's entry, proven to stand in the log that this machine follows. Stops when the server does
 * not show it: the signature was sent, and whoever made it must know that it is not on record.
 */
export async function findEntry(
  home: Home,
  api: AuditApi,
  prepared: { readonly log: LogIdentity; readonly signer: { readonly keyId: string } },
  about: Stated,
): Promise<number> {
  const { log, signer } = prepared;
  const lost = (code: string, why: string): never =>
    stop(
      code,
      `the signature was sent, but the audit log does not show it: ${why}; ask the operator`,
      'audit log',
    );
  try {
    const stored = await api.statements(about.product, about.role, about.version);
    const own = stored.find((one) => one.keyId === signer.keyId && one.statement === about.statement);
    if (own === undefined) return lost('AUDIT_PROOF', 'the server gives no such statement');
    const head = need(await followAuditLog(home, log, api));
    const proof = { index: own.entry, size: head.size, hashes: await api.inclusion(own.entry, head.size) };
    const leaf = Buffer.from(own.leaf);
    need(verifyInclusion(hashLeaf(leaf), proof, head.root));
    const entry = need(parseEntry(leaf));
    const named = entry.after?.['statement'] === statementSha256(Buffer.from(about.statement));
    return named && entry.act === 'role.sign'
      ? own.entry
      : lost('AUDIT_PROOF', `entry ${own.entry} is another act`);
  } catch (error) {
    if (!(error instanceof Stop) || error.failure.message.startsWith('the signature was sent')) throw error;
    return lost(error.failure.code, error.failure.message);
  }
}

/** For the person who signed, and who looks it up later. */
export function receiptLine(prepared: Prepared, entry: number, now: UtcSeconds): string {
  return `Signed by ${prepared.signer.name}, ${instant(now)}; entry ${entry} of the audit log ${prepared.log.origin}`;
}
