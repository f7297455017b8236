/**
 * Each effect of the state machine, carried out through its port.
 *
 * Keeps true: the record in memory is the last one that is durable; an operating fault of a port becomes an event or a
 * stop, never a crash; a programmer's error goes up; telling (log, hooks after the decision) never undoes a decision.
 * The order of effects is `core/`'s, the loop over them `executor.ts`'s.
 */
import type { DeviceCode, LogFacts, WrittenCode } from '@airlock/protocol';
import type { GroupLetter, Manifest } from '@airlock/trust';
import type { Effect, MachineEvent } from './core/effects.ts';
import { messageOf } from './core/operating-error.ts';
import { isInTrial, type Attempt, type DeviceState } from './core/record.ts';
import type { ExecutorParts, Stop } from './executor-parts.ts';
import { bootControlDo, mayRestore, readBoot } from './executor-boot.ts';
import { settleCounter } from './executor-floor.ts';
import { proveImages, writeImages } from './executor-images.ts';
import { tellInterlock } from './executor-interlock.ts';
import { hangSecondsMax, runSelfTest } from './executor-self-test.ts';
import { tuningDefault } from './settings.ts';

/** Hooks are idempotent: a fault that passes shall not cost data. */
const hookTriesMax = 3;

/** A boot control that is busy or hiccups gets two more chances, a second apart; the trial must not go on for long. */
const disarmTriesMax = 3;
const disarmAgainMs = 1000;

/** An event for the machine, a stop, or undefined: go on with the next effect. */
export type Outcome = { readonly event: MachineEvent } | { readonly stop: Stop } | undefined;

export class EffectRunner {
  record: DeviceState;
  readonly #parts: ExecutorParts;
  #bootNoted = false;
  #lossTold = false;
  /** A record whose write failed: one copy of it may be durable, so that a cut would find it. */
  #owed: DeviceState | undefined;

  constructor(parts: ExecutorParts, loaded: DeviceState) {
    this.#parts = parts;
    this.record = loaded;
  }

  /** Does the effects in order; the first with an outcome ends the list. */
  async run(effects: readonly Effect[]): Promise<Outcome> {
    for (const effect of effects) {
      const outcome = await this.#perform(effect);
      if (outcome !== undefined) return outcome;
    }
    return undefined;
  }

  /**
   * Writes the record that is owed, in both copies, before anything is begun on what memory says: it would be begun
   * over an attempt that a cut finds, or into slots that a copy says are proven.
   */
  async settleRecord(): Promise<Outcome> {
    return this.#owed === undefined ? undefined : await this.#writeRecord(this.#owed);
  }

  async note(code: DeviceCode, reason: string, facts: LogFacts = {}): Promise<void> {
    try {
      await this.#append(code, reason, facts);
    } catch (error) {
      // A log on a full or worn medium must not keep a device from confirming or rolling back.
      messageOf(error);
    }
  }

  async #perform(effect: Effect): Promise<Outcome> {
    const { bootControl } = this.#parts.ports;
    switch (effect.kind) {
      case 'write-record':
        return await this.#writeRecord(effect.record);
      case 'disarm':
        return await this.#disarm(effect.group, effect.onFault ?? 'fail');
      case 'arm':
        return await bootControlDo(() => bootControl.arm(effect.group, effect.tries));
      case 'boot-confirm': {
        const fault = await bootControlDo(() => bootControl.confirm(effect.group));
        if (await this.#trialIsOver(effect.group, fault)) await this.#endWatch();
        return fault ?? { event: { kind: 'boot-confirmed' } };
      }
      case 'write-slots':
      case 'prove-slots':
      case 'self-test':
        return await this.#withManifest(effect.kind);
      case 'judge':
        return await this.#judge();
      case 'prepare-data':
        return await this.#prepareData(effect.serverReached);
      case 'commit-data':
      case 'revert-data':
        return await this.#endData(effect.kind === 'commit-data' ? 'commit' : 'revert');
      case 'restart-into-trial':
        return await this.#restartIntoTrial();
      case 'restart-out-of-trial':
        return { stop: { kind: 'failed', code: 'OTA_FAIL_BOOT', reason: await this.#leaveTrial() } };
      case 'tell-interlock':
        return await this.#tell(effect.news);
      case 'restore-starts':
        return await this.#restoreStarts(effect.group, effect.untold === true);
      case 'settle-seal':
        return await this.#settleSeal();
      case 'tell-loss':
        return await this.#tellLoss(effect);
      case 'log':
        return await this.#log(effect.code, effect.reason);
      case 'log-result':
        break;
    }
    return await this.#logResult(effect.code, effect.reason);
  }

  #append(code: WrittenCode, reason: string, facts: LogFacts): Promise<void> {
    const { attempt } = this.record;
    return this.#parts.log.append({
      time: this.#parts.now(),
      bootId: this.#parts.ports.platform.bootId,
      code,
      reason,
      ...(attempt === undefined
        ? {}
        : { attempt: attempt.id, fromVersion: attempt.fromVersion, toVersion: attempt.version }),
      ...(Object.keys(facts).length === 0 ? {} : { facts }),
    });
  }

  async #disarm(group: GroupLetter, onFault: 'fail' | 'go on' | 'wait'): Promise<Outcome> {
    const { bootControl, clock } = this.#parts.ports;
    for (let tries = 1; ; tries += 1) {
      const fault = await bootControlDo(() => bootControl.disarm(group));
      if (fault === undefined) return undefined;
      if (tries < disarmTriesMax) {
        await clock.sleep(disarmAgainMs);
        continue;
      }
      if (onFault === 'fail') return fault;
      if (onFault === 'wait') {
        const reason = `group ${group} could not be disarmed`;
        return { stop: { kind: 'failed', code: 'OTA_FAIL_BOOT_CONTROL', reason } };
      }
      await this.note(
        'OTA_FAIL_BOOT_CONTROL',
        `group ${group} could not be disarmed; its tries must run out`,
      );
      return undefined;
    }
  }

  /**
   * For a trial whose record can no longer be written: nothing could count restarts, so it is left only if the group
   * can be disarmed, which makes this restart the last one. The record is found as it is by the old group, and ends
   * there. Comes back only when there was no trial to leave, or it could not be left.
   */
  async leaveTrialUnrecorded(): Promise<void> {
    const { bootedGroup } = this.#parts.ports.platform;
    // In `Confirming` the boot control may have confirmed the group already: it is no trial any more.
    if (!isInTrial(this.record, bootedGroup) || this.record.state === 'Confirming') return;
    if ((await this.#disarm(bootedGroup, 'fail')) === undefined) await this.#leaveTrial();
  }

  /**
   * For a group that nobody vouches for, when its record could not be recovered: left once it is out of the boot order,
   * which makes this restart the last one. Comes back only when it may not be left, or was not.
   */
  async leaveUnproven(): Promise<void> {
    const { bootControl, platform } = this.#parts.ports;
    const boot = await readBoot(bootControl);
    if (boot === undefined || boot.order.includes(platform.bootedGroup)) return;
    if (boot.order.length > 0) await this.#leaveTrial();
  }

  /** From here on a reset by the watchdog would be one outside a trial (REQ-OTA-POL-06). */
  async #trialIsOver(group: GroupLetter, fault: Outcome): Promise<boolean> {
    if (fault === undefined) return true;
    const boot = await readBoot(this.#parts.ports.bootControl);
    return boot !== undefined && boot.trial !== group;
  }

  /** Also where a record that turned out to be a restored one had said that a trial runs. */
  async endWatchOutsideTrial(): Promise<void> {
    if (!isInTrial(this.record, this.#parts.ports.platform.bootedGroup)) await this.#endWatch();
  }

  async #endWatch(): Promise<void> {
    const { watch } = this.#parts;
    await watch.end();
    await this.#noteWatch();
  }

  async #noteWatch(): Promise<void> {
    const fault = this.#parts.watch.takeFault();
    if (fault !== undefined) await this.note('OTA_WATCHDOG', fault);
  }

  /** Stopped before the restart: on many boards it would go on through it, and reset the old group's start. */
  async #leaveTrial(): Promise<string> {
    await this.#endWatch();
    const reason = await this.#restart();
    await this.#parts.watch.leaveUnfed();
    return reason;
  }

  async #tell(news: 'trial' | 'rolled-back' | 'called-off'): Promise<Outcome> {
    const { ports, manifests } = this.#parts;
    const note = (code: DeviceCode, reason: string): Promise<void> => this.note(code, reason);
    await tellInterlock({ interlock: ports.interlock, manifests, note }, news, this.#attempt());
    return undefined;
  }

  async #log(code: DeviceCode, reason: string): Promise<Outcome> {
    // `booted` is taken again after a fault; the start itself happened once.
    if (code === 'OTA_BOOT' && this.#bootNoted) return undefined;
    this.#bootNoted ||= code === 'OTA_BOOT';
    await this.note(code, reason);
    return undefined;
  }

  /** Once in a process, however often the recovery is done again. */
  async #tellLoss({ code, reason }: Extract<Effect, { kind: 'tell-loss' }>): Promise<Outcome> {
    try {
      if (!this.#lossTold) await this.#append(code, reason, {});
      this.#lossTold = true;
      return undefined;
    } catch (error) {
      return { stop: { kind: 'failed', code: 'OTA_FAIL_STATE', reason: `log: ${messageOf(error)}` } };
    }
  }

  async #logResult(code: WrittenCode, reason: string): Promise<Outcome> {
    try {
      if (!this.#parts.log.hasResult(this.#attempt().id)) await this.#append(code, reason, { result: true });
      return { event: { kind: 'settled' } };
    } catch (error) {
      // The attempt stays where it is: a result is logged exactly once, not at most once.
      return { stop: { kind: 'failed', code: 'OTA_FAIL_STATE', reason: `log: ${messageOf(error)}` } };
    }
  }

  #attempt(): Attempt {
    const { attempt } = this.record;
    if (attempt === undefined) throw new Error('an effect of an attempt without one');
    return attempt;
  }

  async #writeRecord(next: DeviceState): Promise<Outcome> {
    try {
      await this.#parts.records.write(next);
      this.record = next;
      this.#owed = undefined;
      return undefined;
    } catch (error) {
      this.#owed = next;
      const reason = messageOf(error);
      // From confirm.b on the boot control holds the group as confirmed, and confirm.c may be durable in one copy: a
      // failure now would take a floor back that had risen. It is written again at the next poll, or after a boot.
      if (this.record.state === 'Confirming')
        return { stop: { kind: 'failed', code: 'OTA_FAIL_STATE', reason } };
      return { event: failed('OTA_FAIL_STATE', reason) };
    }
  }

  async #withManifest(kind: 'write-slots' | 'prove-slots' | 'self-test'): Promise<Outcome> {
    const attempt = this.#attempt();
    const manifest = await this.#parts.manifests.read(attempt.manifestSha256);
    if (manifest === undefined) {
      return { event: failed('OTA_FAIL_STATE', 'the manifest of the attempt cannot be read') };
    }
    const event = await this.#ofImages(kind, attempt, manifest);
    return event === undefined ? undefined : { event };
  }

  async #ofImages(
    kind: 'write-slots' | 'prove-slots' | 'self-test',
    attempt: Attempt,
    manifest: Manifest,
  ): Promise<MachineEvent | undefined> {
    const parts = this.#parts;
    if (kind === 'write-slots') return await writeImages(parts, attempt, manifest, parts.bytesPerSecondMax());
    if (kind === 'prove-slots') return await proveImages(parts, attempt, manifest);
    parts.watch.allowSelfTest(manifest.selfTest.timeLimitSeconds + hangSecondsMax);
    await this.#noteWatch();
    const context = {
      ports: parts.ports,
      settings: parts.settings,
      reachServer: () => parts.reachServer(),
      log: (code: DeviceCode, reason: string) => this.note(code, reason),
    };
    return await runSelfTest(context, attempt, manifest);
  }

  async #judge(): Promise<Outcome> {
    const judgement = await this.#parts.judge(this.#attempt());
    if (judgement.kind === 'go') return undefined;
    if (judgement.kind === 'end') return { event: failed(judgement.code, judgement.reason) };
    return { stop: { kind: 'waiting', code: 'OTA_WAITING', reason: judgement.reason } };
  }

  /**
   * First act of a boot outside any trial (REQ-OTA-ROLL-07). A group that is out of the order, or in a trial that is
   * not the record's, is not put back by this.
   */
  async #restoreStarts(group: GroupLetter, untold: boolean): Promise<Outcome> {
    const { bootControl } = this.#parts.ports;
    const known = this.record.confirmed.group === group || this.record.groups[group] !== undefined;
    try {
      const state = await readBoot(bootControl);
      // A copy that rotted, or that a cut left behind, is whole again before the other one may go.
      if (state !== undefined) await bootControl.repair?.();
      if (mayRestore(state, group, known, bootControl.confirmedStarts)) await bootControl.confirm(group);
    } catch (error) {
      const reason = `starts were not restored: ${messageOf(error)}`;
      if (!untold) await this.note('OTA_FAIL_BOOT_CONTROL', reason);
    }
    return undefined;
  }

  async #hook(name: 'prepare' | 'commit' | 'revert'): Promise<boolean> {
    const { dataGuard } = this.#parts.ports;
    const { id, fromVersion, version } = this.#attempt();
    if (!dataGuard.present) return true;
    for (let tries = 0; tries < hookTriesMax; tries += 1) {
      try {
        if (await dataGuard[name]({ attempt: id, fromVersion, toVersion: version })) return true;
      } catch (error) {
        messageOf(error);
      }
    }
    return false;
  }

  async #prepareData(serverReached: boolean): Promise<Outcome> {
    if (!(await this.#hook('prepare')))
      return { event: failed('OTA_FAIL_DATA', 'the data hook prepare failed') };
    // Proving took minutes: asked again while nothing is armed, so that waiting for the answer can start no trial.
    const leave = await this.#parts.leave(false);
    if (leave.granted) return { event: { kind: 'activate', serverReached } };
    return { stop: { kind: 'waiting', code: 'OTA_WAITING', reason: leave.reason } };
  }

  /** The decision has been made: a hook that fails is told and undoes nothing. */
  async #endData(name: 'commit' | 'revert'): Promise<Outcome> {
    if (!(await this.#hook(name))) await this.note('OTA_FAIL_DATA', `the data hook ${name} failed`);
    return undefined;
  }

  async #settleSeal(): Promise<Outcome> {
    const fault = await settleCounter(this.#parts.ports, this.record);
    return fault === undefined ? undefined : { event: failed(fault.code, fault.reason) };
  }

  async #restartIntoTrial(): Promise<Outcome> {
    const leave = await this.#parts.leave(true);
    if (!leave.granted) return { event: { kind: 'not-now', reason: leave.reason } };
    const reason = await this.#restart();
    // It holds clinical use off for the restart that it allowed.
    await this.#tell('called-off');
    return { event: { kind: 'not-now', reason } };
  }

  /** Answers only when the restart did not come, and why. */
  async #restart(): Promise<string> {
    const { platform, clock } = this.#parts.ports;
    const { rebootSecondsMax } = { ...tuningDefault, ...this.#parts.settings.tuning };
    const calledOff = new AbortController();
    try {
      await Promise.race([platform.reboot(), clock.sleep(rebootSecondsMax * 1000, calledOff.signal)]);
      return `the restart did not come within ${rebootSecondsMax} s`;
    } catch (error) {
      return messageOf(error);
    } finally {
      calledOff.abort();
    }
  }
}

function failed(code: DeviceCode, reason: string): MachineEvent {
  return { kind: 'fail', code, reason };
}
