/**
 * The command `check`: one check-in and trust's verdict, in words, without installing and without writing.
 *
 * What trust would keep is kept in memory only, so that a check beside a running daemon disturbs nothing; the daemon
 * learns the same at its own next poll.
 */
import { fail, ok, type Result, type Verdict } from '@airlock/trust';
import { nodeDisk } from './adapters/node-disk.ts';
import { systemClock, systemRandom } from './adapters/platform.ts';
import { loadTransport } from './compose.ts';
import type { AgentConfig } from './config.ts';
import { trustStore } from './durable/trust-store.ts';
import { trustClient } from './executor-trust.ts';
import { readRecord } from './inspect.ts';
import { instant } from './output.ts';

export interface CheckAnswer {
  readonly verdict: 'none' | 'approved' | 'refused';
  readonly words: string;
  readonly code?: string;
  readonly version?: number;
  readonly demand?: Readonly<Record<string, number>>;
  readonly validUntil?: number;
}

/** Asks the server once. Throws `TransportError`. Errors: `OTA_CONFIG`, and `OTA_STATE_LOST` without a trust state. */
export async function checkOnce(
  config: AgentConfig,
  warn: (line: string) => void,
): Promise<Result<CheckAnswer>> {
  const disk = nodeDisk({ access: 'read' });
  const state = await trustStore(disk, config.stateFolder).read();
  if (state === undefined) {
    return fail(
      'OTA_STATE_LOST',
      `${config.stateFolder}: expected the trust state of a provisioned device, found none`,
    );
  }
  const transport = await loadTransport(config, warn);
  if (!transport.ok) return transport;
  try {
    const client = trustClient({
      ports: { transport: transport.value, clock: systemClock, random: systemRandom },
      identity: { product: config.product, device: config.device },
      store: { read: async () => state, keep: async () => undefined },
      state,
    });
    const verdict = await client.refresh();
    const record = await readRecord(disk, config.stateFolder);
    return ok(answerOf(verdict, record?.floor));
  } finally {
    transport.value.close();
  }
}

/** A verdict in words. `floor` is the highest version ever confirmed here, if the record can be read. */
export function answerOf(verdict: Verdict, floor: number | undefined): CheckAnswer {
  if (verdict.kind === 'none') {
    return { verdict: 'none', words: 'nothing is assigned: the device keeps what it runs' };
  }
  if (verdict.kind === 'refused') {
    const { error, version } = verdict;
    const subject = version === undefined ? 'refused' : `version ${version} is refused`;
    const words = `${subject}: ${error.code}: ${error.message}`;
    return { verdict: 'refused', code: error.code, words, ...(version === undefined ? {} : { version }) };
  }
  const { manifest, demand, validUntil } = verdict;
  const functions = Object.entries(demand).map(([name, threshold]) => `${name} (${threshold})`);
  const named = `version ${manifest.version} (${manifest.name})`;
  const installed =
    floor !== undefined && manifest.version <= floor
      ? `; it is not above the floor ${floor}, so that there is nothing to install`
      : '; the device checks the rest when it installs';
  const words = `${named} is approved by ${functions.join(', ')} until ${instant(validUntil)}${installed}`;
  return { verdict: 'approved', version: manifest.version, demand, validUntil, words };
}
