/**
 * Checkpoints (C2SP tlog-checkpoint): how many entries the audit log has, and the root over them, signed by the log.
 *
 *     origin
 *     size, decimal
 *     root, base64
 *
 * Keeps true: one checkpoint has one spelling. Stricter than the specification in one point: extension lines are
 * refused, since nothing here would understand them. A checkpoint says nothing about time; entries do. Pure.
 */
import { fail, ok, type PublicKey, type Result, type Signer } from '@airlock/trust';
import { hashBytes, isTreeSize, type TreeHead } from './merkle.ts';
import { openNote, signNote } from './note.ts';

/** Which log, and whose signature counts for it: both stand in the signed policy. */
export interface LogIdentity {
  readonly origin: string;
  readonly key: PublicKey;
}

export interface Checkpoint extends TreeHead {
  readonly origin: string;
}

/** The signed note. `signers`: the log's key, and beside it the next one while keys change. */
export function signCheckpoint(checkpoint: Checkpoint, signers: readonly Signer[]): string {
  const { origin, size, root } = checkpoint;
  if (!isTreeSize(size) || root.length !== hashBytes) throw new TypeError('not a tree head');
  const text = `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`;
  return signNote(text, origin, signers);
}

/** A checkpoint of exactly this log. Codes: AUDIT_CHECKPOINT, AUDIT_SIGNATURE. */
export function openCheckpoint(note: Uint8Array, log: LogIdentity): Result<Checkpoint> {
  const text = openNote(note, { name: log.origin, key: log.key });
  if (!text.ok) return text;
  const refuse = (why: string) => fail('AUDIT_CHECKPOINT', `checkpoint: ${why}`, 'checkpoint');
  const [origin = '', decimal = '', base64 = '', end, ...more] = text.value.split('\n');
  if (end !== '' || more.length > 0) return refuse('has other lines than origin, size and root');
  if (origin !== log.origin) return refuse(`is of log ${origin.slice(0, 64)}, expected ${log.origin}`);
  const size = Number(decimal);
  if (!/^(?:0|[1-9]\d{0,15})$/.test(decimal) || !isTreeSize(size)) return refuse('has a size that is none');
  const root = Buffer.from(base64, 'base64');
  if (root.length !== hashBytes || root.toString('base64') !== base64)
    return refuse('has a root that is none');
  return ok({ origin, size, root });
}
