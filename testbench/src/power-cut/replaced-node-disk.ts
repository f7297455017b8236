/**
 * Stands in for the agent's `adapters/node-disk.ts` when testbench bundles the agent for power cuts.
 *
 * Same exports, same sources around it; only durable state goes through the volatile disk. The virtual device says
 * in the environment where the scratch folder lies.
 */
import { type Disk, DiskError } from '@airlock/agent';
import { scratchVariable } from './cut-plan.ts';
import { openVolatileDisk } from './volatile-disk.ts';

export function nodeDisk(options: { readonly access?: 'write' | 'read' } = {}): Disk {
  const scratchFolder = process.env[scratchVariable];
  if (scratchFolder === undefined) throw new Error(`${scratchVariable} is not set`);
  return openVolatileDisk(scratchFolder, options.access);
}

export function diskErrorFrom(what: 'read' | 'write', path: string, error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new DiskError(what === 'read' ? 'OTA_DISK_READ' : 'OTA_DISK_WRITE', path, reason, { cause: error });
}
