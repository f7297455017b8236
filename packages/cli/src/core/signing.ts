/**
 * The decision what a person's signature may be set under: pure, on bytes.
 *
 * Signing a role signs its whole list, and the server is taken to be hostile (DESIGN "Signing by people"). So nothing
 * that it offers is trusted: from the role as this machine verified it and from the one act that the person named,
 * the only role that may be signed is built here again, and a proposal is signed only if its signed bytes are exactly
 * these. Entries slipped in, dropped or changed, another product's role, delegations, unknown fields: all differ.
 * What a proposal may choose for itself is its expiry, as far as its age allows. Its number is the next one after all
 * that were verified or signed here, or the one that the person named, since colleagues gave up those between.
 * Leaves to others: how `previous` was verified (signer.ts), whether the act is a good one (the person).
 */
import type { ApprovalMeaning, Meaning } from '@airlock/audit';
import { wireLimits } from '@airlock/protocol';
import {
  describeChange,
  type Draft,
  draftFunction,
  draftOf,
  fail,
  type FunctionView,
  ok,
  readRole,
  type Result,
  type RoleChange,
  type UtcSeconds,
} from '@airlock/trust';

const daySeconds = 24 * 3600;
/** Clocks of two signers differ; a proposal made a moment ago by a clock that is ahead is no attack. */
const clockSkewSecondsMax = daySeconds;
/** Numbers that a person may skip by naming the next one. More is a fast-forward, which would end the role (TUF 5.3.11). */
const versionsSkippedMax = 100;

/**
 * Timestamps are signed on demand, so an honest server's is seconds old; an hour leaves room for clocks that differ.
 * Their life (a day) would be no limit here, since an older one is refused as expired.
 */
const viewAgeSecondsMax = 3600;

/** The one thing that a person wants to have done. */
export type Act =
  | {
      readonly kind: 'approve';
      readonly version: number;
      readonly length: number;
      readonly sha256: string;
      /** What the signature means; stands in its statement. */
      readonly meaning: ApprovalMeaning;
    }
  /** `reason`: stands in the statement, in the audit log, and on this machine; a renewal needs none. */
  | { readonly kind: 'withdraw'; readonly version: number; readonly reason: string }
  | { readonly kind: 'renew'; readonly reason?: string };

/** What a signature over the act states. */
export function meaningOf(act: Act): Meaning {
  if (act.kind === 'approve') return act.meaning;
  return act.kind === 'withdraw' ? 'withdrawn' : 'renewed';
}

export interface SigningInput {
  readonly product: string;
  readonly function: string;
  readonly act: Act;
  /** The function's role as this machine last verified it; undefined when the repository has none yet. */
  readonly previous: Uint8Array | undefined;
  /** The open proposal that the server offers; undefined: there is none, and a new one is drafted. */
  readonly proposal: Uint8Array | undefined;
  /** Highest number that this machine ever signed for the role: a number once signed is never used again. */
  readonly signedVersion: number;
  /** The number that the person named, since colleagues gave up those before it; undefined: the very next one. */
  readonly number?: number;
  /** Key that is to sign. */
  readonly keyId: string;
  readonly now: UtcSeconds;
  readonly lifeSeconds: number;
}

/** What may be signed, and what it changes. */
export interface SigningPlan {
  readonly draft: Draft;
  /** The file that the signature is added to: the proposal with its other signatures, or the new draft. */
  readonly file: Uint8Array;
  readonly expires: UtcSeconds;
  readonly changes: readonly RoleChange[];
  /** The whole list that is signed. */
  readonly releases: FunctionView['releases'];
  /** Key ids that signed the proposal already. */
  readonly signedBy: readonly string[];
}

interface Held {
  readonly version: number;
  readonly releases: FunctionView['releases'];
}

/**
 * What the person may sign. Codes: CLI_APPROVED_ALREADY, CLI_RELEASE_CHANGED, CLI_NOT_APPROVED, CLI_SIGNED_ALREADY,
 * CLI_PROPOSAL_VERSION, CLI_PROPOSAL_EXPIRY, CLI_UNEXPECTED_CHANGE, and those of `readRole`.
 */
export function planSignature(input: SigningInput): Result<SigningPlan> {
  const held = readHeld(input);
  if (!held.ok) return held;
  const releases = applyAct(held.value.releases, input);
  if (!releases.ok) return releases;
  return input.proposal === undefined
    ? planOwn(input, held.value, releases.value)
    : planOffered(input, input.proposal, held.value, releases.value);
}

function readHeld(input: SigningInput): Result<Held> {
  if (input.previous === undefined) return ok({ version: 0, releases: [] });
  const view = readRole(input.previous, `held role ${input.function}`);
  if (!view.ok) return view;
  if (view.value.kind !== 'function' || view.value.role !== input.function) {
    throw new TypeError('the held role must be the function that is to be signed');
  }
  return ok(view.value);
}

type Releases = FunctionView['releases'];

/** The list after the act, and nothing but the act. */
function applyAct(held: Releases, input: SigningInput): Result<Releases> {
  const { act } = input;
  if (act.kind === 'renew') return ok(held);
  const listed = held.find(({ version }) => version === act.version);
  if (act.kind === 'withdraw') {
    if (listed !== undefined) return ok(held.filter((entry) => entry !== listed));
    const message = `${input.function} does not approve release ${act.version}, so there is nothing to withdraw`;
    return fail('CLI_NOT_APPROVED', message, 'VERSION');
  }
  const { version, length, sha256 } = act;
  if (listed === undefined) return ok([...held, { version, length, sha256 }]);
  if (listed.sha256 === act.sha256 && listed.length === act.length) {
    return fail(
      'CLI_APPROVED_ALREADY',
      `${input.function} approves release ${act.version} already`,
      'VERSION',
    );
  }
  return fail(
    'CLI_RELEASE_CHANGED',
    `${input.function} approved release ${act.version} as manifest ${listed.sha256.slice(0, 12)}, the server shows ` +
      `${act.sha256.slice(0, 12)} under the same number`,
    'VERSION',
  );
}

function draftWith(input: SigningInput, releases: Releases, version: number, expires: UtcSeconds): Draft {
  return draftFunction({ product: input.product, function: input.function, version, expires, releases });
}

function planOwn(input: SigningInput, held: Held, releases: Releases): Result<SigningPlan> {
  const floor = Math.max(held.version, input.signedVersion);
  const version = input.number ?? floor + 1;
  if (version <= floor || version > floor + versionsSkippedMax) {
    const message = `${input.function} cannot take number ${version}: it must be one from ${floor + 1} to ${floor + versionsSkippedMax}`;
    return fail('CLI_PROPOSAL_VERSION', message, '--number');
  }
  const expires = input.now + input.lifeSeconds;
  const draft = draftWith(input, releases, version, expires);
  const changes = describeChange(input.previous, draft.unsigned);
  if (!changes.ok) return changes;
  return ok({ draft, file: draft.unsigned, expires, changes: changes.value, releases, signedBy: [] });
}

function planOffered(
  input: SigningInput,
  proposal: Uint8Array,
  held: Held,
  releases: Releases,
): Result<SigningPlan> {
  const view = readRole(proposal, `the proposal for ${input.function}`);
  if (!view.ok) return view;
  const offered = draftOf(proposal);
  if (!offered.ok) return offered;
  const { version, expires, signatures } = view.value;
  const signedBy = signatures.map(({ keyId }) => keyId);
  const changes = describeChange(input.previous, proposal);
  const term = checkTerm(input, held, { version, expires, changes }, signedBy.includes(input.keyId));
  if (!term.ok) return term;
  const expected = draftWith(input, releases, version, expires);
  if (!changes.ok || !sameBytes(expected.bytesToSign, offered.value.bytesToSign)) {
    return refuseChange(input, changes);
  }
  if (signedBy.includes(input.keyId)) {
    return fail(
      'CLI_SIGNED_ALREADY',
      `the proposal for ${input.function} carries this key's signature already`,
    );
  }
  return ok({ draft: offered.value, file: proposal, expires, changes: changes.value, releases, signedBy });
}

/** Number and expiry are what a proposal may choose, within bounds. A number that is skipped is named by the person. */
function checkTerm(
  input: SigningInput,
  held: Held,
  offered: {
    readonly version: number;
    readonly expires: UtcSeconds;
    readonly changes: Result<readonly RoleChange[]>;
  },
  mine: boolean,
): Result<true> {
  const { version, expires, changes } = offered;
  const would = `signing it would do this: ${foundWords(changes)}`;
  // The very proposal that this key signed keeps its number; any other needs one that was never signed here.
  const floor = Math.max(held.version, mine ? 0 : input.signedVersion);
  if (version <= floor || version > floor + versionsSkippedMax) {
    const message =
      `the proposal for ${input.function} has number ${version}; after ${floor}, which was verified or signed here, ` +
      `it must be ${floor + 1}; ${would}`;
    return fail('CLI_PROPOSAL_VERSION', message, input.function);
  }
  if (!mine && version !== (input.number ?? floor + 1)) {
    const message =
      `the proposal for ${input.function} has number ${version}, not ${input.number ?? floor + 1}; ${would}; ` +
      `if holders of ${input.function} tell you that they gave up the numbers between, say --number ${version}`;
    return fail('CLI_PROPOSAL_VERSION', message, input.function);
  }
  // Begun longer ago than a proposal lasts, it was kept back: whoever signed it first thinks that it is over.
  const earliest = input.now + input.lifeSeconds - wireLimits.proposalSecondsMax - clockSkewSecondsMax;
  const latest = input.now + input.lifeSeconds + clockSkewSecondsMax;
  if (expires < earliest || expires > latest) {
    const days = Math.floor((expires - input.now) / daySeconds);
    const least = Math.ceil((earliest - input.now) / daySeconds);
    const message =
      `the proposal for ${input.function} would be valid for ${days} days, ` +
      `it must be ${least} to ${Math.floor(input.lifeSeconds / daySeconds)}; ${would}`;
    return fail('CLI_PROPOSAL_EXPIRY', message, input.function);
  }
  return ok(true);
}

function foundWords(changes: Result<readonly RoleChange[]>): string {
  const found = changes.ok ? changes.value.map(({ words }) => words).join('; ') : changes.error.message;
  return found === '' ? 'a change that has no words' : found;
}

function refuseChange(input: SigningInput, changes: Result<readonly RoleChange[]>): Result<never> {
  const message =
    `the server's proposal for ${input.function} is not just "${actWords(input.act)}"; ` +
    `signing it would do this: ${foundWords(changes)}`;
  return fail('CLI_UNEXPECTED_CHANGE', message, input.function);
}

/**
 * What a person must know besides the change: the whole list that the signature puts in force, and how old the view
 * is from which it was made. A server that freezes the view has a release listed again that a colleague withdrew.
 */
export function signedListLines(
  { function: name, timestamp, now }: SignedList,
  releases: readonly { readonly version: number }[],
): string[] {
  const versions = releases.map(({ version }) => version).toSorted((a, b) => a - b);
  const list = `Then ${name} approves in all: ${versions.length === 0 ? 'nothing' : versions.join(', ')}`;
  const view = timestamp === undefined ? undefined : readRole(timestamp, 'the timestamp');
  if (view?.ok !== true || view.value.kind !== 'timestamp') {
    return [list, 'WARNING: how old this view of the repository is cannot be told'];
  }
  const ageSeconds = now - view.value.issued;
  const asOf = new Date(view.value.issued * 1000).toISOString().replace('.000Z', 'Z');
  const minutes = Math.max(0, Math.floor(ageSeconds / 60));
  const lines = [list, `Seen as the server signed it at ${asOf}, ${minutes} min ago`];
  if (ageSeconds < -viewAgeSecondsMax) {
    return [
      ...lines,
      'WARNING: that is in the future: correct the clock of this machine first, or suspect the server',
    ];
  }
  if (ageSeconds <= viewAgeSecondsMax) return lines;
  return [
    ...lines,
    `WARNING: older than ${viewAgeSecondsMax / 60} min: the server may hide what others withdrew since; ask them first`,
  ];
}

export interface SignedList {
  readonly function: string;
  /** The newest timestamp that was verified. */
  readonly timestamp: Uint8Array | undefined;
  readonly now: UtcSeconds;
}

/** The act as people say it. */
export function actWords(act: Act): string {
  if (act.kind === 'renew') return 'renew the role, unchanged';
  return act.kind === 'approve' ? `approve release ${act.version}` : `withdraw release ${act.version}`;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
