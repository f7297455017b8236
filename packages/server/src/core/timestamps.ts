/**
 * Timestamps, signed on demand: nothing is written for them.
 *
 * Keeps true: within one process the version of an owner's timestamps never falls, two different timestamps never
 * have one version, and the same second with the same snapshot gives the same bytes. While the clock does not go
 * back, a version is never above the second and the version after the snapshot's, which was written: after a burst
 * the bytes last signed are given until the clock has passed them. So a server that waits at its start until the
 * clock is past the highest written version (`startWaitSeconds`) never falls back behind the process before it.
 * Memory is bounded: an entry is some 1 kB.
 */
import { draftTimestamp, type Owner, type Signer, signDraft, type UtcSeconds } from '@airlock/trust';
import { lifeSeconds } from './versions.ts';

interface Signed {
  readonly version: number;
  readonly second: UtcSeconds;
  readonly snapshotVersion: number;
  readonly text: string;
}

/** Owners remembered; the one that was used longest ago is forgotten, and its next version is the second again. */
const ownersMax = 20_000;

export interface TimestampDesk {
  sign(request: TimestampRequest): string;
}

export interface TimestampRequest {
  readonly owner: Owner;
  /** The snapshot's file. */
  readonly snapshot: { readonly version: number; readonly file: string };
  readonly now: UtcSeconds;
  readonly signers: readonly Signer[];
}

export function createTimestampDesk(): TimestampDesk {
  const last = new Map<string, Signed>();
  return {
    sign(request) {
      const { owner, snapshot, now } = request;
      const key = owner.repository === 'image' ? `image:${owner.product}` : `device:${owner.device}`;
      const before = last.get(key);
      last.delete(key);
      // One above the snapshot: in its second, the process before may have signed one over the snapshot before.
      const version = Math.max((before?.version ?? 0) + 1, now, snapshot.version + 1);
      const signed =
        before !== undefined && mayStay(before, request)
          ? before
          : {
              version,
              second: now,
              snapshotVersion: snapshot.version,
              text: signTimestamp(request, version),
            };
      last.set(key, signed);
      for (const oldest of last.keys()) {
        if (last.size <= ownersMax) break;
        last.delete(oldest);
      }
      return signed.text;
    },
  };
}

/** A burst left the version ahead of the clock: no new one is needed before the clock has passed it. */
function mayStay(before: Signed, { snapshot, now }: TimestampRequest): boolean {
  // A clock that was set back is another matter: what it said before must not be given on.
  return before.snapshotVersion === snapshot.version && before.second <= now && now <= before.version;
}

/** A clock this far behind what was written was set back; waiting for it helps nobody. */
const startWaitSecondsMax = 10;

/**
 * Seconds that a starting server waits, given the highest snapshot version written. A timestamp of the process before
 * was at most one above it, or its own second: one second more, and none of them can come again with other content.
 */
export function startWaitSeconds(highestSnapshot: number, now: UtcSeconds): number {
  return Math.min(Math.max(highestSnapshot + 2 - now, 0), startWaitSecondsMax);
}

/** One timestamp under a version of the caller's. */
export function signTimestamp({ owner, snapshot, now, signers }: TimestampRequest, version: number): string {
  const term = { version, expires: now + lifeSeconds.timestamp, issued: now };
  const file = Buffer.from(snapshot.file);
  return Buffer.from(signDraft(draftTimestamp({ ...owner, ...term, snapshot: file }), signers)).toString();
}
