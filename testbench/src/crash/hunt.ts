/**
 * Hunts one planted defect with everything the explorer has, the likeliest place first.
 *
 * Caught means that some state or way broke a rule; a defect that only makes the agent throw is caught as well, since
 * that ends the boot it is in.
 */
import { seededRandom } from '../random.ts';
import { loadAgent } from './agent-sources.ts';
import { agentVariants } from './agent-variants.ts';
import type { AgentModule } from './agent-module.ts';
import { explore, type Found } from './explore.ts';
import type { Mutant } from './mutant.ts';
import { type Scenario, scenarioOf, scenarios } from './scenarios.ts';
import { runSeeded } from './seeded.ts';
import { startState } from './start-states.ts';
import { World } from './world.ts';

export interface Hunted {
  readonly name: string;
  /** What was broken, and where; undefined: the defect was not found. */
  readonly caught: string | undefined;
  /** The way to it. */
  readonly trace: readonly string[];
}

interface Caught {
  readonly where: string;
  readonly found: Found;
}

/** Nodes of one scenario that are booted for one defect: the likeliest place gets more. */
const nodesFirst = 600;
const nodesOther = 12;
/** Seeded runs with faults of the medium. */
const runsMax = 150;

export async function hunt(mutant: Mutant): Promise<Hunted> {
  const agent = await loadAgent(mutant.name, mutant.changes);
  const first = mutant.scenarios.map(scenarioOf);
  const ways = [
    ...(mutant.faults === true ? [() => underFaults(agent)] : []),
    ...first.map((scenario) => () => inScenario(agent, scenario, mutant.statesMax ?? nodesFirst, 'shortest')),
    ...first.map((scenario) => () => inScenario(agent, scenario, nodesFirst, 'deepest')),
    ...(mutant.faults === true ? [] : [() => underFaults(agent)]),
    ...scenarios.map((scenario) => () => inScenario(agent, scenario, nodesOther, 'shortest')),
  ];
  for (const way of ways) {
    const caught = await way();
    if (caught === undefined) continue;
    const { where, found } = caught;
    return { name: mutant.name, caught: `${where}: ${firstLine(found.violation)}`, trace: found.trace };
  }
  return { name: mutant.name, caught: undefined, trace: [] };
}

async function inScenario(
  agent: AgentModule,
  scenario: Scenario,
  nodesMax: number,
  order: 'shortest' | 'deepest',
): Promise<Caught | undefined> {
  const world = new World(scenario.options, { installed: 1, target: scenario.target });
  const start = await startState(scenario.start, world, agent);
  const { environments, kills } = scenario;
  const next = scenario.newAgent ? { nextAgent: (await agentVariants()).next } : {};
  const random = seededRandom(1);
  const { found, nodes } = await explore({
    world,
    agent,
    ...next,
    environments,
    start,
    random,
    kills,
    nodesMax,
    order,
  });
  return found === undefined ? undefined : { where: `${scenario.name}, ${nodes} nodes`, found };
}

async function underFaults(agent: AgentModule): Promise<Caught | undefined> {
  for (let seed = 1; seed <= runsMax; seed += 1) {
    const { found } = await runSeeded(seed, agent, () => undefined);
    if (found !== undefined) return { where: `faults, seed ${seed}`, found };
  }
  return undefined;
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
