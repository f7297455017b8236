/**
 * `airlock` as a process of its own whose person types lines on stdin: no terminal is needed to wait at a prompt.
 *
 *     node at-prompt.ts UNIX-TIME ARGUMENT...
 */
import { createInterface } from 'node:readline';
import { runAirlock } from '../../src/main.ts';

const [, , time, ...argv] = process.argv;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  const next = await lines.next();
  return next.done === true ? '' : next.value;
}

process.exitCode = await runAirlock(argv, {
  cwd: process.cwd(),
  env: {},
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  bars: false,
  terminal: { ask, askSecret: ask },
  now: () => Number(time),
});
process.stdin.destroy();
