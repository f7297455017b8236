/**
 * The work of the explorer as tasks: plain values that go to a worker and come back as plain values.
 */
import { seededRandom } from '../random.ts';
import { loadAgent } from './agent-sources.ts';
import { agentVariants } from './agent-variants.ts';
import { type Counts, type Explored, explore, type Found } from './explore.ts';
import { hunt, type Hunted } from './hunt.ts';
import { mutants } from './mutants.ts';
import { scenarioOf, scenarios } from './scenarios.ts';
import { runSeeded } from './seeded.ts';
import { startState } from './start-states.ts';
import { World } from './world.ts';

export type Task =
  | {
      readonly kind: 'scenario';
      readonly name: string;
      readonly seed: number;
      readonly untilMs: number;
      /** The longest that this graph may take of the time that all have. */
      readonly msMax: number;
    }
  | { readonly kind: 'seeded'; readonly from: number; readonly count: number; readonly untilMs: number }
  | { readonly kind: 'mutant'; readonly name: string };

export interface SeededResult {
  readonly kind: 'seeded';
  readonly runs: number;
  readonly boots: number;
  readonly cuts: number;
  readonly nodes: number;
  /** `stableKey` of each state that was judged. */
  readonly keys: readonly string[];
  /** What was drawn for the last run. */
  readonly trace: readonly string[];
  /** Runs in which something was broken. */
  readonly found: readonly { readonly seed: number; readonly found: Found }[];
}

export interface ScenarioResult extends Explored {
  readonly kind: 'scenario';
  readonly name: string;
  readonly ms: number;
}

/** Hears how far a graph is. */
export type Progress = (name: string, counts: Counts) => void;

/** The agent as it is, hunted like a defect: whatever is found in it would make every catch worth nothing. */
export const controlName = 'the agent as it is';

export type TaskResult = ScenarioResult | SeededResult | ({ readonly kind: 'mutant' } & Hunted);

/** Does one task. `untilMs` is a moment of `Date.now()`. */
export async function doTask(task: Task, progress: Progress = () => undefined): Promise<TaskResult> {
  if (task.kind === 'scenario') return await doScenario(task, progress);
  if (task.kind === 'seeded') return await doSeeded(task);
  const control = { name: controlName, changes: [], scenarios: [scenarios[0]?.name ?? ''] };
  const mutant = task.name === controlName ? control : mutants.find(({ name }) => name === task.name);
  if (mutant === undefined) throw new Error(`there is no mutant ${task.name}`);
  return { kind: 'mutant', ...(await hunt(mutant)) };
}

async function doScenario(
  { name, seed, untilMs, msMax }: Extract<Task, { kind: 'scenario' }>,
  progress: Progress,
): Promise<ScenarioResult> {
  const begunMs = Date.now();
  const endMs = Math.min(untilMs, begunMs + msMax);
  const scenario = scenarioOf(name);
  const agent = await loadAgent('plain');
  const world = new World(scenario.options, { installed: 1, target: scenario.target });
  const next = scenario.newAgent ? { nextAgent: (await agentVariants()).next } : {};
  const explored = await explore({
    world,
    agent,
    ...next,
    environments: scenario.environments,
    start: await startState(scenario.start, world, agent),
    random: seededRandom(seed),
    kills: scenario.kills,
    nodesMax: Number.POSITIVE_INFINITY,
    isOver: () => Date.now() > endMs,
    keysWanted: true,
    progress: (counts) => progress(name, counts),
  });
  return { kind: 'scenario', name, ms: Date.now() - begunMs, ...explored };
}

async function doSeeded(task: Extract<Task, { kind: 'seeded' }>): Promise<SeededResult> {
  const agent = await loadAgent('plain');
  const seen = new Set<string>();
  const found: { seed: number; found: Found }[] = [];
  let [runs, boots, cuts] = [0, 0, 0];
  let trace: readonly string[] = [];
  for (let seed = task.from; seed < task.from + task.count && Date.now() < task.untilMs; seed += 1) {
    const run = await runSeeded(seed, agent, (key) => seen.add(key));
    runs += 1;
    ({ trace } = run);
    boots += run.boots;
    cuts += run.cuts;
    if (run.found !== undefined) found.push({ seed, found: run.found });
  }
  return { kind: 'seeded', runs, boots, cuts, nodes: seen.size, keys: [...seen], trace, found };
}
