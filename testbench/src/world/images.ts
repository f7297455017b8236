/**
 * Images of one demo or test run: which agent, which self-test, how large. Written once into the run's folder.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleAgent } from '@airlock/agent/bundle';
import { writeImage } from '../images.ts';
import { brokenAgent, demoPrograms, type SelfTestKind } from '../programs.ts';
import { volatileAgentEntry } from '../virtual-device/kernel.ts';
import { product } from './company.ts';

/** Small images keep refusals fast; what is refused does not depend on size. */
const smallFillerBytes = 2_000_000;

export interface ImageRequest {
  readonly version: number;
  /**
   * `real`: as shipped. `volatile`: the same with its disk replaced. `both`: as shipped, and the other one beside it
   * for devices with a volatile disk. `broken`: ends at once.
   */
  readonly agent?: 'real' | 'volatile' | 'both' | 'broken';
  readonly selfTest?: SelfTestKind;
  readonly fillerBytes?: number;
  /** A file or folder of real software to carry. */
  readonly payload?: string;
}

export interface Images {
  /** The bundle as shipped, runnable. */
  readonly agentFile: string;
  /** Writes the image of a version; answers its file. */
  make(request: ImageRequest): Promise<string>;
}

const volatileDiskFile = fileURLToPath(new URL('../power-cut/replaced-node-disk.ts', import.meta.url));

/** Bundles both agents into `folder`. `diskFile`: what the `volatile` one has in the place of the real disk. */
export async function prepareImages(folder: string, diskFile: string = volatileDiskFile): Promise<Images> {
  const agentFile = join(folder, 'airlock-agent.mjs');
  const volatileFile = join(folder, 'airlock-agent-volatile.mjs');
  await bundleAgent({ outFile: agentFile });
  await bundleAgent({
    outFile: volatileFile,
    replace: {
      from: fileURLToPath(new URL('../../../packages/agent/src/adapters/node-disk.ts', import.meta.url)),
      to: diskFile,
    },
  });
  const real = readFileSync(agentFile);
  const volatile = readFileSync(volatileFile);
  const agents = { real, volatile, both: real, broken: brokenAgent };
  const beside = { [volatileAgentEntry]: volatile };
  return {
    agentFile,
    make: async (request) => {
      const file = join(folder, `image-${request.version}.tar`);
      await writeImage({
        file,
        agentBundle: agents[request.agent ?? 'real'],
        product,
        version: request.version,
        programs: {
          ...demoPrograms(request.selfTest ?? 'passes'),
          ...(request.agent === 'both' ? beside : {}),
        },
        fillerBytes: request.fillerBytes ?? smallFillerBytes,
        ...(request.payload === undefined ? {} : { payload: request.payload }),
      });
      return file;
    },
  };
}
