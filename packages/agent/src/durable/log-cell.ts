/**
 * One log entry as bytes: a sealed 4 KiB cell, and the parser that opens it.
 *
 * A cell has a 4 KiB block of its own, so that tearing one entry never takes a neighbour that was durable. Beside
 * the entry it carries the upload cursor as it was known then; the cursor is not part of the chain.
 */
import { isWrittenCode, type LogEntry } from '@airlock/protocol';
import { canonicalBytes, sha256Hex } from '@airlock/trust';
import { isObject, openBlock, sealBlock } from '../core/sealed.ts';

export const logCellBytes = 4096;
export const firstPrevious = '0'.repeat(64);

type Fields = Readonly<Record<string, unknown>>;

export interface LogCell {
  readonly entry: LogEntry;
  /** Highest sequence that the server was known to hold when this entry was written. */
  readonly uploaded: number;
}

/** What the next entry names as `previous`, and a log head as its hash. */
export function entrySha256(entry: LogEntry): string {
  return sha256Hex(canonicalBytes(entry));
}

/** Throws RangeError when the entry does not fit: reasons and facts are bounded by the log. */
export function encodeLogCell(cell: LogCell): Uint8Array {
  const block = sealBlock(cell, logCellBytes);
  if (block === undefined) throw new RangeError('log entry: does not fit its cell');
  return block;
}

/** undefined for a cell that is empty, torn or of another form. */
export function decodeLogCell(block: Uint8Array): LogCell | undefined {
  if (block.length !== logCellBytes) return undefined;
  const value = openBlock(block);
  if (!isObject(value)) return undefined;
  const entry = parseEntry(value['entry']);
  const { uploaded } = value;
  if (entry === undefined || !isCount(uploaded, 0)) return undefined;
  return { entry, uploaded };
}

/**
 * An entry by what this agent knows of one; the value itself, with all that a newer agent put into it. A rolled-back
 * agent must neither lose an entry, nor change its hash, for a code or a field that it does not know.
 */
function parseEntry(value: unknown): LogEntry | undefined {
  return isObject(value) && isEntry(value) ? value : undefined;
}

function isEntry(value: Fields): value is Fields & LogEntry {
  const { sequence, previous, time, bootId, reason, attempt, fromVersion, toVersion, facts } = value;
  return (
    value['schema'] === 'airlock-log-entry/1' &&
    isCount(sequence, 1) &&
    typeof previous === 'string' &&
    /^[0-9a-f]{64}$/.test(previous) &&
    isCount(time, 0) &&
    typeof bootId === 'string' &&
    isWrittenCode(value['code']) &&
    typeof reason === 'string' &&
    (attempt === undefined || typeof attempt === 'string') &&
    (fromVersion === undefined || isCount(fromVersion, 0)) &&
    (toVersion === undefined || isCount(toVersion, 0)) &&
    (facts === undefined || isFacts(facts))
  );
}

function isFacts(value: unknown): boolean {
  const kinds = ['string', 'number', 'boolean'];
  return isObject(value) && Object.values(value).every((fact) => kinds.includes(typeof fact));
}

function isCount(value: unknown, min: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min;
}
