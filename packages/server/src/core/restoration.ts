/**
 * Restored from a backup older than the last offline signature: how a server notices, and what it then may do.
 *
 * A server cannot see from its own files that they are old. Two others know better: a signer's machine, which verified
 * a newer role, and a device, which says in its check-in what it holds. A signer's machine shows the signed file; a
 * mere number from it is answered and forgotten, since anybody with a token could send one. From then on, as long as
 * a file that is proven or claimed to exist is not here, the product publishes nothing new
 * - a snapshot over the old roles would be refused by every device that saw the new ones, and a withdrawal would be
 * lost silently - until the missing file is handed back. Devices are served what there is meanwhile.
 * A device is one machine out of many and may lie, or its TLS key may be stolen: what one device claims is shown to
 * people and holds nothing back. Only a signed file does, or what several devices claim (`claimingDevicesMin`), and a
 * person with the permission may dismiss the latter; a device once dismissed is not heard again. Claims, however many,
 * never hold back a withdrawal, nor the renewal of what the server signs. Their numbers are never taken over.
 */
import type { CheckInRequest } from '@airlock/protocol';
import type { UtcSeconds } from '@airlock/trust';
import type { ClaimRow, MissingRow } from '../ports/store.ts';
import type { Presented } from './proposals.ts';

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
      // What the server signs itself comes back with the clock: see `mustRewriteOnline`.
      if (role === 'snapshot' || role === 'timestamp') return false;
      return known !== undefined && version > known;
    })
    .map(([role, version]) => ({ role, version }));
}

/** What a signer's machine knows: it verified `previous` of this role, and here is an older one or none. */
export function lostBySigner(role: string, previous: number | undefined, published: Versions): boolean {
  return previous !== undefined && previous > (published.get(role) ?? 0);
}

/** Versions that this server signs ahead of the clock: no honest server did, or this server's clock was set back. */
export function aheadOfClock(
  held: Pick<CheckInRequest, 'imageSnapshot' | 'directorSnapshot' | 'directorTargets'>,
  ours: { readonly image: Versions; readonly director: Versions },
  now: UtcSeconds,
): { readonly role: string; readonly version: number }[] {
  const all = [
    { role: 'snapshot', version: held.imageSnapshot, known: ours.image.get('snapshot') },
    { role: 'director-snapshot', version: held.directorSnapshot, known: ours.director.get('snapshot') },
    { role: 'director-targets', version: held.directorTargets, known: ours.director.get('targets') },
  ];
  return all
    .filter(({ version, known }) => known !== undefined && version > known && version >= now)
    .map(({ role, version }) => ({ role, version }));
}

/** What stands next to nothing else: who claims it, how high. */
export interface Claims {
  /** Of devices that are registered and not revoked. */
  readonly claims: readonly ClaimRow[];
  /** Devices that could claim it. */
  readonly devices: number;
  readonly published: Versions;
}

/**
 * Distinct devices that must claim a newer file before it holds a product back: one would put the whole fleet into
 * the hand of whoever holds one device's TLS key.
 */
const claimingDevicesMin = 2;
/**
 * And this share of the devices: stealing two of ten thousand keys must not be enough. After a restore every device
 * that looked since the lost publication claims it at its next check-in, so a hundredth is reached at once.
 */
const claimingShareMin = 0.01;
/**
 * A claim further ahead of what is published is absurd. People number roles one by one; at one a day, this is a backup
 * that is three years old.
 */
const versionJumpMax = 1000;
/** A device that raises its claim at each check-in must not cause a write each time. */
const claimSecondsMin = 3600;

export type ClaimState = 'alone' | 'agreed' | 'absurd' | 'dismissed';

/** The highest version of each role that enough devices claim. Only what people sign can be lost. */
export function agreedClaims({ claims, devices, published }: Claims): MissingRow[] {
  const min = Math.max(claimingDevicesMin, Math.ceil(devices * claimingShareMin));
  const rows: MissingRow[] = [];
  for (const role of new Set(claims.map((claim) => claim.role))) {
    const heard = claims
      .filter((claim) => claim.role === role && isHeard(claim, published))
      .toSorted((a, b) => b.version - a.version);
    const last = heard[min - 1];
    if (last === undefined) continue;
    const since = Math.max(...heard.slice(0, min).map((claim) => claim.since));
    rows.push({ role, version: last.version, evidence: 'device', device: last.device, since });
  }
  return rows;
}

function isHeard({ role, version, dismissed }: ClaimRow, published: Versions): boolean {
  const known = published.get(role) ?? (role === 'targets' ? 0 : undefined);
  if (dismissed !== undefined || known === undefined || role === 'snapshot') return false;
  return version > known && version - known <= versionJumpMax;
}

/** How a claim is judged; undefined when it is true by now. Online roles are claimed only when ahead of the clock. */
export function claimState(
  claim: ClaimRow,
  published: Versions,
  agreed: readonly MissingRow[],
): ClaimState | undefined {
  const known = published.get(claim.role);
  if (known !== undefined && claim.version <= known) return undefined;
  if (claim.dismissed !== undefined) return 'dismissed';
  if (!isHeard(claim, published)) return 'absurd';
  return agreed.some(({ role }) => role === claim.role) ? 'agreed' : 'alone';
}

/** Whether a device's claim tells more than those that are held of it, and may be written now. */
export function mustNoteClaim(
  held: readonly ClaimRow[],
  claim: Pick<ClaimRow, 'role' | 'version' | 'since'>,
): boolean {
  // A person did not believe it: from then on only the signed file speaks for it.
  if (held.some(({ dismissed }) => dismissed !== undefined)) return false;
  const before = held.find(({ role }) => role === claim.role);
  if (before === undefined) return true;
  return claim.version > before.version && claim.since - before.since >= claimSecondsMin;
}

/** A person's dismissal is of the device: none of its claims on this product counts any more. */
export function withDismissals(claims: readonly ClaimRow[]): ClaimRow[] {
  const dismissed = new Map(
    claims.flatMap(({ device, dismissed: at }): [string, UtcSeconds][] =>
      at === undefined ? [] : [[device, at]],
    ),
  );
  return claims.map((row) => {
    const at = dismissed.get(row.device);
    return at === undefined ? row : { ...row, dismissed: at };
  });
}

/** A function's file that lists fewer releases, and none that is not listed now: it can only take back. */
export function onlyTakesBack(presented: Presented, inForce: Presented): boolean {
  if (presented.view.kind !== 'function' || inForce.view.kind !== 'function') return false;
  const listed = new Set(inForce.view.releases.map(({ version, sha256 }) => `${version} ${sha256}`));
  if (presented.view.releases.length >= listed.size) return false;
  return presented.view.releases.every(({ version, sha256 }) => listed.has(`${version} ${sha256}`));
}

/** The row to keep of two that are proven; undefined when nothing changes. */
export function noteMissing(held: readonly MissingRow[], proof: MissingRow): MissingRow | undefined {
  const before = held.find(({ role, evidence }) => role === proof.role && evidence === 'signer');
  if (before === undefined) return proof;
  return before.version >= proof.version ? undefined : { ...proof, since: before.since };
}

/** Proven files, and claimed ones where nothing is proven: a lying device must not hide what really is missing. */
export function missingFiles(proven: readonly MissingRow[], agreed: readonly MissingRow[]): MissingRow[] {
  return [...proven, ...agreed.filter(({ role }) => !proven.some((row) => row.role === role))];
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

/**
 * Whether online metadata must be signed anew because a device holds a newer one than this (restored) server: the
 * new version, being the Unix second, must be above the device's, or it would help nobody. Ahead of the clock helps
 * nobody either (`aheadOfClock`). How often that may happen is limited besides (`core/rates.ts`).
 */
export function mustRewriteOnline(held: number, ours: number | undefined, now: UtcSeconds): boolean {
  return ours !== undefined && held > ours && held < now;
}

/**
 * A device's own set is signed anew by its claims at most so often. One time helps: the new version is above every
 * one that was signed before the restore.
 */
export const deviceRewrites = { perWindow: 1, windowSeconds: 3600 } as const;
/**
 * A product's snapshot, which its whole fleet then fetches, by any devices' claims. Counted since the server's start,
 * so that a server just restored does it at once, and once is enough for all its devices.
 */
export const productRewrites = { perWindow: 1, windowSeconds: 24 * 3600 } as const;
