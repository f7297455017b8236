/**
 * The folder of one run of testbench, on a real disk: no read-back can be proven on a tmpfs, so slots may not lie there.
 */
import { mkdirSync, mkdtempSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { removeAtEnd } from '../processes.ts';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
/** What statfs calls a tmpfs. */
const tmpfsType = 0x01021994;

/** Made empty, removed at the end of the process. */
export function folderOnDisk(prefix: string): string {
  const parent = statfsSync(tmpdir()).type === tmpfsType ? join(repository, '.cache') : tmpdir();
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, prefix));
  removeAtEnd(folder);
  return folder;
}
