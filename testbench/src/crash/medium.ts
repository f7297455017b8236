/**
 * What lies on a simulated disk, as an immutable value: names, and the sectors of each file.
 *
 * Sectors are shared between values and never changed in place, so that a thousand states of one disk cost little,
 * and what was read out of a sector once can be remembered by its identity. Two patterns stand for bytes that mean
 * nothing: `garbage`, what a torn or lost write may leave, and `unwritten`, what nobody ever wrote.
 * Caches, cuts and faults are `crash-disk.ts`'s.
 */

/** The unit that a disk writes whole or not at all. */
export const sectorBytes = 512;

export type Sector = Uint8Array;
/** Sectors of one file, in order; the last may be shorter. */
export type Content = readonly Sector[];

export interface Medium {
  /** File number by path. */
  readonly names: ReadonlyMap<string, number>;
  readonly contents: ReadonlyMap<number, Content>;
}

export const emptyMedium: Medium = { names: new Map(), contents: new Map() };

/** A repeated word that no format of the agent begins with. */
const pattern = (word: string): Sector =>
  new Uint8Array(sectorBytes).map((_, at) => word.charCodeAt(at % word.length));
export const garbage: Sector = pattern('#garbage');
export const unwritten: Sector = pattern('#unwritten#');
const zeros: Sector = new Uint8Array(sectorBytes);

/** The same sector for the same bytes: what was read out of it once is found again. */
const remembered = new Map<string, Sector>();
/** Sectors that are remembered; beyond that all are forgotten, which costs time only. */
const rememberedMax = 200_000;

/** The bytes as one character each: what they are found by. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

export function sameBytes(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && (a === b || Buffer.compare(a, b) === 0);
}

function shared(sector: Sector): Sector {
  const text = latin1(sector);
  const known = remembered.get(text);
  if (known !== undefined) return known;
  if (remembered.size >= rememberedMax) remembered.clear();
  remembered.set(text, sector);
  return sector;
}

export function contentOf(bytes: Uint8Array): Content {
  const sectors: Sector[] = [];
  for (let at = 0; at < bytes.length; at += sectorBytes) sectors.push(bytes.slice(at, at + sectorBytes));
  return sectors;
}

/** Content of so many bytes, all of one pattern. */
export function filled(sizeBytes: number, sector: Sector = zeros): Content {
  const whole = Math.floor(sizeBytes / sectorBytes);
  const rest = sizeBytes % sectorBytes;
  const sectors: Sector[] = Array.from({ length: whole }, () => sector);
  return rest === 0 ? sectors : [...sectors, sector.slice(0, rest)];
}

export function sizeOf(content: Content): number {
  const last = content.at(-1);
  return last === undefined ? 0 : (content.length - 1) * sectorBytes + last.length;
}

export function bytesOf(content: Content, position: number, length: number): Uint8Array {
  const end = Math.min(position + length, sizeOf(content));
  const bytes = new Uint8Array(Math.max(0, end - position));
  for (let at = position; at < end; ) {
    const sector = content[Math.floor(at / sectorBytes)] ?? zeros;
    const part = sector.subarray(at % sectorBytes, Math.min(sector.length, (at % sectorBytes) + end - at));
    bytes.set(part, at - position);
    at += part.length;
  }
  return bytes;
}

/** The content with `bytes` at `position`; whole sectors are taken as they are. Throws RangeError past its end. */
export function written(content: Content, position: number, bytes: Uint8Array): Content {
  if (position < 0 || position + bytes.length > sizeOf(content))
    throw new RangeError('written past the end of a file');
  const after = [...content];
  for (let at = 0; at < bytes.length; ) {
    const index = Math.floor((position + at) / sectorBytes);
    const inside = (position + at) % sectorBytes;
    const before = content[index] ?? zeros;
    const part = bytes.slice(at, at + before.length - inside);
    if (part.length === before.length) after[index] = shared(part);
    else {
      const mixed = before.slice();
      mixed.set(part, inside);
      after[index] = mixed;
    }
    at += part.length;
  }
  return after;
}

/** Replaces sectors `[from, to)` that a write touches by garbage: what a torn sector may hold. */
export function spoiled(content: Content, from: number, to: number): Content {
  return content.map((sector, index) =>
    index < from || index >= to
      ? sector
      : sector.length === sectorBytes
        ? garbage
        : garbage.slice(0, sector.length),
  );
}

export function withContent(medium: Medium, file: number, content: Content): Medium {
  return { names: medium.names, contents: new Map(medium.contents).set(file, content) };
}

export function contentAt(medium: Medium, path: string): Content | undefined {
  const file = medium.names.get(path);
  return file === undefined ? undefined : medium.contents.get(file);
}
