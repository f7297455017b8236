/**
 * Images of one demo or test run: which agent, which self-test, how large. Written once into the run's folder.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleAgent } from '@airlock/agent/bundle';
import { writeImage } from '../images.ts';
import { brokenAgent, demoPrograms, type SelfTestKind } from '../programs.ts';
import { product } from './company.ts';

/** Small images keep refusals fast; what is refused does not depend on size. */
const smallFillerBytes = 2_000_000;

export interface ImageRequest {
  readonly version: number;
  /** `real`: as shipped. `volatile`: the same with its disk replaced. `broken`: ends at once. */
  readonly agent?: 'real' | 'volatile' | 'broken';
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

/** Bundles both agents into `folder`. */
export async function prepareImages(folder: string): Promise<Images> {
  const agentFile = join(folder, 'airlock-agent.mjs');
  const volatileFile = join(folder, 'airlock-agent-volatile.mjs');
  await bundleAgent({ outFile: agentFile });
  await bundleAgent({
    outFile: volatileFile,
    replace: {
      from: fileURLToPath(new URL('../../../packages/agent/src/adapters/node-disk.ts', import.meta.url)),
      to: fileURLToPath(new URL('../power-cut/replaced-node-disk.ts', import.meta.url)),
    },
  });
  const agents = { real: readFileSync(agentFile), volatile: readFileSync(volatileFile), broken: brokenAgent };
  return {
    agentFile,
    make: async (request) => {
      const file = join(folder, `image-${request.version}.tar`);
      await writeImage({
        file,
        agentBundle: agents[request.agent ?? 'real'],
        product,
        version: request.version,
        programs: demoPrograms(request.selfTest ?? 'passes'),
        fillerBytes: request.fillerBytes ?? smallFillerBytes,
        ...(request.payload === undefined ? {} : { payload: request.payload }),
      });
      return file;
    },
  };
}
