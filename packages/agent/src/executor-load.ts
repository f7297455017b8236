/**
 * Reads everything that an agent starts from: record, trust state, log, manifests; and recovers what was lost.
 *
 * Keeps true: a device whose record is lost stays on what runs and says so exactly once (`OTA_STATE_LOST`); a lost
 * trust state installs nothing. It writes nothing of its own but repairs; effects of a recovery are the executor's.
 */
import type { DeviceCode } from '@airlock/protocol';
import {
  heldDeviceRecord,
  sha256Hex,
  timeForClock,
  type GroupLetter,
  type TrustState,
  type UtcSeconds,
} from '@airlock/trust';
import type { Effect, Facts } from './core/effects.ts';
import {
  judgeSeal,
  recoverRestored,
  restoredWords,
  stillUnproven,
  type CounterReading,
} from './core/floor-seal.ts';
import { recoverLost, type Found } from './core/lost.ts';
import { messageOf } from './core/operating-error.ts';
import { deviceRecordUnknown, manifestUnknown, type DeviceState, type Installed } from './core/record.ts';
import type { EventLog } from './durable/event-log.ts';
import { settleFolder } from './durable/folder-file.ts';
import { groupManifests, type GroupManifests } from './durable/group-manifests.ts';
import { logLost, openPatientLog } from './durable/patient-log.ts';
import { recordStore, type RecordStore } from './durable/record-store.ts';
import { trustStore, type HeldTrust, type TrustStore } from './durable/trust-store.ts';
import { bootControlDo, readBoot } from './executor-boot.ts';
import { readCounter } from './executor-floor.ts';
import type { BootControlState } from './ports/boot-control.ts';
import { DiskError } from './ports/disk.ts';
import { TrialWatch } from './executor-watchdog.ts';
import type { Clock } from './ports/platform.ts';
import { tuningDefault, type AgentPorts, type AgentSettings } from './settings.ts';

export interface Loaded {
  readonly records: RecordStore;
  readonly record: DeviceState;
  readonly manifests: GroupManifests;
  readonly trustStore: TrustStore;
  /** undefined when it cannot be read. */
  readonly trust: TrustState | undefined;
  readonly log: EventLog;
  /** Opened already when the record says that a trial runs. */
  readonly watch: TrialWatch;
  /** What a lost record asks for, before all else. */
  readonly recovery: readonly Effect[];
  /** Whether the record is on the disk; otherwise the recovery writes it. */
  readonly durable: boolean;
  /** To be logged once the machine has gone on. */
  readonly notes: readonly { readonly code: DeviceCode; readonly reason: string }[];
}

/** Throws DiskError when the state folder cannot be used, or neither record nor boot control can be read. */
export async function loadAgent(ports: AgentPorts, settings: AgentSettings): Promise<Loaded> {
  const { disk, clock } = ports;
  const tuning = { ...tuningDefault, ...settings.tuning };
  const records = recordStore(disk, settings.stateFolder);
  await settleFolder(disk, settings.stateFolder);
  const held = await records.read();
  // Before anything else: what hangs from here on, in a trial, is reset.
  const watch = new TrialWatch(ports, settings);
  await watch.begin(held?.record, ports.platform.bootedGroup);
  const log = await openPatientLog(disk, settings.stateFolder, tuning.logCellsMax);
  const manifests = groupManifests(disk, settings.stateFolder);
  const trusts = trustStore(disk, settings.stateFolder);
  const heldTrust = await trusts.read();
  const trust = heldTrust?.state;
  const notes: Note[] = [];
  if (trust !== undefined) notes.push(...(await setClock(clock, timeForClock(trust))));
  if (held?.repaired === true) notes.push(repaired('one copy of the record was damaged'));
  for (const reason of held?.unmade ?? []) notes.push({ code: 'OTA_FAIL_STATE', reason });
  if (heldTrust === undefined)
    notes.push({ code: 'OTA_STATE_LOST', reason: 'the trust state cannot be read' });
  else notes.push(...(await repairTrust(trusts, heldTrust)));
  notes.push(...(await repairManifest(manifests, held?.record, trust)));
  if (log.begunAnew) await noteLogLost(ports, log, trust);
  const base = { records, manifests, trustStore: trusts, trust, log, watch, notes };
  const deviceRecord = deviceRecordOf(trust);
  if (held !== undefined) {
    const { record } = held;
    const reading = await readCounter(ports);
    const verdict = judgeSeal(record, reading);
    if (verdict === 'unreadable') notes.push({ code: 'OTA_FAIL_FLOOR', reason: reasonOf(reading) });
    if (verdict === 'uncommitted') return { ...base, record, recovery: [settle], durable: true };
    const untouched = record.restored === undefined && verdict !== 'restored';
    if (untouched) return { ...base, record, recovery: [], durable: true };
    const { found, facts } = await look(ports, settings, manifests);
    if (record.restored !== undefined)
      return { ...base, record, recovery: stillUnproven(record, facts), durable: true };
    const restored = recoverRestored(record, found, facts, deviceRecord);
    const reason = restoredReason(record, restored.record, reading);
    const starts = startsOf(restored.record, facts);
    const told = log.newestIs('OTA_STATE_RESTORED', 'sealed with ');
    const recovery = toldFirst(restored.effects, 'OTA_STATE_RESTORED', reason, told, starts);
    return { ...base, record: restored.record, recovery, durable: false };
  }
  const { found, facts } = await look(ports, settings, manifests);
  const lost = recoverLost(found, facts, deviceRecord);
  const reason = 'no copy of the record can be read; the floor is the highest version found';
  const awaited = lost.record.restored === undefined ? '' : `; ${await awaitedWords(ports, lost.record)}`;
  const starts = startsOf(lost.record, facts);
  const told = log.newestIs('OTA_STATE_LOST', reason);
  const recovery = toldFirst(lost.effects, 'OTA_STATE_LOST', `${reason}${awaited}`, told, starts);
  return { ...base, record: lost.record, recovery, durable: false };
}

const settle: Effect = { kind: 'settle-seal', step: 'seal.b' };

function deviceRecordOf(trust: TrustState | undefined): number {
  const held = trust === undefined ? undefined : heldDeviceRecord(trust);
  return held?.ok === true ? held.value.number : deviceRecordUnknown;
}

function reasonOf(reading: CounterReading): string {
  return reading.kind === 'unreadable' ? reading.reason : 'the record is sealed, and no TPM is configured';
}

async function awaitedWords(ports: AgentPorts, record: DeviceState): Promise<string> {
  const reading = await readCounter(ports);
  return restoredWords(record, reading.kind === 'value' ? reading.counter : undefined);
}

function restoredReason(held: DeviceState, record: DeviceState, reading: CounterReading): string {
  const counter = reading.kind === 'value' ? reading.counter : undefined;
  const words = restoredWords(record, counter);
  return `sealed with ${held.counter ?? 'nothing'}, and the counter says ${counter ?? 'nothing'}; ${words}`;
}

type Note = Loaded['notes'][number];

function repaired(reason: string): Note {
  return { code: 'OTA_STATE_REPAIRED', reason };
}

/**
 * DESIGN "Time": a device without a clock begins at the time that it last knew to be past. It starts all the same.
 * `past` is what both repositories signed: one stolen key must not set the clock that therapy is recorded by.
 */
async function setClock(clock: Clock, past: UtcSeconds): Promise<readonly Note[]> {
  if (clock.set === undefined || clock.now() >= past) return [];
  try {
    await clock.set(past);
    return [];
  } catch (error) {
    return [{ code: 'OTA_CLOCK_NOT_SET', reason: messageOf(error) }];
  }
}

/** Both copies again, after damage, or when power was lost between the two. A full disk must not prevent the start. */
async function repairTrust(store: TrustStore, held: HeldTrust): Promise<readonly Note[]> {
  if (held.inBoth) return [];
  try {
    await store.keep(held.state);
  } catch (error) {
    return [{ code: 'OTA_FAIL_STATE', reason: `a copy of the trust state: ${messageOf(error)}` }];
  }
  return held.damaged ? [repaired('one copy of the trust state was damaged')] : [];
}

/**
 * Manifests have one file each and no second copy: the trust state holds the assigned one, which is what an attempt,
 * its trial and a repair are about, and it is written again from there. Without it a trial would fail for one bad
 * block. One that is no longer assigned comes again with the check-in that assigns it, if it ever does; until then
 * its loss makes a device stricter only (`fallbackReads` is then nothing), and stops no trial and no repair.
 */
async function repairManifest(
  manifests: GroupManifests,
  record: DeviceState | undefined,
  trust: TrustState | undefined,
): Promise<readonly Note[]> {
  const text = trust?.manifest;
  if (record === undefined || text === undefined) return [];
  const sha256 = sha256Hex(new TextEncoder().encode(text));
  const { attempt, confirmed, groups } = record;
  const named = [attempt, confirmed, groups.A, groups.B].some((one) => one?.manifestSha256 === sha256);
  if (!named || (await manifests.read(sha256)) !== undefined) return [];
  try {
    await manifests.keep(text);
    return [repaired('a manifest was damaged')];
  } catch (error) {
    return [{ code: 'OTA_FAIL_STATE', reason: `a manifest: ${messageOf(error)}` }];
  }
}

/** At once, not as one of the notes: a lost record may restart the device before those are written. */
async function noteLogLost(ports: AgentPorts, log: EventLog, trust: TrustState | undefined): Promise<void> {
  const time = Math.max(trust?.timeLowerBound ?? 0, ports.clock.now());
  try {
    await log.append({ time, bootId: ports.platform.bootId, ...logLost });
  } catch (error) {
    // A log that cannot be written keeps no device from starting.
    messageOf(error);
  }
}

/**
 * What is told before the record is written; after the disarming, which must wait for no log, and after `starts`: a
 * device whose log takes nothing for weeks must not fall to its older group meanwhile.
 */
function toldFirst(
  effects: readonly Effect[],
  code: 'OTA_STATE_LOST' | 'OTA_STATE_RESTORED',
  reason: string,
  told: boolean,
  starts: readonly Effect[],
): readonly Effect[] {
  // Power may have gone between the entry and the record: then the newest entry is this one already.
  const telling: readonly Effect[] = told ? [] : [{ kind: 'tell-loss', code, reason }];
  const at = effects.findIndex(({ kind }) => kind === 'write-record');
  return [...effects.slice(0, at), ...starts, ...telling, ...effects.slice(at)];
}

function startsOf({ confirmed }: DeviceState, { bootedGroup }: Facts): readonly Effect[] {
  return confirmed.group === bootedGroup
    ? [{ kind: 'restore-starts', group: bootedGroup, untold: true }]
    : [];
}

/** What the groups hold and the platform says, for a record that is not there or not to be believed. */
async function look(
  ports: AgentPorts,
  settings: AgentSettings,
  manifests: GroupManifests,
): Promise<{ readonly found: Found; readonly facts: Facts }> {
  const { bootControl, platform } = ports;
  const found: Found = {
    A: await find(ports, settings, manifests, 'A'),
    B: await find(ports, settings, manifests, 'B'),
  };
  const boot = await bootToJudge(ports);
  const facts: Facts = {
    bootedGroup: platform.bootedGroup,
    bootId: platform.bootId,
    boot,
    tries: bootControl.tries,
    armingSurvivesPowerOff: bootControl.armingSurvivesPowerOff,
    trialTries: settings.trialTries,
    notTriedMax: 0,
    rotMax: 0,
    wastedMax: 0,
    fallbackAllowed: settings.fallbackAllowed,
    sealed: ports.floorStore.kind === 'tpm',
  };
  return { found, facts };
}

/** A hiccup of the boot control must not make a trial look like a confirmed group. */
const bootReadTriesMax = 3;
const bootReadAgainMs = 1000;

/**
 * With the record gone it is the only one who knows which group is confirmed. Throws DiskError when it cannot be read:
 * the start is over, and the next one asks again; nothing was written.
 */
async function bootToJudge({ bootControl, clock }: AgentPorts): Promise<BootControlState> {
  // A disarming that an agent did which was killed may stand in the cache alone: what is judged must be durable.
  await bootControlDo(async () => await bootControl.repair?.());
  for (let tries = 1; ; tries += 1) {
    const boot = await readBoot(bootControl);
    if (boot !== undefined) return boot;
    if (tries === bootReadTriesMax) break;
    await clock.sleep(bootReadAgainMs);
  }
  const words = 'neither record nor boot control says which group is confirmed';
  throw new DiskError('OTA_DISK_READ', 'boot control', words);
}

/** What the image in a group says it is, with its manifest's hash if that survived. */
async function find(
  ports: AgentPorts,
  settings: AgentSettings,
  manifests: GroupManifests,
  group: GroupLetter,
): Promise<Installed | undefined> {
  try {
    const identity = await ports.identity.identify(settings.identityComponent, group);
    if (identity === undefined || identity.product !== settings.product) return undefined;
    const { version } = identity;
    const known = (await manifests.all()).find(({ manifest }) => manifest.version === version);
    return { version, manifestSha256: known?.sha256 ?? manifestUnknown };
  } catch (error) {
    messageOf(error);
    return undefined;
  }
}
