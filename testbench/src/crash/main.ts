/**
 * `npm run crash`: every crash state of the small release, then larger releases by seed with every fault.
 *
 *   npm run crash [-- --seconds N] [--runs N] [--seed N] [--scenario NAME] [--json]
 *   npm run crash -- --seed N --runs 1      replays one seeded run exactly
 *   npm run crash -- --mutants              plants defects; each must be found
 *   npm run crash -- --real N               N power cuts and N kills of real processes, over real TLS
 *
 * Exit status: 0 when nothing was broken (all mutants caught), 1 otherwise, 2 for wrong usage. What was left
 * unexplored when the time ran out is printed, never hidden.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runReal } from '../crash-real/run.ts';
import { mutants } from './mutants.ts';
import { runTasks } from './pool.ts';
import { scenarios } from './scenarios.ts';
import type { ScenarioResult, SeededResult, Task, TaskResult } from './tasks.ts';

/** As long as a person waits for a proof, and CI for a part of it. */
const secondsDefault = 600;
const runsDefault = 1000;
/** Of the whole time, what one graph may take that is not the first: the rest is for those after it. */
const shareOfOthers = 1 / 8;
/** Seeded runs of one task: a worker says something every few seconds. */
const runsPerTask = 20;
const seedMax = 1_000_000_000;

interface Options {
  readonly seconds: number;
  readonly runs: number;
  readonly seed: number;
  readonly scenario: string | undefined;
  readonly mutants: boolean;
  /** Cuts and kills of real processes; 0: none, the simulation is run. */
  readonly real: number;
  readonly json: boolean;
}

function parse(): Options | string {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string' },
      runs: { type: 'string' },
      seed: { type: 'string' },
      scenario: { type: 'string' },
      mutants: { type: 'boolean', default: false },
      real: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const number = (text: string | undefined, otherwise: number): number =>
    text === undefined ? otherwise : /^[0-9]{1,9}$/.test(text) ? Number(text) : Number.NaN;
  const options = {
    seconds: number(values.seconds, secondsDefault),
    runs: number(values.runs, runsDefault),
    seed: number(values.seed, randomInt(1, seedMax)),
    scenario: values.scenario,
    mutants: values.mutants,
    real: number(values.real, 0),
    json: values.json,
  };
  if ([options.seconds, options.runs, options.seed, options.real].some(Number.isNaN))
    return '--seconds, --runs, --seed and --real take whole numbers';
  const known = scenarios.map(({ name }) => name);
  if (options.scenario !== undefined && !known.includes(options.scenario))
    return `--scenario is one of: ${known.join('; ')}`;
  return options;
}

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function main(): Promise<number> {
  const options = parse();
  if (typeof options === 'string') {
    process.stderr.write(`crash: ${options}\n`);
    return 2;
  }
  if (options.real > 0) {
    const { real: count, seed } = options;
    const { violations } = await runReal({ cuts: count, kills: count, seed, print });
    return violations.length === 0 ? 0 : 1;
  }
  return options.mutants ? await huntAll(options) : await exploreAll(options);
}

async function huntAll({ json }: Options): Promise<number> {
  const results: TaskResult[] = [];
  await runTasks(
    mutants.map(({ name }) => ({ kind: 'mutant', name })),
    (result) => {
      results.push(result);
      if (!json && result.kind === 'mutant')
        print(
          `${result.caught === undefined ? 'MISSED' : 'caught'}  ${result.name}  (${result.caught ?? 'nowhere'})`,
        );
    },
  );
  const caught = results.filter((result) => result.kind === 'mutant' && result.caught !== undefined).length;
  print(
    json ? JSON.stringify({ caught, all: mutants.length, results }) : `${caught} / ${mutants.length} caught`,
  );
  return caught === mutants.length ? 0 : 1;
}

async function exploreAll(options: Options): Promise<number> {
  const begunMs = Date.now();
  const tasks = tasksOf(options, begunMs);
  if (!options.json) print(`seed ${options.seed}`);
  const graphs: ScenarioResult[] = [];
  const runs: SeededResult[] = [];
  await runTasks(tasks, (result) => {
    if (result.kind === 'scenario') graphs.push(result);
    if (result.kind === 'seeded') runs.push(result);
    if (!options.json) tell(result);
  });
  const sum = summary(graphs, runs);
  const seconds = Math.round((Date.now() - begunMs) / 1000);
  if (options.json) print(JSON.stringify({ seed: options.seed, seconds, ...sum, graphs, runs }));
  else
    print(
      `${sum.nodes} distinct nodes, ${sum.boots} boots, ${sum.edges} edges, ${sum.cuts} cut variants, ` +
        `${sum.closed} of ${graphs.length} graphs closed, ${sum.runs} seeded runs, ${sum.violations} violations, ${seconds} s`,
    );
  return sum.violations === 0 ? 0 : 1;
}

function tasksOf({ seconds, runs, seed, scenario }: Options, begunMs: number): readonly Task[] {
  const endMs = begunMs + seconds * 1000;
  const chosen = scenarios.filter(({ name }) => scenario === undefined || name === scenario);
  // One run alone is a replay: no graph is wanted then.
  const graphs: Task[] = (runs === 1 ? [] : chosen).map(({ name }, at) => ({
    kind: 'scenario',
    name,
    untilMs: endMs,
    msMax: at === 0 ? seconds * 1000 : seconds * 1000 * shareOfOthers,
  }));
  if (scenario !== undefined) return graphs;
  const seeded: Task[] = [];
  for (let at = 0; at < runs; at += runsPerTask)
    seeded.push({
      kind: 'seeded',
      from: seed + at,
      count: Math.min(runsPerTask, runs - at),
      untilMs: endMs,
    });
  // The first graph has to close and takes longest; seeded runs are short; the others take what time is left.
  return [...graphs.slice(0, 1), ...seeded, ...graphs.slice(1)];
}

function tell(result: TaskResult): void {
  if (result.kind === 'scenario') {
    const { name, nodes, boots, skipped, edges, cuts, open, bootsToRest, ms, found } = result;
    const state = open === 0 ? 'closed' : `${open} nodes left`;
    print(
      `${name}: ${nodes} nodes, ${boots} boots (${skipped} more would be the same), ${edges} edges, ${cuts} cut variants, ` +
        `${state}, at rest within ${bootsToRest} boots, ${Math.round(ms / 1000)} s`,
    );
    if (found !== undefined) tellFound(found.violation, found.trace, `npm run crash -- --scenario '${name}'`);
  }
  if (result.kind !== 'seeded') return;
  for (const { seed, found } of result.found)
    tellFound(found.violation, found.trace, `npm run crash -- --seed ${seed} --runs 1`);
}

function tellFound(violation: string, trace: readonly string[], again: string): void {
  print(`BROKEN  ${violation}`);
  for (const step of trace) print(`        ${step}`);
  print(`        again: ${again}`);
}

function summary(graphs: readonly ScenarioResult[], runs: readonly SeededResult[]) {
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    nodes: sum([...graphs, ...runs].map(({ nodes }) => nodes)),
    boots: sum([...graphs, ...runs].map(({ boots }) => boots)),
    edges: sum(graphs.map(({ edges }) => edges)),
    cuts: sum([...graphs, ...runs].map(({ cuts }) => cuts)),
    closed: graphs.filter(({ open, found }) => open === 0 && found === undefined).length,
    runs: sum(runs.map(({ runs: count }) => count)),
    violations:
      graphs.filter(({ found }) => found !== undefined).length + sum(runs.map(({ found }) => found.length)),
  };
}

process.exitCode = await main();
