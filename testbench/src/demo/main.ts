/**
 * `npm run demo`: the fourteen scenarios of the main job, as real processes over real mutual TLS.
 * `npm start` (`--stay`): the same company, one device, left running.
 *
 * Lanes of scenarios run side by side, each with devices of its own. Everything lies in one temporary folder; it and
 * every process are gone at the end, also after Ctrl-C and after a failure. Exit status 0 only when each scenario
 * did what it must.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cleanUp } from '../processes.ts';
import { Company } from '../world/company.ts';
import { folderOnDisk } from '../world/folder.ts';
import { prepareImages } from '../world/images.ts';
import { startStolenServer } from '../world/thief.ts';
import { cutsLane } from './lane-cuts.ts';
import { failuresLane } from './lane-failures.ts';
import { type InstallInput, installsLane } from './lane-installs.ts';
import { networkLane } from './lane-network.ts';
import { thiefLane } from './lane-thief.ts';
import { Report } from './report.ts';
import type { Run } from './run.ts';
import { stay } from './stay.ts';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const seedDefault = 7;

const usage = `npm run demo [-- --from FILE --to FILE] [--seed N] [--only 1,5,13]
npm start
  --from, --to   your own files (or folders) as the software of scenarios 1 and 2, instead of this repository's Node
  --seed         what the power cuts of scenario 11 leave (default ${seedDefault})
  --only         lanes: installs, failures, thief, cuts, network
`;

interface Options {
  readonly input: InstallInput;
  readonly seed: number;
  readonly lanes: readonly string[];
  readonly stay: boolean;
}

class UsageError extends Error {}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      from: { type: 'string' },
      to: { type: 'string' },
      seed: { type: 'string', default: String(seedDefault) },
      only: { type: 'string', default: 'installs,failures,thief,cuts,network' },
      stay: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) throw new UsageError('');
  if ((values.from === undefined) !== (values.to === undefined))
    throw new UsageError('--from and --to belong together');
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0) throw new UsageError('--seed must be a whole number from 0');
  const lanes = values.only.split(',');
  const unknown = lanes.find((lane) => !Object.hasOwn(allLanes, lane));
  if (unknown !== undefined) throw new UsageError(`--only: there is no lane ${unknown}`);
  const tree = join(repository, 'node_modules', 'node', 'bin');
  const input = { from: resolve(values.from ?? tree), to: resolve(values.to ?? tree) };
  for (const [option, path] of Object.entries(input))
    if (!existsSync(path)) throw new UsageError(`--${option}: ${path} does not exist`);
  return { input, seed, lanes, stay: values.stay };
}

const allLanes: Readonly<Record<string, (run: Run, options: Options) => Promise<void>>> = {
  installs: async (run, options) => await installsLane(run, options.input),
  failures: async (run) => await failuresLane(run),
  thief: async (run) => await thiefLane(run),
  cuts: async (run, options) => await cutsLane(run, options.seed),
  network: async (run) => await networkLane(run),
};

async function prepare(report: Report): Promise<Run> {
  const folder = folderOnDisk('airlock-demo-');
  mkdirSync(join(folder, 'images'));
  report.step('making a company: roots, keys, a server, a product of class C, two functions that approve');
  const company = new Company(folder, (words) => report.progress(words));
  const [images] = await Promise.all([prepareImages(join(folder, 'images')), company.init()]);
  await company.startServer();
  report.step(`server listens: devices at ${company.paths().deviceUrl}, people at ${company.paths().apiUrl}`);
  const image = await images.make({ version: 1 });
  const factory = await company.release({ version: 1, image });
  const stolen = await startStolenServer(company);
  return { folder, company, images, report, stolen, factory, devices: [] };
}

async function demo(options: Options): Promise<number> {
  const report = new Report(process.stdout);
  const run = await prepare(report);
  if (options.stay) return await stay(run);
  const lanes = options.lanes.map((name) => ({ name, lane: allLanes[name] }));
  const ends = await Promise.allSettled(lanes.map(async ({ lane }) => await lane?.(run, options)));
  let faults = 0;
  for (const [index, end] of ends.entries()) {
    if (end.status === 'fulfilled') continue;
    faults += 1;
    report.step(`lane ${lanes[index]?.name ?? ''} ended early: ${String(end.reason)}`);
  }
  for (const { virtual } of run.devices) await virtual.killAgent();
  await run.stolen.close();
  await run.company.stopServer();
  report.table();
  return faults === 0 && report.outcomes.every(({ passed }) => passed) ? 0 : 1;
}

try {
  process.exitCode = await demo(readOptions());
} catch (error) {
  const isUsage =
    error instanceof UsageError ||
    (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'));
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(isUsage ? `${message}\n${usage}` : `demo: ${message}\n`);
  process.exitCode = isUsage ? 2 : 1;
} finally {
  cleanUp();
}
