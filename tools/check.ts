/**
 * `npm run check`: every judge that needs no running program, at once, with one table at the end.
 *
 * Prints the output of those that failed, then the table; exits 1 if any failed. Takes well under a minute.
 */
import { spawn } from 'node:child_process';
import { environment, print, repositoryRoot } from './lib/repository.ts';

interface Judge {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly says: string;
}

interface Answer {
  readonly judge: Judge;
  readonly passed: boolean;
  readonly output: string;
  readonly seconds: number;
}

const judges: readonly Judge[] = [
  {
    name: 'types',
    command: ['node', 'node_modules/typescript-7/bin/tsc', '--noEmit', '-p', 'tsconfig.json'],
    says: 'strict TypeScript',
  },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'], says: 'no rule of style broken' },
  { name: 'format', command: ['biome', 'format', '.'], says: 'as the formatter writes it' },
  { name: 'law', command: ['node', 'tools/import-law/main.ts'], says: 'imports as the law allows' },
  { name: 'dead', command: ['knip'], says: 'no unused file, export or dependency' },
  { name: 'tidy', command: ['node', 'tools/docs/main.ts'], says: 'documents and tables agree with the code' },
];

const judgeSecondsMax = 180; // a judge that hangs is stopped; all together take well under a minute on an idle machine

function run(judge: Judge): Promise<Answer> {
  return new Promise((resolve) => {
    const started = performance.now();
    const [program, ...args] = judge.command;
    const child = spawn(program, args, {
      cwd: repositoryRoot,
      env: environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: judgeSecondsMax * 1000,
    });
    const pieces: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (piece: string) => pieces.push(piece));
    child.stderr.setEncoding('utf8').on('data', (piece: string) => pieces.push(piece));
    const finish = (passed: boolean): void => {
      resolve({ judge, passed, output: pieces.join(''), seconds: (performance.now() - started) / 1000 });
    };
    child.on('error', (error) => {
      pieces.push(`${error.message}\n`);
      finish(false);
    });
    child.on('close', (code) => {
      finish(code === 0);
    });
  });
}

const started = performance.now();
const answers = await Promise.all(judges.map(run));
for (const { judge, passed, output } of answers)
  if (!passed) print(`--- ${judge.name}\n${output.trimEnd()}\n`);
for (const { judge, passed, seconds } of answers)
  print(
    `${passed ? 'ok    ' : 'FAILED'} ${judge.name.padEnd(7)} ${seconds.toFixed(1).padStart(5)} s  ${judge.says}`,
  );
const failed = answers.filter((answer) => !answer.passed).length;
print(
  `check: ${failed === 0 ? 'ok' : `${failed} failed`} in ${((performance.now() - started) / 1000).toFixed(1)} s`,
);
process.exitCode = failed === 0 ? 0 : 1;
