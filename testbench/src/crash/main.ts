/**
 * `npm run crash`: every crash state of the small release, then larger releases by seed with every fault.
 *
 * What it takes stands in `options.ts`. What was left unexplored when the time ran out is printed, never hidden: the last
 * line says what was explored to its end and what was not.
 */
import { runReal } from '../crash-real/run.ts';
import { mutants } from './mutants.ts';
import { parseOptions, type Options, usage } from './options.ts';
import { runTasks } from './pool.ts';
import { scenarios } from './scenarios.ts';
import { controlName, type ScenarioResult, type SeededResult, type Task, type TaskResult } from './tasks.ts';

/** Of the whole time, what one graph may take that is not the first: the rest is for those after it. */
const shareOfOthers = 1 / 8;
/** Seeded runs of one task: a worker says something every few seconds. */
const runsPerTask = 20;
/** Between two words of progress. */
const progressMs = 10_000;
/** Of a program that a person stopped. */
const interruptedStatus = 130;

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (typeof options === 'string') {
    process.stderr.write(`crash: ${options}\n\n${usage}\n`);
    return 2;
  }
  if (options.kind === 'help') print(usage);
  if (options.kind === 'mutants') return await huntAll(options);
  if (options.kind === 'explore') return await exploreAll(options);
  if (options.kind === 'help') return 0;
  const { real: count, seed } = options;
  const { violations } = await runReal({ cuts: count, kills: count, seed, print });
  return violations.length === 0 ? 0 : 1;
}

async function huntAll({ json, mutant }: Options): Promise<number> {
  const results: TaskResult[] = [];
  const hunted = mutants.filter(({ name }) => mutant === undefined || name === mutant);
  const names = [...(mutant === undefined ? [controlName] : []), ...hunted.map(({ name }) => name)];
  // The agent as it is has to be hunted with all of them, not with one that is looked at.
  let sound = mutant !== undefined;
  await runTasks(
    names.map((name) => ({ kind: 'mutant', name })),
    (result) => {
      results.push(result);
      if (result.kind !== 'mutant') return;
      const { name, caught } = result;
      if (name === controlName) sound = caught === undefined;
      const [clean, dirty] = name === controlName ? ['sound ', 'BROKEN'] : ['MISSED', 'caught'];
      const words = caught === undefined ? clean : dirty;
      if (json) return;
      print(`${words}  ${name}  (${caught ?? 'nothing found'})`);
      if (mutant !== undefined || (name === controlName && caught !== undefined))
        for (const step of result.trace) print(`        ${step}`);
    },
  );
  const caught = results.filter(
    (result) => result.kind === 'mutant' && result.name !== controlName && result.caught !== undefined,
  ).length;
  print(
    json
      ? JSON.stringify({ caught, all: hunted.length, unchangedAgentSound: sound, results })
      : `${caught} / ${hunted.length} caught${mutant === undefined ? `; in the agent as it is ${sound ? 'nothing' : 'something'} was found` : ''}`,
  );
  return caught === hunted.length && sound ? 0 : 1;
}

async function exploreAll(options: Options): Promise<number> {
  const begunMs = Date.now();
  const tasks = tasksOf(options, begunMs);
  const say = (line: string): void => {
    if (!options.json) print(line);
  };
  say(
    `seed ${options.seed}, ${options.seconds} s; judged in every state: invariants 1 to 5 of docs/write-order.md`,
  );
  const graphs: ScenarioResult[] = [];
  const runs: SeededResult[] = [];
  const under = new Map<string, string>();
  const seconds = (): number => Math.round((Date.now() - begunMs) / 1000);
  const telling = setInterval(() => {
    say(
      `  ${seconds()} s: ${graphs.length + runs.length} of ${tasks.length} tasks done; ${[...under.values()].join('; ')}`,
    );
  }, progressMs);
  const stopped = (): void => {
    say('stopped: what follows is what was explored until now');
    report(options, graphs, runs, seconds());
    process.exit(interruptedStatus);
  };
  process.once('SIGINT', stopped);
  try {
    await runTasks(
      tasks,
      (result) => {
        if (result.kind === 'scenario') {
          graphs.push(result);
          under.delete(result.name);
        }
        if (result.kind === 'seeded') runs.push(result);
        if (!options.json) tell(result, options.runs === 1, options.seed);
      },
      (name, { booted, open }) => under.set(name, `${name}: ${booted} states booted, ${open} to go`),
    );
  } finally {
    clearInterval(telling);
    process.removeListener('SIGINT', stopped);
  }
  return report(options, graphs, runs, seconds());
}

/** The last lines, and the exit status. */
function report(
  options: Options,
  graphs: readonly ScenarioResult[],
  runs: readonly SeededResult[],
  seconds: number,
): number {
  const sum = summary(graphs, runs);
  const open = graphs.filter((graph) => graph.open > 0);
  if (options.json) print(JSON.stringify({ seed: options.seed, seconds, ...sum, graphs, runs }));
  else {
    print(
      `${sum.nodes} distinct states reached, ${sum.boots} boots, ${sum.edges} edges, ${sum.cuts} cut variants, ` +
        `${sum.runs} seeded runs, ${sum.violations} violations, ${seconds} s`,
    );
    print(
      `explored to the end: ${namesOf(graphs.filter((graph) => graph.open === 0 && graph.found === undefined))}`,
    );
    print(`NOT explored to the end: ${namesOf(open)}`);
  }
  const smallRelease = graphs.find(({ name }) => name === scenarios[0]?.name);
  const closed = (!options.mustClose || smallRelease?.open === 0) && (!options.closing || open.length === 0);
  return sum.violations === 0 && closed ? 0 : 1;
}

function namesOf(graphs: readonly ScenarioResult[]): string {
  return graphs.length === 0 ? 'none' : graphs.map(({ name }) => `"${name}"`).join(', ');
}

function tasksOf(options: Options, begunMs: number): readonly Task[] {
  const { seconds, runs, seed, scenario, closing } = options;
  const endMs = begunMs + seconds * 1000;
  const chosen = scenarios.filter(
    ({ name, closes }) => (scenario === undefined || name === scenario) && (closes || !closing),
  );
  // One run alone is a replay: no graph is wanted then.
  const graphs: Task[] = (runs === 1 ? [] : chosen).map(({ name }, at) => ({
    kind: 'scenario',
    name,
    seed,
    untilMs: endMs,
    msMax: at === 0 || closing ? seconds * 1000 : seconds * 1000 * shareOfOthers,
  }));
  if (scenario !== undefined || closing) return graphs;
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

function tell(result: TaskResult, replay: boolean, graphSeed: number): void {
  if (result.kind === 'scenario') {
    const { name, nodes, booted, boots, skipped, edges, cuts, open, bootsToRest, ms, found } = result;
    const state = open === 0 ? 'CLOSED' : `${open} states not booted`;
    const rest =
      open === 0 ? `at rest within ${bootsToRest} boots` : `so far at rest within ${bootsToRest} boots`;
    print(
      `${name}: ${state}; ${nodes} states, ${booted} of them booted in ${boots} boots (${skipped} more would repeat one), ` +
        `${edges} edges, ${cuts} cut variants, ${rest}, ${Math.round(ms / 1000)} s`,
    );
    const again = `npm run crash -- --scenario '${name}' --seed ${graphSeed}`;
    if (found !== undefined) tellFound(found.violation, found.trace, again);
  }
  if (result.kind !== 'seeded') return;
  if (replay) for (const step of result.trace) print(`        ${step}`);
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
