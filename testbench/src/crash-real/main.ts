/**
 * `node testbench/src/crash-real/main.ts`: power cuts and kills at random moments, on real processes.
 *
 * Exit status 0 when everything held, 1 when something did not, 2 for a wrong command line.
 */
import { parseArgs } from 'node:util';
import { cleanUp } from '../processes.ts';
import { runReal } from './run.ts';

const usage = `node testbench/src/crash-real/main.ts [--cuts N] [--kills N] [--seed N]
  --cuts    power cuts of a device with a volatile disk (default 200)
  --kills   kills of the agent as it is shipped (default 200)
  --seed    draws every moment, and what a power cut leaves (default: another one each time, printed)
`;

function whole(text: string, name: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0 && value <= 1_000_000) return value;
  throw new TypeError(`--${name}: expected a whole number from 0 to 1000000`);
}

try {
  const { values } = parseArgs({
    options: {
      cuts: { type: 'string', default: '200' },
      kills: { type: 'string', default: '200' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    },
  });
  const options = {
    cuts: whole(values.cuts, 'cuts'),
    kills: whole(values.kills, 'kills'),
    seed: whole(values.seed, 'seed'),
  };
  const { violations } = await runReal({
    ...options,
    print: (line) => void process.stdout.write(`${line}\n`),
  });
  process.exitCode = violations.length === 0 ? 0 : 1;
} catch (error) {
  const wrongUse = error instanceof TypeError;
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(wrongUse ? `${message}\n${usage}` : `crash-real: ${message}\n`);
  process.exitCode = wrongUse ? 2 : 1;
} finally {
  cleanUp();
}
