/**
 * `npm run crash`: every crash state of the small release, then larger releases by seed with every fault.
 *
 * What it takes stands in `options.ts`, what it says at its end in `report.ts`, hunting planted defects in
 * `hunt-all.ts`. A person who stops it hears what was explored until then.
 */
import { runReal } from '../crash-real/run.ts';
import type { Counts } from './explore.ts';
import { huntAll } from './hunt-all.ts';
import { mutants } from './mutants.ts';
import { interruptedStatus, parseOptions, type Options, usage } from './options.ts';
import { runTasks } from './pool.ts';
import { graphLine, type Known, linesOf, sumOf } from './report.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import type { ScenarioResult, SeededResult, Task, TaskResult } from './tasks.ts';

/** Of the whole time, what one graph may take that is not the first: the rest is for those after it. */
const shareOfOthers = 1 / 8;
/** Seeded runs of one task: a worker says something every few seconds. */
const runsPerTask = 20;
/** Between two words of progress. */
const progressMs = 10_000;

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
  if (options.kind === 'list') list();
  if (options.kind === 'mutants') return await huntAll(options, print);
  if (options.kind === 'explore') return await exploreAll(options);
  if (options.kind !== 'real') return 0;
  const { real: count, seed } = options;
  const { violations } = await runReal({ cuts: count, kills: count, seed, print });
  return violations.length === 0 ? 0 : 1;
}

function list(): void {
  print('Graphs (--scenario); those that close are explored by --closing:');
  for (const { name, about, closes } of scenarios) print(`  '${name}'${closes ? ' (closes)' : ''}: ${about}`);
  print('Planted defects (--mutant):');
  for (const { name } of mutants) print(`  '${name}'`);
}

async function exploreAll(options: Options): Promise<number> {
  const begunMs = Date.now();
  const chosen = chosenBy(options);
  const tasks = tasksOf(options, chosen, begunMs);
  const say = (line: string): void => {
    if (!options.json) print(line);
  };
  say(`seed ${options.seed}, at most ${options.seconds} s; ${judgedWords(options)}`);
  const graphs: ScenarioResult[] = [];
  const runs: SeededResult[] = [];
  const under = new Map<string, Counts>();
  const known: Known = { graphs, runs, under, chosen };
  const seconds = (): number => Math.round((Date.now() - begunMs) / 1000);
  const telling = setInterval(() => say(progressLine(known, tasks.length, seconds())), progressMs);
  const stopped = (): void => {
    say(
      'stopped: what follows is what was explored until now; states of graphs that were under way are not in it',
    );
    report(options, known, seconds(), true);
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
        if (!options.json) tell(result, options);
      },
      (name, counts) => under.set(name, counts),
    );
  } finally {
    clearInterval(telling);
    process.removeListener('SIGINT', stopped);
  }
  return report(options, known, seconds(), false);
}

function judgedWords({ runs, scenario, closing }: Options): string {
  const graphs =
    'graphs: every state that is reached, every cut of every boot, and the way to rest; invariants 1 to 5 and the rules of docs/write-order.md';
  const seeded = 'seeded runs: every durable state, and in every sixth step all that a cut could leave';
  if (runs === 1) return seeded;
  return scenario === undefined && !closing ? `${graphs}; ${seeded}` : graphs;
}

function progressLine({ graphs, runs, under }: Known, tasks: number, seconds: number): string {
  const seeded = runs.reduce((sum, result) => sum + result.runs, 0);
  const graphsNow = [...under].map(
    ([name, { booted, open }]) => `${name}: ${booted} states booted, ${open} to go`,
  );
  const parts = [`${graphs.length + runs.length} of ${tasks} tasks done`];
  if (seeded > 0) parts.push(`${seeded} seeded runs`);
  return `  ${seconds} s: ${[...parts, ...graphsNow].join('; ')}`;
}

/** The last lines, and the exit status. */
function report(options: Options, known: Known, seconds: number, interrupted: boolean): number {
  const { graphs, runs } = known;
  const sum = sumOf(known);
  const { json, seed, mustClose, closing } = options;
  const small = scenarios[0]?.name ?? '';
  const unclosed = closing
    ? [...sum.open, ...sum.notBegun]
    : [small].filter((name) => mustClose && !sum.closed.includes(name));
  if (json) {
    const plain = (of: readonly (ScenarioResult | SeededResult)[]) =>
      of.map(({ keys: _keys, ...rest }) => rest);
    print(
      JSON.stringify({
        seed,
        seconds,
        interrupted,
        ...sum,
        unclosed,
        graphs: plain(graphs),
        seeded: plain(runs),
      }),
    );
  } else {
    for (const line of linesOf(sum, seconds)) print(line);
    for (const name of unclosed) print(`exit status 1: "${name}" had to be explored to its end, and was not`);
  }
  return sum.violations === 0 && unclosed.length === 0 ? 0 : 1;
}

/** One run alone is a replay: no graph is wanted then. */
function chosenBy({ runs, scenario, closing }: Options): readonly Scenario[] {
  if (runs === 1) return [];
  return scenarios.filter(
    ({ name, closes }) => (scenario === undefined || name === scenario) && (closes || !closing),
  );
}

function tasksOf(options: Options, chosen: readonly Scenario[], begunMs: number): readonly Task[] {
  const { seconds, runs, seed, scenario, closing } = options;
  const endMs = begunMs + seconds * 1000;
  const graphs: Task[] = chosen.map(({ name }, at) => ({
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

function tell(result: TaskResult, { runs, seed: graphSeed }: Options): void {
  if (result.kind === 'scenario') {
    const { name, found } = result;
    print(graphLine(result));
    const again = `npm run crash -- --scenario '${name}' --seed ${graphSeed}`;
    if (found !== undefined) tellFound(found.violation, found.trace, again);
  }
  if (result.kind !== 'seeded') return;
  if (runs === 1 && result.found.length === 0) {
    for (const step of result.trace) print(`        ${step}`);
    print(`run ${graphSeed}: held, ${result.boots} boots`);
  }
  for (const { seed, found } of result.found)
    tellFound(found.violation, found.trace, `npm run crash -- --seed ${seed} --runs 1`);
}

function tellFound(violation: string, trace: readonly string[], again: string): void {
  print(`BROKEN  ${violation}`);
  for (const step of trace) print(`        ${step}`);
  print(`        again: ${again}`);
}

// Whoever reads a part of it and goes away has read enough.
process.stdout.on('error', () => process.exit());
process.exitCode = await main();
