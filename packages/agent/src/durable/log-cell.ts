/**
 * One log entry as bytes: a sealed 4 KiB cell, and the parser that opens it.
 *
 * A cell has a 4 KiB block of its own, so that tearing one entry never takes a neighbour that was durable. Beside
 * the entry it carries the upload cursor as it was known then; the cursor is not part of the chain.
 */
import { deviceCodes, type DeviceCode, type LogEntry } from '@airlock/protocol';
import { canonicalBytes, sha256Hex, trustErrors } from '@airlock/trust';
import { isObject, openBlock, sealBlock } from '../core/sealed.ts';

export const logCellBytes = 4096;
export const firstPrevious = '0'.repeat(64);

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

function parseEntry(value: unknown): LogEntry | undefined {
  if (!isObject(value) || value['schema'] !== 'airlock-log-entry/1') return undefined;
  const { sequence, previous, time, bootId, code, reason, attempt, fromVersion, toVersion, facts } = value;
  if (!isCount(sequence, 1) || !isCount(time, 0) || typeof bootId !== 'string') return undefined;
  if (typeof previous !== 'string' || !/^[0-9a-f]{64}$/.test(previous)) return undefined;
  if (!isCode(code) || typeof reason !== 'string') return undefined;
  if (attempt !== undefined && typeof attempt !== 'string') return undefined;
  if (fromVersion !== undefined && !isCount(fromVersion, 0)) return undefined;
  if (toVersion !== undefined && !isCount(toVersion, 0)) return undefined;
  const parsedFacts = facts === undefined ? undefined : parseFacts(facts);
  if (facts !== undefined && parsedFacts === undefined) return undefined;
  return {
    schema: 'airlock-log-entry/1',
    sequence,
    previous,
    time,
    bootId,
    code,
    reason,
    ...(attempt === undefined ? {} : { attempt }),
    ...(fromVersion === undefined ? {} : { fromVersion }),
    ...(toVersion === undefined ? {} : { toVersion }),
    ...(parsedFacts === undefined ? {} : { facts: parsedFacts }),
  };
}

function parseFacts(value: unknown): Record<string, string | number | boolean> | undefined {
  if (!isObject(value)) return undefined;
  const facts: Record<string, string | number | boolean> = {};
  for (const [name, fact] of Object.entries(value)) {
    if (typeof fact !== 'string' && typeof fact !== 'number' && typeof fact !== 'boolean') return undefined;
    facts[name] = fact;
  }
  return facts;
}

function isCode(value: unknown): value is DeviceCode {
  return (
    typeof value === 'string' && (Object.hasOwn(deviceCodes, value) || Object.hasOwn(trustErrors, value))
  );
}

function isCount(value: unknown, min: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min;
}
