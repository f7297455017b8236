/**
 * Boot control by a file, over the Disk port: the adapter of the virtual device, and of any boot loader that can
 * read one file.
 *
 * Keeps true: every change is one sector write and one flush (the commit), repeated in the other copy afterwards;
 * nothing is written when the file says it already; an unreadable file is written anew only by `confirm`, which
 * arms nothing but the group that was given as confirmed. It never decides which group to boot.
 */
import type { GroupLetter } from '@airlock/trust';
import { confirmedStartsDefault, type BootControl, type BootControlState } from '../ports/boot-control.ts';
import { DiskError, type Disk, type DiskFile } from '../ports/disk.ts';
import {
  bootCopyBytes,
  bootCopySpacingBytes,
  bootFileBytes,
  decodeBootFile,
  encodeBootCopy,
  encodeBootFile,
  type BootFile,
} from './boot-codec.ts';

/** Creates the file at provisioning: the given group confirmed and alone in the order. */
export async function createBootFile(
  disk: Disk,
  path: string,
  group: GroupLetter,
  starts: number = confirmedStartsDefault,
): Promise<void> {
  const file = await disk.create(path, bootFileBytes);
  try {
    await file.write(
      0,
      encodeBootFile({ sequence: 1, state: { order: [group], left: { [group]: starts } } }),
    );
    await file.flush();
  } finally {
    await file.close();
  }
  await disk.flushFolder(folderOf(path));
}

/** The BootControl port on such a file. Operations throw DiskError; a missing file reads as undefined. */
export function bootFileControl(options: {
  readonly disk: Disk;
  readonly path: string;
  readonly starts?: number;
}): BootControl {
  const { disk, path, starts = confirmedStartsDefault } = options;
  const change = (next: (state: BootControlState | undefined) => BootControlState | undefined) =>
    withFile(disk, path, async (file) => {
      // A killed agent may have left a copy in the cache only; the other one must not be touched while that is so.
      await file.flush();
      const held = decodeBootFile(await file.read(0, bootFileBytes));
      const state = next(held?.state);
      if (state === undefined)
        throw new DiskError('OTA_DISK_READ', path, 'no copy of the boot control is valid');
      await replace(file, held, state);
    });
  return {
    tries: 'counted',
    armingSurvivesPowerOff: true,
    confirmedStarts: starts,
    async read() {
      const file = await disk.open(path);
      if (file === undefined) return undefined;
      try {
        return decodeBootFile(await file.read(0, bootFileBytes))?.state;
      } finally {
        await file.close();
      }
    },
    repair: () => change((state) => state),
    disarm: (group) => change((state) => state && disarmed(state, group)),
    arm: (group, tries) => change((state) => state && armed(state, group, tries)),
    confirm: (group) => change((state) => confirmed(state ?? { order: [], left: {} }, group, starts)),
  };
}

type Held = ReturnType<typeof decodeBootFile>;

/** The older or damaged copy first: until it is flushed, the newest one stays whole. */
async function replace(file: DiskFile, held: Held, state: BootControlState): Promise<void> {
  const [first, second] = held?.copies ?? [undefined, undefined];
  const same = held !== undefined && equal(held.state, state);
  if (same && first?.sequence === held.sequence && second?.sequence === held.sequence) return;
  const next: BootFile = same
    ? { sequence: held.sequence, state }
    : { sequence: (held?.sequence ?? 0) + 1, state };
  const bytes = encodeBootCopy(next);
  const firstIsNewest = first !== undefined && first.sequence === held?.sequence;
  const places = firstIsNewest ? [bootCopySpacingBytes, 0] : [0, bootCopySpacingBytes];
  for (const place of places) {
    await file.write(place, bytes);
    await file.flush();
  }
}

function disarmed(state: BootControlState, group: GroupLetter): BootControlState {
  const { trial } = state;
  return {
    order: state.order.filter((entry) => entry !== group),
    ...(trial === undefined || trial === group ? {} : { trial }),
    left: { ...state.left, [group]: 0 },
  };
}

function armed(state: BootControlState, group: GroupLetter, tries: number): BootControlState {
  const others = state.order.filter((entry) => entry !== group);
  return { order: [group, ...others], trial: group, left: { ...state.left, [group]: tries } };
}

function confirmed(state: BootControlState, group: GroupLetter, starts: number): BootControlState {
  const { trial } = state;
  return {
    order: [group, ...state.order.filter((entry) => entry !== group)],
    ...(trial === undefined || trial === group ? {} : { trial }),
    left: { ...state.left, [group]: starts },
  };
}

function equal(a: BootControlState, b: BootControlState): boolean {
  return (
    a.order.join() === b.order.join() &&
    a.trial === b.trial &&
    (a.left.A ?? -1) === (b.left.A ?? -1) &&
    (a.left.B ?? -1) === (b.left.B ?? -1)
  );
}

async function withFile(disk: Disk, path: string, work: (file: DiskFile) => Promise<void>): Promise<void> {
  const file = await disk.open(path);
  if (file === undefined) throw new DiskError('OTA_DISK_READ', path, 'the boot-control file is missing');
  try {
    if (file.sizeBytes < bootCopySpacingBytes + bootCopyBytes) {
      throw new DiskError('OTA_DISK_READ', path, 'the boot-control file is too short');
    }
    await work(file);
  } finally {
    await file.close();
  }
}

function folderOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash <= 0 ? '/' : path.slice(0, slash);
}
