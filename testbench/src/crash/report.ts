/**
 * What the explorer says at its end: what was broken, what was explored to its end and what was not - of graphs that
 * were stopped or never begun as well.
 *
 * Distinct states are counted once, in however many graphs and runs they came: graphs of one world share many.
 */
import type { Counts } from './explore.ts';
import type { Scenario } from './scenarios.ts';
import type { ScenarioResult, SeededResult } from './tasks.ts';

export interface Sum {
  /** Over everything, each counted once. */
  readonly distinct: number;
  readonly boots: number;
  readonly edges: number;
  readonly cuts: number;
  readonly runs: number;
  readonly violations: number;
  readonly closed: readonly string[];
  /** Begun, and not explored to the end. */
  readonly open: readonly string[];
  readonly notBegun: readonly string[];
}

/** Everything that is known, at the end or when a person stops it. */
export interface Known {
  readonly graphs: readonly ScenarioResult[];
  readonly runs: readonly SeededResult[];
  /** Of graphs that are under way. */
  readonly under: ReadonlyMap<string, Counts>;
  readonly chosen: readonly Pick<Scenario, 'name'>[];
}

export function sumOf({ graphs, runs, under, chosen }: Known): Sum {
  const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
  const counts = [...graphs, ...under.values()];
  const distinct = new Set([...graphs, ...runs].flatMap(({ keys }) => keys)).size;
  const closed = graphs.filter(({ open, found }) => open === 0 && found === undefined);
  const begun = new Set([
    ...graphs.filter(({ booted }) => booted > 0).map(({ name }) => name),
    ...under.keys(),
  ]);
  const isClosed = new Set(closed.map(({ name }) => name));
  return {
    // Of a graph that was stopped the keys are not here: none of its states is counted.
    distinct,
    boots: total([...counts, ...runs].map(({ boots }) => boots)),
    edges: total(counts.map(({ edges }) => edges)),
    cuts: total([...counts, ...runs].map(({ cuts }) => cuts)),
    runs: total(runs.map((result) => result.runs)),
    violations:
      graphs.filter(({ found }) => found !== undefined).length + total(runs.map(({ found }) => found.length)),
    closed: closed.map(({ name }) => name),
    open: chosen.map(({ name }) => name).filter((name) => begun.has(name) && !isClosed.has(name)),
    notBegun: chosen.map(({ name }) => name).filter((name) => !begun.has(name)),
  };
}

export function linesOf(sum: Sum, seconds: number): readonly string[] {
  const { distinct, boots, edges, cuts, runs, violations, closed, open, notBegun } = sum;
  const held = `${violations} violations, ${seconds} s`;
  if (closed.length + open.length + notBegun.length === 0)
    return [
      `${distinct} distinct states, ${boots} boots, ${cuts} cut variants, ${runs} seeded runs, ${held}`,
    ];
  return [
    `${distinct} distinct states, ${boots} boots, ${edges} edges, ${cuts} cut variants, ${runs} seeded runs, ${held}`,
    `explored to the end: ${namesOf(closed)}`,
    `NOT explored to the end: ${namesOf(open)}`,
    ...(notBegun.length === 0 ? [] : [`NOT begun: ${namesOf(notBegun)}`]),
  ];
}

function namesOf(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.map((name) => `"${name}"`).join(', ');
}

/** One graph, in one line. */
export function graphLine({
  name,
  nodes,
  booted,
  boots,
  skipped,
  edges,
  cuts,
  open,
  bootsToRest,
  ms,
}: ScenarioResult): string {
  if (booted === 0) return `${name}: not begun, the time was over`;
  const state = open === 0 ? 'CLOSED' : `${open} states not booted`;
  const rest = `${open === 0 ? '' : 'so far '}at rest within ${bootsToRest} boots`;
  return (
    `${name}: ${state}; ${nodes} states, ${booted} of them booted in ${boots} boots (${skipped} more would repeat one), ` +
    `${edges} edges, ${cuts} cut variants, ${rest}, ${Math.round(ms / 1000)} s`
  );
}
