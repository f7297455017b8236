/**
 * One process of the agent after its state was loaded: what a poll does in each state.
 *
 * Keeps true: an attempt begins and is activated only on a good verdict and with the leave of window, interlock and
 * operator; all waiting happens before arming; a refusal and a reason to wait are told once; an idle poll writes
 * nothing; telling the server never decides anything.
 */
import type { DeviceCode, ReportedWaiting } from '@airlock/protocol';
import { heldDeviceRecord, type ApprovedRelease, type GroupLetter, type Verdict } from '@airlock/trust';
import { failuresOf, manifestUnknown, rememberRefusal, wasRefused, type Attempt } from './core/record.ts';
import { stricterRate } from './core/schedule.ts';
import { emergencyNote } from './core/emergency.ts';
import { standingOf } from './core/standing.ts';
import { createExecutor, type Executor } from './executor.ts';
import { readBoot } from './executor-boot.ts';
import { counterToReport } from './executor-floor.ts';
import type { Stop } from './executor-parts.ts';
import { confirmedRunning, tellInterlock } from './executor-interlock.ts';
import { askLeave, type Leave, type Step } from './executor-leave.ts';
import { inFallback, isInstalled, judgeApplicability, judgeAttempt, trustCode } from './executor-judge.ts';
import type { Loaded } from './executor-load.ts';
import { reporter, type Reporter } from './executor-report.ts';
import { Pause } from './executor-pause.ts';
import { failure, outcomeOf, type PollOutcome } from './poll-outcome.ts';
import { TimeTold } from './executor-time.ts';
import type { TrustClient } from './executor-trust.ts';
import { Waiting } from './executor-waiting.ts';
import { TransportError } from './ports/platform.ts';
import { tuningDefault, type AgentPorts, type AgentSettings } from './settings.ts';

export class PollingAgent {
  readonly executor: Executor;
  readonly log: Loaded['log'];
  readonly #ports: AgentPorts;
  readonly #settings: AgentSettings;
  readonly #loaded: Loaded;
  readonly #trust: TrustClient | undefined;
  readonly #reporter: Reporter;
  /** The release last found approved: its assignment limits rate and window. */
  #release: ApprovedRelease | undefined;
  readonly #waiting: Waiting;
  readonly #pause: Pause;
  readonly #timeTold: TimeTold;
  /** Whether what a start does was done: a lost record must be told and written first. */
  #up = false;
  #confirmedTold = false;
  /** With a TPM: the record was found sealed with its counter, in this process. */
  #floorBelieved = false;
  /** Why a device record does not end the doubt: told once in each start. */
  #floorTold = '';

  constructor(ports: AgentPorts, settings: AgentSettings, loaded: Loaded, trust: TrustClient | undefined) {
    this.#ports = ports;
    this.#settings = settings;
    this.#loaded = loaded;
    this.#trust = trust;
    this.log = loaded.log;
    this.#reporter = reporter({ ports, settings, log: loaded.log, manifests: loaded.manifests });
    this.executor = createExecutor(
      {
        ports,
        settings,
        records: loaded.records,
        manifests: loaded.manifests,
        log: loaded.log,
        watch: loaded.watch,
        judge: async (attempt) => this.#judge(attempt, (await trust?.judgeHeld()) ?? { kind: 'none' }),
        leave: async (armed) => await this.#leaveStill(armed),
        reachServer: async () => await trust?.reach(),
        now: () => this.#now(),
        bytesPerSecondMax: () =>
          stricterRate(settings.bytesPerSecondMax, this.#release?.assignment.bytesPerSecondMax),
      },
      loaded.record,
    );
    this.#pause = new Pause(ports, settings);
    this.#timeTold = new TimeTold(settings);
    this.#waiting = new Waiting({
      interlock: ports.interlock,
      now: () => this.#now(),
      note: (code, reason, facts) => this.executor.note(code, reason, facts),
    });
  }

  /** The rest of the start: what the record asks for, before anything of the network. */
  async goOn(): Promise<void> {
    const { recovery, durable } = this.#loaded;
    const stop = await this.executor.recover(recovery);
    // Nothing is done or told on a record that is not there yet: a loss would stay untold, or be told twice.
    if (stop === undefined || durable) await this.#comeUp();
  }

  async #comeUp(): Promise<Stop | undefined> {
    this.#up = true;
    const stop = await this.executor.dispatch({ kind: 'booted' });
    for (const { code, reason } of this.#loaded.notes) await this.executor.note(code, reason);
    await this.#tellConfirmed();
    return stop;
  }

  async tellServer(): Promise<void> {
    // Also without a trust state: that it is lost is what the server must hear.
    const [record, trust] = [this.executor.record(), this.#trust?.state()];
    const counter = await counterToReport(this.#ports, record);
    const waiting = this.#waiting.view();
    await this.#reporter.flush({ record, trust, counter, waiting, now: this.#now() });
  }

  async poll(): Promise<PollOutcome> {
    this.#pause.afterWasted(this.executor.record());
    // Before the trust state is asked for: a trial is left, and a loss told, without one as well.
    const busy = await this.#finishEarlier();
    if (busy !== undefined) return busy;
    const trust = this.#trust;
    if (trust === undefined) return failure('OTA_STATE_LOST', 'the trust state cannot be read');
    let verdict: Verdict;
    let serverReached = true;
    try {
      verdict = await trust.refresh();
    } catch (error) {
      // A staged release may be activated without the server: what is held is verified, and not expired.
      if (!(error instanceof TransportError)) throw error;
      await this.#timeTold.note(trust, this.executor);
      if (this.executor.record().state !== 'Staged') throw error;
      serverReached = false;
      verdict = await trust.judgeHeld();
    }
    await this.#timeTold.note(trust, this.executor);
    if (verdict.kind === 'approved') this.#release = verdict;
    else if (verdict.kind === 'none') this.#release = undefined;
    const doubt = await this.#doubtFloor(trust);
    const { attempt } = this.executor.record();
    const outcome =
      attempt === undefined
        ? await this.#consider(trust, verdict, doubt)
        : (doubt ?? (await this.#continue(attempt, verdict)));
    if (outcome !== undefined) return outcome;
    return this.executor.record().state === 'Staged' ? await this.#activate(serverReached) : this.#rest();
  }

  /** An ending that a fault interrupted is finished before anything new. */
  async #finishEarlier(): Promise<PollOutcome | undefined> {
    const owed = await this.executor.settleRecord();
    if (owed !== undefined) return outcomeOf(owed);
    const late = this.#up ? undefined : await this.#comeUp();
    if (late !== undefined) return outcomeOf(late);
    const { state, confirmed } = this.executor.record();
    if (state === 'Idle' && confirmed.group !== this.#ports.platform.bootedGroup)
      return await this.#leaveUnproven();
    if (state === 'Idle' || state === 'Fetching' || state === 'Staged') return undefined;
    const stop = await this.executor.dispatch({ kind: 'booted' });
    await this.#tellConfirmed();
    return stop === undefined ? undefined : outcomeOf(stop);
  }

  /**
   * With a TPM: nothing is begun, fetched or activated while the floor cannot be believed (REQ-OTA-ROLL-04). Told by
   * the start, and by the outcome of each poll; the log hears of it once.
   */
  async #doubtFloor(trust: TrustClient): Promise<PollOutcome | undefined> {
    if (this.#floorBelieved) return undefined;
    const held = heldDeviceRecord(trust.state());
    const stop = await this.executor.settleFloor(held.ok ? held.value : { number: 0 });
    this.#floorBelieved = stop === undefined;
    if (stop === undefined) return undefined;
    const { code, reason } = stop;
    if (code === 'OTA_FLOOR_REFUSED' && this.#floorTold !== reason) {
      this.#floorTold = reason;
      await this.executor.note(code, reason);
    }
    const refused = code === 'OTA_STATE_RESTORED' || code === 'OTA_FLOOR_REFUSED';
    return refused ? { kind: 'refused', code, reason } : failure(code, reason);
  }

  /** Once in each start, as soon as no trial runs: the device's own software may have missed it the last time. */
  async #tellConfirmed(): Promise<void> {
    const running = confirmedRunning(this.executor.record(), this.#ports.platform.bootedGroup);
    if (running === undefined || this.#confirmedTold) return;
    this.#confirmedTold = true;
    const note = (code: DeviceCode, reason: string): Promise<void> => this.executor.note(code, reason);
    await tellInterlock(
      { interlock: this.#ports.interlock, manifests: this.#loaded.manifests, note },
      'confirmed',
      running,
    );
  }

  /** In Idle: begins an attempt when all is well; undefined when one is under way now. */
  async #consider(
    trust: TrustClient,
    verdict: Verdict,
    doubt: PollOutcome | undefined,
  ): Promise<PollOutcome | undefined> {
    if (verdict.kind === 'none') return this.#rest();
    if (verdict.kind === 'refused') {
      const sha256 = verdict.manifestSha256 ?? manifestUnknown;
      return await this.#refuse(sha256, trustCode(verdict.error), verdict.error.message);
    }
    const record = this.executor.record();
    const { bootedGroup } = this.#ports.platform;
    if (isInstalled(record, verdict, bootedGroup)) return this.#rest();
    if (doubt !== undefined) return doubt;
    const { manifestSha256, manifest } = verdict;
    const applicable = await judgeApplicability(this.#judging(), record, trust.state(), verdict);
    if (!applicable.ok) {
      return await this.#refuse(manifestSha256, trustCode(applicable.error), applicable.error.message);
    }
    const failures = failuresOf(record, manifestSha256);
    if (failures >= this.#settings.attemptsPerReleaseMax) {
      const reason = `version ${manifest.version} failed ${failures} times here`;
      return await this.#refuse(manifestSha256, 'OTA_ATTEMPTS_EXHAUSTED', reason);
    }
    const leave = this.#pause.refusal(manifestSha256) ?? (await this.#leave('fetch', verdict));
    if (!leave.granted) return await this.#wait(leave);
    await this.#waiting.allow('fetch', leave, manifest.version);
    const isRepair = inFallback(record, bootedGroup) && manifestSha256 === record.confirmed.manifestSha256;
    return await this.#begin(verdict, isRepair ? 'repair' : 'update', applicable.value.group);
  }

  /**
   * Nothing is begun by software that the next start would not boot: the group it would write is the only one left. The
   * restart that did not come is tried again.
   */
  async #leaveUnproven(): Promise<PollOutcome | undefined> {
    const { bootControl, platform } = this.#ports;
    const boot = await readBoot(bootControl);
    const standing = standingOf({ boot, bootedGroup: platform.bootedGroup });
    if (standing === 'confirmed') return undefined;
    if (standing === 'unknown') return failure('OTA_FAIL_BOOT_CONTROL', 'the boot control cannot be read');
    const stop = await this.executor.dispatch({ kind: 'booted' });
    if (stop !== undefined) return outcomeOf(stop);
    return failure('OTA_FAIL_BOOT', `group ${platform.bootedGroup} runs and is not in the boot order`);
  }

  async #begin(
    release: ApprovedRelease,
    kind: Attempt['kind'],
    group: GroupLetter,
  ): Promise<PollOutcome | undefined> {
    const stray = await this.#leaveUnproven();
    if (stray !== undefined) return stray;
    const record = this.executor.record();
    const { manifests } = this.#loaded;
    const booted = record.groups[this.#ports.platform.bootedGroup];
    // The manifest is durable before the record names it; those that no record will name make room first.
    const named = [record.confirmed.manifestSha256, booted?.manifestSha256 ?? '', release.manifestSha256];
    await manifests.forgetOthers(named);
    await manifests.keep(release.manifestText);
    const mark = emergencyNote(release);
    if (mark !== undefined) await this.executor.note(mark.code, mark.reason, { emergency: true });
    const stop = await this.executor.dispatch({
      kind: 'begin',
      attempt: {
        id: hex(this.#ports.random.bytes(16)),
        kind,
        manifestSha256: release.manifestSha256,
        version: release.manifest.version,
        fromVersion: booted?.version ?? record.confirmed.version,
        group,
      },
    });
    return stop === undefined ? undefined : outcomeOf(stop);
  }

  /** An attempt is under way: it goes on, waits, or ends; undefined when it may go on to activation. */
  async #continue(attempt: Attempt, verdict: Verdict): Promise<PollOutcome | undefined> {
    const judgement = await this.#judge(attempt, verdict);
    if (judgement.kind === 'wait')
      return await this.#wait({ granted: false, by: 'verdict', reason: judgement.reason });
    if (judgement.kind === 'end') {
      const { code, reason } = judgement;
      const stop = await this.executor.dispatch({ kind: 'fail', code, reason });
      return stop === undefined ? this.#rest() : outcomeOf(stop);
    }
    if (this.executor.record().state !== 'Fetching' || this.#release === undefined) return undefined;
    const leave = await this.#leave('fetch', this.#release);
    if (!leave.granted) return await this.#wait(leave);
    await this.#waiting.allow('fetch', leave, attempt.version);
    const stop = await this.executor.dispatch({ kind: 'fetch' });
    return stop === undefined ? undefined : outcomeOf(stop);
  }

  /** In Staged, with a good verdict: activates if everybody allows it now. All waiting happens here. */
  async #activate(serverReached: boolean): Promise<PollOutcome> {
    const release = this.#release;
    if (release === undefined) return { kind: 'idle' };
    const leave = await this.#leaveToActivate(release);
    if (!leave.granted) return await this.#wait(leave);
    await this.#waiting.allow('activate', leave, release.manifest.version);
    const stop = await this.executor.dispatch({ kind: 'ready', serverReached });
    return stop === undefined ? this.#rest() : outcomeOf(stop);
  }

  /** A refusal is logged once per manifest and reason, however often it is met (an idle poll writes nothing). */
  async #refuse(manifestSha256: string, code: DeviceCode, reason: string): Promise<PollOutcome> {
    const record = this.executor.record();
    if (!wasRefused(record, manifestSha256, code)) {
      await this.executor.note(code, reason);
      await this.executor.remember({ refusals: rememberRefusal(record, manifestSha256, code) });
    }
    return { kind: 'refused', code, reason };
  }

  async #wait(leave: Extract<Leave, { granted: false }>): Promise<PollOutcome> {
    await this.#waiting.defer(leave, this.#release);
    return { kind: 'waiting', reason: leave.reason };
  }

  /** What the state comes to when nothing stopped: after a failure the same release is backed off. */
  #rest(): PollOutcome {
    const record = this.executor.record();
    const { lastResult, state } = record;
    const manifestSha256 = this.#release?.manifestSha256;
    if (state === 'Staged') return { kind: 'waiting', reason: 'no restart came, or it was not allowed' };
    if (state === 'Fetching') return { kind: 'waiting', reason: 'staged images rotted: fetched again' };
    this.#waiting.over();
    const failedNow =
      lastResult?.version === this.#release?.manifest.version && lastResult?.code.startsWith('OTA_FAIL_');
    if (manifestSha256 !== undefined && failedNow === true) this.#pause.afterFailure(record, manifestSha256);
    return { kind: 'idle' };
  }

  async #judge(attempt: Attempt, verdict: Verdict) {
    const trust = this.#trust?.state();
    if (trust === undefined) return { kind: 'wait', reason: 'the trust state cannot be read' } as const;
    return await judgeAttempt(this.#judging(), { record: this.executor.record(), trust, attempt, verdict });
  }

  async #leave(what: Step, release: ApprovedRelease, secondsMax?: number): Promise<Leave> {
    const context = { ports: this.#ports, settings: this.#settings, now: this.#now() };
    return await askLeave({ ...context, ...(secondsMax === undefined ? {} : { secondsMax }) }, what, release);
  }

  /** Both, since a restart is what activating comes to; each may say no for a reason of its own. */
  async #leaveToActivate(release: ApprovedRelease): Promise<Leave> {
    const activate = await this.#leave('activate', release);
    return activate.granted ? await this.#leave('reboot', release) : activate;
  }

  /**
   * Asked in the middle of activating: the answer of its beginning may be minutes old. Once more when the group is
   * armed, so that clinical use that begins meanwhile is honoured up to the restart; that answer is waited for briefly.
   */
  async #leaveStill(armed: boolean): Promise<Leave> {
    const release = this.#release;
    if (release === undefined) return { granted: false, by: 'verdict', reason: 'no release is assigned' };
    const { armedAskSecondsMax } = { ...tuningDefault, ...this.#settings.tuning };
    const leave = armed
      ? await this.#leave('reboot', release, armedAskSecondsMax)
      : await this.#leaveToActivate(release);
    // When armed, the arrow back to `Staged` tells it.
    if (!leave.granted) await this.#waiting.defer(leave, release, armed);
    return leave;
  }

  /**
   * Between two polls: whether what the release waits for lets it go on now. Asks nobody but the device itself, and
   * whatever it answers, the next poll asks again.
   */
  async mayGoOn(): Promise<boolean> {
    const release = this.#release;
    if (release === undefined || this.#waiting.view()?.by === 'verdict') return false;
    const { state } = this.executor.record();
    if (state !== 'Staged' && this.#pause.refusal(release.manifestSha256) !== undefined) return false;
    const leave =
      state === 'Staged' ? await this.#leaveToActivate(release) : await this.#leave('fetch', release);
    if (!leave.granted) await this.#waiting.defer(leave, release);
    return leave.granted;
  }

  /** What is waited for, for status and report; and when a closed window opens. */
  waiting(): { readonly view: ReportedWaiting | undefined; readonly opens: number | undefined } {
    return { view: this.#waiting.view(), opens: this.#waiting.opens() };
  }

  /** The release that was found approved last, unless it is what runs. */
  pending(): ApprovedRelease | undefined {
    const release = this.#release;
    const { bootedGroup } = this.#ports.platform;
    if (release === undefined || isInstalled(this.executor.record(), release, bootedGroup)) return undefined;
    return release;
  }

  now(): number {
    return this.#now();
  }

  #judging() {
    return { ports: this.#ports, settings: this.#settings, manifests: this.#loaded.manifests };
  }

  #now(): number {
    return this.#trust?.now() ?? this.#ports.clock.now();
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
