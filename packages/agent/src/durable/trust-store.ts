/**
 * The home of the trust state: one file, replaced atomically at every `keep` of the trust check.
 *
 * Keeps true: what `checkTrust` asked to keep is durable before it goes on; metadata is never swapped file by file.
 * What is in it, and what may be believed of it, is trust's.
 */
import { encodeTrustState, parseTrustState, type TrustState } from '@airlock/trust';
import { DiskError, type Disk } from '../ports/disk.ts';
import { readWhole, replaceFile } from './folder-file.ts';

const fileName = 'trust.json';
/** As long as trust itself writes at most: 16 functions with 200 releases each are 1.5 MB. */
const trustFileBytesMax = 4_000_000;

export interface TrustStore {
  /** undefined when there is none that can be read: then nothing can be installed. */
  read(): Promise<TrustState | undefined>;
  /** Throws DiskError. */
  keep(state: TrustState): Promise<void>;
}

export function trustStore(disk: Disk, folder: string): TrustStore {
  return {
    async read() {
      try {
        const bytes = await readWhole(disk, `${folder}/${fileName}`, trustFileBytesMax);
        if (bytes === undefined) return undefined;
        const state = parseTrustState(bytes);
        return state.ok ? state.value : undefined;
      } catch (error) {
        if (error instanceof DiskError) return undefined;
        throw error;
      }
    },
    keep: (state) => replaceFile(disk, folder, fileName, encodeTrustState(state)),
  };
}
