/**
 * Reads everything that an agent starts from: record, trust state, log, manifests; and recovers what was lost.
 *
 * Keeps true: a device whose record is lost stays on what runs and says so exactly once (`OTA_STATE_LOST`); a lost
 * trust state installs nothing. It writes nothing of its own but repairs; effects of a recovery are the executor's.
 */
import type { DeviceCode } from '@airlock/protocol';
import { sha256Hex, type GroupLetter, type TrustState, type UtcSeconds } from '@airlock/trust';
import type { Effect } from './core/effects.ts';
import { recoverLost, type Found } from './core/lost.ts';
import { messageOf } from './core/operating-error.ts';
import { manifestUnknown, type DeviceState, type Installed } from './core/record.ts';
import { openEventLog, type EventLog } from './durable/event-log.ts';
import { groupManifests, type GroupManifests } from './durable/group-manifests.ts';
import { recordStore, type RecordStore } from './durable/record-store.ts';
import { trustStore, type HeldTrust, type TrustStore } from './durable/trust-store.ts';
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
  /** What a lost record asks for, before all else. */
  readonly recovery: readonly Effect[];
  /** To be logged once the machine has gone on. */
  readonly notes: readonly { readonly code: DeviceCode; readonly reason: string }[];
}

/** Throws DiskError when the log cannot be opened. */
export async function loadAgent(ports: AgentPorts, settings: AgentSettings): Promise<Loaded> {
  const { disk, clock } = ports;
  const tuning = { ...tuningDefault, ...settings.tuning };
  const records = recordStore(disk, settings.stateFolder);
  const held = await records.read();
  const log = await openEventLog(disk, settings.stateFolder, tuning.logCellsMax);
  const manifests = groupManifests(disk, settings.stateFolder);
  const trusts = trustStore(disk, settings.stateFolder);
  const heldTrust = await trusts.read();
  const trust = heldTrust?.state;
  const notes: Note[] = [];
  if (trust !== undefined) notes.push(...(await setClock(clock, trust.timeLowerBound)));
  if (held?.repaired === true) notes.push(repaired('one copy of the record was damaged'));
  if (heldTrust === undefined)
    notes.push({ code: 'OTA_STATE_LOST', reason: 'the trust state cannot be read' });
  else notes.push(...(await repairTrust(trusts, heldTrust)));
  notes.push(...(await repairManifest(manifests, held?.record, trust)));
  if (log.begunAnew) await noteLogLost(ports, log, trust);
  const base = { records, manifests, trustStore: trusts, trust, log, notes };
  if (held !== undefined) return { ...base, record: held.record, recovery: [] };
  const lost = await recoverRecord(ports, settings, manifests);
  // If power was lost between the entry and the record, the entry is there already.
  if (log.newestCode() !== 'OTA_STATE_LOST') await noteLost(ports, log, trust);
  return { ...base, record: lost.record, recovery: lost.effects };
}

type Note = Loaded['notes'][number];

function repaired(reason: string): Note {
  return { code: 'OTA_STATE_REPAIRED', reason };
}

/** DESIGN "Time": a device without a clock begins at the time that it last knew to be past. It starts all the same. */
async function setClock(clock: Clock, lowerBound: UtcSeconds): Promise<readonly Note[]> {
  if (clock.set === undefined || clock.now() >= lowerBound) return [];
  try {
    await clock.set(lowerBound);
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
  const event = { time, bootId: ports.platform.bootId, code: 'OTA_LOG_GAP' } as const;
  try {
    await log.append({ ...event, reason: 'the log was lost and begins anew' });
  } catch (error) {
    // A log that cannot be written keeps no device from starting.
    messageOf(error);
  }
}

async function noteLost(ports: AgentPorts, log: EventLog, trust: TrustState | undefined): Promise<void> {
  const reason = 'no copy of the record can be read; the floor is the highest version found';
  const time = Math.max(trust?.timeLowerBound ?? 0, ports.clock.now());
  await log.append({ time, bootId: ports.platform.bootId, code: 'OTA_STATE_LOST', reason });
}

async function recoverRecord(ports: AgentPorts, settings: AgentSettings, manifests: GroupManifests) {
  const { bootControl, platform } = ports;
  const found: Found = {
    A: await find(ports, settings, manifests, 'A'),
    B: await find(ports, settings, manifests, 'B'),
  };
  const boot = await bootControl.read().catch((error: unknown) => {
    messageOf(error);
    return undefined;
  });
  return recoverLost(found, {
    bootedGroup: platform.bootedGroup,
    bootId: platform.bootId,
    boot,
    tries: bootControl.tries,
    armingSurvivesPowerOff: bootControl.armingSurvivesPowerOff,
    trialTries: settings.trialTries,
    notTriedMax: 0,
    rotMax: 0,
    fallbackAllowed: settings.fallbackAllowed,
  });
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
