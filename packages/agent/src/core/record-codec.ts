/**
 * The record as bytes: one sealed 4 KiB block with a sequence number, and the strict parser that opens it.
 *
 * Keeps true: a block that does not hold a whole, consistent record of a schema that is known opens as undefined -
 * an inconsistent record is never acted upon; whatever `encodeRecord` writes, `decodeRecord` reads back equal.
 * Unknown fields are refused: a later format announces them (`record-formats.ts`). Copies and their order are the store's.
 */
import { attemptStates, isWrittenCode, type AttemptState, type WrittenCode } from '@airlock/protocol';
import { trustLimits, type GroupLetter } from '@airlock/trust';
import {
  failuresMax,
  reasonCharactersMax,
  refusalsMax,
  type Attempt,
  type AttemptResult,
  type DeviceState,
  type FailReason,
  type Installed,
} from './record.ts';
import { isObject, openBlock, sealBlock } from './sealed.ts';

/** One block that a disk tears at most once: the copies stand in blocks of their own. */
export const recordCopyBytes = 4096;
const countMax = 1000;

export interface RecordCopy {
  readonly sequence: number;
  readonly record: DeviceState;
}

/** Throws RangeError when the record does not fit: its lists are bounded so that it always does. */
export function encodeRecord(copy: RecordCopy): Uint8Array {
  const block = sealBlock(
    { sequence: copy.sequence, record: withoutUndefined(copy.record) },
    recordCopyBytes,
  );
  if (block === undefined) throw new RangeError('record: does not fit its block');
  return block;
}

/** JSON has no undefined: a group of which nothing is proven is written as null. */
function withoutUndefined(record: DeviceState): unknown {
  return { ...record, groups: { A: record.groups.A ?? null, B: record.groups.B ?? null } };
}

export function decodeRecord(block: Uint8Array): RecordCopy | undefined {
  if (block.length !== recordCopyBytes) return undefined;
  const value = openBlock(block);
  if (!isObject(value)) return undefined;
  const { sequence } = value;
  if (!isCount(sequence, 1, Number.MAX_SAFE_INTEGER)) return undefined;
  try {
    return { sequence, record: parseRecord(value['record']) };
  } catch (error) {
    if (error instanceof RecordFault) return undefined;
    throw error;
  }
}

class RecordFault extends Error {}

type Fields = Readonly<Record<string, unknown>>;

function parseRecord(value: unknown): DeviceState {
  const fields = object(value, [
    'schema',
    'state',
    'confirmed',
    'groups',
    'floor',
    'counter',
    'restored',
    'attempt',
    'failing',
    'lastResult',
    'failures',
    'refusals',
  ]);
  if (fields['schema'] !== 'airlock-record/1') throw new RecordFault('schema');
  const groups = object(fields['groups'], ['A', 'B']);
  const confirmed = object(fields['confirmed'], ['group', 'version', 'manifestSha256']);
  const record: DeviceState = {
    schema: 'airlock-record/1',
    state: stateOf(fields['state']),
    confirmed: { group: group(confirmed['group']), ...installedOf(confirmed) },
    groups: { A: installed(groups['A']), B: installed(groups['B']) },
    floor: version(fields['floor']),
    ...sealOf(fields),
    ...(fields['attempt'] === undefined ? {} : { attempt: attempt(fields['attempt']) }),
    ...(fields['failing'] === undefined ? {} : { failing: failing(fields['failing']) }),
    ...(fields['lastResult'] === undefined ? {} : { lastResult: result(fields['lastResult']) }),
    failures: list(fields['failures'], failuresMax).map((entry) => {
      const failure = object(entry, ['manifestSha256', 'count']);
      return { manifestSha256: sha256(failure['manifestSha256']), count: count(failure['count']) };
    }),
    refusals: list(fields['refusals'], refusalsMax).map((entry) => {
      const refusal = object(entry, ['manifestSha256', 'code']);
      return { manifestSha256: sha256(refusal['manifestSha256']), code: code(refusal['code']) };
    }),
  };
  if (!isConsistent(record)) throw new RecordFault('state');
  return record;
}

/** Both absent on a device without a TPM, whose record keeps its bytes. */
function sealOf(fields: Fields): Pick<DeviceState, 'counter' | 'restored'> {
  const { counter, restored } = fields;
  return {
    ...(counter === undefined ? {} : { counter: safeInteger(counter) }),
    ...(restored === undefined
      ? {}
      : { restored: { deviceRecord: safeInteger(object(restored, ['deviceRecord'])['deviceRecord']) } }),
  };
}

/** What must hold between fields, whatever happened: an attempt in every state but Idle, a reason in Failing only. */
export function isConsistent(record: DeviceState): boolean {
  const { state, attempt: held, failing: reason } = record;
  if ((state === 'Idle') !== (held === undefined)) return false;
  if ((state === 'Failing') !== (reason !== undefined)) return false;
  if (held === undefined) return true;
  const afterStaging =
    state === 'Staged' || state === 'Pending' || state === 'Trial' || state === 'Confirming';
  if (afterStaging && !held.staged) return false;
  const afterArming = state === 'Pending' || state === 'Trial' || state === 'Confirming';
  return !afterArming || held.pendingBootId !== undefined;
}

function attempt(value: unknown): Attempt {
  const fields = object(value, [
    'id',
    'kind',
    'manifestSha256',
    'version',
    'fromVersion',
    'group',
    'pendingBootId',
    'serverReached',
    'staged',
    'trialBoots',
    'notTried',
    'rotted',
  ]);
  const { kind, pendingBootId, serverReached, staged } = fields;
  if (kind !== 'update' && kind !== 'repair') throw new RecordFault('kind');
  if (typeof staged !== 'boolean') throw new RecordFault('staged');
  if (serverReached !== undefined && typeof serverReached !== 'boolean')
    throw new RecordFault('serverReached');
  return {
    id: text(fields['id'], 64),
    kind,
    ...installedOf(fields),
    fromVersion: version(fields['fromVersion']),
    group: group(fields['group']),
    ...(pendingBootId === undefined ? {} : { pendingBootId: text(pendingBootId, 128) }),
    ...(serverReached === undefined ? {} : { serverReached }),
    staged,
    trialBoots: count(fields['trialBoots']),
    notTried: count(fields['notTried']),
    rotted: count(fields['rotted']),
  };
}

function failing(value: unknown): FailReason {
  const fields = object(value, ['code', 'reason']);
  return { code: code(fields['code']), reason: text(fields['reason'], reasonCharactersMax) };
}

function result(value: unknown): AttemptResult {
  const fields = object(value, ['code', 'reason', 'attempt', 'version']);
  return {
    code: code(fields['code']),
    reason: text(fields['reason'], reasonCharactersMax),
    attempt: text(fields['attempt'], 64),
    version: version(fields['version']),
  };
}

function installed(value: unknown): Installed | undefined {
  return value === null ? undefined : installedOf(object(value, ['version', 'manifestSha256']));
}

function installedOf(fields: Fields): Installed {
  return { version: version(fields['version']), manifestSha256: sha256(fields['manifestSha256']) };
}

function object(value: unknown, known: readonly string[]): Fields {
  if (!isObject(value)) throw new RecordFault('object');
  for (const name of Object.keys(value)) if (!known.includes(name)) throw new RecordFault(name);
  return value;
}

function list(value: unknown, entriesMax: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > entriesMax) throw new RecordFault('list');
  return value;
}

function stateOf(value: unknown): AttemptState {
  const found = attemptStates.find((state) => state === value);
  if (found === undefined) throw new RecordFault('state');
  return found;
}

/** A newer agent's code as well: a record that tells of one is whole, and its attempt must end with it. */
function code(value: unknown): WrittenCode {
  if (!isWrittenCode(value)) throw new RecordFault('code');
  return value;
}

function group(value: unknown): GroupLetter {
  if (value !== 'A' && value !== 'B') throw new RecordFault('group');
  return value;
}

function text(value: unknown, charactersMax: number): string {
  if (typeof value !== 'string' || value.length > charactersMax) throw new RecordFault('text');
  return value;
}

function sha256(value: unknown): string {
  if (typeof value !== 'string' || !/^[0-9a-f]{64}$/.test(value)) throw new RecordFault('sha256');
  return value;
}

function version(value: unknown): number {
  if (!isCount(value, 0, trustLimits.releaseVersionMax)) throw new RecordFault('version');
  return value;
}

function count(value: unknown): number {
  if (!isCount(value, 0, countMax)) throw new RecordFault('count');
  return value;
}

function safeInteger(value: unknown): number {
  if (!isCount(value, 0, Number.MAX_SAFE_INTEGER)) throw new RecordFault('integer');
  return value;
}

function isCount(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max;
}
