/**
 * Statements that come with the signatures of a function's role (21 CFR 11.50, 11.70).
 *
 * Keeps true: no signature of a function is counted here without the statement of the same key over the same bytes,
 * about exactly the step that the role makes, by the person whom the policy names, over a checkpoint that this log
 * had, at a time that is now - or, in a ceremony, since it began. Devices do not ask for statements: what this refuses is evidence that would be missing.
 */
import {
  logOf,
  matchStatement,
  openStatement,
  parseEntry,
  sameHash,
  type Statement,
  statementSha256,
} from '@airlock/audit';
import {
  fail,
  formatInstant,
  type FunctionView,
  ok,
  parsePolicy,
  type Policy,
  type PublicKey,
  readRole,
  type Result,
  type UtcSeconds,
} from '@airlock/trust';
import type { ImageRepository } from '../core/files.ts';
import type { Presented } from '../core/proposals.ts';
import { imageOwner } from '../core/versions.ts';
import type { StatementRow } from '../ports/audit-store.ts';
import { rootAt } from './audit.ts';
import type { Context } from './context.ts';
import { policyOf } from './repositories.ts';

/** A statement that was taken and is still to be stored with its entry. */
export interface TakenStatement extends Omit<StatementRow, 'entry'> {
  readonly statement: Statement;
  readonly sha256: string;
}

/** An hour: the commonest wrong clock is one that missed a daylight-saving change. */
const clockSkewSecondsMax = 3600;
/**
 * Holders of a ceremony never meet, and hand its file on for days; their machines sign nothing in one whose function
 * roles have lost more than half of their life, which is 90 days at most.
 */
const ceremonySecondsMax = 90 * 86_400;

export interface StatedRequest {
  readonly product: string;
  readonly presented: Presented;
  readonly published: ImageRepository;
  /** Files that may delegate to the role, as `countSignatures` takes them. */
  readonly delegators: readonly string[];
  /** Keys whose signatures are valid, those held before included. */
  readonly signedBy: readonly string[];
  readonly statements: readonly string[];
  /**
   * Of a file that is handed back: its statements are of another day, over a log that the restored one may not reach,
   * and the step from what is here is not the one that was signed. `excused`: it is known to be lost, and they with it.
   */
  readonly past?: 'excused' | 'needed';
}

/**
 * Takes the statements that are new, and refuses when a signature is left without one.
 * Errors: those of `openStatement` and `matchStatement`; API_STATEMENT for a statement that is missing, given again
 * with another content, of another time, or over a checkpoint that this log never had.
 */
export async function takeStatements(
  context: Context,
  request: StatedRequest,
): Promise<Result<TakenStatement[]>> {
  const { product, presented, signedBy, statements } = request;
  const { view } = presented;
  if (view.kind !== 'function') {
    return statements.length === 0
      ? ok([])
      : fail(
          'API_STATEMENT',
          `${presented.role} is no function's role: statements do not belong to it`,
          'statements',
        );
  }
  const { role, version } = presented;
  const rows = await context.store.statements(product, role, version);
  const held = rows.filter((row) => row.signedSha256 === presented.signedSha256);
  const taken: TakenStatement[] = [];
  for (const envelope of statements) {
    if (held.some((row) => row.envelope === envelope)) continue;
    const one = await takeOne(context, request, view, envelope);
    if (!one.ok) return one;
    if ([...held, ...taken].some(({ keyId }) => keyId === one.value.keyId)) {
      return fail('API_STATEMENT', 'this key made its statement about this content already', 'statements');
    }
    taken.push(one.value);
  }
  const stated = new Set([...held, ...taken].map(({ keyId }) => keyId));
  const without = needsNone(request, view) ? undefined : signedBy.find((keyId) => !stated.has(keyId));
  if (without === undefined) return ok(taken);
  const message = `the signature of key ${without.slice(0, 16)} came without its statement, so that it counts for nothing`;
  return fail('API_STATEMENT', message, 'statements');
}

/** A policy that names another log, or a key that is not here, would have every signer refuse this server. */
export async function checkAuditLog(context: Context, policyText: string): Promise<Result<true>> {
  const policy = parsePolicy(Buffer.from(policyText));
  if (!policy.ok) return policy;
  const named = logOf(policy.value);
  const origin = (await context.store.auditHead())?.origin;
  const held = context.auditSigners().map(({ publicKey }) => publicKey.keyId);
  if (named === undefined || (named.origin === origin && held.includes(named.key.keyId))) return ok(true);
  const message = `the policy names audit log ${named.origin} with key ${named.key.keyId.slice(0, 16)}, this server keeps ${origin ?? 'none'} and does not hold that key`;
  return fail('API_ONLINE_KEYS', message, 'policy.auditKey');
}

/** The first version of a function, with nothing in it, approves nothing: it is made with the product. */
function needsNone({ published, past }: StatedRequest, view: FunctionView): boolean {
  return past === 'excused' || (view.releases.length === 0 && !published.roles.has(view.role));
}

async function takeOne(
  context: Context,
  request: StatedRequest,
  view: FunctionView,
  envelope: string,
): Promise<Result<TakenStatement>> {
  const { product, presented, published } = request;
  const bytes = Buffer.from(envelope);
  const before = releasesBefore(published, view.role);
  let refused: Result<never> = fail('API_NOT_PUBLISHED', `${product} has no policy yet`, 'product');
  // The targets in force, then the proposed next ones: a change of keys is signed for the next.
  for (const { keys, policy } of await delegations(context, request)) {
    const opened = openStatement(bytes, keys);
    if (!opened.ok) {
      refused = opened;
      continue;
    }
    const { statement, key } = opened.value;
    const step = request.past === undefined ? { view, before } : { view };
    const matched = matchStatement(statement, step, policy);
    if (!matched.ok) {
      refused = matched;
      continue;
    }
    const timely = request.past === undefined ? await checkMoment(context, request, statement) : ok(true);
    if (!timely.ok) return timely;
    const { role, version, signedSha256 } = presented;
    const sha256 = statementSha256(bytes);
    const about = statement.release === undefined ? {} : { release: statement.release.version };
    const row = { product, role, version, signedSha256, keyId: key.keyId, ...about, envelope };
    return ok({ ...row, statement, sha256 });
  }
  return refused;
}

function releasesBefore(published: ImageRepository, role: string): FunctionView['releases'] {
  const file = published.roles.get(role);
  const view = file === undefined ? undefined : readRole(Buffer.from(file.file));
  return view?.ok === true && view.value.kind === 'function' ? view.value.releases : [];
}

async function delegations(context: Context, { product, presented, delegators }: StatedRequest) {
  const found: { readonly keys: readonly PublicKey[]; readonly policy: Policy }[] = [];
  for (const file of delegators) {
    const view = readRole(Buffer.from(file));
    const document = await policyOf(context.store, product, file);
    const policy = document === undefined ? undefined : parsePolicy(Buffer.from(document.text));
    if (!view.ok || view.value.kind !== 'targets' || policy?.ok !== true) continue;
    const delegated = view.value.functions.find(({ name }) => name === presented.role);
    if (delegated !== undefined) found.push({ keys: delegated.keys, policy: policy.value });
  }
  return found;
}

/** A statement is of now, and over a log that this server showed: otherwise its bounds in the log say nothing. */
async function checkMoment(
  context: Context,
  request: StatedRequest,
  statement: Statement,
): Promise<Result<true>> {
  const { store, clock } = context;
  const now = clock.now();
  const { origin, size, rootSha256 } = statement.checkpoint;
  const head = await store.auditHead();
  const had =
    head?.origin === origin &&
    size <= head.size &&
    sameHash(await rootAt(store, size), Buffer.from(rootSha256, 'hex'));
  const late = Math.abs(statement.time - now) > clockSkewSecondsMax;
  if (late && !(had && (await isOfCeremony(context, request, statement)))) {
    const message = `the statement is of ${formatInstant(statement.time)}, here it is ${formatInstant(now)}: correct the clock`;
    return fail('API_STATEMENT', message, 'statements');
  }
  if (had) return ok(true);
  return fail(
    'API_STATEMENT',
    `the audit log never had a checkpoint of ${size} entries with this root`,
    'statements',
  );
}

/**
 * Keys of a function change in a ceremony, together with the `targets` that names them: what was stated over a log in
 * which that `targets` did not stand yet may be as old as the ceremony, since nothing of it could be handed in before.
 * It is not older than the last entry that its signer's machine saw, so that the bounds in the log hold.
 */
async function isOfCeremony(
  { store, clock }: Context,
  { product, published, delegators }: StatedRequest,
  { time, checkpoint }: Statement,
): Promise<boolean> {
  const now = clock.now();
  const [leaf = ''] = await store.auditLeaves(Math.max(0, checkpoint.size - 1), 1);
  const seen = parseEntry(Buffer.from(leaf));
  if (!seen.ok || time > now || time < now - ceremonySecondsMax) return false;
  if (time < seen.value.time - clockSkewSecondsMax) return false;
  const proposed = delegators.length > 1;
  const since = proposed ? now : await targetsSince(store, product, published);
  return since !== undefined && seen.value.time < since;
}

/** When the `targets` in force came here. */
async function targetsSince(
  store: Context['store'],
  product: string,
  { roles }: ImageRepository,
): Promise<UtcSeconds | undefined> {
  const targets = roles.get('targets');
  if (targets === undefined) return undefined;
  const listed = await store.listings(imageOwner(product), 'targets', '');
  return listed.find(({ version }) => version === targets.version)?.created;
}
