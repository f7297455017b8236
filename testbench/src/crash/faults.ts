/**
 * Faults of a medium, drawn by seed: what a worn, full or failing disk answers, and what rots while nobody looks.
 *
 * A boot has a few of them at most, since a device whose every write fails proves nothing. Bytes rot in one copy of
 * what has two, in manifests, and in images that are staged and not armed: what no design survives (both copies at
 * once, the confirmed images themselves) is not asked for.
 */
import { contentAt, garbage, type Medium, withContent } from './medium.ts';
import type { SeededRandom } from '../random.ts';
import type { AgentModule } from './agent-module.ts';
import type { CrashDisk, DiskOperation, WriteFault } from './crash-disk.ts';
import { trustFileNames } from '@airlock/agent';
import { bootCopies, newest, recordCopies, trustCopies } from './reading.ts';
import { bootPath, slotPath, stateFolder, type World } from './world.ts';

/** What failed once fails again soon: a worn block, a full disk, a loose cable. */
const chanceAgain = 0.5;
/** More in one boot would only repeat the first failure. */
const faultsPerBootMax = 3;

/** `step`: by the letters of docs/write-order.md, or nothing. */
export type FaultHook = (
  operation: DiskOperation,
  path: string,
  disk: CrashDisk,
  step: string,
) => WriteFault | undefined;

/** Faults of one boot; `tell` hears of each. */
export function drawFaults(
  random: SeededRandom,
  agent: Pick<AgentModule, 'DiskError'>,
  tell: (what: string) => void,
): FaultHook {
  let left = random.below(faultsPerBootMax + 1);
  /** One of two copies in one boot: the loss of both is another promise, `OTA_STATE_LOST`. */
  const unread = new Set<string>();
  const chance = 0.02 + 0.1 * random.fraction();
  let failed = '';
  return (operation, path, disk, step) => {
    const again = failed === `${operation} ${path}`;
    if (left === 0 || random.fraction() > (again ? chanceAgain : chance)) return undefined;
    // A copy that cannot be read is survived while the other one is as new: an earlier fault may have left it older.
    if (operation === 'read' && isOfCopies(path)) {
      if (unread.has(nameOfCopies(path)) || !alike(disk.live())) return undefined;
      unread.add(nameOfCopies(path));
    }
    left -= 1;
    failed = `${operation} ${path}`;
    // A drive that writes wrongly and says nothing: only reading back from the medium finds it. Slots have no copy.
    if (operation === 'write' && path.startsWith('/slots/') && random.fraction() < 0.5) {
      tell(`${step}write of ${path} reaches the medium as garbage`);
      return 'garble';
    }
    if (operation === 'write' && random.fraction() < 0.3) {
      tell(`${step}write of ${path} fails half way`);
      return 'short';
    }
    tell(`${step}${operation} of ${path} fails`);
    // After a failed flush nothing is known: some of the writes may be there, and the cache forgets them all.
    if (operation === 'flush') disk.loseWrites(path, () => random.fraction() < 0.5);
    const reading = operation === 'read' || operation === 'readMedium';
    const code = reading ? 'OTA_DISK_READ' : operation === 'create' ? 'OTA_DISK_FULL' : 'OTA_DISK_WRITE';
    throw new agent.DiskError(code, path, `drawn fault of ${operation}`);
  };
}

export interface Rot {
  readonly what: string;
  readonly medium: Medium;
}

/** Everything that may rot on a device that is off, one at a time: only what has another copy, or is proven again. */
export function rots(medium: Medium, world: World): readonly Rot[] {
  return [...(alike(medium) ? rotsOfCopies(medium) : []), ...rotsOfStaged(medium, world)];
}

function nameOfCopies(path: string): string {
  return path.replace(/-[12]$/, '');
}

function isOfCopies(path: string): boolean {
  return path === bootPath || path === `${stateFolder}/record` || path.startsWith(`${stateFolder}/trust-`);
}

/** Whether both copies of everything that has two are valid and equally new. */
function alike(medium: Medium): boolean {
  return [recordCopies(medium), bootCopies(medium), trustCopies(medium)].every(
    ([first, second]) => first !== undefined && first.sequence === second?.sequence,
  );
}

/** One of two copies is gone: nothing may be lost by it, once whatever wrote them had come back. */
export function rotsOfCopies(medium: Medium): readonly Rot[] {
  const found: (Rot | undefined)[] = [];
  const whole = (copies: readonly unknown[]): boolean => copies.every((copy) => copy !== undefined);
  const record = `${stateFolder}/record`;
  if (whole(recordCopies(medium))) found.push(spoilt(medium, record, 0), spoilt(medium, record, 8));
  if (whole(bootCopies(medium))) found.push(spoilt(medium, bootPath, 0), spoilt(medium, bootPath, 8));
  if (whole(trustCopies(medium)))
    for (const name of trustFileNames) found.push(spoilt(medium, `${stateFolder}/${name}`, 1));
  return found.filter((rot) => rot !== undefined);
}

/** Staged images are read back once more before they are armed. */
function rotsOfStaged(medium: Medium, world: World): readonly Rot[] {
  const record = newest(recordCopies(medium));
  if (record?.state !== 'Staged' || record.attempt === undefined) return [];
  const { group } = record.attempt;
  return world.options.components
    .map((component) => spoilt(medium, slotPath(component, group), 1))
    .filter((rot) => rot !== undefined);
}

function spoilt(medium: Medium, path: string, sector: number): Rot | undefined {
  const file = medium.names.get(path);
  const content = contentAt(medium, path);
  if (file === undefined || content === undefined) return undefined;
  const spoiled = content.map((one, at) =>
    at === sector ? (one.length === garbage.length ? garbage : garbage.slice(0, one.length)) : one,
  );
  return { what: `sector ${sector} of ${path} rots`, medium: withContent(medium, file, spoiled) };
}
