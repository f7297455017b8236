/**
 * What a cut may leave, each kind of it once: every combination is taken, and of those that `node-key.ts` calls one
 * state only the first is handed on.
 *
 * `outcomes.ts` says what combinations there are. Most of them are torn stretches of a slot, in thousands of nodes the
 * same ones; so their contents are worked out once and remembered by the bytes. Of a log cell that holds no result
 * one way to be lost, kept or torn is drawn, and what was written to a temporary file that was not renamed yet is left out:
 * no key tells them apart. `TEST-OTA-959` compares with the full list.
 */
import type { SeededRandom } from '../random.ts';
import { type DiskState, type Pending, withoutRepeats } from './crash-disk.ts';
import { type Content, latin1, type Medium, type Sector, withContent } from './medium.ts';
import { slotNumber } from './node-key.ts';
import { contentsLeft, exhaustiveMax, product, sampled, type Write } from './outcomes.ts';
import { readLog, saysNothing } from './reading.ts';
import { slotPath, stateFolder, type World } from './world.ts';

export interface DistinctOutcomes {
  readonly media: readonly Medium[];
  /** Combinations that were taken to find them. */
  readonly variants: number;
}

export function distinctOutcomes(state: DiskState, world: World, random: SeededRandom): DistinctOutcomes {
  const { durable } = state;
  const pending = withoutRepeats(state.pending);
  if (pending.length === 0) return { media: [durable], variants: 1 };
  if (pending.length > exhaustiveMax) {
    const media = [...sampled(durable, pending, random)];
    return { media, variants: media.length };
  }
  const { byFile, rest } = sorted(durable, pending);
  let variants = 1;
  let media: readonly Medium[] = [durable];
  for (const [file, writes] of byFile) {
    const content = durable.contents.get(file) ?? [];
    const left = slotFiles(durable, world).has(file)
      ? leftOfSlot(content, writes, world)
      : isQuiet(file, writes, durable)
        ? drawn(content, writes, random)
        : whole(contentsLeft(content, writes));
    variants *= left.variants;
    media = media.flatMap((medium) =>
      left.contents.map((one) => (one === content ? medium : withContent(medium, file, one))),
    );
  }
  const { steps, times } = withoutUnread(rest);
  variants *= times;
  if (steps.length === 0) return { media, variants };
  const all = media.flatMap((medium) => [...product(medium, steps, 0)]);
  return { media: all, variants: (variants * all.length) / media.length };
}

/** Writes to files that are on the medium, by file, since such commute; and everything else, in its order. */
function sorted(durable: Medium, pending: readonly Pending[]) {
  const byFile = new Map<number, Write[]>();
  const rest: Pending[] = [];
  for (const one of pending) {
    if (one.kind !== 'write' || !durable.contents.has(one.file)) rest.push(one);
    else byFile.set(one.file, [...(byFile.get(one.file) ?? []), one]);
  }
  return { byFile, rest };
}

/** Writes to a new file are read by nobody before a rename: however they end, it is the same state. */
function withoutUnread(rest: readonly Pending[]) {
  const renamed = new Set(rest.flatMap((one) => (one.kind === 'rename' ? [one.file] : [])));
  const isRead = (one: Pending): boolean => one.kind !== 'write' || renamed.has(one.file);
  const unread = rest.filter((one) => !isRead(one)).length;
  // Lost, kept or garbage, each of them.
  return { steps: rest.filter(isRead), times: 3 ** unread };
}

interface Left {
  readonly contents: readonly Content[];
  readonly variants: number;
}

function whole(contents: readonly Content[]): Left {
  return { contents, variants: contents.length };
}

/** Writes of log cells that `readLog` says nothing of; after an entry of a loss the next one takes that from it. */
function isQuiet(file: number, writes: readonly Write[], medium: Medium): boolean {
  if (medium.names.get(`${stateFolder}/log`) !== file || readLog(medium).newestLoss !== '') return false;
  const content = medium.contents.get(file) ?? [];
  return writes.every((one) => saysNothing(content, one));
}

const filesOfSlots = new WeakMap<Medium['names'], ReadonlySet<number>>();

function slotFiles({ names }: Medium, { options }: World): ReadonlySet<number> {
  const known = filesOfSlots.get(names);
  if (known !== undefined) return known;
  const paths = options.components.flatMap((one) => [slotPath(one, 'A'), slotPath(one, 'B')]);
  const files = new Set(paths.flatMap((path) => names.get(path) ?? []));
  filesOfSlots.set(names, files);
  return files;
}

function drawn(content: Content, writes: readonly Write[], random: SeededRandom): Left {
  let [after, variants] = [content, 1];
  for (const one of writes) {
    const left = contentsLeft(after, [one]);
    after = left[random.below(left.length)] ?? after;
    variants *= left.length;
  }
  return { contents: [after], variants };
}

const slotsLeft = new WeakMap<World, Map<string, Left>>();
/** Contents that are remembered; beyond that all are forgotten, which costs time only. */
const rememberedMax = 50_000;

function leftOfSlot(content: Content, writes: readonly Write[], world: World): Left {
  const known = slotsLeft.get(world) ?? new Map<string, Left>();
  slotsLeft.set(world, known);
  const key = `${contentId(content)} ${writes.map(({ position, bytes }) => `${position}:${bytesId(bytes)}`).join()}`;
  const held = known.get(key);
  if (held !== undefined) return held;
  const all = contentsLeft(content, writes);
  const byNumber = new Map<number, Content>();
  for (const one of all) {
    const number = slotNumber(world)(one);
    if (!byNumber.has(number)) byNumber.set(number, one);
  }
  const left = { contents: [...byNumber.values()], variants: all.length };
  if (known.size >= rememberedMax) known.clear();
  known.set(key, left);
  return left;
}

/** A number for each row of bytes that was ever written to a slot: its images, and garbage. */
const idsOfBytes = new Map<string, number>();
const idsOfSectors = new WeakMap<Sector, number>();
const idsOfContents = new WeakMap<Content, string>();

function bytesId(bytes: Uint8Array): number {
  const known = idsOfSectors.get(bytes);
  if (known !== undefined) return known;
  const text = latin1(bytes);
  const id = idsOfBytes.get(text) ?? idsOfBytes.size;
  idsOfBytes.set(text, id);
  idsOfSectors.set(bytes, id);
  return id;
}

function contentId(content: Content): string {
  const known = idsOfContents.get(content) ?? content.map(bytesId).join();
  idsOfContents.set(content, known);
  return known;
}
