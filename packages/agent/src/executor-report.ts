/**
 * What the device tells its server: reports of its state and its log, signed with its log key (REQ-OTA-LOG-01).
 *
 * Keeps true: telling never decides anything - a failed report blocks and rolls back nothing, and is tried again at
 * the next poll; a report is sent when something changed and not at every poll; its sequence grows over restarts
 * without a write of its own, because every start of the agent adds an entry to the log.
 */
import {
  type DeviceReport,
  type LogBatch,
  type LogHead,
  type ReportedWaiting,
  wireLimits,
} from '@airlock/protocol';
import { heldDeviceRecord, readRole, signEnvelope, type TrustState, type UtcSeconds } from '@airlock/trust';
import { messageOf } from './core/operating-error.ts';
import { manifestUnknown, type DeviceState, type Installed } from './core/record.ts';
import type { EventLog } from './durable/event-log.ts';
import type { GroupManifests } from './durable/group-manifests.ts';
import { TransportError } from './ports/platform.ts';
import type { AgentPorts, AgentSettings } from './settings.ts';

/** Entries of one upload: at 4 kB each at most, well under what the server takes at once. */
const batchEntriesMax = 50;
/** Uploads of one poll; the rest waits for the next one. */
const batchesPerPollMax = 40;
/** Reports between two starts of the agent; more would repeat a sequence number. */
const reportsPerStartMax = 65_536;

export interface Reporter {
  /** Sends what is new. Never throws for what a network or a medium does; answers why it could not, if so. */
  flush(state: {
    readonly record: DeviceState;
    /** undefined when it is lost. */
    readonly trust: TrustState | undefined;
    /** Of the TPM; undefined without one, or while it cannot be asked. */
    readonly counter: number | undefined;
    readonly waiting: ReportedWaiting | undefined;
    readonly now: UtcSeconds;
  }): Promise<string | undefined>;
}

export function reporter(options: {
  readonly ports: AgentPorts;
  readonly settings: AgentSettings;
  readonly log: EventLog;
  readonly manifests: Pick<GroupManifests, 'read'>;
}): Reporter {
  const { ports, log, manifests } = options;
  const firstSequence = (log.head().sequence + 1) * reportsPerStartMax;
  let reports = 0;
  let acknowledged = '';

  const sendLog = async (now: UtcSeconds): Promise<void> => {
    for (let batch = 0; batch < batchesPerPollMax; batch += 1) {
      const entries = await log.after(log.uploaded(), batchEntriesMax);
      const last = entries.at(-1);
      if (last === undefined) return;
      const head: LogHead = {
        schema: 'airlock-log-head/1',
        device: options.settings.device,
        sequence: last.sequence,
        sha256: log.sha256Of(last.sequence),
        time: now,
      };
      const body: LogBatch = { entries, head: sign(head) };
      const held = await ports.transport.sendLog(JSON.stringify(body));
      const before = log.uploaded();
      // A server restored from a backup may hold less than it did: its word counts, and it gets them again.
      log.setUploaded(held);
      // One that took nothing new is not asked again at once.
      if (held === before) return;
    }
  };

  const sendReport = async (
    report: Omit<DeviceReport, 'sequence' | 'time'>,
    now: UtcSeconds,
  ): Promise<void> => {
    const content = JSON.stringify(report);
    if (content === acknowledged) return;
    reports += 1;
    await ports.transport.sendReport(sign({ ...report, sequence: firstSequence + reports, time: now }));
    acknowledged = content;
  };

  const sign = (value: unknown): string => new TextDecoder().decode(signEnvelope(value, [ports.logSigner]));

  return {
    async flush({ record, trust, counter, waiting, now }) {
      // Each by itself: a server that refuses the report must not keep the log from those who need it.
      const report = await faultOf(async () => {
        const { attempt } = record;
        const manifest = attempt === undefined ? undefined : await manifests.read(attempt.manifestSha256);
        const emergency = manifest?.emergency === true;
        const content = {
          ...reportOf(options, { record, trust, emergency }),
          ...(counter === undefined ? {} : { counter }),
          ...(waiting === undefined ? {} : { waiting }),
          ...(await secureBootOf(ports)),
        };
        await sendReport(content, now);
      });
      const uploads = await faultOf(() => sendLog(now));
      return report ?? uploads;
    },
  };
}

/** What does not fit into a report is not told: for the plan of the keys, not told means not trusted. */
async function secureBootOf({ secureBoot }: AgentPorts): Promise<Pick<DeviceReport, 'secureBoot'>> {
  const trusted = await secureBoot.trustedKeys();
  if (trusted === undefined) return { secureBoot: {} };
  const different = [...new Set(trusted)];
  const fits =
    different.length <= wireLimits.secureBootKeysMax &&
    different.every((id) => id.length > 0 && id.length <= wireLimits.secureBootKeyCharactersMax);
  return fits ? { secureBoot: { trusted: different } } : {};
}

/** Numbers of what is held; absent when the trust is lost. */
function heardOf(trust: TrustState | undefined): Pick<DeviceReport, 'heard'> {
  if (trust === undefined) return {};
  const { image, director } = trust;
  const imageRoot = versionOf(image.root);
  const directorRoot = versionOf(director.root);
  if (imageRoot === 0 || directorRoot === 0) return {};
  return { heard: { imageRoot, directorRoot, targets: versionOf(image.roles['targets']) } };
}

function versionOf(text: string | undefined): number {
  const view = text === undefined ? undefined : readRole(new TextEncoder().encode(text));
  return view?.ok === true ? view.value.version : 0;
}

async function faultOf(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return error instanceof TransportError ? `${error.code}: ${error.message}` : messageOf(error);
  }
}

function reportOf(
  options: { readonly ports: AgentPorts; readonly settings: AgentSettings; readonly log: EventLog },
  {
    record,
    trust,
    emergency,
  }: { readonly record: DeviceState; readonly trust: TrustState | undefined; readonly emergency: boolean },
): Omit<DeviceReport, 'sequence' | 'time'> {
  const { platform } = options.ports;
  const { attempt, lastResult } = record;
  const deviceRecord = trust === undefined ? undefined : heldDeviceRecord(trust);
  const { group: confirmedGroup, ...confirmed } = record.confirmed;
  return {
    schema: 'airlock-report/1',
    device: options.settings.device,
    product: options.settings.product,
    bootId: platform.bootId,
    bootedGroup: platform.bootedGroup,
    confirmedGroup,
    installed: {
      ...(record.groups.A === undefined ? {} : { A: record.groups.A }),
      ...(record.groups.B === undefined ? {} : { B: record.groups.B }),
    },
    booted: bootedOf(record, platform.bootedGroup),
    confirmed,
    floor: record.floor,
    ...(record.restored === undefined ? {} : { restored: true }),
    state: record.state,
    ...(attempt === undefined ? {} : { attempt: attemptOf(attempt, emergency) }),
    ...(lastResult === undefined ? {} : { lastResult }),
    deviceRecord: deviceRecord?.ok === true ? deviceRecord.value.number : 0,
    ...heardOf(trust),
    agent: options.settings.agentVersion,
    logHead: options.log.head(),
  };
}

function attemptOf(
  { id, version, manifestSha256 }: NonNullable<DeviceState['attempt']>,
  emergency: boolean,
): NonNullable<DeviceReport['attempt']> {
  return { id, version, manifestSha256, ...(emergency ? { emergency } : {}) };
}

/** What runs: proven, or in its trial, or - after a lost state - unknown. */
export function bootedOf(record: DeviceState, group: DeviceState['confirmed']['group']): Installed {
  const { attempt } = record;
  if (attempt?.group === group && attempt.pendingBootId !== undefined) {
    return { version: attempt.version, manifestSha256: attempt.manifestSha256 };
  }
  const { confirmed } = record;
  const known = record.groups[group] ?? (confirmed.group === group ? confirmed : undefined);
  return known === undefined
    ? { version: 0, manifestSha256: manifestUnknown }
    : { version: known.version, manifestSha256: known.manifestSha256 };
}
