/**
 * What a signature proves, told from files alone: role, statement, policy, checkpoint and proofs.
 *
 * A signature without its statement counts for nothing here, however valid it is; devices judge otherwise, since they
 * judge releases and not evidence (trust). That `targets` itself is trusted is the caller's to have shown. Pure.
 */
import {
  fail,
  type FunctionView,
  ok,
  parsePolicy,
  parsePublicKey,
  type Policy,
  readRole,
  type Result,
  sha256Hex,
  tufCanonicalBytes,
  type UtcSeconds,
  verifyRoleFile,
} from '@airlock/trust';
import { type LogIdentity, openCheckpoint } from './checkpoint.ts';
import { type AuditEntry, parseEntry } from './entry.ts';
import { type Hash, hashLeaf, type TreeHead, verifyConsistency, verifyInclusion } from './merkle.ts';
import { openStatement, type Statement, statementSha256 } from './statement.ts';

function other(message: string, field: string) {
  return fail('STATEMENT_OTHER', message, field);
}

/** The audit log that a policy names; undefined: it names none. Throws TypeError for a policy that was not parsed. */
export function logOf(policy: Policy): LogIdentity | undefined {
  if (policy.auditKey === undefined || policy.auditOrigin === undefined) return undefined;
  const key = parsePublicKey(policy.auditKey, 'auditKey');
  if (!key.ok) throw new TypeError(key.error.message);
  return { origin: policy.auditOrigin, key: key.value };
}

/** A function's role and what it replaces, as far as that is known. */
export interface StatedRole {
  readonly view: FunctionView;
  /** The releases of the version before; undefined: not known, and then the step between is not judged. */
  readonly before?: FunctionView['releases'];
}

/**
 * Whether a statement says of a role exactly what the role is: content, person, meaning, and the one step that it
 * makes. Code: STATEMENT_OTHER with the field that differs.
 */
export function matchStatement(
  statement: Statement,
  { view, before }: StatedRole,
  policy: Policy,
): Result<true> {
  const { product, roleVersion, signer } = statement;
  if (product !== view.product || statement.function !== view.role || roleVersion !== view.version) {
    const said = `${statement.function} ${roleVersion} of ${product}`;
    return other(
      `the statement is about ${said}, the role is ${view.role} ${view.version} of ${view.product}`,
      'subject',
    );
  }
  if (statement.signedSha256 !== sha256Hex(tufCanonicalBytes(view.signed))) {
    return other('the statement is about another content of the role', 'subject[0].digest');
  }
  const held = policy.holders.find(({ keyId }) => keyId === signer.keyId);
  if (held?.function !== view.role) {
    return other(
      `the policy names no holder of key ${signer.keyId.slice(0, 16)} in ${view.role}`,
      'signer.keyId',
    );
  }
  if (held.name !== signer.name || held.holder !== signer.holder) {
    const message = `the statement names ${signer.name} <${signer.holder}>, the policy ${held.name} <${held.holder}>`;
    return other(message, 'signer.name');
  }
  const log = logOf(policy);
  if (log !== undefined && statement.checkpoint.origin !== log.origin) {
    return other(
      `the statement names log ${statement.checkpoint.origin}, the policy ${log.origin}`,
      'checkpoint',
    );
  }
  return matchStep(statement, view.releases, before);
}

type Releases = FunctionView['releases'];

/** The meaning against the list: what is said to be approved stands in it, what is said to be withdrawn does not. */
function matchStep(
  { meaning, release }: Statement,
  now: Releases,
  before: Releases | undefined,
): Result<true> {
  const lists = (list: Releases) =>
    list.some(({ version, sha256 }) => version === release?.version && sha256 === release.manifestSha256);
  const listed = release !== undefined && lists(now);
  if (release !== undefined && listed === (meaning === 'withdrawn')) {
    const found = listed ? 'lists' : 'does not list';
    return other(`"${meaning}" is said of release ${release.version}, and the role ${found} it`, 'meaning');
  }
  if (before === undefined) return ok(true);
  const added = now.filter((entry) => !before.some((old) => same(old, entry)));
  const removed = before.filter((old) => !now.some((entry) => same(old, entry)));
  const [adds, removes] = meaning === 'renewed' ? [0, 0] : meaning === 'withdrawn' ? [0, 1] : [1, 0];
  const step = added.length === adds && removed.length === removes;
  const about = [...added, ...removed].every(({ version }) => version === release?.version);
  if (step && about) return ok(true);
  const words = [
    ...added.map(({ version }) => `adds ${version}`),
    ...removed.map(({ version }) => `drops ${version}`),
  ];
  return other(
    `"${meaning}" is not the whole change: the role ${words.join(', ') || 'changes nothing'}`,
    'meaning',
  );
}

function same(a: Releases[number], b: Releases[number]): boolean {
  return a.version === b.version && a.sha256 === b.sha256 && a.length === b.length;
}

/** A leaf of the log with the proof that it stands there. */
export interface ProvenLeaf {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly proof: readonly Hash[];
}

export interface SignatureEvidence {
  readonly role: Uint8Array;
  /** The version before, when it is at hand. */
  readonly previous?: Uint8Array;
  /** The `targets` that delegated to the role, and the policy that it lists. */
  readonly targets: Uint8Array;
  readonly policy: Uint8Array;
  readonly statement: Uint8Array;
  /** A signed checkpoint of the log, not older than the entry. */
  readonly checkpoint: Uint8Array;
  /** The entry of the act. */
  readonly entry: ProvenLeaf;
  /** That the checkpoint named in the statement is one of this log; and its last entry, for its time. */
  readonly seen: { readonly proof: readonly Hash[]; readonly last?: ProvenLeaf };
}

export interface ProvenSignature {
  readonly statement: Statement;
  /** The signature was made when the log had `size` entries already: not before `time`, if that entry was given. */
  readonly notBefore: { readonly size: number; readonly time?: UtcSeconds };
  /** It stands in the log as entry `index`: made not after `time`. */
  readonly notAfter: { readonly index: number; readonly time: UtcSeconds };
  /** Whether the signer's own clock lies between the two; undefined when the lower one has no time. */
  readonly clockAgrees: boolean | undefined;
  /** Whether the one step from the version before was judged as well. */
  readonly stepJudged: boolean;
}

/** Clocks of a signer's machine and of the server may differ by this much and still agree. */
const clockSkewSecondsMax = 3600;

/**
 * Proves one signature. Codes: those of the readers; OTA_BAD_SIGNATURE when the key did not sign the role;
 * STATEMENT_OTHER; AUDIT_PROOF when the log does not hold what is shown.
 */
export function proveSignature(evidence: SignatureEvidence): Result<ProvenSignature> {
  const context = readContext(evidence);
  if (!context.ok) return context;
  const { view, before, policy, keys, signedBy } = context.value;
  const opened = openStatement(evidence.statement, keys);
  if (!opened.ok) return opened;
  const { statement, key } = opened.value;
  if (!signedBy.includes(key.keyId)) {
    const message = `key ${key.keyId.slice(0, 16)} did not sign ${view.role} ${view.version}`;
    return fail('OTA_BAD_SIGNATURE', message, 'signatures');
  }
  const matched = matchStatement(statement, { view, ...(before === undefined ? {} : { before }) }, policy);
  if (!matched.ok) return matched;
  const log = logOf(policy);
  if (log === undefined) return fail('AUDIT_CHECKPOINT', 'the policy names no audit log', 'policy.auditKey');
  const head = openCheckpoint(evidence.checkpoint, log);
  if (!head.ok) return head;
  const bounds = proveBounds(evidence, statement, head.value);
  if (!bounds.ok) return bounds;
  const { notBefore, notAfter } = bounds.value;
  const clockAgrees =
    notBefore.time === undefined
      ? undefined
      : statement.time >= notBefore.time - clockSkewSecondsMax &&
        statement.time <= notAfter.time + clockSkewSecondsMax;
  return ok({ statement, notBefore, notAfter, clockAgrees, stepJudged: before !== undefined });
}

function readContext(evidence: SignatureEvidence) {
  const policy = parsePolicy(evidence.policy);
  if (!policy.ok) return policy;
  const targets = readRole(evidence.targets, 'targets');
  if (!targets.ok) return targets;
  const view = readFunction(evidence.role, 'role');
  if (!view.ok) return view;
  const previous =
    evidence.previous === undefined ? undefined : readFunction(evidence.previous, 'previous role');
  if (previous?.ok === false) return previous;
  if (previous !== undefined && !precedes(previous.value, view.value)) {
    return other('the version before is one of another role, or is not before it', 'previous role');
  }
  if (targets.value.kind !== 'targets' || targets.value.policy.sha256 !== sha256Hex(evidence.policy)) {
    return other('the policy is not the one that targets lists', 'policy');
  }
  const counted = verifyRoleFile(evidence.role, evidence.targets);
  if (!counted.ok) return counted;
  const delegated = targets.value.functions.find(({ name }) => name === view.value.role);
  return ok({
    view: view.value,
    before: previous?.value.releases,
    policy: policy.value,
    keys: delegated?.keys ?? [],
    signedBy: counted.value.validKeyIds,
  });
}

function precedes(previous: FunctionView, view: FunctionView): boolean {
  const sameRole = previous.role === view.role && previous.product === view.product;
  return sameRole && previous.version < view.version;
}

function readFunction(file: Uint8Array, name: string): Result<FunctionView> {
  const view = readRole(file, name);
  if (!view.ok) return view;
  return view.value.kind === 'function' ? ok(view.value) : other(`${name} is no function's role`, name);
}

function proveBounds(
  evidence: SignatureEvidence,
  statement: Statement,
  head: TreeHead,
): Result<Pick<ProvenSignature, 'notBefore' | 'notAfter'>> {
  const { size, rootSha256 } = statement.checkpoint;
  const seen: TreeHead = { size, root: Buffer.from(rootSha256, 'hex') };
  const continues = verifyConsistency(seen, head, evidence.seen.proof);
  if (!continues.ok) return continues;
  const entry = proveEntry(evidence.entry, head);
  if (!entry.ok) return entry;
  const { index } = evidence.entry;
  const { act, after, time } = entry.value;
  const sha256 = statementSha256(evidence.statement);
  if (act !== 'role.sign' || after?.['statement'] !== sha256) {
    return other(`entry ${index} of the log is not the one of this statement`, 'entry');
  }
  // Whoever saw a log of `size` entries cannot have signed what stands among them.
  if (index < size)
    return other(`entry ${index} is older than the checkpoint that the statement names`, 'checkpoint');
  const notAfter = { index, time };
  const { last } = evidence.seen;
  if (last === undefined) return ok({ notBefore: { size }, notAfter });
  if (last.index !== size - 1)
    return other(`the last entry of the checkpoint seen is ${size - 1}`, 'seen.last');
  const before = proveEntry(last, seen);
  return before.ok ? ok({ notBefore: { size, time: before.value.time }, notAfter }) : before;
}

function proveEntry({ index, leaf, proof }: ProvenLeaf, head: TreeHead): Result<AuditEntry> {
  const included = verifyInclusion(hashLeaf(leaf), { index, size: head.size, hashes: proof }, head.root);
  return included.ok ? parseEntry(leaf) : included;
}

/** How many signatures of a role count as evidence. */
export interface CountedSignatures {
  readonly proven: readonly ProvenSignature[];
  /** Keys that signed the role, and why their signature counts for nothing. */
  readonly ignored: readonly { readonly keyId: string; readonly why: string }[];
  readonly threshold: number;
  readonly enough: boolean;
}

/**
 * Counts the signatures of one role that are proven; a valid signature of the role for which no statement is shown,
 * or whose statement proves nothing, is ignored and named. Codes: those of `verifyRoleFile`.
 */
export function countProven(
  role: { readonly role: Uint8Array; readonly targets: Uint8Array },
  shown: readonly SignatureEvidence[],
): Result<CountedSignatures> {
  const counted = verifyRoleFile(role.role, role.targets);
  if (!counted.ok) return counted;
  const proven = new Map<string, ProvenSignature>();
  const faults: string[] = [];
  for (const evidence of shown) {
    const one = proveSignature({ ...evidence, ...role });
    if (one.ok) proven.set(one.value.statement.signer.keyId, one.value);
    else faults.push(one.error.message);
  }
  const without = counted.value.validKeyIds.filter((keyId) => !proven.has(keyId));
  const why = faults.length === 0 ? 'has no statement' : `has no statement that holds (${faults.join('; ')})`;
  const { threshold } = counted.value;
  return ok({
    proven: [...proven.values()],
    ignored: without.map((keyId) => ({ keyId, why })),
    threshold,
    enough: proven.size >= threshold,
  });
}
