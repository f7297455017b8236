/**
 * The scenarios of the crash explorer: where a device begins, what is fixed for it, and what the world may do to it.
 *
 * Each is a graph of its own. The small release in `fresh`, `updated` and `in fallback` is explored with everything
 * that the world can do; the others vary one fixed thing and the environments that it has to do with.
 */
import { type Environment, environmentOf, environments } from './environment.ts';
import type { StartName } from './start-states.ts';
import { type ScenarioOptions, smallRelease } from './world.ts';

export interface Scenario {
  readonly name: string;
  readonly start: StartName;
  readonly target: number;
  readonly options: ScenarioOptions;
  readonly environments: readonly Environment[];
  /** Whether the agent alone is killed as well, at every step. */
  readonly kills: boolean;
  /** Whether the target release brings an agent whose record has a second format. */
  readonly newAgent: boolean;
}

const trials = ['good', 'count lost', 'self-test fails', 'trial never starts', 'restart never comes'].map(
  environmentOf,
);
const plain = {
  start: 'fresh',
  target: 2,
  options: smallRelease,
  environments,
  kills: false,
  newAgent: false,
} as const;

export const scenarios: readonly Scenario[] = [
  { ...plain, name: 'small release' },
  { ...plain, name: 'small release, agent killed', environments: trials, kills: true },
  { ...plain, name: 'update over an armed fallback', start: 'updated', target: 3 },
  { ...plain, name: 'repair in fallback', start: 'in fallback', target: 2 },
  { ...plain, name: 'update in fallback', start: 'in fallback', target: 3, environments: trials },
  {
    ...plain,
    name: 'no fallback allowed',
    start: 'updated',
    target: 3,
    options: { ...smallRelease, fallbackAllowed: false },
    environments: trials,
  },
  {
    ...plain,
    name: 'one-shot boot loader',
    options: { ...smallRelease, tries: 'one-shot' },
    environments: trials,
  },
  {
    ...plain,
    name: 'one-shot that power-off undoes',
    options: { ...smallRelease, tries: 'one-shot', armingSurvivesPowerOff: false },
    environments: trials,
  },
  {
    ...plain,
    name: 'floor in a TPM',
    start: 'updated',
    target: 3,
    options: { ...smallRelease, tpm: true },
    environments: trials,
  },
  { ...plain, name: 'old and new agent', environments: trials, newAgent: true },
  {
    ...plain,
    name: 'old and new agent in fallback',
    start: 'in fallback',
    target: 2,
    environments: trials,
    newAgent: true,
  },
  { ...plain, name: 'record lost', start: 'record lost', environments: trials },
  { ...plain, name: 'trust state lost', start: 'trust lost', environments: trials },
];

export function scenarioOf(name: string): Scenario {
  const found = scenarios.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no scenario ${name}`);
  return found;
}
