/**
 * Timestamps, signed on demand: none of them is written.
 *
 * Keeps true: the version of an owner's timestamps never falls, two different timestamps never have one version, and
 * the same second with the same snapshot gives the same bytes. Within one process that is remembered. Over a restart,
 * also one with the clock set back, a desk begins above everything that was reserved, and nothing is signed that was
 * not reserved before: a write in `reserveSeconds` for the whole server, not one for each timestamp. Should such a
 * write fail (a full disk), timestamps are signed all the same, and what remains is this: while the clock does not go
 * back, a version is hardly above the second and the version after the snapshot's, which was written, so that a server
 * which waits at its start until the clock is past that (`startWaitSeconds`) does not fall back behind the process
 * before it. Memory is bounded: an entry is some 1 kB.
 */
import { draftTimestamp, type Owner, type Signer, signDraft, type UtcSeconds } from '@airlock/trust';
import { lifeSeconds } from './versions.ts';

interface Signed {
  readonly version: number;
  readonly second: UtcSeconds;
  readonly snapshotVersion: number;
  readonly text: string;
}

/** Owners remembered; the one that was used longest ago is forgotten, and everyone's next version is above its last. */
const ownersMax = 20_000;

/** Versions reserved at a time, about as many seconds: rarely written, and a crash skips no more than these. */
const reserveSeconds = 60;
/**
 * While the version is ahead of the clock the bytes last signed are given, but not older ones than this: a clock set
 * back by a day would else have every device's timestamp expire. One version a minute, so that the clock catches up.
 */
const staySecondsMax = 60;

export interface TimestampDesk {
  sign(request: TimestampRequest): string;
  /** Up to which version must be reserved, durably, before this is signed; undefined when it is already. */
  mustReserve(request: Pick<TimestampRequest, 'owner' | 'snapshot' | 'now'>): number | undefined;
  reserved(upTo: number): void;
}

export interface TimestampRequest {
  readonly owner: Owner;
  /** The snapshot's file. */
  readonly snapshot: { readonly version: number; readonly file: string };
  readonly now: UtcSeconds;
  readonly signers: readonly Signer[];
}

const keyOf = (owner: Owner): string =>
  owner.repository === 'image' ? `image:${owner.product}` : `device:${owner.device}`;

type Asked = Pick<TimestampRequest, 'owner' | 'snapshot' | 'now'>;

/** `reserved`: up to where processes before may have signed. */
export function createTimestampDesk(reserved = 0): TimestampDesk {
  const last = new Map<string, Signed>();
  let floor = reserved;
  let ceiling = reserved;
  // One above the snapshot: in its second, the process before may have signed one over the snapshot before.
  const nextVersion = ({ owner, snapshot, now }: Asked): number =>
    Math.max((last.get(keyOf(owner))?.version ?? floor) + 1, now, snapshot.version + 1);
  return {
    mustReserve(request) {
      const before = last.get(keyOf(request.owner));
      if (before !== undefined && mayStay(before, request)) return undefined;
      const version = nextVersion(request);
      return version <= ceiling ? undefined : version + reserveSeconds;
    },
    reserved(upTo) {
      ceiling = Math.max(ceiling, upTo);
    },
    sign(request) {
      const { owner, snapshot, now } = request;
      const key = keyOf(owner);
      const before = last.get(key);
      const version = nextVersion(request);
      const signed =
        before !== undefined && mayStay(before, request)
          ? before
          : {
              version,
              second: now,
              snapshotVersion: snapshot.version,
              text: signTimestamp(request, version),
            };
      last.delete(key);
      last.set(key, signed);
      for (const [oldest, { version: gone }] of last) {
        if (last.size <= ownersMax) break;
        last.delete(oldest);
        // A version below the clock says nothing that the clock does not.
        if (gone >= now) floor = Math.max(floor, gone);
      }
      return signed.text;
    },
  };
}

/** A burst left the version ahead of the clock: no new one is needed before the clock has passed it. */
function mayStay(before: Signed, { snapshot, now }: Asked): boolean {
  // A clock that was set back is another matter: what it said before must not be given on.
  if (before.snapshotVersion !== snapshot.version || before.second > now) return false;
  return now <= before.version && now - before.second < staySecondsMax;
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
