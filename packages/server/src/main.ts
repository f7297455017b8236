/** Starts the program with the process's own arguments, streams and signals. */
import { runProgram } from './program.ts';

/**
 * Resolves at SIGTERM or SIGINT, and with --until-stdin-ends when whoever started it is gone, however it went:
 * requests that run are ended, nothing acknowledged is lost either way.
 *
 * The handlers stay: a terminal's Ctrl-C signals this process and whoever started it, who passes the signal on. With
 * `once` the second one would end the process in the middle of its clean stop.
 */
const stopped = new Promise((resolve) => {
  process.on('SIGTERM', resolve);
  process.on('SIGINT', resolve);
  if (process.argv.includes('--until-stdin-ends')) process.stdin.resume().once('close', resolve);
});

process.exitCode = await runProgram(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  stopped,
});
