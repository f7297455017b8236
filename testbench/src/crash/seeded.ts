/**
 * Runs drawn by seed: larger releases, other options, and every fault at once - then faults stop, and the device must
 * get on.
 *
 * One number repeats a run exactly: options, worlds, faults, cuts. Everything that a cut might have left is judged on
 * the way, not only what was drawn to go on from.
 */
import { seededRandom, type SeededRandom } from '../random.ts';
import type { AgentModule } from './agent-module.ts';
import { type DiskState, settled } from './crash-disk.ts';
import type { Boot, Moment, NodeState } from './boot-types.ts';
import { bootOnce } from './device.ts';
import { type Environment, environments, goodEnvironment } from './environment.ts';
import { drawFaults, rots, rotsOfCopies } from './faults.ts';
import { brokenIn, keptFallback, unprovenStaged, unrepaired, unsealed, unsettled } from './invariants.ts';
import { bootsToRestMax, restOf } from './liveness.ts';
import type { Medium } from './medium.ts';
import { keyOf, stableKey } from './node-key.ts';
import { leftBy, outcomes } from './outcomes.ts';
import { stateWords } from './reading.ts';
import { type Found, underOf, wordsOf } from './explore.ts';
import { type StartName, startState } from './start-states.ts';
import { brokenBetween, brokenUnder, lostWithCopy } from './ways.ts';
import { type ScenarioOptions, World } from './world.ts';

export interface SeededRun {
  readonly seed: number;
  readonly options: string;
  readonly boots: number;
  readonly cuts: number;
  /** What was drawn, line by line. */
  readonly trace: readonly string[];
  readonly found: Found | undefined;
}

/** Boots under faults; the target may be reached and a further failure begun in the meantime. */
const faultyBootsMax = 16;
/** Steps of one boot within which a cut is drawn; an update of the larger releases takes some hundreds. */
const stepsMax = 220;
/** In every so manieth step all that a cut could leave is judged. */
const judgedEvery = 6;

/** `seen`: takes the key of each state that was judged. */
export async function runSeeded(
  seed: number,
  agent: AgentModule,
  seen: (key: string) => void,
): Promise<SeededRun> {
  const run = new Run(seed, agent, seen);
  return await run.all();
}

class Run {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #agent: AgentModule;
  readonly #seen: (key: string) => void;
  readonly #trace: string[] = [];
  /** Keys of this process that were told already. */
  readonly #judged = new Set<string>();
  /** Staged images rotted by themselves: what the record says of them may be untrue until they are read again. */
  #slotRotted = false;
  #boots = 0;
  #cuts = 0;

  constructor(seed: number, agent: AgentModule, seen: (key: string) => void) {
    this.#seed = seed;
    this.#random = seededRandom(seed);
    this.#agent = agent;
    this.#seen = seen;
  }

  async all(): Promise<SeededRun> {
    const options = drawOptions(this.#random);
    const [start, target] = drawStart(this.#random);
    const world = new World(options, { installed: 1, target });
    const node = await startState(start, world, this.#agent);
    const words = `${start}, target ${target}, ${JSON.stringify(options)}`;
    const violation = (await this.#underFaults(node, world)) ?? undefined;
    const trace = [words, ...this.#trace];
    const found = violation === undefined ? undefined : { violation, trace };
    return { seed: this.#seed, options: words, boots: this.#boots, cuts: this.#cuts, trace, found };
  }

  async #underFaults(start: NodeState, world: World): Promise<string | undefined> {
    let node = start;
    const boots = 2 + this.#random.below(faultyBootsMax - 1);
    for (let boot = 0; boot < boots; boot += 1) {
      const next = await this.#faultyBoot(node, world);
      if (typeof next === 'string') return next;
      node = next;
    }
    return await this.#getsOn(node, world);
  }

  /** Where the device goes on from, or what was broken. */
  async #faultyBoot(node: NodeState, world: World): Promise<NodeState | string> {
    const random = this.#random;
    const environment = environments[random.below(environments.length)] ?? goodEnvironment;
    this.#trace.push(`boot in ${environment.name}  [${stateWords(node.disk.durable)}]`);
    const serial = node.serial + 1;
    const endAt = random.fraction() < 0.7 ? random.below(stepsMax) : Number.POSITIVE_INFINITY;
    const killed = random.fraction() < 0.3;
    let steps = 0;
    let left: NodeState | undefined;
    let broken: string | undefined;
    let last = node.disk.durable;
    const stop = Promise.withResolvers<void>();
    const observe = (step: string, { disk: state, boot, counter }: Moment): void => {
      if (left !== undefined || broken !== undefined) return;
      const { durable } = state;
      if (durable !== last)
        broken =
          brokenBetween(last, durable) ?? brokenUnder(underOf(environment), node.disk.durable, durable);
      last = durable;
      if (broken === undefined && steps % judgedEvery === 0)
        broken = this.#judgeAll(node.disk.durable, { disk: state, boot, counter }, world);
      if (steps >= endAt) {
        const alone = killed && boot !== undefined;
        this.#trace.push(`${alone ? 'agent killed' : 'power cut'} after ${step}`);
        left = alone
          ? { disk: state, boot, serial, counter }
          : { disk: { durable: this.#drawOutcome(state), pending: [] }, boot: undefined, serial, counter };
        stop.resolve();
      }
      steps += 1;
    };
    const fault = drawFaults(random, this.#agent, (what) => this.#trace.push(what));
    const ended = await this.#boot(node, world, environment, { observe, fault, stop: stop.promise });
    if (typeof ended === 'string') return ended;
    if (broken !== undefined) {
      this.#trace.push(`broken there  [${stateWords(last)}]`);
      return broken;
    }
    const after = left ?? ended?.after;
    if (after === undefined) return 'the boot ended without an end';
    const judged = this.#judge(node.disk.durable, after.disk.durable, world, after.counter);
    if (judged !== undefined || after.boot !== undefined) return judged ?? after;
    return this.#rotten({ ...after, disk: { durable: settled(after.disk), pending: [] } }, world);
  }

  /** While the device is off, something may rot. */
  #rotten(node: NodeState, world: World): NodeState {
    if (this.#random.fraction() > 0.3) return node;
    const all = rots(node.disk.durable, world);
    const drawn = all[this.#random.below(all.length)];
    if (drawn === undefined) return node;
    this.#trace.push(drawn.what);
    this.#slotRotted ||= drawn.what.includes('/slots/');
    return { ...node, disk: { durable: drawn.medium, pending: [] } };
  }

  async #boot(
    node: NodeState,
    world: World,
    environment: Environment,
    given: {
      readonly observe: (step: string, now: Moment) => void;
      readonly fault?: ReturnType<typeof drawFaults>;
      readonly stop?: Promise<void>;
    },
  ): Promise<Boot | string | undefined> {
    this.#boots += 1;
    const { observe, fault, stop } = given;
    const count = this.#random.fraction() < 0.85 ? ('kept' as const) : ('lost' as const);
    const options = { world, agent: this.#agent, environment: { ...environment, count }, observe };
    try {
      const running = bootOnce(node, fault === undefined ? options : { ...options, fault });
      // What runs on after the stop is a dead machine's dream: its error is nobody's.
      running.catch(() => undefined);
      return await Promise.race([
        running,
        (stop ?? new Promise<void>(() => undefined)).then(() => undefined),
      ]);
    } catch (error) {
      // A device whose state folder cannot be used at all says so and is started again.
      if (error instanceof this.#agent.DiskError)
        return { end: { kind: 'restart' }, after: { ...node, boot: undefined, serial: node.serial + 1 } };
      return wordsOf(error);
    }
  }

  async #getsOn(start: NodeState, world: World): Promise<string | undefined> {
    let node = start;
    this.#trace.push(`faults stop  [${stateWords(settled(node.disk))}]`);
    for (let boot = 0; boot < bootsToRestMax; boot += 1) {
      const ended = await this.#boot(node, world, goodEnvironment, { observe: () => undefined });
      if (typeof ended === 'string' || ended === undefined) return ended ?? 'the boot did not end';
      const rest = restOf(ended.end, ended.after, world);
      this.#trace.push(`good: ${ended.end.kind}  [${stateWords(settled(ended.after.disk))}]`);
      const judged = this.#judge(node.disk.durable, settled(ended.after.disk), world, ended.after.counter);
      if (judged !== undefined) return judged;
      if (rest.kind === 'settled') return atRest(ended.after, world);
      if (rest.kind === 'stuck' && boot > 0) return rest.violation;
      node = { ...ended.after, disk: { durable: settled(ended.after.disk), pending: [] } };
    }
    return `liveness: no rest within ${bootsToRestMax} boots`;
  }

  #judgeAll(before: Medium, { disk, counter }: Moment, world: World): string | undefined {
    for (const durable of outcomes(disk, this.#random)) {
      const broken = this.#judge(before, durable, world, counter);
      if (broken !== undefined) return broken;
    }
    return undefined;
  }

  #judge(before: Medium, after: Medium, world: World, counter: number | undefined): string | undefined {
    this.#cuts += 1;
    const cut = { disk: { durable: after, pending: [] }, boot: undefined, serial: 0, counter };
    const key = keyOf(cut, world);
    if (!this.#judged.has(key)) this.#seen(stableKey(key, world));
    this.#judged.add(key);
    const staged = this.#slotRotted ? undefined : unprovenStaged(after, world);
    const seal = unsealed(after, counter);
    const inItself = brokenIn(after, world, { media: 'faulty', counter });
    return brokenBetween(before, after) ?? inItself ?? staged ?? seal;
  }

  #drawOutcome({ durable, pending }: DiskState): Medium {
    return pending.reduce((medium, one) => {
      const left = leftBy(one, medium);
      return left[this.#random.below(left.length)] ?? medium;
    }, durable);
  }
}

/** As the graphs judge it: whole in every copy, and nothing is about to come any more. */
function atRest({ disk, counter }: NodeState, world: World): string | undefined {
  const medium = settled(disk);
  const loose = unrepaired(medium) ?? unsettled(medium, counter) ?? keptFallback(medium, world);
  if (loose !== undefined) return loose;
  for (const rot of rotsOfCopies(medium)) {
    const lost = lostWithCopy(medium, rot.medium);
    if (lost !== undefined) return `${lost}, after ${rot.what}`;
  }
  return undefined;
}

function drawOptions(random: SeededRandom): ScenarioOptions {
  const pick = <T>(of: readonly [T, ...T[]]): T => of[random.below(of.length)] ?? of[0];
  const pieceSectors = pick([1, 2, 4, 8]);
  return {
    components: ['app', 'rootfs', 'model'].slice(0, 1 + random.below(3)),
    imageSectors: 4 + random.below(29),
    pieceSectors,
    flushSectors: pieceSectors * (1 + random.below(8)),
    trialTries: 1 + random.below(4),
    confirmedStarts: pick([2, 3, 16]),
    fallbackAllowed: random.fraction() < 0.8,
    tries: random.fraction() < 0.8 ? 'counted' : 'one-shot',
    armingSurvivesPowerOff: random.fraction() < 0.7,
    dataHooks: random.fraction() < 0.5,
    consentRequired: random.fraction() < 0.3,
    attemptsMax: 1 + random.below(4),
    notTriedMax: random.below(3),
    logCells: pick([32, 64]),
    recordMayBeLost: false,
    stateMayBeRestored: false,
    tpm: random.fraction() < 0.3,
  };
}

function drawStart(random: SeededRandom): readonly [StartName, number] {
  const all = [
    ['fresh', 2],
    ['fresh', 3],
    ['updated', 3],
    ['in fallback', 2],
    ['in fallback', 3],
    ['record lost', 2],
  ] as const;
  return all[random.below(all.length)] ?? all[0];
}
