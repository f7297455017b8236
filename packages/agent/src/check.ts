/**
 * The command `check`: one check-in, trust's verdict and whether the release fits this device, in words, without
 * installing and without writing.
 *
 * What trust would keep is kept in memory only, so that a check beside a running daemon disturbs nothing; the daemon
 * learns the same at its own next poll.
 */
import { ok, type ApprovedRelease, type Result, type TrustState } from '@airlock/trust';
import { nodeDisk } from './adapters/node-disk.ts';
import { compose, type Composed } from './compose.ts';
import type { AgentConfig } from './config.ts';
import { restoredWords } from './core/floor-seal.ts';
import type { DeviceState } from './core/record.ts';
import { groupManifests } from './durable/group-manifests.ts';
import { trustStore } from './durable/trust-store.ts';
import { readCounter } from './executor-floor.ts';
import { isInstalled, judgeApplicability } from './executor-judge.ts';
import { trustClient } from './executor-trust.ts';
import { notProvisioned, readRecord } from './inspect.ts';
import { instant } from './output.ts';

export interface CheckAnswer {
  /** `none`: nothing is assigned. `installed`: what is assigned runs and is confirmed. */
  readonly verdict: 'none' | 'installed' | 'approved' | 'refused';
  readonly words: string;
  readonly code?: string;
  readonly version?: number;
  /** Functions whose approval was demanded and found, with their thresholds. */
  readonly demand?: Readonly<Record<string, number>>;
  readonly validUntil?: number;
}

/** Asks the server once. Throws `TransportError`. Errors: `OTA_CONFIG`, and `OTA_STATE_LOST` without a state. */
export async function checkOnce(
  config: AgentConfig,
  warn: (line: string) => void,
): Promise<Result<CheckAnswer>> {
  const disk = nodeDisk({ access: 'read' });
  const state = (await trustStore(disk, config.stateFolder).read())?.state;
  const record = await readRecord(disk, config.stateFolder);
  if (state === undefined || record === undefined) return notProvisioned(config.stateFolder);
  const composed = await compose(config, warn, disk);
  if (!composed.ok) return composed;
  try {
    const client = trustClient({
      ports: composed.value.ports,
      identity: { product: config.product, device: config.device },
      store: { keep: async () => undefined },
      state,
    });
    const verdict = await client.refresh();
    if (verdict.kind === 'none') {
      return ok({ verdict: 'none', words: 'nothing is assigned: the device keeps what it runs' });
    }
    if (verdict.kind === 'refused') return ok(refused(verdict.error, verdict.version));
    return ok(await judge(composed.value, { record, trust: client.state() }, verdict));
  } finally {
    composed.value.transport.close();
  }
}

async function judge(
  { ports, settings }: Composed,
  held: { readonly record: DeviceState; readonly trust: TrustState },
  release: ApprovedRelease,
): Promise<CheckAnswer> {
  const { manifest, demand, validUntil } = release;
  const { version } = manifest;
  const named = `version ${version} (${manifest.name})`;
  if (isInstalled(held.record, release, ports.platform.bootedGroup)) {
    return {
      verdict: 'installed',
      version,
      demand,
      validUntil,
      words: `${named} is assigned, and confirmed here`,
    };
  }
  if (held.record.restored !== undefined) {
    const reading = await readCounter(ports);
    const counter = reading.kind === 'value' ? reading.counter : undefined;
    const doubt = { code: 'OTA_STATE_RESTORED', message: restoredWords(held.record, counter) };
    return refused(doubt, version);
  }
  const manifests = groupManifests(ports.disk, settings.stateFolder);
  const context = { ports, settings, manifests };
  const applicable = await judgeApplicability(context, held.record, held.trust, release);
  if (!applicable.ok) return refused(applicable.error, version);
  const functions = Object.entries(demand).map(([name, threshold]) => `${name} (${threshold})`);
  const until = instant(validUntil);
  const words = `${named} is approved by ${functions.join(', ')} until ${until}, and fits group ${applicable.value.group}`;
  return { verdict: 'approved', version, demand, validUntil, words };
}

function refused(error: { readonly code: string; readonly message: string }, version?: number): CheckAnswer {
  const subject = version === undefined ? 'refused' : `version ${version} is refused`;
  const words = `${subject}: ${error.code}: ${error.message}`;
  return { verdict: 'refused', code: error.code, words, ...(version === undefined ? {} : { version }) };
}
