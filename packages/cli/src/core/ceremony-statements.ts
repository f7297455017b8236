/**
 * Statements in a ceremony: each signature of a function's role comes with one, as in any other act of signing
 * (21 CFR 11.50, 11.70), whoever hands the file on. Roots and `targets` approve nothing and have none.
 *
 * Keeps true: what a signer states is the one step that the ceremony makes of the list - the same list under other keys,
 * or one release less - and a signature without its statement, or with one about anything else, is refused before
 * anybody signs beside it. Pure.
 */
import { matchStatement, openStatement } from '@airlock/audit';
import {
  fail,
  type FunctionView,
  ok,
  parsePolicy,
  type PublicKey,
  readRole,
  type Result,
} from '@airlock/trust';
import type { CeremonyAct } from './ceremony-file.ts';
import type { Act } from './signing.ts';

/** What a ceremony does to a function's list, in the words of a single act. */
export function functionAct(act: CeremonyAct, role: string, reason: string): Act {
  const dropped = act.drop.find(({ function: name }) => name === role);
  return dropped === undefined
    ? { kind: 'renew', reason }
    : { kind: 'withdraw', version: dropped.version, reason };
}

/** One statement says one thing, so that one release of a function can go in a ceremony. Code: CLI_CEREMONY_ACT. */
export function checkDrops({ drop }: CeremonyAct): Result<true> {
  const again = drop.find(
    ({ function: name }, at) => drop.findIndex((entry) => entry.function === name) < at,
  );
  if (again === undefined) return ok(true);
  const message = `a signature of ${again.function} says one thing: name one release here, and withdraw ${again.version} afterwards with release withdraw`;
  return fail('CLI_CEREMONY_ACT', message, 'act.drop');
}

/** The releases of a function's file; of none when there is no file. */
export function releasesIn(file: Uint8Array | undefined): FunctionView['releases'] {
  const view = file === undefined ? undefined : readRole(file);
  return view?.ok === true && view.value.kind === 'function' ? view.value.releases : [];
}

/** A function's role in a ceremony, as far as statements are about it. */
export interface StatedFile {
  readonly role: string;
  readonly file: Uint8Array;
  /** The file that stands now. */
  readonly held: Uint8Array | undefined;
  /** Keys that the ceremony's `targets` gives the function, and those whose signatures are in the file. */
  readonly keys: readonly PublicKey[];
  readonly signedBy: readonly string[];
  /** The ceremony's policy. */
  readonly policy: string | undefined;
  readonly statements: readonly string[];
}

/**
 * Exactly one statement for each signature, about this content and by the person whom the ceremony's policy names.
 * Codes: those of `openStatement` and `matchStatement`; CLI_CEREMONY_FILE for one too few or too many.
 */
export function checkStatements(stated: StatedFile): Result<true> {
  const { role, file, held, keys, signedBy, policy: text, statements } = stated;
  const view = readRole(file);
  if (!view.ok) return view;
  if (view.value.kind !== 'function') {
    return statements.length === 0 ? ok(true) : refuse(role, 'it is no role of a function');
  }
  if (text === undefined) return refuse(role, 'the ceremony has no policy that names its holders');
  const policy = parsePolicy(Buffer.from(text));
  if (!policy.ok) return policy;
  const by = new Set<string>();
  for (const envelope of statements) {
    const opened = openStatement(Buffer.from(envelope), keys);
    if (!opened.ok) return opened;
    const { statement, key } = opened.value;
    const step = { view: view.value, before: releasesIn(held) };
    const matched = matchStatement(statement, step, policy.value);
    if (!matched.ok) return matched;
    if (by.has(key.keyId)) return refuse(role, `key ${key.keyId.slice(0, 12)} made two`);
    if (!signedBy.includes(key.keyId)) return refuse(role, `key ${key.keyId.slice(0, 12)} signed only it`);
    by.add(key.keyId);
  }
  const without = signedBy.find((keyId) => !by.has(keyId));
  return without === undefined
    ? ok(true)
    : refuse(role, `the signature of key ${without.slice(0, 12)} has none, and counts for nothing`);
}

function refuse(role: string, why: string): Result<never> {
  return fail('CLI_CEREMONY_FILE', `statements of the ceremony's ${role}: ${why}`, `statements.${role}`);
}
