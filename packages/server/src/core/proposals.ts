/**
 * Proposals: role files that were signed offline, on their way to their threshold.
 *
 * Keeps true: every signature that is stored was verified against a key that the delegator names; a proposal with
 * other content starts with no signature; a number that was ever signed never stands for another content. Pure.
 */
import {
  addSignature,
  draftOf,
  fail,
  ok,
  readRole,
  type Result,
  type RoleView,
  sha256Hex,
  trustLimits,
  verifyRoleFile,
} from '@airlock/trust';
import type { RoleFile } from '../ports/store.ts';
import type { ImageRepository } from './files.ts';

/** A role file from outside, as far as it can be judged alone. */
export interface Presented extends RoleFile {
  readonly view: RoleView;
  /** SHA-256 of exactly what was signed. */
  readonly signedSha256: string;
}

/**
 * Reads a role file that was presented for `role` of `product`.
 * Errors: those of trust's `readRole`; OTA_WRONG_BINDING for another product's, repository's or role's file.
 */
export function readPresented(product: string, role: string, file: string): Result<Presented> {
  const bytes = Buffer.from(file);
  const bytesMax = role === 'root' ? trustLimits.rootBytesMax : trustLimits.roleBytesMax;
  const view = readRole(bytes, 'file', bytesMax);
  if (!view.ok) return view;
  const found = view.value;
  if (found.repository !== 'image' || found.product !== product || found.role !== role) {
    const what = `role ${found.role} of ${found.repository} ${found.product ?? ''}`.trim();
    return fail('OTA_WRONG_BINDING', `file is ${what}, expected role ${role} of image ${product}`, 'file');
  }
  if (found.kind !== 'root' && found.kind !== 'targets' && found.kind !== 'function') {
    return fail('API_NOT_OFFLINE', `role ${role} is signed by the server, not by people`, 'role');
  }
  const draft = draftOf(bytes);
  if (!draft.ok) return draft;
  const signedSha256 = sha256Hex(draft.value.bytesToSign);
  return ok({ role, version: found.version, file, view: found, signedSha256 });
}

export interface Counted {
  /** The file with the valid signatures of both, and no other. */
  readonly file: string;
  readonly signedBy: readonly string[];
  readonly threshold: number;
  readonly enough: boolean;
}

/**
 * Merges the signatures of a presented file with those already held for the same content, and counts them.
 * `delegators` are the files that may delegate to it, the one in force first: a change of keys is signed for the next.
 * Errors: OTA_BAD_SIGNATURE for a signature that no key of a delegator made.
 */
export function countSignatures(
  presented: Presented,
  held: string | undefined,
  delegators: readonly string[],
): Result<Counted> {
  const mine = validSignatures(presented.file, delegators);
  if (!mine.ok) return mine;
  const stranger = presented.view.signatures.find(({ keyId }) => !mine.value.has(keyId));
  if (stranger !== undefined) {
    const message = `the signature of key ${stranger.keyId.slice(0, 16)} is not valid for ${presented.role} ${presented.version}`;
    return fail('OTA_BAD_SIGNATURE', message, 'signatures');
  }
  if (mine.value.size === 0) {
    return fail(
      'OTA_BAD_SIGNATURE',
      `${presented.role} ${presented.version} carries no signature`,
      'signatures',
    );
  }
  const merged = held === undefined ? ok(presented.file) : merge(held, presented);
  if (!merged.ok) return merged;
  return countHeld(merged.value, presented.role, delegators);
}

/**
 * Counts a held file. A root needs the threshold of every delegator, the old root and itself (TUF 5.3.4); any other
 * role that of one, the delegator in force or the proposed one.
 */
export function countHeld(file: string, role: string, delegators: readonly string[]): Result<Counted> {
  const valid = validSignatures(file, delegators);
  if (!valid.ok) return valid;
  const counts = delegators.flatMap((delegator) => {
    const counted = verifyRoleFile(Buffer.from(file), Buffer.from(delegator));
    return counted.ok ? [counted.value] : [];
  });
  const threshold = Math.max(1, ...counts.map((count) => count.threshold));
  const enough =
    role === 'root'
      ? counts.length === delegators.length && counts.every((count) => count.enough)
      : counts.some((count) => count.enough);
  return ok({ file, signedBy: [...valid.value].toSorted(), threshold, enough });
}

/**
 * A function that none of its keys in force signed counts for nobody any more: it was a thief's, or its keys changed.
 * Its number holds back no lower one - the highest number that there is would else end the function for good. Whether
 * devices forgot the number as well is for the rehearsal to say: only new snapshot and timestamp keys make them.
 */
export function countsNoMore({ roles }: ImageRepository, { role, file }: RoleFile): boolean {
  const targets = roles.get('targets');
  if (targets === undefined || role === 'root' || role === 'targets') return false;
  const counted = countHeld(file, role, [targets.file]);
  return counted.ok && counted.value.signedBy.length === 0;
}

function validSignatures(file: string, delegators: readonly string[]): Result<Set<string>> {
  const valid = new Set<string>();
  let refused: Result<Set<string>> | undefined;
  for (const delegator of delegators) {
    const counted = verifyRoleFile(Buffer.from(file), Buffer.from(delegator));
    if (counted.ok) for (const keyId of counted.value.validKeyIds) valid.add(keyId);
    else refused = counted;
  }
  return valid.size === 0 && refused !== undefined ? refused : ok(valid);
}

function merge(held: string, presented: Presented): Result<string> {
  let file: Uint8Array = Buffer.from(held);
  for (const { keyId, sig } of presented.view.signatures) {
    const next = addSignature(file, { keyId, signature: Buffer.from(sig, 'hex') });
    if (!next.ok) return next;
    file = next.value;
  }
  return ok(Buffer.from(file).toString());
}
