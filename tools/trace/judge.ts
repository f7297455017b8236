/**
 * Judges whether the tests that ran prove the requirements: a matrix, and what is wrong with it.
 *
 * Pure: catalogue, titles and results in, problems out. It does not judge whether a test is a good one.
 */
import type { Catalogue, Requirement } from './catalogue.ts';
import type { Outcome } from './reporter.ts';
import type { TestResult, TestRun } from './results.ts';
import { parseTitle } from './titles.ts';

export interface TraceInput {
  readonly catalogue: Catalogue;
  readonly run: TestRun;
  /** Numbers that stand in the sources of tests, with their files. */
  readonly declared: ReadonlyMap<string, string>;
  /** Commit that is checked out now. */
  readonly commit: string;
  /** In CI a skipped test and results of another commit are failures. */
  readonly strict: boolean;
}

export interface MatrixRow {
  readonly requirement: Requirement;
  readonly tests: readonly { readonly test: string; readonly outcome: Outcome | 'not run' }[];
}

export interface TraceAnswer {
  readonly matrix: readonly MatrixRow[];
  readonly problems: readonly string[];
  readonly notes: readonly string[];
  readonly open: number;
}

function byNumber(left: string, right: string): number {
  return Number(left.slice('TEST-OTA-'.length)) - Number(right.slice('TEST-OTA-'.length));
}

/** The tests of each requirement, as the titles of the results name them. */
export function testsByRequirement(results: readonly TestResult[]): Map<string, string[]> {
  const tests = new Map<string, string[]>();
  for (const { name } of results) {
    const title = parseTitle(name);
    for (const id of title?.requirements ?? []) {
      const known = tests.get(id) ?? [];
      if (title !== undefined && !known.includes(title.test))
        tests.set(id, [...known, title.test].sort(byNumber));
    }
  }
  return tests;
}

function judgeTitles(results: readonly TestResult[], ids: ReadonlySet<string>): string[] {
  const seen = new Map<number, string>();
  return results.flatMap(({ name, file }) => {
    const title = parseTitle(name);
    if (title === undefined) return [`${file}: not a title of the agreed form: ${name}`];
    const number = Number(title.test.slice('TEST-OTA-'.length));
    const earlier = seen.get(number);
    seen.set(number, file);
    const unknown = title.requirements.filter((id) => !ids.has(id));
    return [
      ...(earlier === undefined ? [] : [`${title.test}: used twice, in ${earlier} and ${file}`]),
      ...unknown.map((id) => `${title.test}: unknown requirement ${id}`),
    ];
  });
}

function judgeOutcomes(
  results: readonly TestResult[],
  strict: boolean,
): { problems: string[]; notes: string[] } {
  const nameOf = (result: TestResult): string => parseTitle(result.name)?.test ?? result.name;
  const failed = results.filter((result) => result.outcome === 'failed');
  const skipped = results.filter((result) => result.outcome === 'skipped');
  const told = skipped.map((result) => `${nameOf(result)}: skipped: ${result.reason ?? 'no reason given'}`);
  const problems = failed.map((result) => `${nameOf(result)}: failed`);
  return strict ? { problems: [...problems, ...told], notes: [] } : { problems, notes: told };
}

function judgeRow(row: Requirement, found: readonly string[], catalogue: Catalogue): string[] {
  const problems: string[] = [];
  if (row.status === 'done' && found.length === 0) problems.push(`${row.id}: no test`);
  const gone = row.tests.filter((test) => !found.includes(test));
  const added = found.filter((test) => !row.tests.includes(test));
  if (gone.length > 0)
    problems.push(`${row.id}: the catalogue names ${gone.join(', ')}, no title that ran does`);
  if (added.length > 0) problems.push(`${row.id}: the catalogue lacks ${added.join(', ')}`);
  if (row.secureBoot !== null && !catalogue.secureBoot.includes(row.secureBoot))
    problems.push(`${row.id}: unknown secure-boot requirement ${row.secureBoot}`);
  if (!catalogue.changes.includes(row.change))
    problems.push(`${row.id}: unknown change record ${row.change}`);
  return problems;
}

/** The whole judgement. */
export function judge(input: TraceInput): TraceAnswer {
  const { catalogue, run, declared } = input;
  const rows = catalogue.areas.flatMap((area) => area.requirements);
  const found = testsByRequirement(run.results);
  const outcomes = new Map(run.results.map(({ name, outcome }) => [parseTitle(name)?.test ?? name, outcome]));
  const told = judgeOutcomes(run.results, input.strict);
  const stale =
    run.commit === input.commit
      ? []
      : ['the results are of another commit: run npm test before npm run trace'];
  const problems = [
    ...judgeTitles(run.results, new Set(rows.map((row) => row.id))),
    ...[...declared]
      .filter(([test]) => !outcomes.has(test))
      .map(([test, file]) => `${test}: not run (${file})`),
    ...rows.flatMap((row) => judgeRow(row, found.get(row.id) ?? [], catalogue)),
    ...told.problems,
    ...(input.strict ? stale : []),
  ];
  return {
    matrix: rows.map((requirement) => ({
      requirement,
      tests: [...new Set([...requirement.tests, ...(found.get(requirement.id) ?? [])])]
        .sort(byNumber)
        .map((test) => ({ test, outcome: outcomes.get(test) ?? 'not run' })),
    })),
    problems,
    notes: [...told.notes, ...(input.strict ? [] : stale)],
    open: rows.filter((row) => row.status === 'open').length,
  };
}
