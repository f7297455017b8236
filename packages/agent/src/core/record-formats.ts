/**
 * The formats in which the record stands on the disk, oldest first (REQ-OTA-APPLY-10, docs/adr/0013).
 *
 * The agent writes every format of this table, so that an agent of the other group, older than this one, reads what
 * this one left. Keeps true: a format that once left the house never changes - its schema, its file, its limits and
 * its states stay, and what is new gets a new entry at the end; files have one name for good, by which an older agent
 * knows that a file is a newer one's. Which copy counts, and what a power cut leaves, is `durable/record-store.ts`'s.
 * An entry goes when no agent that reads nothing newer can be in the other group any more: every release since then
 * `requires` an installed version whose agent writes the next format.
 */
import { decodeRecord, encodeRecord, type RecordCopy } from './record-codec.ts';
import type { DeviceState } from './record.ts';

export interface RecordFormat {
  /** `airlock-record/<n>`. */
  readonly schema: string;
  /** In the state folder: `record` for 1, `record-<n>` for each later one. */
  readonly file: string;
  /**
   * One copy as a block of `recordCopyBytes`. What this format cannot say is left out; a state or a list that is new
   * is written as what an older agent does the right thing with.
   */
  readonly encode: (copy: RecordCopy) => Uint8Array;
  /**
   * Reads a block back; undefined when it is not whole or not of this format. What the format cannot say is taken
   * from `newer`, the record that a newer format held one write before: power was lost between the two. Without it
   * the documented default stands, which must be safe at any moment: an older agent that writes brings it about.
   */
  readonly decode: (block: Uint8Array, newer?: DeviceState) => RecordCopy | undefined;
}

export const recordFormats: readonly [RecordFormat, ...RecordFormat[]] = [
  {
    schema: 'airlock-record/1',
    file: 'record',
    encode: encodeRecord,
    decode: (block) => decodeRecord(block),
  },
];

/** Which format a file of the state folder is in, by its name; undefined for a file that is no record. */
export function formatNumber(file: string): number | undefined {
  const found = /^record(?:-([1-9][0-9]{0,5}))?$/.exec(file);
  return found === null ? undefined : Number(found[1] ?? 1);
}
