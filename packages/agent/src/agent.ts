/**
 * The agent: what starts after a boot, and what one poll does - the state machine, its executor and the trust check
 * joined.
 *
 * Keeps true: going on with the record comes before anything else; an attempt begins and is activated only on a good
 * verdict and with the leave of window, interlock and operator, and all waiting happens before arming; an idle poll
 * writes nothing; telling the server never decides anything. One process, one caller at a time: `boot` once, then
 * `poll` after `poll`.
 */
import type { DeviceCode, LogEntry, LogFacts, ReportedWaiting } from '@airlock/protocol';
import type { GroupLetter, TrustIdentity } from '@airlock/trust';
import type { Moment } from './core/consent.ts';
import { isInTrial, type DeviceState } from './core/record.ts';
import { backoffSeconds } from './core/schedule.ts';
import { briefOf } from './executor-interlock.ts';
import { inFallback } from './executor-judge.ts';
import { loadAgent } from './executor-load.ts';
import { PollingAgent } from './executor-poll.ts';
import { trustClient } from './executor-trust.ts';
import { Naps } from './naps.ts';
import { failure, type PollOutcome } from './poll-outcome.ts';
import { DiskError } from './ports/disk.ts';
import { TransportError, type ReleaseBrief } from './ports/platform.ts';
import { tuningDefault, type AgentPorts, type AgentSettings } from './settings.ts';

export type { PollOutcome } from './poll-outcome.ts';

export interface AgentStatus {
  /** Whether the start is over: what the record asked for is done, as far as it could be. */
  readonly ready: boolean;
  readonly bootedGroup: GroupLetter;
  /** undefined before `boot`. */
  readonly record: DeviceState | undefined;
  readonly inTrial: boolean;
  readonly inFallback: boolean;
  readonly logHead: { readonly sequence: number; readonly sha256: string } | undefined;
}

export interface Agent {
  /**
   * First act of a process: reads the state, restores starts, goes on with what the record says - a trial is tested
   * and confirmed or ended here. Call it once. Throws DiskError when the state folder cannot be used at all.
   */
  boot(): Promise<void>;
  /** One check-in and whatever follows from it, up to the restart. Never throws for what the world does. */
  poll(): Promise<PollOutcome>;
  /** Polls with jitter and back-off until the signal aborts; `tell` hears of each outcome. */
  run(signal: AbortSignal, tell?: (outcome: PollOutcome) => void): Promise<void>;
  status(): AgentStatus;
  /** The release that is assigned, approved and not installed yet, as far as the newest poll knows. */
  release(): ReleaseBrief | undefined;
  /** What it waits for. */
  waiting(): ReportedWaiting | undefined;
  /** Whether activating it needs the operator's consent. */
  consentRequired(): boolean;
  /** Reference time, and the time of this process. */
  moment(): Moment;
  /** Polls soon, instead of when the interval is over; asked more often than once in ten seconds, it waits so long. */
  wake(): void;
  /** The newest entries of the log, oldest first; undefined before the state was read. Throws DiskError. */
  log(entriesMax: number): Promise<readonly LogEntry[] | undefined>;
  /** An entry in the log about what was decided outside the agent. Nothing before the state was read. */
  note(code: DeviceCode, reason: string, facts: LogFacts): Promise<void>;
  /** The last act of a process that ends in order: no file stays open for the garbage collector to find. */
  close(): Promise<void>;
}

export function createAgent(options: {
  readonly ports: AgentPorts;
  readonly settings: AgentSettings;
}): Agent {
  const { ports, settings } = options;
  const { bootedGroup } = ports.platform;
  let started: PollingAgent | undefined;
  let booted = false;
  const naps = new Naps(ports.clock);
  const running = (): PollingAgent => {
    if (started === undefined || !booted) throw new Error('the agent was not booted');
    return started;
  };
  const poll = async (): Promise<PollOutcome> => {
    const current = running();
    const before = current.executor.record().lastResult?.attempt;
    const outcome = await guard(() => current.poll());
    await current.tellServer();
    const last = current.executor.record().lastResult;
    if (last === undefined || last.attempt === before) return outcome;
    return { kind: 'ended', code: last.code, version: last.version, reason: last.reason };
  };
  return {
    async boot() {
      if (started !== undefined) throw new Error('the agent was booted already');
      const agent = await load(ports, settings);
      // Known from here on: a program that asks during a trial must hear that one runs.
      started = agent;
      try {
        await agent.goOn();
        booted = true;
      } catch (error) {
        await agent.log.close();
        throw error;
      }
    },
    poll,
    async run(signal, tell) {
      for (let failures = 0; !signal.aborted; ) {
        const outcome = await poll();
        tell?.(outcome);
        failures = outcome.kind === 'failed' ? failures + 1 : 0;
        const seconds = nextPollSeconds(settings, failures, ports.random.fraction());
        if (outcome.kind === 'waiting') await naps.waiting(running(), settings, seconds, signal);
        else await naps.rest(1000 * seconds, signal);
      }
    },
    async close() {
      await started?.log.close();
    },
    release: () => pendingBrief(started),
    waiting: () => started?.waiting().view,
    consentRequired: () =>
      settings.consentRequired === true || started?.pending()?.assignment.consentRequired === true,
    moment: () => ({
      now: started?.now() ?? ports.clock.now(),
      monotonicMs: ports.clock.monotonicMs(),
    }),
    wake: () => naps.wake(),
    log: async (entriesMax) => {
      const log = started?.log;
      return await log?.after(Math.max(0, log.head().sequence - entriesMax), entriesMax);
    },
    note: async (code, reason, facts) => await started?.executor.note(code, reason, facts),
    status() {
      const record = started?.executor.record();
      const inTrial = record !== undefined && isInTrial(record, bootedGroup);
      return {
        ready: booted,
        bootedGroup,
        record,
        inTrial,
        inFallback: record !== undefined && !inTrial && inFallback(record, bootedGroup),
        logHead: started?.log.head(),
      };
    },
  };
}

function pendingBrief(agent: PollingAgent | undefined): ReleaseBrief | undefined {
  const release = agent?.pending();
  if (release === undefined) return undefined;
  const { manifest, manifestSha256 } = release;
  return briefOf({ version: manifest.version, manifestSha256 }, manifest);
}

/** A quarter of jitter on the interval spreads a fleet that was switched on together. */
function nextPollSeconds(settings: AgentSettings, failures: number, fraction: number): number {
  if (failures === 0) return settings.pollIntervalSeconds * (0.75 + 0.5 * fraction);
  const tuning = { ...tuningDefault, ...settings.tuning };
  const limits = { secondsMin: tuning.backoffSecondsMin, secondsMax: tuning.backoffSecondsMax };
  // At least a second: full jitter may draw nothing at all.
  return Math.max(1, backoffSeconds(failures, limits, fraction));
}

async function guard(work: () => Promise<PollOutcome>): Promise<PollOutcome> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DiskError || error instanceof TransportError)
      return failure(error.code, error.message);
    throw error;
  }
}

async function load(ports: AgentPorts, settings: AgentSettings): Promise<PollingAgent> {
  const loaded = await loadAgent(ports, settings);
  const identity: TrustIdentity = { product: settings.product, device: settings.device };
  const trust =
    loaded.trust === undefined
      ? undefined
      : trustClient({ ports, identity, store: loaded.trustStore, state: loaded.trust });
  return new PollingAgent(ports, settings, loaded, trust);
}
