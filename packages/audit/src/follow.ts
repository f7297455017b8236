/**
 * Following a log: whoever saw one checkpoint takes a newer one only with the proof that it continues the old one.
 *
 * This is what makes a rewritten history visible: the server cannot know who remembers which checkpoint, and a log
 * that forked never proves consistent with both. Pure: fetching and keeping are the caller's.
 */
import { fail, ok, type Result } from '@airlock/trust';
import { type Checkpoint, type LogIdentity, openCheckpoint } from './checkpoint.ts';
import { emptyRoot, type Hash, sameHash, verifyConsistency } from './merkle.ts';

/** What is asked of the server beside the checkpoint: the proof between two sizes. */
export interface ConsistencyAsked {
  readonly first: number;
  readonly size: number;
}

/**
 * A generator: yields the proof that it needs, takes its hashes, and returns the checkpoint to keep.
 * `seen` is the newest one that was verified before; undefined: none.
 * Codes: AUDIT_CHECKPOINT, AUDIT_SIGNATURE; OTA_AUDIT_FORK when the shown log is shorter or another one.
 */
export function* followLog(
  log: LogIdentity,
  note: Uint8Array,
  seen: Checkpoint | undefined,
): Generator<ConsistencyAsked, Result<Checkpoint>, readonly Hash[]> {
  const opened = openCheckpoint(note, log);
  if (!opened.ok) return opened;
  const next = opened.value;
  if (seen === undefined) {
    if (next.size > 0 || sameHash(next.root, emptyRoot)) return opened;
    return fail(
      'AUDIT_CHECKPOINT',
      'checkpoint: an empty log has the hash of nothing as its root',
      'checkpoint',
    );
  }
  if (seen.origin !== next.origin) throw new TypeError('a log is followed under its own origin');
  const fork = (why: string) => {
    const message = `the audit log ${log.origin} ${why}; entry ${seen.size} and its root were verified here before`;
    return fail('OTA_AUDIT_FORK', message, 'checkpoint');
  };
  if (next.size < seen.size) return fork(`has ${next.size} entries now and had ${seen.size}`);
  const needed = next.size > seen.size && seen.size > 0;
  const hashes = needed ? yield { first: seen.size, size: next.size } : [];
  const proven = verifyConsistency(seen, next, hashes);
  return proven.ok ? ok(next) : fork(`does not continue: ${proven.error.message}`);
}
