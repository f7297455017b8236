/**
 * Whole manifests of what stands, or is being written, in each group: named by their hash.
 *
 * Keeps true: a manifest is durable before a record names it, and it is only removed when no record does; what is
 * read has the hash of its name. Named by hash and not by group, so that the old one and the new one can stand beside
 * each other while an attempt begins.
 */
import { parseManifest, sha256Hex, trustLimits, type Manifest } from '@airlock/trust';
import { DiskError, type Disk } from '../ports/disk.ts';
import { readWhole, replaceFile } from './folder-file.ts';

const suffix = '.manifest.json';

export interface GroupManifests {
  /** undefined when it is not there, cannot be read or has another hash. */
  read(sha256: string): Promise<Manifest | undefined>;
  /** Durable when it returns. Throws DiskError. */
  keep(text: string): Promise<void>;
  /** Removes every manifest but these. */
  forgetOthers(sha256s: readonly string[]): Promise<void>;
  /** All that can be read: for a device that lost its record. */
  all(): Promise<readonly { readonly sha256: string; readonly manifest: Manifest }[]>;
}

export function groupManifests(disk: Disk, folder: string): GroupManifests {
  const read = async (sha256: string): Promise<Manifest | undefined> => {
    try {
      const bytes = await readWhole(disk, `${folder}/${sha256}${suffix}`, trustLimits.manifestBytesMax);
      if (bytes === undefined || sha256Hex(bytes) !== sha256) return undefined;
      const manifest = parseManifest(bytes);
      return manifest.ok ? manifest.value : undefined;
    } catch (error) {
      if (error instanceof DiskError) return undefined;
      throw error;
    }
  };
  const names = async (): Promise<readonly string[]> =>
    (await disk.list(folder))
      .filter((name) => name.endsWith(suffix))
      .map((name) => name.slice(0, -suffix.length));
  return {
    read,
    async keep(text) {
      const bytes = new TextEncoder().encode(text);
      const sha256 = sha256Hex(bytes);
      if ((await read(sha256)) !== undefined) return;
      await replaceFile(disk, folder, `${sha256}${suffix}`, bytes);
    },
    async forgetOthers(sha256s) {
      const others = (await names()).filter((sha256) => !sha256s.includes(sha256));
      for (const sha256 of others) await disk.remove(`${folder}/${sha256}${suffix}`);
      if (others.length > 0) await disk.flushFolder(folder);
    },
    async all() {
      const found: { sha256: string; manifest: Manifest }[] = [];
      for (const sha256 of await names()) {
        const manifest = await read(sha256);
        if (manifest !== undefined) found.push({ sha256, manifest });
      }
      return found;
    },
  };
}
