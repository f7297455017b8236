/** Folders for tests that need a real disk: inside the work tree, since a system's temporary folder may be tmpfs. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cache = join(dirname(fileURLToPath(import.meta.url)), '../../../../node_modules/.cache');

/** A fresh folder with a space in its name, and what removes it. */
export async function scratchFolder(): Promise<{ folder: string; dispose: () => Promise<void> }> {
  await mkdir(cache, { recursive: true });
  const folder = await mkdtemp(join(cache, 'airlock agent-'));
  return { folder, dispose: async () => await rm(folder, { recursive: true, force: true }) };
}
