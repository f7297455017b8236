/**
 * The volatile disk is a Disk: the contract of the port, as the real adapter passes it.
 *
 * The contract lies with the agent's tests, since it is the agent's port; testbench may look there.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diskContract } from '../../packages/agent/test/support/disk-contract.ts';
import { openVolatileDisk } from '../src/power-cut/volatile-disk.ts';

diskContract(
  'volatile disk',
  async () => {
    const root = mkdtempSync(join(tmpdir(), 'airlock-contract-'));
    const folder = join(root, 'data');
    mkdirSync(folder);
    return {
      disk: openVolatileDisk(join(root, 'scratch')),
      folder,
      dispose: async () => rmSync(root, { recursive: true, force: true }),
    };
  },
  620,
);
