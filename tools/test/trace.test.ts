/**
 * The trace tool, on small catalogues and results: each thing that must fail the trace fails it, and by name.
 * The reporter is run on real test files, also on one that ends its process.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../lib/repository.ts';
import { type Catalogue, parseArea, readCatalogue, withTests } from '../trace/catalogue.ts';
import { judge, testsByRequirement, type TraceInput } from '../trace/judge.ts';
import { encodeRun, parseRun, readReport, type TestResult } from '../trace/results.ts';
import { parseTitle } from '../trace/titles.ts';

const one = 'TEST-OTA-01 REQ-OTA-SIGN-01: subject, condition: outcome';
const two = 'TEST-OTA-02 REQ-OTA-SIGN-01, REQ-OTA-SIGN-02: subject, condition: outcome';

function row(id: string, tests: readonly string[], more: object = {}): object {
  return { id, text: 'a text', status: 'done', secureBoot: null, change: 'CR-0001', tests, ...more };
}

function catalogueOf(...requirements: readonly object[]): Catalogue {
  const area = { area: 'SIGN', title: 'Signed', source: 'seed', requirements };
  return { areas: [parseArea(area, 'sign.json')], secureBoot: ['SB-KEY'], changes: ['CR-0001'] };
}

const catalogue = catalogueOf(
  row('REQ-OTA-SIGN-01', ['TEST-OTA-01', 'TEST-OTA-02'], { secureBoot: 'SB-KEY' }),
  row('REQ-OTA-SIGN-02', ['TEST-OTA-02']),
);

function passed(...names: readonly string[]): TestResult[] {
  return names.map((name) => ({ name, file: 'a.test.ts', outcome: 'passed' }));
}

function problemsOf(
  change: Partial<TraceInput> & { results?: readonly TestResult[] } = {},
): readonly string[] {
  const { results = passed(one, two), ...input } = change;
  const run = { commit: 'abc', results };
  return judge({ catalogue, run, declared: new Map(), commit: 'abc', strict: false, ...input }).problems;
}

test('TEST-OTA-710 REQ-OTA-BUILD-02: trace, every requirement proved by tests that ran: nothing is wrong', () => {
  assert.deepEqual(problemsOf(), []);
  const answer = judge({
    catalogue,
    run: { commit: '', results: passed(one, two) },
    declared: new Map(),
    commit: '',
    strict: true,
  });
  assert.equal(answer.open, 0);
  assert.deepEqual(
    answer.matrix.map(({ requirement, tests }) => [requirement.id, tests.length]),
    [
      ['REQ-OTA-SIGN-01', 2],
      ['REQ-OTA-SIGN-02', 1],
    ],
  );
});

test('TEST-OTA-711 REQ-OTA-BUILD-02: trace, a requirement without a test: is told, unless it is open', () => {
  const bare = catalogueOf(row('REQ-OTA-SIGN-01', []));
  assert.deepEqual(problemsOf({ catalogue: bare, results: [] }), ['REQ-OTA-SIGN-01: no test']);
  const open = catalogueOf(row('REQ-OTA-SIGN-01', [], { status: 'open', reason: 'not yet', later: 'next' }));
  assert.deepEqual(problemsOf({ catalogue: open, results: [] }), []);
  const run = { commit: '', results: [] };
  assert.equal(judge({ catalogue: open, run, declared: new Map(), commit: '', strict: true }).open, 1);
});

test('TEST-OTA-712 REQ-OTA-BUILD-02: trace, a title with an unknown requirement or of another form: is told', () => {
  const unknown = 'TEST-OTA-03 REQ-OTA-SIGN-99: subject, condition: outcome';
  assert.deepEqual(problemsOf({ results: passed(one, two, unknown) }), [
    'TEST-OTA-03: unknown requirement REQ-OTA-SIGN-99',
  ]);
  assert.deepEqual(problemsOf({ results: passed(one, two, 'it works') }), [
    'a.test.ts: not a title of the agreed form: it works',
  ]);
});

test('TEST-OTA-713 REQ-OTA-BUILD-02: trace, a test that is declared or catalogued and did not run: is told', () => {
  const declared = new Map([['TEST-OTA-07', 'b.test.ts']]);
  assert.deepEqual(problemsOf({ declared }), ['TEST-OTA-07: not run (b.test.ts)']);
  assert.deepEqual(problemsOf({ results: passed(two) }), [
    'REQ-OTA-SIGN-01: the catalogue names TEST-OTA-01, no title that ran does',
  ]);
});

test('TEST-OTA-714 REQ-OTA-BUILD-02: trace, one number in two titles: is told, also with other zeros', () => {
  const again = 'TEST-OTA-1 REQ-OTA-SIGN-02: subject, other condition: outcome';
  const problems = problemsOf({ results: passed(one, two, again) });
  assert.equal(problems[0], 'TEST-OTA-1: used twice, in a.test.ts and a.test.ts');
});

test('TEST-OTA-715 REQ-OTA-BUILD-02: trace, failed and skipped tests: failed always wrong, skipped in CI only', () => {
  const failed: TestResult = { name: two, file: 'a.test.ts', outcome: 'failed' };
  assert.deepEqual(problemsOf({ results: [...passed(one), failed] }), ['TEST-OTA-02: failed']);
  const skipped: TestResult = { name: two, file: 'a.test.ts', outcome: 'skipped', reason: 'needs curl' };
  assert.deepEqual(problemsOf({ results: [...passed(one), skipped] }), []);
  assert.deepEqual(problemsOf({ results: [...passed(one), skipped], strict: true }), [
    'TEST-OTA-02: skipped: needs curl',
  ]);
});

test('TEST-OTA-716 REQ-OTA-BUILD-02: trace, unknown links and results of another commit: are told', () => {
  const lost = catalogueOf(
    row('REQ-OTA-SIGN-01', ['TEST-OTA-01'], { secureBoot: 'SB-NONE', change: 'CR-0009' }),
  );
  assert.deepEqual(problemsOf({ catalogue: lost, results: passed(one) }), [
    'REQ-OTA-SIGN-01: unknown secure-boot requirement SB-NONE',
    'REQ-OTA-SIGN-01: unknown change record CR-0009',
  ]);
  assert.equal(problemsOf({ commit: 'def' }).length, 0);
  assert.equal(problemsOf({ commit: 'def', strict: true }).length, 1);
});

test('TEST-OTA-717 REQ-OTA-BUILD-02: catalogue, tests taken from titles: sorted by number, and nothing else changes', () => {
  const tests = testsByRequirement(passed(two, one));
  assert.deepEqual(tests.get('REQ-OTA-SIGN-01'), ['TEST-OTA-01', 'TEST-OTA-02']);
  const [area] = catalogue.areas;
  assert.ok(area);
  assert.deepEqual(withTests(withTests(area, new Map()), tests), area);
});

test('TEST-OTA-718 REQ-OTA-BUILD-02: catalogue, a row of a wrong form: is refused with its place', () => {
  const wrong: readonly [object, RegExp][] = [
    [row('REQ-OTA-MAN-01', []), /REQ-OTA-MAN-01 is not of SIGN/],
    [row('REQ-OTA-SIGN-01', [], { status: 'later' }), /status: done or open/],
    [row('REQ-OTA-SIGN-01', [], { status: 'open' }), /reason: a text/],
    [row('REQ-OTA-SIGN-01', [], { text: ' ' }), /text: a text/],
    [row('REQ-OTA-SIGN-01', [], { tests: [1] }), /tests: a list of strings/],
    [row('REQ-OTA-SIGN-01', [], { change: undefined }), /change: a text/],
  ];
  for (const [value, message] of wrong) assert.throws(() => catalogueOf(value), message);
  assert.throws(() => catalogueOf(row('REQ-OTA-SIGN-01', []), row('REQ-OTA-SIGN-01', [])), /twice/);
});

test('TEST-OTA-719 REQ-OTA-BUILD-02: catalogue, the one of this repository: is well formed and its numbers are unique', () => {
  const real = readCatalogue(repositoryRoot);
  const rows = real.areas.flatMap((area) => area.requirements);
  assert.ok(rows.length >= 69);
  assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length);
  for (const { id, change, secureBoot } of rows) {
    assert.ok(real.changes.includes(change), `${id}: ${change}`);
    assert.ok(secureBoot === null || real.secureBoot.includes(secureBoot), `${id}: ${secureBoot}`);
  }
});

test('TEST-OTA-720 REQ-OTA-BUILD-02: titles, the agreed form and others: only the form is read', () => {
  assert.deepEqual(parseTitle(two), {
    test: 'TEST-OTA-02',
    requirements: ['REQ-OTA-SIGN-01', 'REQ-OTA-SIGN-02'],
  });
  for (const name of [
    'TEST-OTA-01 something',
    'REQ-OTA-SIGN-01: a: b',
    'TEST-OTA-01 REQ-OTA-SIGN-01: no outcome',
  ])
    assert.equal(parseTitle(name), undefined, name);
});

/** Runs node:test with the reporter on one file of the given text. */
function reportOn(text: string, isolation: 'none' | 'process'): ReturnType<typeof readReport> {
  const folder = mkdtempSync(path.join(tmpdir(), 'airlock-report-'));
  try {
    const file = path.join(folder, 'x.test.mjs');
    writeFileSync(file, `import { test, describe } from 'node:test';\n${text}\n`);
    const reporter = path.join(repositoryRoot, 'tools/trace/reporter.ts');
    const options = ['--test', `--test-isolation=${isolation}`, `--test-reporter=${reporter}`];
    const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
    const child = spawnSync(process.execPath, [...options, file], { cwd: folder, env, encoding: 'utf8' });
    return readReport(child.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('TEST-OTA-721 REQ-OTA-BUILD-05: reporter, every kind of end: each test counted once with its outcome', () => {
  const text = [
    "test('TEST-OTA-1 a', () => {});",
    "test('TEST-OTA-2 b', () => { throw new Error('no'); });",
    "test('TEST-OTA-3 c', (t) => t.skip('needs a tool'));",
    "test('TEST-OTA-4 d', { todo: true });",
    "describe('together', () => { test('TEST-OTA-5 e', (t) => t.test('a step', () => {})); });",
  ].join('\n');
  const { results, complete } = reportOn(text, 'none');
  assert.equal(complete, true);
  assert.deepEqual(
    results.map(({ name, outcome, reason }) => [name, outcome, reason]),
    [
      ['TEST-OTA-1 a', 'passed', undefined],
      ['TEST-OTA-2 b', 'failed', undefined],
      ['TEST-OTA-3 c', 'skipped', 'needs a tool'],
      ['TEST-OTA-4 d', 'skipped', undefined],
      ['TEST-OTA-5 e', 'passed', undefined],
    ],
  );
});

test('TEST-OTA-722 REQ-OTA-BUILD-05: reporter, a test that ends its process or a file that does not load: never a success', () => {
  const ends = "test('TEST-OTA-1 a', () => process.exit(0));";
  assert.equal(reportOn(ends, 'none').complete, false);
  const results = reportOn("await import('./absent.mjs');", 'process').results;
  assert.deepEqual(
    results.map(({ outcome }) => outcome),
    ['failed'],
  );
});

test('TEST-OTA-723 REQ-OTA-BUILD-05: results file, written and read: the same; anything else: refused', () => {
  const run = {
    commit: 'abc',
    results: [...passed(one), { name: two, file: 'b', outcome: 'skipped' as const, reason: 'r' }],
  };
  assert.deepEqual(parseRun(encodeRun(run)), run);
  for (const text of ['', '{}\n', 'x\n', '{"commit":"a"}\n{"name":"n","file":"f","outcome":"fine"}\n'])
    assert.throws(() => parseRun(text), /expected|not JSON/, text);
});
