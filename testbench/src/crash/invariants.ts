/**
 * What must hold in every state that a crash can leave, and on every way from one state to the next.
 *
 * The numbers are those of DESIGN "What always holds". The first (the running group is never written) is the disk's
 * to see, at the write itself; the sixth (nothing is parsed past its limit) is about what comes over the wire and is
 * proved where that is read. Judges durable bytes only, never what the agent believes of them.
 */
import type { BootControlState, DeviceState } from '@airlock/agent';
import { type GroupLetter, sha256Hex } from '@airlock/trust';
import { decideBoot } from '../virtual-device/boot-loader.ts';
import { lastHook } from './hooks.ts';
import { bytesOf, type Content, contentAt, type Medium, sameBytes, sizeOf } from './medium.ts';
import { bootCopies, newest, onceFor, readLog, recordCopies, trustCopies } from './reading.ts';
import { slotPath, stateFolder, type World } from './world.ts';

/** A rule that was broken, in words that name the number. */
export type Violation = string;

/**
 * Breaks of what one durable state shows by itself. On a `faulty` medium a boot control may have confirmed although
 * it reported a failure: such a group is left as soon as it runs, and counts as being in its trial.
 */
export function brokenIn(
  medium: Medium,
  world: World,
  {
    media = 'sound',
    counter,
  }: { readonly media?: 'sound' | 'faulty'; readonly counter?: number | undefined } = {},
): Violation | undefined {
  const boot = newest(bootCopies(medium));
  if (boot === undefined) return '4: no copy of the boot control is valid, nothing boots';
  const held = newest(recordCopies(medium));
  // A restored one vouches for nothing, as a lost one does; the agent finds out at its next start.
  const record = held !== undefined && isBehind(held, counter) ? undefined : held;
  return (
    unprovenArmed(medium, boot, world) ??
    badNextBoot(boot, record, world, media) ??
    twoResults(medium) ??
    tooManyAttempts(medium, world) ??
    forgottenData(medium, record, world) ??
    (record === undefined ? undefined : badRecord(medium, boot, record, world))
  );
}

/** What the record promises must be so: manifests are there, trials are counted, nothing stays armed behind it. */
function badRecord(
  medium: Medium,
  boot: BootControlState,
  record: DeviceState,
  world: World,
): Violation | undefined {
  const { attempt } = record;
  if (boot.trial !== undefined && boot.trial !== attempt?.group)
    return `4: group ${boot.trial} is armed for a trial that no attempt is about`;
  if (attempt === undefined) return undefined;
  if (record.state === 'Trial' && attempt.trialBoots > world.options.trialTries)
    return `4: ${attempt.trialBoots} boots into a trial of ${world.options.trialTries} tries`;
  // Restarts out of a trial whose group cannot be disarmed are counted as well, and end.
  if (attempt.trialBoots > 2 * world.options.trialTries)
    return `4: ${attempt.trialBoots} boots of a trial of ${world.options.trialTries} tries`;
  if (!holdsManifest(medium, attempt.manifestSha256))
    return '5: the record names a manifest that is not durable anywhere';
  return undefined;
}

/** Only on a medium where nothing rotted since. */
export function unprovenStaged(medium: Medium, world: World): Violation | undefined {
  const record = newest(recordCopies(medium));
  if (record?.attempt === undefined || !record.attempt.staged || record.state === 'Failing') return undefined;
  if (record.state === 'Fetching') return undefined;
  const { group, version } = record.attempt;
  return provenVersion(medium, group, world) === version
    ? undefined
    : `2: the record says ${record.state} and the images of version ${version} are not in group ${group}`;
}

function holdsManifest(medium: Medium, sha256: string): boolean {
  const trust = newest(trustCopies(medium));
  if (trust?.manifest !== undefined && manifestSha256(trust.manifest) === sha256) return true;
  return plainSha256(contentAt(medium, `${stateFolder}/${sha256}.manifest.json`)) === sha256;
}

const plainSha256 = onceFor((content) => sha256Hex(bytesOf(content, 0, sizeOf(content))));
const manifestHashes = new Map<string, string>();

export function manifestSha256(text: string): string {
  const known = manifestHashes.get(text) ?? sha256Hex(new TextEncoder().encode(text));
  manifestHashes.set(text, known);
  return known;
}

function unprovenArmed(medium: Medium, boot: BootControlState, world: World): Violation | undefined {
  const bad = boot.order.find((group) => provenVersion(medium, group, world) === undefined);
  return bad === undefined
    ? undefined
    : `2: group ${bad} is in the boot order and its images are not those of one release`;
}

/** The release whose images, all of them, a group holds. */
function provenVersion(medium: Medium, group: GroupLetter, world: World): number | undefined {
  const { components } = world.options;
  const held = components.map((component) => heldIn(world)(contentAt(medium, slotPath(component, group))));
  return world.versions().find((version) => held.every((images, at) => images.has(`${version} ${at}`)));
}

const heldOfWorlds = new WeakMap<World, (content: Content | undefined) => ReadonlySet<string>>();

/** Which images a slot begins with, as `<version> <number of the component>`. */
function heldIn(world: World): (content: Content | undefined) => ReadonlySet<string> {
  const known =
    heldOfWorlds.get(world) ??
    onceFor((content) => {
      const found = world
        .versions()
        .flatMap((version) =>
          world
            .imagesOf(version)
            .flatMap((image, at) =>
              image.every((sector, index) => sameBytes(sector, content[index])) ? [`${version} ${at}`] : [],
            ),
        );
      return new Set(found);
    });
  heldOfWorlds.set(world, known);
  return known;
}

const trialStates: readonly DeviceState['state'][] = ['Pending', 'Trial', 'Confirming', 'Failing'];

function badNextBoot(
  boot: BootControlState,
  record: DeviceState | undefined,
  { options }: World,
  media: 'sound' | 'faulty',
): Violation | undefined {
  const group = options.tries === 'counted' ? decideBoot(boot).group : boot.order[0];
  if (group === undefined) return '4: the boot order names nothing that may be booted';
  if (!boot.order.some((one) => one !== boot.trial)) return '4: no confirmed group is left in the boot order';
  // A lost record vouches for nothing; the agent ends the trial at its next start.
  if (record === undefined) return undefined;
  if (group === boot.trial) {
    if (record.attempt?.group !== group) return `4: group ${group} would be tried and no attempt is about it`;
    if (!trialStates.includes(record.state))
      return `4: group ${group} would be tried while the record says ${record.state}`;
    const left = boot.left[group] ?? 0;
    return left > options.trialTries ? `4: ${left} tries are left of ${options.trialTries}` : undefined;
  }
  // Between confirm.b and confirm.c the boot control knows of the confirmation, and the record is about to.
  const states: readonly DeviceState['state'][] =
    media === 'sound' ? ['Confirming'] : ['Confirming', 'Failing'];
  const confirming = states.includes(record.state) && record.attempt?.group === group;
  // Between begin.a and begin.b the older group is forgotten, not touched, and still what the boot loader falls back to.
  const forgotten = record.state === 'Fetching' && record.attempt?.group === group;
  const known =
    confirming || forgotten || record.confirmed.group === group || record.groups[group] !== undefined;
  return known ? undefined : `4: group ${group} would boot and was never confirmed`;
}

/**
 * An attempt that prepared the application's data ends with a commit or a revert of them. One whose record was lost is
 * known to nobody: what its hook prepared is the old software's to read, as after a rollback.
 */
function forgottenData(
  medium: Medium,
  record: DeviceState | undefined,
  { options }: World,
): Violation | undefined {
  if (!options.dataHooks || record?.state !== 'Idle' || record.restored !== undefined) return undefined;
  if (options.recordMayBeLost) return undefined;
  return lastHook(medium) === 'prepare'
    ? 'hooks: the device is idle, and the data were prepared and neither committed nor reverted'
    : undefined;
}

/** Failures that are counted against a release: not those of the wire. */
const wireCodes: readonly string[] = ['OTA_FAIL_DOWNLOAD', 'OTA_FAIL_HASH'];

/** REQ-OTA-VERIFY-04: a release that failed so often is not tried again; a lost or restored record forgets. */
function tooManyAttempts(medium: Medium, { options }: World): Violation | undefined {
  const failures = new Map<number, number>();
  for (const { code, version } of readLog(medium).resultsSinceLoss) {
    const counts = code === 'OTA_NOT_TRIED' || (code.startsWith('OTA_FAIL_') && !wireCodes.includes(code));
    if (counts) failures.set(version, (failures.get(version) ?? 0) + 1);
  }
  const [worst] = [...failures].toSorted(([, a], [, b]) => b - a);
  return worst !== undefined && worst[1] > options.attemptsMax
    ? `VERIFY-04: version ${worst[0]} failed ${worst[1]} times, and ${options.attemptsMax} are allowed`
    : undefined;
}

/** Whether the record is an older one than the counter of the TPM knows of. */
export function isBehind(record: DeviceState, counter: number | undefined): boolean {
  if (counter === undefined || record.restored !== undefined || record.counter === undefined) return false;
  return record.counter < counter;
}

/** REQ-OTA-ROLL-07: whatever else fails, a group that is confirmed and rests has its starts back. */
export function startsLeft(medium: Medium, group: GroupLetter, { options }: World): Violation | undefined {
  const boot = newest(bootCopies(medium));
  if (options.tries !== 'counted' || boot?.order.includes(group) !== true || boot.trial === group)
    return undefined;
  const left = boot.left[group] ?? 0;
  return left < options.confirmedStarts
    ? `ROLL-07: group ${group} runs, is confirmed, and has ${left} starts left of ${options.confirmedStarts}`
    : undefined;
}

/** Where no fallback is allowed, none is kept once the device rests. */
export function keptFallback(medium: Medium, { options }: World): Violation | undefined {
  if (options.fallbackAllowed) return undefined;
  const record = newest(recordCopies(medium));
  const boot = newest(bootCopies(medium));
  if (record?.state !== 'Idle' || record.restored !== undefined || boot === undefined) return undefined;
  const other = boot.order.find((group) => group !== record.confirmed.group);
  const before = record.lastResult?.code !== 'OTA_CONFIRMED' || boot.order[0] !== record.confirmed.group;
  return other === undefined || before
    ? undefined
    : `4: no fallback is allowed, and group ${other} is in the boot order of a device that confirmed`;
}

function twoResults(medium: Medium): Violation | undefined {
  const { results } = readLog(medium);
  const seen = new Set<string>();
  for (const { attempt, code } of results) {
    if (seen.has(attempt)) return `5: an attempt has a second result, ${code}`;
    seen.add(attempt);
  }
  return undefined;
}

/** A device that rests has written every copy again that a cut or time had taken, while the other one was there. */
export function unrepaired(medium: Medium): Violation | undefined {
  const half = [recordCopies(medium), bootCopies(medium), trustCopies(medium)].some(
    ([first, second]) => (first === undefined) !== (second === undefined),
  );
  return half ? '5: the device rests, and one of two copies is not there' : undefined;
}

/** REQ-OTA-ROLL-04: a record is sealed with the counter of the TPM, or with the next value, which is about to come. */
export function unsealed(
  medium: Medium,
  counter: number | undefined,
  restoredFrom?: number,
): Violation | undefined {
  const record = newest(recordCopies(medium));
  if (record === undefined || counter === undefined || record.restored !== undefined) return undefined;
  // The old copy of the disk, which the agent has not met yet.
  if (restoredFrom !== undefined && record.counter === restoredFrom && restoredFrom < counter)
    return undefined;
  // Nobody is told of a floor that is not committed (docs/write-order.md, Seal).
  if (record.counter === counter + 1 && isTold(medium, record))
    return `ROLL-04: the result is logged, and the counter is ${counter} and not yet ${record.counter}`;
  return record.counter === counter || record.counter === counter + 1
    ? undefined
    : `ROLL-04: the record is sealed with ${record.counter}, the counter is ${counter}`;
}

function isTold(medium: Medium, { attempt }: DeviceState): boolean {
  return readLog(medium).results.some((result) => result.attempt === attempt?.id);
}

/** At rest nothing is about to come any more. */
export function unsettled(medium: Medium, counter: number | undefined): Violation | undefined {
  const record = newest(recordCopies(medium));
  if (record?.state !== 'Idle' || counter === undefined || record.restored !== undefined) return undefined;
  return record.counter === counter
    ? undefined
    : `ROLL-04: at rest, sealed with ${record.counter}, counter ${counter}`;
}
