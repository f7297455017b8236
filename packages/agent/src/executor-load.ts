/**
 * Reads everything that an agent starts from: record, trust state, log, manifests; and recovers what was lost.
 *
 * Keeps true: a device whose record is lost stays on what runs and says so exactly once (`OTA_STATE_LOST`); a lost
 * trust state installs nothing. It writes nothing of its own but repairs; effects of a recovery are the executor's.
 */
import type { DeviceCode } from '@airlock/protocol';
import type { GroupLetter, TrustState } from '@airlock/trust';
import type { Effect } from './core/effects.ts';
import { recoverLost, type Found } from './core/lost.ts';
import { messageOf } from './core/operating-error.ts';
import { manifestUnknown, type DeviceState, type Installed } from './core/record.ts';
import { openEventLog, type EventLog } from './durable/event-log.ts';
import { groupManifests, type GroupManifests } from './durable/group-manifests.ts';
import { recordStore, type RecordStore } from './durable/record-store.ts';
import { trustStore, type TrustStore } from './durable/trust-store.ts';
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
  const trust = await trusts.read();
  // DESIGN "Time": a device without a clock begins at the time that it last knew to be past.
  if (trust !== undefined && clock.now() < trust.timeLowerBound) await clock.set?.(trust.timeLowerBound);
  const notes: { code: DeviceCode; reason: string }[] = [];
  if (held?.repaired === true)
    notes.push({ code: 'OTA_STATE_REPAIRED', reason: 'one copy of the record was damaged' });
  if (trust === undefined) notes.push({ code: 'OTA_STATE_LOST', reason: 'the trust state cannot be read' });
  const base = { records, manifests, trustStore: trusts, trust, log, notes };
  if (held !== undefined) return { ...base, record: held.record, recovery: [] };
  const lost = await recoverRecord(ports, settings, manifests);
  // If power was lost between the entry and the record, the entry is there already.
  if (log.newestCode() !== 'OTA_STATE_LOST') await noteLost(ports, log, trust);
  return { ...base, record: lost.record, recovery: lost.effects };
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
