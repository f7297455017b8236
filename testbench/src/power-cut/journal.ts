/**
 * Journal of what a volatile cache holds: every durable operation that no flush has covered yet.
 *
 * Kept in a scratch file that survives a SIGKILL of the agent, so that the virtual device can decide afterwards what
 * became of each operation. A record is a 4-byte length, a JSON header, and the bytes of a write. Once nothing is
 * unflushed the file is cut to zero length. Only the agent's process appends; only `settle.ts` reads.
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export type JournalHeader =
  | { readonly op: 'write'; readonly file: string; readonly position: number; readonly length: number }
  | { readonly op: 'flushed'; readonly file: string }
  | { readonly op: 'create'; readonly folder: string; readonly name: string }
  | {
      readonly op: 'rename';
      readonly folder: string;
      readonly from: string;
      readonly to: string;
      /** Hard link in the scratch folder to the file that the new name replaced. */
      readonly replaced?: string;
    }
  | { readonly op: 'remove'; readonly folder: string; readonly name: string; readonly removed: string }
  | { readonly op: 'folder-flushed'; readonly folder: string };

export interface JournalRecord {
  readonly header: JournalHeader;
  /** Bytes of a write; empty for the rest. */
  readonly bytes: Uint8Array;
}

const journalName = 'journal';

/** Name of the hard link by which the scratch folder knows a file with unflushed writes. */
export function fileLink(inode: number): string {
  return `file-${inode}`;
}

/** Name of a hard link that keeps a replaced or removed file alive. */
export function keptLink(number: number): string {
  return `kept-${number}`;
}

/** Whether a name in the scratch folder belongs to the cache. */
export function isCacheFile(name: string): boolean {
  return name === journalName || name.startsWith('file-') || name.startsWith('kept-');
}

const lengthBytes = 4;

export class Journal {
  readonly #descriptor: number;

  constructor(scratchFolder: string) {
    // Opened for appending: the kernel places each record at the end, whatever was cut off before.
    this.#descriptor = openSync(join(scratchFolder, journalName), 'a');
  }

  append(header: JournalHeader, bytes: Uint8Array = new Uint8Array(0)): void {
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(lengthBytes);
    length.writeUInt32LE(text.length);
    const record = Buffer.concat([length, text, bytes]);
    let written = 0;
    while (written < record.length) written += writeSync(this.#descriptor, record, written);
  }

  clear(): void {
    ftruncateSync(this.#descriptor, 0);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Every record of the scratch folder's journal, oldest first; one cut off by the kill is left out. */
export function readJournal(scratchFolder: string): readonly JournalRecord[] {
  const bytes = readFileSync(join(scratchFolder, journalName), { flag: 'a+' });
  const records: JournalRecord[] = [];
  let at = 0;
  while (at + lengthBytes <= bytes.length) {
    const textEnd = at + lengthBytes + bytes.readUInt32LE(at);
    if (textEnd > bytes.length) break;
    const header = JSON.parse(bytes.toString('utf8', at + lengthBytes, textEnd)) as JournalHeader;
    const end = textEnd + (header.op === 'write' ? header.length : 0);
    if (end > bytes.length) break;
    records.push({ header, bytes: bytes.subarray(textEnd, end) });
    at = end;
  }
  return records;
}
