/**
 * What `status` and `log` show: the state on the disk, read beside a running daemon and without a network.
 *
 * It keeps true: nothing is written, not even a repair. The daemon may write at the same moment; a copy that is just
 * being written counts as damaged, and the other one is shown.
 */
import { fail, type GroupLetter, heldDeviceRecord, type TrustState } from '@airlock/trust';
import type { LogEntry } from '@airlock/protocol';
import { nodeDisk } from './adapters/node-disk.ts';
import { systemClock } from './adapters/platform.ts';
import { isLocked } from './adapters/single-instance.ts';
import { bootControlOf, floorStoreOf, loadPlatform } from './compose.ts';
import type { AgentConfig } from './config.ts';
import { judgeSeal, type SealVerdict } from './core/floor-seal.ts';
import type { DeviceState } from './core/record.ts';
import { groupManifests } from './durable/group-manifests.ts';
import { openEventLog } from './durable/event-log.ts';
import { newestRecord } from './durable/record-store.ts';
import { trustStore } from './durable/trust-store.ts';
import { newsOf, type News } from './news.ts';
import { readCounter } from './executor-floor.ts';
import type { BootControlState } from './ports/boot-control.ts';
import type { Disk } from './ports/disk.ts';
import { tuningDefault } from './settings.ts';
import { agentVersion } from './version.ts';

export interface Inspection {
  readonly agent: string;
  readonly device: string;
  readonly product: string;
  /** Whether a daemon works on this state now. */
  readonly running: boolean;
  /** undefined when the kernel's command line does not say. */
  readonly bootedGroup: GroupLetter | undefined;
  /** undefined: no copy can be read (`OTA_STATE_LOST`), or never provisioned. */
  readonly record: DeviceState | undefined;
  /** Whether the attempt's manifest marks it as an emergency. */
  readonly emergency: boolean;
  /** Whether the record is sealed with the counter of the TPM, asked now. */
  readonly seal: SealVerdict;
  /** What the counter of the TPM says now; undefined without one, or when it cannot be asked. */
  readonly counter: number | undefined;
  readonly bootControl: BootControlState | undefined;
  /** undefined: none is configured, and nothing ends a trial whose agent hangs. */
  readonly watchdog: AgentConfig['watchdog'];
  readonly trust:
    | {
        readonly timeLowerBound: number;
        readonly deviceRecord: number | undefined;
        readonly withdrawn: number;
      }
    | undefined;
  readonly log: { readonly sequence: number; readonly uploaded: number } | undefined;
  readonly news: News;
}

/** A few attempts; what is older is no news. */
const newsEntriesMax = 64;

/** What a command that needs a device says where there is none. */
export function notProvisioned(stateFolder: string): ReturnType<typeof fail> {
  return fail('OTA_STATE_LOST', `${stateFolder}: expected the state of a provisioned device, found none`);
}

/** Reads everything that can be read; what cannot is undefined. */
export async function inspect(config: AgentConfig): Promise<Inspection> {
  const disk = nodeDisk({ access: 'read' });
  const platform = await loadPlatform(config);
  const trust = (await trustStore(disk, config.stateFolder).read())?.state;
  const log = await lookIntoLog(disk, config);
  const record = await readRecord(disk, config.stateFolder);
  const reading = await readCounter({ floorStore: floorStoreOf(config), clock: systemClock });
  return {
    agent: agentVersion,
    device: config.device,
    product: config.product,
    running: await isLocked(config.stateFolder).catch(() => false),
    bootedGroup: platform.ok ? platform.value.bootedGroup : undefined,
    record,
    emergency: await isEmergency(disk, config, record),
    seal: judgeSeal(record ?? {}, reading),
    counter: reading.kind === 'value' ? reading.counter : undefined,
    bootControl: await bootControlOf(config, disk)
      .read()
      .catch(() => undefined),
    watchdog: config.watchdog,
    trust: trust === undefined ? undefined : trustFacts(trust),
    log: log?.facts,
    news: newsOf(record, log?.entries ?? []),
  };
}

async function isEmergency(
  disk: Disk,
  { stateFolder }: AgentConfig,
  record: DeviceState | undefined,
): Promise<boolean> {
  if (record?.attempt === undefined) return false;
  const manifest = await groupManifests(disk, stateFolder).read(record.attempt.manifestSha256);
  return manifest?.emergency === true;
}

async function lookIntoLog(
  disk: Disk,
  config: AgentConfig,
): Promise<{ facts: Inspection['log']; entries: readonly LogEntry[] } | undefined> {
  const log = await openLog(disk, config);
  if (log === undefined) return undefined;
  try {
    const { sequence } = log.head();
    const facts = { sequence, uploaded: log.uploaded() };
    // An entry that cannot be read, or that the daemon overwrites now, takes only the news along.
    const entries = await log.after(Math.max(0, sequence - newsEntriesMax), newsEntriesMax).catch(() => []);
    return { facts, entries };
  } finally {
    await log.close();
  }
}

/** The newest `entriesMax` entries, oldest first; undefined when there is no log. */
export async function readLog(
  config: AgentConfig,
  entriesMax: number,
): Promise<readonly LogEntry[] | undefined> {
  const log = await openLog(nodeDisk({ access: 'read' }), config);
  if (log === undefined) return undefined;
  try {
    return await log.after(Math.max(0, log.head().sequence - entriesMax), entriesMax);
  } finally {
    await log.close();
  }
}

async function openLog(
  disk: Disk,
  config: AgentConfig,
): Promise<Awaited<ReturnType<typeof openEventLog>> | undefined> {
  try {
    return await openEventLog(disk, config.stateFolder, tuningDefault.logCellsMax);
  } catch {
    // A missing log cannot be created here, since the disk is open for reading only.
    return undefined;
  }
}

/** The newest copy that is whole. The store of the daemon would repair the other ones; this never writes. */
export async function readRecord(disk: Disk, stateFolder: string): Promise<DeviceState | undefined> {
  try {
    return await newestRecord(disk, stateFolder);
  } catch {
    return undefined;
  }
}

function trustFacts(state: TrustState): NonNullable<Inspection['trust']> {
  const record = heldDeviceRecord(state);
  return {
    timeLowerBound: state.timeLowerBound,
    deviceRecord: record.ok ? record.value.number : undefined,
    withdrawn: state.withdrawn.length,
  };
}
