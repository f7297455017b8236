/**
 * The file in which a test run leaves its results: JSON lines, one per test, the first one about the run.
 *
 * `tools/run-tests.ts` writes it, `npm run trace` reads it. A file of an older form is an error, not a guess.
 */
import { isRecord } from '../lib/repository.ts';
import type { Outcome } from './reporter.ts';

export const resultsFile = '.cache/test-results.jsonl';

export interface TestResult {
  /** Full title. */
  readonly name: string;
  /** Relative to the root. */
  readonly file: string;
  readonly outcome: Outcome;
  /** Why it was skipped. */
  readonly reason?: string;
}

export interface TestRun {
  /** Commit that was checked out; empty where git could not tell. */
  readonly commit: string;
  readonly results: readonly TestResult[];
}

const outcomes: readonly string[] = ['passed', 'failed', 'skipped'] satisfies Outcome[];

function isOutcome(value: unknown): value is Outcome {
  return typeof value === 'string' && outcomes.includes(value);
}

function parseLine(line: string, where: string): unknown {
  try {
    const value: unknown = JSON.parse(line);
    return value;
  } catch {
    throw new Error(`${where}: not JSON`);
  }
}

function parseResult(value: unknown, where: string): TestResult {
  if (!isRecord(value)) throw new Error(`${where}: an object was expected`);
  const { name, file, outcome, reason } = value;
  if (typeof name !== 'string' || typeof file !== 'string' || !isOutcome(outcome))
    throw new Error(`${where}: name, file and outcome were expected`);
  return typeof reason === 'string' ? { name, file, outcome, reason } : { name, file, outcome };
}

/** Lines of one reporter: its results, and whether it came to its end. */
export function readReport(text: string): { results: TestResult[]; complete: boolean } {
  const values = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, index) => parseLine(line, `line ${index + 1}`));
  const complete = values.some((value) => isRecord(value) && value['end'] === true);
  const results = values.filter((value) => !isRecord(value) || value['end'] !== true);
  return { results: results.map((value, index) => parseResult(value, `line ${index + 1}`)), complete };
}

export function encodeRun(run: TestRun): string {
  return [{ commit: run.commit }, ...run.results].map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Reads what `encodeRun` wrote. Throws where it is anything else. */
export function parseRun(text: string): TestRun {
  const lines = text.split('\n').filter((line) => line !== '');
  const [first, ...rest] = lines.map((line, index) => parseLine(line, `line ${index + 1}`));
  if (!isRecord(first) || typeof first['commit'] !== 'string') throw new Error('line 1: commit was expected');
  return {
    commit: first['commit'],
    results: rest.map((value, index) => parseResult(value, `line ${index + 2}`)),
  };
}
