/**
 * A device's log as the server judges it: the chain, the signed head, and what contradicts what was stored before.
 *
 * Keeps true: an entry is stored only if it continues the stored chain and a head signed by the device's log key pins
 * it; a batch that was sent twice changes nothing; a gap, a change or a restart is never silent (REQ-OTA-LOG-03).
 * Pure: what is stored already is given.
 */
import {
  canonicalBytes,
  fail,
  ok,
  type PublicKey,
  type Result,
  sha256Hex,
  verifyEnvelope,
} from '@airlock/trust';
import { type LogBatch, type LogEntry, LogHeadSchema, wireLimits } from '@airlock/protocol';
import { Check } from 'typebox/value';
import type { FindingRow, StoredEntry } from '../ports/store.ts';

const firstPrevious = '0'.repeat(64);

/** SHA-256 of an entry's RFC 8785 bytes: what the next entry and the head refer to. */
export function entrySha256(entry: LogEntry): string {
  return sha256Hex(canonicalBytes(entry));
}

/** An entry with its hash, not yet put into a generation. */
export type BatchEntry = Omit<StoredEntry, 'generation'>;

/**
 * Reads a batch's head and checks the batch against it and in itself.
 * Errors: API_BAD_REQUEST for a batch that is no chain or whose head does not pin its last entry;
 * OTA_BAD_SIGNATURE; API_NOT_YOURS for another device's head.
 */
export function readBatch(batch: LogBatch, device: string, logKey: PublicKey): Result<readonly BatchEntry[]> {
  const options = { keys: [logKey], threshold: 1, bytesMax: wireLimits.reportBytesMax };
  const signed = verifyEnvelope(Buffer.from(batch.head), options);
  if (!signed.ok) return fail(signed.error.code, signed.error.message, 'head');
  const head = signed.value;
  if (!Check(LogHeadSchema, head)) return fail('API_BAD_REQUEST', 'head is not a signed log head', 'head');
  if (head.device !== device) return fail('API_NOT_YOURS', 'head is of another device', 'head.device');
  const stored = batch.entries.map((entry) => ({
    sequence: entry.sequence,
    sha256: entrySha256(entry),
    entry,
  }));
  for (const [index, { sequence, entry }] of stored.entries()) {
    const before = stored[index - 1];
    if (before === undefined) continue;
    if (sequence !== before.sequence + 1 || entry.previous !== before.sha256) {
      return fail('API_BAD_REQUEST', 'entries do not follow each other', `entries[${index}].previous`);
    }
  }
  const last = stored.at(-1);
  if (last === undefined || last.sequence !== head.sequence || last.sha256 !== head.sha256) {
    return fail('API_BAD_REQUEST', 'head does not pin the last entry', 'head');
  }
  return ok(stored);
}

export interface LogPlan {
  readonly store: readonly StoredEntry[];
  readonly findings: readonly Omit<FindingRow, 'found'>[];
}

/**
 * What a batch adds to the stored log. `held` are the stored entries of the newest generation that the batch names,
 * `last` its newest entry. Nothing that is stored is replaced: a batch that contradicts it begins a new generation.
 */
export function planBatch(
  batch: readonly BatchEntry[],
  last: StoredEntry | undefined,
  held: readonly StoredEntry[],
): LogPlan {
  const stored = new Map(held.map((entry) => [entry.sequence, entry.sha256]));
  const generation = last?.generation ?? 1;
  const contradiction = findContradiction(batch, last, stored);
  if (contradiction !== undefined) {
    const store = batch.map((item) => ({ ...item, generation: generation + 1 }));
    return { store, findings: [contradiction, ...findGap(batch, 0)] };
  }
  const store = batch
    .filter(({ sequence }) => !stored.has(sequence))
    .map((item) => ({ ...item, generation }));
  return { store, findings: findGap(store, last?.sequence ?? 0) };
}

type Finding = LogPlan['findings'][number];

function findContradiction(
  batch: readonly BatchEntry[],
  last: StoredEntry | undefined,
  stored: ReadonlyMap<number, string>,
): Finding | undefined {
  for (const { sequence, sha256, entry } of batch) {
    const before = stored.get(sequence);
    // Entry 1 again with another content: the log began anew, honestly after a loss, or to hide something.
    const kind = entry.previous === firstPrevious ? 'restart' : 'change';
    if (before !== undefined && before !== sha256) {
      return { kind, sequence, detail: `entry ${sequence} came with hash ${sha256}, stored is ${before}` };
    }
    if (last !== undefined && sequence === last.sequence + 1 && entry.previous !== last.sha256) {
      return {
        kind,
        sequence,
        detail: `entry ${sequence} does not follow the stored entry ${last.sequence}`,
      };
    }
    if (sequence === 1 && entry.previous !== firstPrevious) {
      return { kind: 'change', sequence, detail: 'entry 1 refers to an entry before it' };
    }
  }
  return undefined;
}

/** Entries between the stored end and the first new one that never came. */
function findGap(added: readonly BatchEntry[], end: number): Finding[] {
  const first = added[0]?.sequence ?? 0;
  if (first <= end + 1) return [];
  return [{ kind: 'gap', sequence: first, detail: `entries ${end + 1} to ${first - 1} never came` }];
}
