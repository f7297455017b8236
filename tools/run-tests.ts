/**
 * `npm test`: every test of the repository; the last line is `N passed, N failed, N skipped`.
 *
 * The tests of one package share a process, which is many times faster than one per file. Where a file has hooks of
 * its own (`before`, `after`) each file gets a process, since in a shared one they would be everybody's. A group that ends before its reporter does counts as a
 * failure. `npm test -- trust agent` runs only these groups and leaves the results for `npm run trace` alone.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { environment, print, readText, repositoryFiles, repositoryRoot } from './lib/repository.ts';
import { encodeRun, readReport, resultsFile, type TestResult } from './trace/results.ts';

interface Group {
  readonly name: string;
  readonly files: readonly string[];
  readonly isolation: 'none' | 'process';
  /** It measures times and waits on processes: it runs when nothing else does. */
  readonly endToEnd: boolean;
  /** One test that takes longer has failed. */
  readonly testSecondsMax: number;
  /** The whole group is stopped after so long: a test that hangs must not hang everything. */
  readonly groupSecondsMax: number;
}

const unitTestSecondsMax = 10 * 60; // cutting the power at every operation takes half a minute; busy machines are ten times slower
const unitGroupSecondsMax = 20 * 60;
const endToEndTestSecondsMax = 10 * 60; // the demo alone may take three minutes on an idle machine
const endToEndGroupSecondsMax = 40 * 60;
const groupsAtOnce = 2; // the cores of the smallest machine that this is built on

function hasHooks(file: string): boolean {
  return /^(?:before|after)(?:Each)?\(/m.test(readText(repositoryRoot, file));
}

function findGroups(): Group[] {
  const tests = repositoryFiles(repositoryRoot).filter((name) => name.endsWith('.test.ts'));
  const folders = [...new Set(tests.map((name) => name.split('/test/')[0] ?? ''))];
  return folders.map((folder) => {
    const endToEnd = folder === 'testbench';
    const files = tests.filter((name) => name.startsWith(`${folder}/test/`));
    return {
      name: path.basename(folder),
      files,
      isolation: endToEnd || files.some(hasHooks) ? 'process' : 'none',
      endToEnd,
      testSecondsMax: endToEnd ? endToEndTestSecondsMax : unitTestSecondsMax,
      groupSecondsMax: endToEnd ? endToEndGroupSecondsMax : unitGroupSecondsMax,
    };
  });
}

function argumentsFor(group: Group, reportFile: string): string[] {
  return [
    '--test',
    `--test-isolation=${group.isolation}`,
    `--test-timeout=${group.testSecondsMax * 1000}`,
    ...(group.isolation === 'process' ? ['--test-concurrency=1'] : []),
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    '--test-reporter=./tools/trace/reporter.ts',
    `--test-reporter-destination=${reportFile}`,
    ...group.files,
  ];
}

function readGroup(group: Group, reportFile: string, status: number | null): TestResult[] {
  const file = path.join(repositoryRoot, reportFile);
  const { results, complete } = existsSync(file)
    ? readReport(readFileSync(file, 'utf8'))
    : { results: [], complete: false };
  const said = results.some((result) => result.outcome === 'failed');
  const name = complete
    ? `the tests of ${group.name} ended with status ${status}`
    : `${group.name} did not finish`;
  // Status and results must tell the same: what is not explained by a failed test is a failure of its own.
  return complete && (status === 0) === !said ? results : [...results, { name, file: '', outcome: 'failed' }];
}

function killGroup(processGroup: number | undefined): void {
  try {
    if (processGroup !== undefined) process.kill(-processGroup, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

function runGroup(group: Group): Promise<TestResult[]> {
  const reportFile = `.cache/results/${group.name}.jsonl`;
  return new Promise((resolve) => {
    // A process group of its own: what hangs may be a program that a test started, and it holds the output open.
    const child = spawn(process.execPath, argumentsFor(group, reportFile), {
      cwd: repositoryRoot,
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    const kill = (): void => {
      killGroup(child.pid);
    };
    const timer = setTimeout(kill, group.groupSecondsMax * 1000);
    process.once('exit', kill);
    const pieces: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (piece: string) => pieces.push(piece));
    child.on('close', (status) => {
      clearTimeout(timer);
      process.off('exit', kill);
      print(`\n=== ${group.name}\n${pieces.join('').trimEnd()}`);
      resolve(readGroup(group, reportFile, status));
    });
  });
}

async function runAll(groups: readonly Group[]): Promise<TestResult[]> {
  const waiting = [...groups];
  const results: TestResult[] = [];
  const worker = async (): Promise<void> => {
    for (let group = waiting.shift(); group !== undefined; group = waiting.shift())
      results.push(...(await runGroup(group)));
  };
  await Promise.all(Array.from({ length: groupsAtOnce }, worker));
  return results;
}

function headCommit(): string {
  try {
    return execFileSync('git', ['-C', repositoryRoot, 'rev-parse', 'HEAD'], { encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}

const interruptedStatus = 130;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => process.exit(interruptedStatus));

const wanted = process.argv.slice(2);
const known = findGroups();
const unknown = wanted.filter((name) => !known.some((group) => group.name === name));
for (const name of unknown)
  print(`no group of tests is called ${name}: ${known.map((one) => one.name).join(', ')}`);
const groups = known.filter((group) => wanted.length === 0 || wanted.includes(group.name));
rmSync(path.join(repositoryRoot, '.cache/results'), { recursive: true, force: true });
mkdirSync(path.join(repositoryRoot, '.cache/results'), { recursive: true });

const unitResults = await runAll(groups.filter((group) => !group.endToEnd));
const endResults = await runAll(groups.filter((group) => group.endToEnd));
const results = [...unitResults, ...endResults];
if (wanted.length === 0)
  writeFileSync(path.join(repositoryRoot, resultsFile), encodeRun({ commit: headCommit(), results }));

const count = (outcome: string): number => results.filter((result) => result.outcome === outcome).length;
const failed = results.filter((result) => result.outcome === 'failed');
if (failed.length > 0) print('\nfailed:');
for (const result of failed) print(`  ${result.file} ${result.name}`);
// A run that tested nothing has proved nothing.
process.exitCode = failed.length > 0 || count('passed') === 0 || unknown.length > 0 ? 1 : 0;
print(`\n${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`);
