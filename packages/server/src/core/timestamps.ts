/**
 * Timestamps, signed on demand: nothing is written for them.
 *
 * Keeps true: within one process the version of an owner's timestamps never falls, two different timestamps never
 * have one version, and the same second with the same snapshot gives the same bytes. Across restarts the Unix second
 * and the snapshot's version, which was written, carry on. Memory is bounded: an entry is some 1 kB.
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
      const same = before?.second === now && before.snapshotVersion === snapshot.version;
      const version = Math.max((before?.version ?? 0) + 1, now, snapshot.version);
      const signed = same
        ? before
        : { version, second: now, snapshotVersion: snapshot.version, text: signTimestamp(request, version) };
      last.set(key, signed);
      for (const oldest of last.keys()) {
        if (last.size <= ownersMax) break;
        last.delete(oldest);
      }
      return signed.text;
    },
  };
}

/** One timestamp under a version of the caller's. */
export function signTimestamp({ owner, snapshot, now, signers }: TimestampRequest, version: number): string {
  const term = { version, expires: now + lifeSeconds.timestamp, issued: now };
  const file = Buffer.from(snapshot.file);
  return Buffer.from(signDraft(draftTimestamp({ ...owner, ...term, snapshot: file }), signers)).toString();
}
