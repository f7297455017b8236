/**
 * What must hold on a device's real files whenever its agent is not running (DESIGN "What always holds").
 *
 * The same for a power cut and for a kill, and told from the files alone: record and log by testbench's own reader, the
 * boot-control file, the bytes of the slots. Each violation is one line; an empty list is a device that is whole.
 * Of the six invariants only the sixth - limits before parsing - leaves no trace on a disk and is not looked for here.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { LogEntry } from '@airlock/protocol';
import { type BootControlState, trialTriesDefault } from '@airlock/agent';
import { canonicalBytes, type GroupLetter, sha256Hex } from '@airlock/trust';
import { readBootFile } from '../virtual-device/boot-file.ts';
import { decideBoot } from '../virtual-device/boot-loader.ts';
import type { DeviceFolder } from '../virtual-device/device-folder.ts';
import { LogReader, readRecord, type RecordView } from '../virtual-device/device-view.ts';

/** States in which the record vouches for a group that is armed for its trial. */
const trialStates: readonly string[] = ['Pending', 'Trial', 'Confirming', 'Failing'];
/** So many entries that were durable once are read again at each check; all of them would take longer than a boot. */
const readAgainMax = 16;

export interface KnownImage {
  readonly version: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface CheckedAttempt {
  readonly version: number;
  readonly results: string[];
  /** Boots into its trial, as the boot loader began them. */
  trialBoots: number;
}

export class DeviceChecker {
  readonly attempts = new Map<string, CheckedAttempt>();
  checks = 0;
  readonly #folder: DeviceFolder;
  readonly #images: readonly KnownImage[];
  readonly #log: LogReader;
  #logged = 0;
  readonly #factoryFloor: number;
  #floor: number;
  #running: { readonly group: GroupLetter; readonly sha256: string } | undefined;

  /** `images`: every image that was ever signed for this device; more may be added while it lives. */
  constructor(folder: DeviceFolder, images: readonly KnownImage[], floor: number) {
    this.#folder = folder;
    this.#images = images;
    this.#factoryFloor = floor;
    this.#floor = floor;
    this.#log = new LogReader(folder.stateFolder);
  }

  /** Results of a version, as the log has them. */
  resultsOf(version: number): readonly string[] {
    return [...this.attempts.values()].filter((one) => one.version === version).flatMap((one) => one.results);
  }

  /** Call when the boot loader has decided and the agent has not started. */
  async beforeRun(group: GroupLetter, freshBoot: boolean): Promise<void> {
    this.#running = { group, sha256: sha256Hex(readFileSync(this.#folder.slots[group])) };
    const { attempt } = readRecord(this.#folder.stateFolder) ?? {};
    const boot = await readBootFile(this.#folder.bootFile);
    if (!freshBoot || attempt === undefined || boot?.trial !== group) return;
    this.#attempt(attempt.id, attempt.version).trialBoots += 1;
  }

  /** Call when the agent is gone and the disk has settled. Answers one line for each violation. */
  async afterRun(): Promise<readonly string[]> {
    this.checks += 1;
    const record = readRecord(this.#folder.stateFolder);
    const boot = await readBootFile(this.#folder.bootFile);
    if (record === undefined) return ['no copy of the record can be read'];
    if (boot === undefined) return ['no copy of the boot control can be read'];
    const logFaults = this.#readLog();
    if (record.attempt !== undefined) this.#attempt(record.attempt.id, record.attempt.version);
    const faults = [
      ...this.#runningUntouched(),
      ...this.#armedAreProven(record, boot),
      ...this.#floorHolds(record, boot),
      ...this.#nextBoot(record, boot),
      ...logFaults,
      ...this.#oneResultEach(record),
    ];
    return faults.map((fault) => `${fault} (record ${record.state}, boot order ${boot.order.join('')})`);
  }

  #attempt(id: string, version: number): CheckedAttempt {
    const known = this.attempts.get(id) ?? { version, results: [], trialBoots: 0 };
    this.attempts.set(id, known);
    return known;
  }

  /** Invariant 1. */
  #runningUntouched(): readonly string[] {
    const running = this.#running;
    if (running === undefined) return [];
    const now = sha256Hex(readFileSync(this.#folder.slots[running.group]));
    return now === running.sha256 ? [] : [`the slot of the running group ${running.group} was written`];
  }

  /** Invariant 2: what may be booted holds the images of one release, and of the one that the record says. */
  #armedAreProven(record: RecordView, boot: BootControlState): readonly string[] {
    return boot.order.flatMap((group) => {
      const version = this.#versionIn(group);
      if (version === undefined) return [`group ${group} is armed and holds no image that was signed`];
      const said = boot.trial === group ? record.attempt?.version : undefined;
      if (said !== undefined && said !== version)
        return [`group ${group} is armed for version ${said} and holds version ${version}`];
      const { confirmed } = record;
      return group === confirmed.group && boot.trial !== group && version !== confirmed.version
        ? [`group ${group} is confirmed with version ${confirmed.version} and holds version ${version}`]
        : [];
    });
  }

  #versionIn(group: GroupLetter): number | undefined {
    const slot = readFileSync(this.#folder.slots[group]);
    const byLength = new Map<number, string>();
    return this.#images.findLast(({ bytes, sha256 }) => {
      const held = byLength.get(bytes) ?? createHash('sha256').update(slot.subarray(0, bytes)).digest('hex');
      byLength.set(bytes, held);
      return held === sha256;
    })?.version;
  }

  /** Invariant 3. */
  #floorHolds(record: RecordView, boot: BootControlState): readonly string[] {
    const { floor, confirmed, state } = record;
    const before = this.#floor;
    this.#floor = Math.max(before, floor);
    if (floor < before) return [`the floor fell from ${before} to ${floor}`];
    if (floor > before) {
      const byConfirming = confirmed.version === floor && boot.trial !== confirmed.group;
      if (!byConfirming) return [`the floor rose to ${floor} without a confirmation`];
    }
    const confirmedLogged = this.resultsOf(floor).includes('OTA_CONFIRMED');
    return state === 'Idle' && floor > this.#factoryFloor && !confirmedLogged
      ? [`the floor is ${floor}, and no confirmation of it is in the log`]
      : [];
  }

  /** Invariant 4. */
  #nextBoot(record: RecordView, boot: BootControlState): readonly string[] {
    const { group } = decideBoot(boot);
    const { attempt, confirmed, state } = record;
    if (group === undefined) return ['no group may be started'];
    if (group !== boot.trial) {
      const beingConfirmed = state === 'Confirming' && group === attempt?.group;
      return group === confirmed.group || beingConfirmed ? [] : [`the next boot is group ${group}`];
    }
    if (attempt?.group !== group || !trialStates.includes(state))
      return [`the next boot is a trial of group ${group} of which the record knows nothing`];
    const used = this.attempts.get(attempt.id)?.trialBoots ?? 0;
    const starts = used + (boot.left[group] ?? 0);
    return starts <= trialTriesDefault ? [] : [`the trial of group ${group} is booted ${starts} times`];
  }

  /** Invariant 5, as far as a log shows it: the chain, what was durable before, and results. */
  #readLog(): readonly string[] {
    const faults: string[] = [];
    for (const entry of this.#log.entries.slice(-readAgainMax)) {
      const now = this.#log.again(entry.sequence);
      if (now === undefined || hashOf(now) !== hashOf(entry))
        faults.push(`log entry ${entry.sequence} was durable and is lost`);
    }
    const entries = this.#log.look();
    for (const entry of entries.slice(this.#logged)) {
      const before = entries[entry.sequence - 2];
      if (entry.previous !== (before === undefined ? '0'.repeat(64) : hashOf(before)))
        faults.push(`the log's chain is broken at entry ${entry.sequence}`);
      if (entry.code === 'OTA_STATE_LOST') faults.push('OTA_STATE_LOST, though no copy was damaged');
      this.#note(entry);
    }
    this.#logged = entries.length;
    return faults;
  }

  #note(entry: LogEntry): void {
    if (entry.attempt === undefined) return;
    const attempt = this.#attempt(entry.attempt, entry.toVersion ?? 0);
    if (entry.facts?.['result'] === true) attempt.results.push(entry.code);
  }

  #oneResultEach(record: RecordView): readonly string[] {
    return [...this.attempts].flatMap(([id, { results, version }]) => {
      const open = id === record.attempt?.id;
      if (results.length === 1 || (open && results.length === 0)) return [];
      return [`attempt ${id} of version ${version} has ${results.length} results: ${results.join(', ')}`];
    });
  }
}

function hashOf(entry: LogEntry): string {
  return sha256Hex(canonicalBytes(entry));
}
