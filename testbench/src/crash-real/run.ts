/**
 * Real processes under power cuts and kills: a server, and two devices side by side, over real TLS.
 *
 * One device has the volatile disk and loses its power; the other has the agent as it is shipped, which is killed. The
 * same checks hold for both (`checks.ts`). Answers what was met, and prints progress and a table.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cleanUp } from '../processes.ts';
import { Company } from '../world/company.ts';
import { folderOnDisk } from '../world/folder.ts';
import { prepareImages } from '../world/images.ts';
import { Lane, type LaneOptions, type LaneOutcome } from './lane.ts';
import { Supply } from './supply.ts';
import { tableOf } from './table.ts';

export interface RealOptions {
  /** Power cuts of the device with the volatile disk. */
  readonly cuts: number;
  /** Kills of the agent as it is shipped. */
  readonly kills: number;
  readonly seed: number;
  readonly print: (line: string) => void;
  /** Stands in for the volatile disk of the device that loses power: a planted defect. A file, absolute. */
  readonly diskFile?: string;
}

export interface RealOutcome {
  readonly lanes: readonly LaneOutcome[];
  /** One line each; empty when everything held. */
  readonly violations: readonly string[];
}

/** Ends every process that it started, also when it throws. */
export async function runReal(options: RealOptions): Promise<RealOutcome> {
  const { cuts, kills, seed } = options;
  const began = performance.now();
  const seconds = (): string => ((performance.now() - began) / 1000).toFixed(0).padStart(4);
  const print = (line: string): void => options.print(`${seconds()} s  ${line}`);
  const folder = folderOnDisk('airlock-real-');
  mkdirSync(join(folder, 'images'));
  const company = new Company(folder);
  print(`seed ${seed}: ${cuts} power cuts and ${kills} kills; making a company`);
  const [images] = await Promise.all([
    prepareImages(join(folder, 'images'), options.diskFile),
    company.init(),
  ]);
  print('the company is made; starting its server');
  await company.startServer();
  print('making the first releases, and enrolling two devices');
  const supply = await Supply.open(company, images, seed);
  const lane = (name: LaneOptions['name'], strikes: number): Lane[] => {
    if (strikes === 0) return [];
    const { agentFile } = images;
    return [new Lane({ name, strikes, seed, company, supply, folder, agentFile, print })];
  };
  try {
    const lanes = await Promise.all(
      [...lane('cuts', cuts), ...lane('kills', kills)].map(async (one) => await one.run()),
    );
    const violations = lanes.flatMap((one) => one.violations);
    for (const line of tableOf(lanes)) options.print(line);
    for (const violation of violations) options.print(`VIOLATION ${violation}`);
    const repeat = `node testbench/src/crash-real/main.ts --cuts ${cuts} --kills ${kills} --seed ${seed}`;
    print(violations.length === 0 ? `everything held (seed ${seed})` : `to repeat the plan: ${repeat}`);
    return { lanes, violations };
  } finally {
    await supply.close();
    await company.stopServer();
    cleanUp();
  }
}
