/** The command line of `npm run crash`: one of four things to do, and what each takes. Anything else is an error. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { mutants } from './mutants.ts';
import { scenarios } from './scenarios.ts';

export const usage = `npm run crash                              every graph and 1,000 seeded runs, in at most ten minutes
npm run crash -- --seconds N --runs N      the same with other budgets
npm run crash -- --must-close              ... and exit 1 unless the small release was explored to its end
npm run crash -- --closing                 every graph that closes, the small release among them; exit 1 unless all did
npm run crash -- --scenario 'NAME'         one graph alone; names with spaces are quoted
npm run crash -- --seed N                  with this seed; --seed N --runs 1 repeats one run exactly, and prints it
npm run crash -- --mutants                 plants defects; each must be found, and nothing in the agent as it is
npm run crash -- --mutant 'NAME'           one of them, and the way to what it breaks
npm run crash -- --real N [--seed N]       N power cuts and N kills of real processes, over real TLS: about 3 s each
npm run crash -- --list                    names of graphs and of planted defects, and what they are
With one seed a graph that closes is the same each time; one that the time cuts off ends where the machine got to.
--json prints one value for machines. Exit status: 0 nothing was broken, 1 something was, or did not close that had
to, 2 wrong usage, 130 stopped (Ctrl-C).`;

/** Exit status when a person stopped it. */
export const interruptedStatus = 130;

/** As long as a person waits for a proof, and CI for a part of it. */
const secondsDefault = 600;
const runsDefault = 1000;
/** With a thousand runs a seed still has nine digits. */
const seedMax = 900_000_000;

export interface Options {
  readonly kind: 'explore' | 'mutants' | 'real' | 'help' | 'list';
  readonly seconds: number;
  readonly runs: number;
  readonly seed: number;
  readonly scenario: string | undefined;
  /** The one planted defect that is hunted. */
  readonly mutant: string | undefined;
  readonly mustClose: boolean;
  /** Only graphs that close. */
  readonly closing: boolean;
  /** Cuts, and kills, of real processes. */
  readonly real: number;
  readonly json: boolean;
}

/** The options, or what is wrong with them. */
export function parseOptions(args: readonly string[]): Options | string {
  let given;
  try {
    given = parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string' },
        runs: { type: 'string' },
        seed: { type: 'string' },
        scenario: { type: 'string' },
        closing: { type: 'boolean', default: false },
        'must-close': { type: 'boolean', default: false },
        mutant: { type: 'string' },
        mutants: { type: 'boolean', default: false },
        real: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        list: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  }
  const { seconds, runs, seed, scenario, mutant, real, json } = given;
  for (const [name, text] of Object.entries({ seconds, runs, seed, real })) {
    if (text !== undefined && !/^[0-9]{1,9}$/.test(text))
      return `--${name}: "${text}" is not a whole number of at most nine digits`;
  }
  const known = scenarios.map(({ name }) => name);
  if (scenario !== undefined && !known.includes(scenario))
    return `--scenario is one of: ${known.map((name) => `'${name}'`).join(', ')}`;
  const planted = mutants.map(({ name }) => name);
  if (mutant !== undefined && !planted.includes(mutant))
    return `--mutant is one of: ${planted.map((name) => `'${name}'`).join(', ')}`;
  const hunts = given.mutants || mutant !== undefined;
  const kind = given.help
    ? 'help'
    : given.list
      ? 'list'
      : hunts
        ? 'mutants'
        : real === undefined
          ? 'explore'
          : 'real';
  const others = { seconds, runs, scenario, ...(kind === 'mutants' ? { seed, real } : {}) };
  const idle = Object.entries(others).find(([, value]) => value !== undefined);
  if ((kind === 'mutants' || kind === 'real') && idle !== undefined)
    return `--${idle[0]} does nothing with --${mutant === undefined ? kind : 'mutant'}`;
  if (kind === 'real' && json) return '--json does nothing with --real, which prints as it goes';
  if (given['must-close'] && (kind !== 'explore' || (scenario ?? scenarios[0]?.name) !== scenarios[0]?.name))
    return `--must-close is about '${scenarios[0]?.name}', which would not be explored`;
  if (given.closing && (scenario !== undefined || runs !== undefined || kind !== 'explore'))
    return '--closing explores every graph that closes, and nothing else: leave the other options away';
  if (scenario !== undefined && runs !== undefined)
    return '--runs are of seeded runs, and --scenario is one graph without any';
  const options = {
    kind,
    seconds: Number(seconds ?? secondsDefault),
    runs: Number(runs ?? runsDefault),
    seed: Number(seed ?? randomInt(1, seedMax)),
    scenario,
    mutant,
    closing: given.closing,
    mustClose: given['must-close'],
    real: Number(real ?? 0),
    json,
  } as const;
  if (kind === 'real' && options.real === 0) return '--real takes the number of cuts, at least 1';
  if (kind === 'explore' && options.seconds === 0) return '--seconds 0 would explore nothing';
  return options;
}
