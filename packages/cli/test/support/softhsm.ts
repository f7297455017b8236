/**
 * A token of SoftHSM for tests: a folder of its own, its own configuration, one PIN.
 *
 * The module reads SOFTHSM2_CONF when it is loaded, so a process has one such folder at a time.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const places = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so',
  '/usr/local/lib/softhsm/libsofthsm2.so',
];
export const module = places.find((path) => existsSync(path)) ?? '';

/** Why tests with a token cannot run here; false when they can. */
export const noSoftHsm: string | false = why();

/** Keys made by another tool than ours. */
export const noPkcs11Tool: string | false = (process.env['PATH'] ?? '')
  .split(':')
  .some((path) => existsSync(join(path, 'pkcs11-tool')))
  ? false
  : 'pkcs11-tool is missing: apt-get install opensc';

function why(): string | false {
  if (module === '') return 'SoftHSM is missing: apt-get install softhsm2';
  try {
    createRequire(import.meta.url)('pkcs11js');
    return false;
  } catch {
    return 'pkcs11js was not built: apt-get install build-essential python3, then npm ci';
  }
}

export const pin = 'pin-of-the-token';

export interface SoftHsm {
  /** Makes a token; answers its label. */
  makeToken(label: string): void;
  /** Runs `pkcs11-tool`-like questions through SoftHSM's own tool. */
  tool(...args: readonly string[]): string;
  remove(): Promise<void>;
}

export async function openSoftHsm(): Promise<SoftHsm> {
  const folder = await mkdtemp(join(tmpdir(), 'airlock-softhsm-'));
  const tokens = join(folder, 'tokens');
  await mkdir(tokens);
  const file = join(folder, 'softhsm2.conf');
  await writeFile(file, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  const before = process.env['SOFTHSM2_CONF'];
  process.env['SOFTHSM2_CONF'] = file;
  const tool = (...args: readonly string[]) =>
    execFileSync('softhsm2-util', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  return {
    makeToken(label) {
      tool('--init-token', '--free', '--label', label, '--so-pin', 'so-pin-of-it', '--pin', pin);
    },
    tool,
    async remove() {
      if (before === undefined) delete process.env['SOFTHSM2_CONF'];
      else process.env['SOFTHSM2_CONF'] = before;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
