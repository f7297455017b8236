/**
 * What may be left on a medium when the power is cut: every combination of what was not flushed.
 *
 * A pending write is lost, kept, kept up to any of its sectors, or leaves garbage where it wrote; a pending name is
 * there or not; each independently of the others, which covers every order in which a drive may write. Up to
 * `exhaustiveMax` pending steps all combinations are taken; beyond that the extremes and a seeded sample of them.
 */
import type { SeededRandom } from '../random.ts';
import { applied, type DiskState, type Pending, withoutRepeats } from './crash-disk.ts';
import { type Content, garbage, type Medium, sectorBytes, spoiled, withContent, written } from './medium.ts';

/** 3^6 combinations of single sectors is what a cut may cost; one more would triple it. */
export const exhaustiveMax = 6;
/** Combinations drawn of a larger cache: enough that a defect is met soon, few enough for a thousand cuts a run. */
const sampledMax = 64;

export type Write = Extract<Pending, { kind: 'write' }>;

/** Each medium that a cut may leave; the same one may come more than once. */
export function* outcomes({ durable, pending: all }: DiskState, random: SeededRandom): Generator<Medium> {
  const pending = withoutRepeats(all);
  const [first] = pending;
  if (pending.length > exhaustiveMax) yield* sampled(durable, pending, random);
  // By far the most cuts: some writes to one file. Only its content differs then.
  else if (first?.kind === 'write' && pending.every((one) => one.kind === 'write' && one.file === first.file))
    yield* ofOneFile(
      durable,
      pending.filter((one) => one.kind === 'write'),
      first.file,
    );
  else yield* product(durable, pending, 0);
}

function* ofOneFile(durable: Medium, writes: readonly Write[], file: number): Generator<Medium> {
  const content = durable.contents.get(file);
  // Nothing of it is on the medium: whatever was written, only garbage could be found there.
  if (content === undefined) {
    yield durable;
    return;
  }
  for (const after of contentsLeft(content, writes))
    yield after === content ? durable : withContent(durable, file, after);
}

/** Every content that writes to one file may leave. */
export function contentsLeft(content: Content, writes: readonly Write[]): readonly Content[] {
  let contents: readonly Content[] = [content];
  for (const one of writes) {
    const choices = writeChoices(one, content);
    contents = contents.flatMap((before) => choices.map((choice) => choice(before)));
  }
  return contents;
}

export function* product(medium: Medium, pending: readonly Pending[], at: number): Generator<Medium> {
  const one = pending[at];
  if (one === undefined) yield medium;
  else for (const left of leftBy(one, medium)) yield* product(left, pending, at + 1);
}

export function* sampled(
  durable: Medium,
  pending: readonly Pending[],
  random: SeededRandom,
): Generator<Medium> {
  yield durable;
  yield pending.reduce((medium, one) => applied(medium, one, garbage), durable);
  for (let count = 0; count < sampledMax; count += 1) {
    yield pending.reduce((medium, one) => {
      const left = leftBy(one, medium);
      return left[random.below(left.length)] ?? medium;
    }, durable);
  }
}

/** What one pending step may leave on a medium. */
export function leftBy(one: Pending, medium: Medium): readonly Medium[] {
  if (one.kind !== 'write') return [medium, applied(medium, one, garbage)];
  const content = medium.contents.get(one.file);
  if (content === undefined) return [medium];
  return writeChoices(one, content).map((choice) => {
    const after = choice(content);
    return after === content ? medium : withContent(medium, one.file, after);
  });
}

type ContentChoice = (before: Content) => Content;

function writeChoices(one: Write, stands: Content): readonly ContentChoice[] {
  const first = Math.floor(one.position / sectorBytes);
  const end = Math.ceil((one.position + one.bytes.length) / sectorBytes);
  const choices: ContentChoice[] = [
    (before) => before,
    (before) => written(before, one.position, one.bytes),
    (before) => spoiled(before, first, end),
  ];
  for (let sector = first + 1; sector < Math.min(end, lastChange(one, stands) + 1); sector += 1) {
    const bytes = one.bytes.subarray(0, sector * sectorBytes - one.position);
    choices.push((before) => written(before, one.position, bytes));
  }
  return choices;
}

/** The last sector in which a write differs from what stands there: a prefix beyond it is the whole. */
function lastChange(one: Write, stands: Content): number {
  let sector = Math.ceil((one.position + one.bytes.length) / sectorBytes) - 1;
  for (; sector > 0; sector -= 1) {
    const bytes = one.bytes
      .subarray(Math.max(0, sector * sectorBytes - one.position))
      .subarray(0, sectorBytes);
    const there = stands[sector];
    if (there === undefined || Buffer.compare(bytes, there) !== 0) break;
  }
  return sector;
}
