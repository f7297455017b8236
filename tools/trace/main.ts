/**
 * `npm run trace`: prints requirement, tests, result, secure-boot link and change record; exits 1 where a test
 * is missing, unknown, used twice, failed or was not run. `--update` first writes the tests of each requirement
 * into the catalogue, as the titles name them.
 *
 * It runs no test: it reads what `npm test` left in `.cache/test-results.jsonl`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { environment, print, readText, repositoryRoot } from '../lib/repository.ts';
import { readCatalogue, withTests, writeArea } from './catalogue.ts';
import { judge, type MatrixRow, testsByRequirement } from './judge.ts';
import { parseRun, resultsFile } from './results.ts';
import { declaredTests } from './titles.ts';

function resultOf(row: MatrixRow): string {
  const worst = ['failed', 'not run', 'skipped', 'passed'] as const;
  return worst.find((outcome) => row.tests.some((test) => test.outcome === outcome)) ?? 'no test';
}

const testsAcross = 6; // numbers of tests that fit a line of the matrix

function printRow(row: MatrixRow): void {
  const { id, status, secureBoot, change } = row.requirement;
  const numbers = row.tests.map(({ test }) => test.slice('TEST-OTA-'.length));
  const lines = Array.from({ length: Math.ceil(numbers.length / testsAcross) }, (_, index) =>
    numbers.slice(index * testsAcross, (index + 1) * testsAcross).join(' '),
  );
  const first = (lines[0] ?? '-').padEnd(testsAcross * 4);
  print(
    `${id.padEnd(18)} ${status.padEnd(5)} ${first} ${resultOf(row).padEnd(8)} ${(secureBoot ?? '-').padEnd(10)} ${change}`,
  );
  for (const line of lines.slice(1)) print(`${' '.repeat(25)}${line}`);
}

function main(): void {
  if (!existsSync(path.join(repositoryRoot, resultsFile))) {
    print(`${resultsFile} is not there: run npm test first`);
    process.exitCode = 1;
    return;
  }
  const run = parseRun(readText(repositoryRoot, resultsFile));
  if (process.argv.includes('--update')) {
    const tests = testsByRequirement(run.results);
    for (const area of readCatalogue(repositoryRoot).areas) writeArea(repositoryRoot, withTests(area, tests));
    const format = ['format', '--write', 'requirements'];
    execFileSync('biome', format, { cwd: repositoryRoot, env: environment(), stdio: 'ignore' });
  }
  const commit = execFileSync('git', ['-C', repositoryRoot, 'rev-parse', 'HEAD'], {
    encoding: 'utf8',
  }).trim();
  const answer = judge({
    catalogue: readCatalogue(repositoryRoot),
    run,
    declared: declaredTests(repositoryRoot),
    commit,
    strict: process.env['CI'] === 'true',
  });
  print(
    `${'requirement'.padEnd(18)} state ${'tests (TEST-OTA-)'.padEnd(testsAcross * 4)} result   boot       change`,
  );
  for (const row of answer.matrix) printRow(row);
  print('\nopen:');
  for (const { requirement } of answer.matrix)
    if (requirement.status === 'open')
      print(`  ${requirement.id}: ${requirement.reason} (${requirement.later})`);
  for (const note of answer.notes) print(`note: ${note}`);
  for (const problem of answer.problems) print(`wrong: ${problem}`);
  if (answer.problems.length > 0) process.exitCode = 1;
  print(
    `trace: ${answer.matrix.length} requirements, ${run.results.length} tests, ${answer.open} open, ` +
      `${answer.problems.length} wrong`,
  );
}

main();
