/**
 * The one abstraction under which the graph closes: two states with the same key go on in the same way.
 *
 * What is left out, each because the agent never looks at it (docs/adr/0014):
 * - ids of attempts and boots: only whether they are the same, so they are renamed by order of appearance;
 * - sequence numbers: only which copy is newer;
 * - bytes that open as nothing: all garbage is one value, `#`; a stretch of a slot that is not one release's is that,
 *   since the agent never looks at less than a whole image and writes every image from its beginning - where the
 *   record may be lost, it also asks the first sector what the image is, and that sector is in the key by itself;
 * - the log: only the result of each attempt that the record still names, since `hasResult` is all that is asked of
 *   it - its own recovery is explored apart (`log-explorer.ts`);
 * - what a temporary file holds: it is removed, unread, before another one is made.
 * Everything else of the durable bytes is in the key. `abstraction.ts` tests that states of one key do go on alike.
 */
import { type DeviceState, openBlock, recordCopyBytes } from '@airlock/agent';
import { encodeTrustState, sha256Hex } from '@airlock/trust';
import { applied, type Pending } from './crash-disk.ts';
import type { NodeState } from './boot-types.ts';
import {
  bytesOf,
  contentAt,
  type Content,
  garbage,
  latin1,
  type Medium,
  type Sector,
  sizeOf,
  unwritten,
} from './medium.ts';
import { dataPath } from './hooks.ts';
import { bootCopiesOf, type Copies, onceFor, readLog, recordCopies, trustCopyOf } from './reading.ts';
import { bootPath, stateFolder, type World } from './world.ts';

export function keyOf(node: NodeState, world: World): string {
  const { durable, pending } = node.disk;
  const ids = new Renamed(node.boot?.id);
  let key = `${node.boot?.group ?? '-'} ${node.counter ?? ''} ${mediumKey(durable, world, ids)}`;
  // What is cached but not flushed: the medium as it would be after each step of it.
  let medium = durable;
  for (const one of pending) {
    medium = applied(medium, one, garbage);
    key += ` ${stepKey(one)} ${mediumKey(medium, world, ids)}`;
  }
  return key;
}

function stepKey(one: Pending): string {
  return one.kind === 'write' ? `${one.position}+${one.bytes.length}` : one.kind;
}

/** Attempts and boots by order of appearance; the boot that goes on is `now`. */
class Renamed {
  readonly #names = new Map<string, string>();

  /** Nothing was named yet. */
  get fresh(): boolean {
    return this.#names.size === 0;
  }

  constructor(current: string | undefined) {
    if (current !== undefined) this.#names.set(current, 'now');
  }

  of(id: string): string {
    const known = this.#names.get(id) ?? `#${this.#names.size}`;
    this.#names.set(id, known);
    return known;
  }
}

/** A short number for each text: keys are joined from them, and millions are held. `texts`: the other way. */
const numbers = new Map<string, number>();
const texts: string[] = [];

function numberOf(text: string): number {
  const known = numbers.get(text);
  if (known !== undefined) return known;
  numbers.set(text, texts.length);
  texts.push(text);
  return texts.length - 1;
}

/** Of a state, the same in every process: by it states of several graphs of one world are told apart. */
export function stableKey(key: string, { options, target }: World): string {
  const inWords = key.replaceAll(/~(\d+)/g, (_, number: string) => texts[Number(number)] ?? '');
  return sha256Hex(new TextEncoder().encode(`${JSON.stringify(options)} ${target} ${inWords}`)).slice(0, 16);
}

interface Part {
  readonly file: number;
  readonly numberOf: (content: Content | undefined) => number;
}

interface Parts {
  /** Names that have no content in the key, as one number. */
  readonly names: number;
  readonly parts: readonly Part[];
}

const partsOfNames = new WeakMap<World, WeakMap<Medium['names'], Parts>>();

/** The files of a medium that are in the key, beside record and log; looked up once for each set of names. */
function partsOf(names: Medium['names'], world: World): Parts {
  const known = partsOfNames.get(world) ?? new WeakMap<Medium['names'], Parts>();
  partsOfNames.set(world, known);
  const held = known.get(names) ?? makeParts(names, world);
  known.set(names, held);
  return held;
}

function makeParts(names: Medium['names'], world: World): Parts {
  const parts: Part[] = [];
  const listed: string[] = [];
  for (const [path, file] of [...names].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    listed.push(path);
    if (path.startsWith('/slots/')) parts.push({ file, numberOf: slotNumber(world) });
    else if (path.endsWith('.manifest.json')) parts.push({ file, numberOf: plainNumber });
    else if (path === dataPath) parts.push({ file, numberOf: plainNumber });
    else if (path === bootPath) parts.push({ file, numberOf: bootNumber });
  }
  return { names: numberOf(listed.join()), parts };
}

function mediumKey(medium: Medium, world: World, ids: Renamed): string {
  const { names, parts } = partsOf(medium.names, world);
  let key = `~${names}.~${recordsNumber(medium, ids)}.${trustNumber(medium)}`;
  for (const { file, numberOf: number } of parts) key += `.~${number(medium.contents.get(file))}`;
  return key;
}

const bootNumber = onceFor((content) =>
  numberOf(copiesKey(bootCopiesOf(content), (state) => JSON.stringify(state))),
);
const plainNumber = onceFor((content) => numberOf(sha256Hex(bytesOf(content, 0, sizeOf(content)))));
const trustStateNumber = onceFor((content) => {
  const copy = trustCopyOf(content);
  return numberOf(copy === undefined ? '#' : sha256Hex(encodeTrustState(copy.value)));
});

/** Both copies of the trust state, and which is newer. */
function trustNumber(medium: Medium): string {
  const [first, second] = ['trust-1', 'trust-2'].map((name) => contentAt(medium, `${stateFolder}/${name}`));
  const a = trustCopyOf(first)?.sequence ?? 0;
  const b = trustCopyOf(second)?.sequence ?? 0;
  const order = a === b ? '=' : a > b ? '>' : '<';
  return `~${trustStateNumber(first)}${order}~${trustStateNumber(second)}`;
}

/** By copies, which are the same values for the same sectors, and results; only where no boot goes on. */
const recordsNumbers = new Map<string, number>();
const numbersOfCopies = new WeakMap<object, number>();
let copiesNumbered = 0;

function numberOfCopy(copy: object | undefined): number {
  if (copy === undefined) return 0;
  const known = numbersOfCopies.get(copy) ?? (copiesNumbered += 1);
  numbersOfCopies.set(copy, known);
  return known;
}

function recordsNumber(medium: Medium, ids: Renamed): number {
  const work = (): number => {
    const records = recordCopies(medium);
    const copies = copiesKey(records, (record) => recordKey(record, ids));
    const later = laterKey(medium, records, ids);
    return numberOf(`${copies}\n${later}\n${resultsKey(medium, records, ids)}`);
  };
  if (!ids.fresh || contentAt(medium, laterRecord) !== undefined) return work();
  const key = `${recordCopies(medium).map(numberOfCopy).join()} ${readLog(medium).text}`;
  const number = recordsNumbers.get(key) ?? work();
  recordsNumbers.set(key, number);
  return number;
}

function copiesKey<T>(copies: Copies<T>, keyOfOne: (value: T) => string): string {
  const highest = Math.max(...copies.map((copy) => copy?.sequence ?? 0));
  return copies
    .map((copy) =>
      copy === undefined ? '#' : `${copy.sequence === highest ? 'new' : 'old'} ${keyOfOne(copy.value)}`,
    )
    .join('|');
}

/** Where an agent with a second record format keeps it. */
const laterRecord = `${stateFolder}/record-2`;

/** Copies of a later format, which this package cannot decode: their text, and whether they are ahead of the first. */
function laterKey(medium: Medium, records: Copies<DeviceState>, ids: Renamed): string {
  const content = contentAt(medium, laterRecord);
  if (content === undefined) return '';
  const first = Math.max(...records.map((copy) => copy?.sequence ?? 0));
  return [0, recordCopyBytes]
    .map((at) => {
      const block = openBlock(bytesOf(content, at, recordCopyBytes));
      if (typeof block !== 'object' || block === null || !('sequence' in block) || !('record' in block))
        return '#';
      const text = JSON.stringify(block.record).replaceAll(
        /"(id|attempt|pendingBootId)":"([^"]+)"/g,
        (_, field: string, id: string) => `"${field}":"${ids.of(id)}"`,
      );
      return `${Math.sign(Number(block.sequence) - first)} ${text}`;
    })
    .join('|');
}

function recordKey(record: DeviceState, ids: Renamed): string {
  const { attempt, lastResult } = record;
  const named: unknown = {
    ...record,
    ...(attempt === undefined
      ? {}
      : { attempt: { ...attempt, id: ids.of(attempt.id), ...pendingBoot(attempt, ids) } }),
    ...(lastResult === undefined
      ? {}
      : { lastResult: { ...lastResult, attempt: ids.of(lastResult.attempt) } }),
  };
  return JSON.stringify(named);
}

function pendingBoot({ pendingBootId }: NonNullable<DeviceState['attempt']>, ids: Renamed) {
  return pendingBootId === undefined ? {} : { pendingBootId: ids.of(pendingBootId) };
}

function resultsKey(medium: Medium, records: Copies<DeviceState>, ids: Renamed): string {
  const named = new Set(
    records
      .flatMap((copy) => [copy?.value.attempt?.id, copy?.value.lastResult?.attempt])
      .filter((id) => id !== undefined),
  );
  const { results, stateLost, newestLoss } = readLog(medium);
  const mine = results.filter(({ attempt }) => named.has(attempt));
  const lost = records.every((copy) => copy === undefined) ? `lost ${Math.min(stateLost, 1)}` : '';
  return `${mine.map(({ attempt, code }) => `${ids.of(attempt)} ${code}`).join()} ${lost} ${newestLoss}`;
}

const slotNumbers = new WeakMap<World, Part['numberOf']>();

/** A number for what a slot holds, by stretches between two flushes. */
export function slotNumber(world: World): Part['numberOf'] {
  const { flushSectors } = world.options;
  const known =
    slotNumbers.get(world) ??
    onceFor((content) => {
      const names = content.map((sector, at) => sectorName(sector, at, world));
      let stretches = '';
      for (let at = 0; at < names.length; at += flushSectors) {
        const [first, ...others] = names.slice(at, at + flushSectors);
        stretches += others.every((name) => name === first) ? (first ?? '') : '#';
      }
      const { recordMayBeLost, stateMayBeRestored } = world.options;
      return numberOf(recordMayBeLost || stateMayBeRestored ? `${stretches} ${names[0]}` : stretches);
    });
  slotNumbers.set(world, known);
  return known;
}

const sectorNames = new WeakMap<World, Map<string, string>>();
const namedSectors = new WeakMap<Sector, string>();

function sectorName(sector: Sector, at: number, world: World): string {
  if (sector === garbage) return '#';
  if (sector === unwritten) return '_';
  const remembered = namedSectors.get(sector);
  if (remembered !== undefined) return remembered;
  const names = sectorNames.get(world) ?? namesOf(world);
  sectorNames.set(world, names);
  const name = names.get(textOf(sector, at)) ?? '?';
  namedSectors.set(sector, name);
  return name;
}

function textOf(sector: Sector, at: number): string {
  return `${at} ${latin1(sector)}`;
}

function namesOf(world: World): Map<string, string> {
  const names = new Map<string, string>();
  for (const version of world.versions()) {
    for (const image of world.imagesOf(version)) {
      for (const [at, sector] of image.entries()) names.set(textOf(sector, at), String(version));
    }
  }
  return names;
}
