/**
 * The graph: every state that any cut at any depth can lead to, each booted once in every environment.
 *
 * A node is what a device goes on from; its edges are all that one boot can leave behind - by its end, by a cut
 * before, inside or after any step, by a kill of the agent alone. Breadth first, so that the way to a broken state is
 * the shortest there is. What was left to do when the budget ran out is said, never hidden.
 *
 * An environment that differs from the good one only in what the agent never asked in that boot would give the same
 * boot again: it is left out, and counted. Within one boot the world stays as it is, so that a killed agent goes on
 * in the environment it was killed in.
 */
import type { SeededRandom } from '../random.ts';
import type { AgentModule } from './agent-module.ts';
import { WrongUse } from './crash-disk.ts';
import { distinctOutcomes } from './distinct-outcomes.ts';
import type { Moment, NodeState } from './boot-types.ts';
import { bootOnce, NothingBoots } from './device.ts';
import { differs, type Environment, goodEnvironment, watched } from './environment.ts';
import { rotsOfCopies } from './faults.ts';
import {
  brokenIn,
  keptFallback,
  startsLeft,
  unprovenStaged,
  unrepaired,
  unsealed,
  unsettled,
  type Violation,
} from './invariants.ts';
import { type Chains, chains, restOf } from './liveness.ts';
import type { Medium } from './medium.ts';
import { keyOf, stableKey } from './node-key.ts';
import { newest, recordCopies, stateWords } from './reading.ts';
import { tampered } from './tampered.ts';
import { begunOnRestored, brokenBetween, brokenUnder, lostWithCopy, type Under } from './ways.ts';
import type { World } from './world.ts';

export interface Found {
  readonly violation: Violation;
  /** Ways from the start to it, one line each. */
  readonly trace: readonly string[];
}

export interface Counts {
  readonly nodes: number;
  /** Nodes that were booted, in every environment that could differ. */
  readonly booted: number;
  readonly boots: number;
  /** Boots that would have been the same again. */
  readonly skipped: number;
  readonly edges: number;
  /** Media that a cut may leave, looked at one by one. */
  readonly cuts: number;
  /** Nodes that nobody booted yet: 0 when the graph is closed. */
  readonly open: number;
  /** The most boots that any node needs, once faults stop, to the target or a logged result. */
  readonly bootsToRest: number;
}

export interface Explored extends Counts {
  /** `stableKey` of each node, where that is wanted. */
  readonly keys: readonly string[];
  readonly found: Found | undefined;
}

export interface ExploreOptions {
  readonly world: World;
  readonly agent: AgentModule;
  readonly nextAgent?: AgentModule;
  /** The good one is always among them. */
  readonly environments: readonly Environment[];
  readonly start: NodeState;
  readonly random: SeededRandom;
  /** Whether the agent alone may be killed, at every step. */
  readonly kills: boolean;
  readonly nodesMax: number;
  /** `shortest`, the default: breadth first. `deepest`: the newest node first, for defects that show late. */
  readonly order?: 'shortest' | 'deepest';
  readonly keysWanted?: boolean;
  readonly isOver?: () => boolean;
  readonly progress?: (counts: Counts) => void;
}

interface Node {
  readonly index: number;
  readonly state: NodeState;
  readonly from: Node | undefined;
  readonly how: string;
  /** Of a killed agent: the environment of its boot. */
  readonly within: Environment | undefined;
  /** Moments of its boots that were cut already: the same moment comes in many environments. */
  readonly cut: Set<string>;
}

export async function explore(options: ExploreOptions): Promise<Explored> {
  return await new Graph(options).run();
}

class Graph {
  readonly #options: ExploreOptions;
  readonly #others: readonly Environment[];
  readonly #known = new Map<string, number>();
  readonly #queue: Node[] = [];
  readonly #chains: Chains = chains();
  /** Nodes that nobody booted yet; kept for `deepest` alone. */
  readonly #open: Node[] = [];
  #next = 0;
  #booted = 0;
  #boots = 0;
  #skipped = 0;
  #edges = 0;
  #cuts = 0;
  #found: Found | undefined;

  constructor(options: ExploreOptions) {
    this.#options = options;
    this.#others = options.environments.filter((one) => one.name !== goodEnvironment.name);
  }

  async run(): Promise<Explored> {
    const { start, nodesMax, isOver, progress } = this.#options;
    this.#reach(start, undefined, 'the start', undefined);
    for (let node = this.#take(); node !== undefined && this.#found === undefined; node = this.#take()) {
      await this.#bootAll(node);
      node.cut.clear();
      this.#booted += 1;
      if (this.#booted % 10 === 0) progress?.(this.#counts());
      if (this.#booted >= nodesMax || isOver?.() === true) break;
    }
    this.#checkChains();
    const { keysWanted, world } = this.#options;
    const keys = keysWanted === true ? [...this.#known.keys()].map((key) => stableKey(key, world)) : [];
    return { ...this.#counts(), keys, found: this.#found };
  }

  #take(): Node | undefined {
    if (this.#options.order === 'deepest') return this.#open.pop();
    const node = this.#queue[this.#next];
    this.#next += 1;
    return node;
  }

  #counts(): Counts {
    const { bootsToRest } = this.#chains;
    const open = this.#queue.length - this.#booted;
    const [boots, skipped, edges, cuts] = [this.#boots, this.#skipped, this.#edges, this.#cuts];
    return { nodes: this.#known.size, booted: this.#booted, boots, skipped, edges, cuts, open, bootsToRest };
  }

  async #bootAll(node: Node): Promise<void> {
    if (node.within !== undefined) {
      await this.#boot(node, node.within, 'all of it');
      return;
    }
    const asked = await this.#boot(node, goodEnvironment, 'all of it');
    for (const environment of this.#others) {
      if (this.#found !== undefined) return;
      if (differs(environment, asked)) await this.#boot(node, environment, 'what differs');
      else this.#skipped += 1;
    }
  }

  /** Gives what was asked of the environment. Cuts before anything differs from the good boot are the good boot's. */
  async #boot(
    node: Node,
    environment: Environment,
    cuts: 'all of it' | 'what differs',
  ): Promise<ReadonlySet<string>> {
    const { world, agent, nextAgent } = this.#options;
    const agents = nextAgent === undefined ? { agent } : { agent, nextAgent };
    const { asking, asked, differed } = watched(environment);
    this.#boots += 1;
    const { name } = environment;
    let last = node.state.disk.durable;
    let lastStep = 'its start';
    const observe = (step: string, moment: Moment): void => {
      lastStep = step;
      if (this.#found !== undefined) return;
      const { durable } = moment.disk;
      const passed = durable === last ? undefined : brokenBetween(last, durable);
      if (passed !== undefined) this.#fail(node, `${name}: ${step}`, passed, durable);
      last = durable;
      if (cuts === 'all of it' || differed()) this.#cut(node, environment, step, moment);
      this.#kill(node, environment, step, moment);
    };
    try {
      const { end, after } = await bootOnce(node.state, { world, ...agents, environment: asking, observe });
      const within = end.kind === 'killed' ? environment : undefined;
      const next = this.#reach(after, node, `${name}: ${end.kind}`, within);
      if (end.kind === 'rest' && environment.bootDisk === 'sound') {
        const starts = startsLeft(after.disk.durable, end.group, world);
        if (starts !== undefined) this.#fail(node, name, starts, after.disk.durable);
      }
      if (end.kind === 'rest' && isSound(environment)) this.#atRest(node, after, name);
      if (name !== goodEnvironment.name) return asked;
      const rest = restOf(end, after, world);
      if (rest.kind === 'stuck') this.#fail(node, name, rest.violation);
      this.#chains.set(node.index, rest.kind === 'settled' ? undefined : next);
    } catch (error) {
      this.#fail(node, `${name}: after ${lastStep}`, wordsOf(error));
    }
    return asked;
  }

  #cut(node: Node, environment: Environment, step: string, { disk, counter }: Moment): void {
    const how = `${environment.name}: power cut after ${step}`;
    const forbids = underOf(environment);
    const serial = node.state.serial + 1;
    const { world, random } = this.#options;
    const moment = keyOf({ disk, boot: undefined, serial, counter }, world);
    const once = `${JSON.stringify(forbids)} ${moment}`;
    if (node.cut.has(once)) return;
    node.cut.add(once);
    const { media, variants } = distinctOutcomes(disk, world, random);
    this.#cuts += variants;
    for (const durable of media) {
      this.#reach({ disk: { durable, pending: [] }, boot: undefined, serial, counter }, node, how, undefined);
      const before = node.state.disk.durable;
      const under =
        brokenUnder(forbids, before, durable) ?? begunOnRestored(before, durable, node.state.counter);
      if (under !== undefined) this.#fail(node, how, under, durable);
    }
  }

  #kill(node: Node, environment: Environment, step: string, { disk, boot, counter }: Moment): void {
    if (!this.#options.kills || boot === undefined) return;
    const state = { disk, boot, serial: node.state.serial + 1, counter };
    this.#reach(state, node, `${environment.name}: agent killed after ${step}`, environment);
  }

  /** A device that rests: nothing waits while it is armed, and any one copy may rot. */
  #atRest(node: Node, after: NodeState, name: string): void {
    const { durable } = after.disk;
    const waiting = newest(recordCopies(durable))?.state;
    if (waiting === 'Pending') this.#fail(node, name, 'POL-06: it waits in Pending, with a group armed');
    const { world } = this.#options;
    const loose = unrepaired(durable) ?? unsettled(durable, after.counter) ?? keptFallback(durable, world);
    if (loose !== undefined) this.#fail(node, name, loose, durable);
    for (const { what, medium } of rotsOfCopies(durable)) {
      const how = `${name}: rest, and ${what}`;
      const lost = lostWithCopy(durable, medium);
      if (lost !== undefined) this.#fail(node, how, lost);
      this.#reach({ ...after, disk: { durable: medium, pending: [] } }, node, how, undefined);
    }
  }

  /** `hand`: whether it was not the device that led there: somebody, or time, changed its disk. */
  #reach(
    state: NodeState,
    from: Node | undefined,
    how: string,
    within: Environment | undefined,
    hand = false,
  ): number {
    if (this.#found !== undefined) return -1;
    const { world, start } = this.#options;
    this.#edges += 1;
    const { durable } = state.disk;
    const { counter } = state;
    const broken = from === undefined || hand ? undefined : brokenBetween(from.state.disk.durable, durable);
    if (broken !== undefined) this.#fail(from, how, broken, durable);
    const key = `${within?.name ?? ''} ${keyOf(state, world)}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const index = this.#queue.length;
    this.#known.set(key, index);
    const restoredFrom = world.options.stateMayBeRestored ? start.counter : undefined;
    const inItself =
      brokenIn(durable, world, { counter }) ??
      unprovenStaged(durable, world) ??
      unsealed(durable, counter, restoredFrom);
    if (inItself !== undefined) this.#fail(from, how, inItself, durable);
    const node = { index, state, from, how, within, cut: new Set<string>() };
    this.#queue.push(node);
    if (this.#options.order === 'deepest') this.#open.push(node);
    if (within === undefined && !hand) {
      for (const { what, disk } of tampered(state, start, world))
        this.#reach({ ...state, disk }, node, what, undefined, true);
    }
    return index;
  }

  #checkChains(): void {
    if (this.#found !== undefined) return;
    const endless = this.#chains.measure();
    const node = endless === undefined ? undefined : this.#queue[endless];
    if (node !== undefined)
      this.#fail(node, goodEnvironment.name, 'the device comes neither to the target nor to a logged result');
  }

  /** `broken`: what is on the disk there, where that is what is wrong. */
  #fail(from: Node | undefined, how: string, violation: Violation, broken?: Medium): void {
    const trace = [broken === undefined ? how : `${how}  [${stateWords(broken)}]`];
    for (let node = from; node !== undefined; node = node.from)
      trace.unshift(`${node.how}  [${stateWords(node.state.disk.durable)}]`);
    this.#found ??= { violation, trace };
  }
}

/** What ended a boot: a device that boots nothing, a wrong use, or a defect of the agent or of this program. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) throw error;
  if (error instanceof NothingBoots) return `4: ${error.message}`;
  return error instanceof WrongUse ? error.message : (error.stack ?? error.message);
}

/** What is judged at rest must have been possible. */
function isSound({ recordDisk, bootDisk, logDisk, tpm }: Environment): boolean {
  return recordDisk === 'sound' && bootDisk === 'sound' && logDisk === 'sound' && tpm === 'works';
}

export function underOf({ selfTest, server, tpm }: Environment): Under {
  return { selfTest, serverAnswers: server !== undefined, tpmAnswers: tpm === 'works' };
}
