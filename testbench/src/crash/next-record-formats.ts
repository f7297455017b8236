/**
 * Stands in for the agent's `core/record-formats.ts` in the next agent (`agent-variants.ts`): a second record format.
 *
 * `airlock-record/2` renames a field (`floor` is `floorVersion`) and adds one, `remark`, which format 1 cannot say:
 * its default is no remark at all. All else is as in format 1, whose entry is the shipped agent's own. It must do
 * what any later format has to do, and nothing that helps a test.
 */
import {
  formatNumber,
  openBlock,
  type DeviceState,
  type RecordCopy,
  type RecordFormat,
  recordCopyBytes,
  recordFormats as shipped,
  sealBlock,
} from '@airlock/agent';

const schema = 'airlock-record/2';
const [first] = shipped;

/** The state as the next agent holds it. */
export interface NextState extends DeviceState {
  readonly remark?: string;
}

function isNext(record: DeviceState): record is NextState {
  return !('remark' in record) || typeof record.remark === 'string';
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function remarkOf(record: DeviceState | undefined): { remark?: string } {
  return record !== undefined && isNext(record) && record.remark !== undefined
    ? { remark: record.remark }
    : {};
}

function withoutRemark({ remark: _remark, ...record }: NextState): DeviceState {
  return record;
}

function encodeFirst({ sequence, record }: RecordCopy): Uint8Array {
  return first.encode({ sequence, record: withoutRemark(record) });
}

function decodeFirst(block: Uint8Array, newer?: DeviceState): RecordCopy | undefined {
  const copy = first.decode(block);
  return copy && { sequence: copy.sequence, record: { ...copy.record, ...remarkOf(newer) } };
}

function encodeSecond(copy: RecordCopy): Uint8Array {
  const value = openBlock(encodeFirst(copy));
  if (!isFields(value) || !isFields(value['record'])) throw new RangeError('format 1 wrote no record');
  const { floor, ...record } = value['record'];
  const second = { ...record, schema, floorVersion: floor, ...remarkOf(copy.record) };
  const block = sealBlock({ sequence: value['sequence'], record: second }, recordCopyBytes);
  if (block === undefined) throw new RangeError('record: does not fit its block');
  return block;
}

function decodeSecond(block: Uint8Array): RecordCopy | undefined {
  const value = openBlock(block);
  if (!isFields(value) || !isFields(value['record']) || value['record']['schema'] !== schema)
    return undefined;
  const { floorVersion, remark, ...record } = value['record'];
  if (remark !== undefined && typeof remark !== 'string') return undefined;
  const older = { ...record, schema: first.schema, floor: floorVersion };
  const sealed = sealBlock({ sequence: value['sequence'], record: older }, recordCopyBytes);
  const copy = sealed && first.decode(sealed);
  return (
    copy && {
      sequence: copy.sequence,
      record: { ...copy.record, ...(remark === undefined ? {} : { remark }) },
    }
  );
}

export const recordFormats: readonly [RecordFormat, ...RecordFormat[]] = [
  { ...first, encode: encodeFirst, decode: decodeFirst },
  { schema, file: 'record-2', encode: encodeSecond, decode: decodeSecond },
];

export { formatNumber };
