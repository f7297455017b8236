/**
 * Restored from a backup older than the last offline signature: how a server notices, and what it then may do.
 *
 * A server cannot see from its own files that they are old. Two others know better: a signer's machine, which verified
 * a newer role, and a device, which says in its check-in what it holds. A signer's machine shows the signed file; a
 * mere number from it is answered and forgotten, since anybody with a token could send one. From then on, as long as
 * a file that is proven or claimed to exist is not here, the product publishes nothing new
 * - a snapshot over the old roles would be refused by every device that saw the new ones, and a withdrawal would be
 * lost silently - until the missing file is handed back. Devices are served what there is meanwhile.
 * A device is one machine out of many and may lie: its word only holds back publishing, and a person with the
 * permission may dismiss it. Its numbers are never taken over.
 */
import type { CheckInRequest } from '@airlock/protocol';
import type { UtcSeconds } from '@airlock/trust';
import type { MissingRow } from '../ports/store.ts';

/** Published versions by role, `root` included. */
export type Versions = ReadonlyMap<string, number>;

/** Roles that people sign: a device that holds a newer one saw something that this server has lost. */
export function lostImageRoles(
  request: Pick<CheckInRequest, 'imageRoot' | 'imageRoles'>,
  published: Versions,
): { readonly role: string; readonly version: number }[] {
  const claims: [string, number][] = [['root', request.imageRoot], ...Object.entries(request.imageRoles)];
  return claims
    .filter(([role, version]) => {
      // A function that is not known here came with a newer `targets`, which the device then holds as well.
      const known = published.get(role) ?? (role === 'targets' ? 0 : undefined);
      return known !== undefined && version > known;
    })
    .map(([role, version]) => ({ role, version }));
}

/** What a signer's machine knows: it verified `previous` of this role, and here is an older one or none. */
export function lostBySigner(role: string, previous: number | undefined, published: Versions): boolean {
  return previous !== undefined && previous > (published.get(role) ?? 0);
}

/** The row to keep, when `claim` tells more than the one that is held; undefined when nothing changes. */
export function noteMissing(held: readonly MissingRow[], claim: MissingRow): MissingRow | undefined {
  const before = held.find(({ role }) => role === claim.role);
  if (before === undefined) return claim;
  // A signer's word stands above a device's: a lying device must not hide what really is missing.
  if (before.evidence === 'signer' && claim.evidence === 'device') return undefined;
  if (before.evidence === claim.evidence && before.version >= claim.version) return undefined;
  return { ...claim, since: before.since };
}

/** Name of the file to hand back. Roots are verified one by the other (TUF 5.3.5): the one after `known` comes first. */
export function missingFileName(
  { role, version }: Pick<MissingRow, 'role' | 'version'>,
  known: number | undefined,
): string {
  return `${role === 'root' && known !== undefined ? known + 1 : version}.${role}.json`;
}

/** One sentence for the answer to whoever wants to publish. */
export function missingMessage(product: string, rows: readonly MissingRow[], versions: Versions): string {
  const files = rows.map((row) => missingFileName(row, versions.get(row.role))).join(', ');
  return `${product} was restored from a backup that is too old: hand back ${files} from a signer's machine first`;
}

/** Which of the missing files would still be missing with these versions. */
export function stillMissing(rows: readonly MissingRow[], versions: Versions): MissingRow[] {
  return rows.filter(({ role, version }) => (versions.get(role) ?? 0) < version);
}

/** A rewrite for one owner at most so often: a device that lies about its versions must not cause endless writes. */
const rewriteSecondsMin = 60;

/**
 * Whether online metadata must be signed anew because a device holds a newer one than this (restored) server: the
 * new version, being the Unix second, must be above the device's, or it would help nobody.
 */
export function mustRewriteOnline(held: number, ours: number | undefined, now: UtcSeconds): boolean {
  if (ours === undefined || held <= ours) return false;
  return held < now && now - ours >= rewriteSecondsMin;
}
