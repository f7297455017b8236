/**
 * What the durable bytes of a device say, decoded by the agent's own codecs and remembered by the sectors they
 * stand in.
 *
 * Reads only; a copy that does not open is `undefined`, whatever garbage it is.
 */
import {
  type BootFile,
  bootCopySpacingBytes,
  decodeBootCopy,
  decodeLogCell,
  decodeRecord,
  decodeTrustCopy,
  logCellBytes,
  recordCopyBytes,
  trustFileNames,
  type DeviceState,
} from '@airlock/agent';
import type { LogEntry } from '@airlock/protocol';
import type { TrustState } from '@airlock/trust';
import { bytesOf, contentAt, type Content, type Medium, type Sector, sectorBytes, sizeOf } from './medium.ts';
import { bootPath, stateFolder } from './world.ts';

export interface Copy<T> {
  readonly sequence: number;
  readonly value: T;
}

/** One decoded result of a run of sectors; found again when the very same sectors are asked for. */
class Remembered<T> {
  readonly #bySector = new WeakMap<Sector, { readonly rest: Content; readonly value: T }[]>();
  readonly #decode: (bytes: Uint8Array) => T;

  constructor(decode: (bytes: Uint8Array) => T) {
    this.#decode = decode;
  }

  of(content: Content): T {
    const [first] = content;
    if (first === undefined) return this.#decode(new Uint8Array());
    const held = this.#bySector.get(first) ?? [];
    const found = held.find(
      ({ rest }) => rest.length === content.length && rest.every((one, at) => one === content[at]),
    );
    if (found !== undefined) return found.value;
    const value = this.#decode(bytesOf(content, 0, sizeOf(content)));
    held.push({ rest: content, value });
    this.#bySector.set(first, held);
    return value;
  }
}

const records = new Remembered((bytes): Copy<DeviceState> | undefined => {
  const copy = decodeRecord(bytes);
  return copy === undefined ? undefined : { sequence: copy.sequence, value: copy.record };
});
const boots = new Remembered((bytes): Copy<BootFile['state']> | undefined => {
  const copy = decodeBootCopy(bytes);
  return copy === undefined ? undefined : { sequence: copy.sequence, value: copy.state };
});
const trusts = new Remembered((bytes): Copy<TrustState> | undefined => {
  const copy = decodeTrustCopy(bytes);
  return copy === undefined ? undefined : { sequence: copy.sequence, value: copy.state };
});
const cells = new Remembered(decodeLogCell);

function part(content: Content | undefined, position: number, length: number): Content {
  const from = position / sectorBytes;
  return content?.slice(from, from + length / sectorBytes) ?? [];
}

export type Copies<T> = readonly (Copy<T> | undefined)[];

/** An answer for each content, remembered by its identity: most states of a graph differ in one file only. */
export function onceFor<T>(work: (content: Content) => T): (content: Content | undefined) => T {
  const known = new WeakMap<Content, { readonly answer: T }>();
  const nothing: Content = [];
  return (given) => {
    const content = given ?? nothing;
    const held = known.get(content) ?? { answer: work(content) };
    known.set(content, held);
    return held.answer;
  };
}

const recordCopiesOf = onceFor((content) =>
  [0, recordCopyBytes].map((at) => records.of(part(content, at, recordCopyBytes))),
);
export const bootCopiesOf = onceFor((content) =>
  [0, bootCopySpacingBytes].map((at) => boots.of(part(content, at, sectorBytes))),
);
export const trustCopyOf = onceFor((content) => trusts.of(content));

export function recordCopies(medium: Medium): Copies<DeviceState> {
  return recordCopiesOf(contentAt(medium, `${stateFolder}/record`));
}

export function bootCopies(medium: Medium): Copies<BootFile['state']> {
  return bootCopiesOf(contentAt(medium, bootPath));
}

export function trustCopies(medium: Medium): Copies<TrustState> {
  return trustFileNames.map((name) => trustCopyOf(contentAt(medium, `${stateFolder}/${name}`)));
}

/** The copy that counts: the valid one with the highest sequence, the first of two that are equal. */
export function newest<T>(copies: Copies<T>): T | undefined {
  return copies.reduce(
    (best, one) => (one !== undefined && one.sequence > (best?.sequence ?? 0) ? one : best),
    undefined,
  )?.value;
}

export interface Result {
  readonly attempt: string;
  readonly code: string;
  /** What was tried to be installed. */
  readonly version: number;
}

/** Whether a write of one log cell takes nothing from what `readLog` says, and adds nothing to it. */
export function saysNothing(
  content: Content,
  one: { readonly position: number; readonly bytes: Uint8Array },
): boolean {
  const before = cells.of(part(content, one.position, logCellBytes));
  const after = decodeLogCell(one.bytes);
  return [before, after].every((cell) => cell === undefined || !counts(cell.entry));
}

function counts({ code, facts }: { readonly code: string; readonly facts?: unknown }): boolean {
  const result = typeof facts === 'object' && facts !== null && 'result' in facts && facts.result === true;
  return result || isLoss(code);
}

function isLoss(code: string): boolean {
  return code === 'OTA_STATE_LOST' || code === 'OTA_STATE_RESTORED';
}

/** What the log says of attempts: results in their order, and how often the state was lost. */
export interface LogReading {
  readonly results: readonly Result[];
  readonly stateLost: number;
  readonly stateRestored: number;
  /** Those after the newest loss. */
  readonly resultsSinceLoss: readonly Result[];
  /** Of the newest entry, when it tells of a loss: a start looks at it. */
  readonly newestLoss: string;
  /** All of it in one text. */
  readonly text: string;
}

export function readLog(medium: Medium): LogReading {
  return logReadingOf(contentAt(medium, `${stateFolder}/log`));
}

const logReadingOf = onceFor((content): LogReading => {
  const entries = [];
  for (let at = 0; at < content.length * sectorBytes; at += logCellBytes) {
    const cell = cells.of(part(content, at, logCellBytes));
    if (cell !== undefined) entries.push(cell.entry);
  }
  entries.sort((a, b) => a.sequence - b.sequence);
  const results = entries.flatMap(resultOf);
  const stateLost = entries.filter(({ code }) => code === 'OTA_STATE_LOST').length;
  const stateRestored = entries.filter(({ code }) => code === 'OTA_STATE_RESTORED').length;
  const lastLoss = entries.findLastIndex(({ code }) => isLoss(code));
  const resultsSinceLoss = entries.slice(lastLoss + 1).flatMap(resultOf);
  const newestLoss = lastLoss >= 0 && lastLoss === entries.length - 1 ? (entries[lastLoss]?.code ?? '') : '';
  const text = JSON.stringify([results, stateLost, stateRestored, newestLoss]);
  return { results, stateLost, stateRestored, resultsSinceLoss, newestLoss, text };
});

function resultOf({ attempt, code, facts, toVersion }: LogEntry): readonly Result[] {
  return attempt !== undefined && facts?.['result'] === true
    ? [{ attempt, code, version: toVersion ?? 0 }]
    : [];
}

/** What a state is, for people who read a trace. */
export function stateWords(medium: Medium): string {
  const record = newest(recordCopies(medium));
  const boot = newest(bootCopies(medium));
  const { attempt } = record ?? {};
  const about = attempt === undefined ? '' : ` for ${attempt.version} in ${attempt.group}`;
  const said = record === undefined ? 'no record' : `record ${record.state}${about}, floor ${record.floor}`;
  const armed =
    boot?.trial === undefined ? '' : `, trial of ${boot.trial} with ${boot.left[boot.trial] ?? 0} left`;
  return `${said}; boots ${boot?.order.join(' then ') ?? 'nothing'}${armed}`;
}
