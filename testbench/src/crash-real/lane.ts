/**
 * One device under fire: releases keep coming, and in run after run its agent is struck down at a drawn moment.
 *
 * After each end of an agent, before anything starts again, the device's files are checked; the first violation ends
 * the lane. When there were enough strikes the faults stop, one more good release is assigned, and the device must
 * confirm it within a bounded number of boots. Draws depend on the seed and the number of the run alone; what they hit
 * depends on how fast the machine is, so that a seed repeats the plan and not each microsecond.
 */
import { join } from 'node:path';
import type { AttemptState } from '@airlock/protocol';
import type { GroupLetter } from '@airlock/trust';
import type { CutPlan } from '../power-cut/cut-plan.ts';
import { seededRandom } from '../random.ts';
import { readRecord, type RecordView } from '../virtual-device/device-view.ts';
import type { AgentStop, Strike } from '../virtual-device/virtual-device.ts';
import type { Company } from '../world/company.ts';
import { type Device, makeDevice } from '../world/device.ts';
import { type CheckedAttempt, DeviceChecker } from './checks.ts';
import { drawMoment, type Moment, phasesAhead, wordsOf } from './moments.ts';
import type { Supplied, Supply } from './supply.ts';
import { MomentWatch } from './watch.ts';

/** An image has two bundled agents, and little else. */
const slotBytes = 6 << 20;
/** From the assignment on: what is left of an old trial (three boots and one back), then two, twice. */
const bootsToEndMax = 8;
/** A release that is neither confirmed nor given up after so long, with all that strikes it, never will be. */
const releaseMsMax = 300_000;
const progressEvery = 20;
const storyEntriesMax = 20;
/** Attempts that fail, before the next release is assigned: the agent would give up by itself after three. */
const resultsOfFailingMax = 2;
const resultsOfGoodMax = 3;

export interface LaneOptions {
  readonly name: 'cuts' | 'kills';
  readonly strikes: number;
  readonly seed: number;
  readonly company: Company;
  readonly supply: Supply;
  readonly folder: string;
  readonly agentFile: string;
  readonly print: (line: string) => void;
}

export interface LaneOutcome {
  readonly name: LaneOptions['name'];
  readonly strikes: number;
  readonly byPhase: ReadonlyMap<AttemptState, number>;
  readonly attempts: readonly CheckedAttempt[];
  readonly boots: number;
  readonly runs: number;
  readonly checks: number;
  /** What the device confirmed last; undefined when it did not come that far. */
  readonly reached: number | undefined;
  readonly bootsToEnd: number | undefined;
  readonly violations: readonly string[];
}

export class Lane {
  readonly #options: LaneOptions;
  readonly #byPhase = new Map<AttemptState, number>();
  #byPhaseNow = new Map<AttemptState, number>();
  #attemptNow = '';
  readonly #violations: string[] = [];
  #device: Device | undefined;
  #checker: DeviceChecker | undefined;
  #watch: MomentWatch | undefined;
  #moment: Moment | undefined;
  #runs = 0;
  /** Releases of the supply that this device was given. */
  #given = 0;
  #strikes = 0;
  #faultsOver = false;
  #assigned: Supplied | undefined;
  #freshBoot = true;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  async run(): Promise<LaneOutcome> {
    const { company, supply, strikes, name } = this.#options;
    const device = await this.#makeDevice();
    let reached: number | undefined;
    let bootsToEnd: number | undefined;
    try {
      device.virtual.powerOn();
      while (this.#strikes < strikes) {
        const release = await supply.release(this.#given++);
        this.#assigned = release;
        await company.assign(device.id, release.version);
        await device.virtual.waitFor(`release ${release.version} to be done with`, releaseMsMax, () =>
          this.#strikes >= strikes || this.#isDone(release) ? true : undefined,
        );
      }
      this.#faultsOver = true;
      const last = await this.#nextGood();
      const bootsBefore = device.virtual.boots;
      await company.assign(device.id, last.version);
      await device.virtual.waitFor(`release ${last.version} to be confirmed`, releaseMsMax, () =>
        this.#isConfirmed(last) ? true : undefined,
      );
      bootsToEnd = device.virtual.boots - bootsBefore;
      reached = last.version;
      if (bootsToEnd > bootsToEndMax) this.#violations.push(`${name}: ${bootsToEnd} boots to the end`);
    } catch (error) {
      if (this.#violations.length === 0) this.#violations.push(`${name}: ${String(error)}`);
    }
    await device.virtual.killAgent();
    return this.#outcome(device, reached, bootsToEnd);
  }

  async #nextGood(): Promise<Supplied> {
    for (;;) {
      const release = await this.#options.supply.release(this.#given++);
      if (release.kind === 'good') return release;
    }
  }

  #outcome(device: Device, reached: number | undefined, bootsToEnd: number | undefined): LaneOutcome {
    return {
      name: this.#options.name,
      strikes: this.#strikes,
      byPhase: this.#byPhase,
      attempts: [...(this.#checker?.attempts.values() ?? [])],
      boots: device.virtual.boots,
      runs: this.#runs,
      checks: this.#checker?.checks ?? 0,
      reached,
      bootsToEnd,
      violations: this.#violations,
    };
  }

  async #makeDevice(): Promise<Device> {
    const { company, supply, seed, name, folder, agentFile, strikes } = this.#options;
    const device = await makeDevice({
      company,
      id: `pump-${name}`,
      folder: join(folder, 'devices'),
      slotBytes,
      factory: supply.factory,
      agentFile,
      volatile: name === 'cuts',
      seed,
      bootsMax: 100 + 10 * strikes,
      hooks: {
        onStart: async (group) => await this.#onStart(group),
        onStop: async (stop) => await this.#onStop(stop),
      },
    });
    this.#device = device;
    this.#checker = new DeviceChecker(device.folder, supply.images, supply.factory.version);
    return device;
  }

  #isDone({ version, kind }: Supplied): boolean {
    const { folder, log } = this.#made();
    const record = readRecord(folder.stateFolder);
    if (record?.state !== 'Idle') return false;
    if (record.confirmed.version === version) return true;
    const results = log
      .look()
      .filter((entry) => entry.toVersion === version && entry.facts?.['result'] === true);
    return results.length >= (kind === 'good' ? resultsOfGoodMax : resultsOfFailingMax);
  }

  #isConfirmed({ version }: Supplied): boolean {
    const record = readRecord(this.#made().folder.stateFolder);
    return record?.state === 'Idle' && record.confirmed.version === version;
  }

  #made(): Device {
    if (this.#device === undefined) throw new Error('the device was not made yet');
    return this.#device;
  }

  async #onStart(group: GroupLetter): Promise<void> {
    const { folder, virtual } = this.#made();
    this.#runs += 1;
    await this.#checker?.beforeRun(group, this.#freshBoot);
    const record = readRecord(folder.stateFolder);
    this.#moment = record === undefined || this.#faultsOver ? undefined : this.#draw(record, group);
    const moment = this.#moment;
    const inside = this.#options.name === 'cuts' && moment?.kind === 'operations';
    if (this.#options.name === 'cuts')
      virtual.planOneCut(inside ? planFor(moment, record?.state) : undefined);
    if (moment !== undefined && !inside) this.#watch = new MomentWatch(folder, moment, () => this.#strike());
  }

  #draw(record: RecordView, group: GroupLetter): Moment | undefined {
    const attempt = record.attempt?.id ?? '';
    if (attempt !== '' && attempt !== this.#attemptNow) {
      this.#attemptNow = attempt;
      this.#byPhaseNow = new Map();
    }
    const { seed, name } = this.#options;
    const random = seededRandom(seed * 1_000_003 + this.#runs * 2 + (name === 'cuts' ? 0 : 1));
    const attempts = this.#checker?.attempts.size ?? 0;
    const stubborn = attempts % 8 === 7;
    return drawMoment(random, phasesAhead(record, group, this.#assigned?.kind !== 'fails'), {
      met: this.#byPhase,
      metNow: this.#byPhaseNow,
      stubborn,
    });
  }

  #strike(): void {
    this.#made().virtual.strike(this.#how());
  }

  /** A killed agent is started again in the same boot as often as not. */
  #how(): Strike {
    if (this.#options.name === 'cuts') return 'power-cut';
    return seededRandom(this.#options.seed * 7 + this.#runs).fraction() < 0.5 ? 'same-boot' : 'next-boot';
  }

  async #onStop(stop: AgentStop): Promise<void> {
    this.#watch?.close();
    this.#freshBoot = !stop.sameBoot;
    const record = readRecord(this.#made().folder.stateFolder);
    const struck = stop.kind === 'killed' || stop.kind === 'power-cut';
    if (struck && record !== undefined && !this.#faultsOver) this.#count(record.state);
    const faults = [...((await this.#checker?.afterRun()) ?? [])];
    if (stop.kind === 'ended') faults.push('the agent ended by itself');
    if (faults.length === 0) return;
    const moment = this.#moment === undefined ? 'no strike' : wordsOf(this.#moment);
    const where = `${this.#options.name}, run ${this.#runs} (${stop.kind}; ${moment})`;
    this.#violations.push(...faults.map((fault) => `${where}: ${fault}`));
    this.#printStory();
    throw new Error(`${where}: ${faults.join('; ')}`);
  }

  /** What the device itself says of the last minutes, for whoever looks for the fault. */
  #printStory(): void {
    const entries = this.#made().log.look().slice(-storyEntriesMax);
    for (const { sequence, bootId, code, reason, toVersion = '' } of entries)
      this.#options.print(`  ${sequence} ${bootId.slice(0, 4)} ${code} ${toVersion} ${reason}`);
  }

  #count(state: AttemptState): void {
    const { name, strikes, print } = this.#options;
    this.#strikes += 1;
    this.#byPhase.set(state, (this.#byPhase.get(state) ?? 0) + 1);
    this.#byPhaseNow.set(state, (this.#byPhaseNow.get(state) ?? 0) + 1);
    if (this.#strikes >= strikes) this.#faultsOver = true;
    if (this.#strikes % progressEvery === 0 || this.#strikes === strikes)
      print(`${name}: ${this.#strikes} of ${strikes}, ${this.#checker?.attempts.size ?? 0} attempts`);
  }
}

function planFor(moment: Extract<Moment, { kind: 'operations' }>, state: AttemptState | undefined): CutPlan {
  const { phase, nth, side } = moment;
  return {
    nth,
    moment: side,
    ...(state === phase ? {} : { afterWriteOf: `"state":"${phase}"` }),
  };
}
