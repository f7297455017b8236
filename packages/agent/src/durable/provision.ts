/**
 * The first state of a device, written once in manufacture over the Disk port.
 *
 * Keeps true: the record is written last, so that a half provisioned device has none and says `OTA_STATE_LOST`
 * instead of believing a part; nothing that exists is overwritten. What is provisioned was verified by the caller.
 */
import { sha256Hex, type GroupLetter, type Manifest, type TrustState } from '@airlock/trust';
import { newRecord, type DeviceState } from '../core/record.ts';
import type { Disk } from '../ports/disk.ts';
import type { FloorStore } from '../ports/platform.ts';
import { createLogFile } from './event-log.ts';
import { groupManifests } from './group-manifests.ts';
import { createRecordFile } from './record-store.ts';
import { trustStore } from './trust-store.ts';

/**
 * Writes trust state, manifest of the installed release, log and record. The boot file, where there is one, is
 * `createBootFile`'s. Throws DiskError, also when the folder holds a record or a log already.
 */
export async function provisionState(
  disk: Disk,
  options: {
    readonly folder: string;
    readonly group: GroupLetter;
    readonly trust: TrustState;
    /** Manifest of what the group holds, parsed, and its exact text. */
    readonly manifest: Manifest;
    readonly manifestText: string;
    readonly logCells: number;
    /** Its counter seals the first record. */
    readonly floorStore: FloorStore;
  },
): Promise<void> {
  const { folder, group, manifest, manifestText } = options;
  const manifestSha256 = sha256Hex(new TextEncoder().encode(manifestText));
  await trustStore(disk, folder).keep(options.trust);
  await groupManifests(disk, folder).keep(manifestText);
  await createLogFile(disk, folder, options.logCells);
  const record = newRecord(group, { version: manifest.version, manifestSha256 });
  await createSealedRecord(disk, folder, record, options.floorStore);
}

/**
 * The first record, sealed as every later one that raises the floor: it says counter + 1, and the increment commits
 * it. So disks of an earlier life of this device are not its own. Throws DiskError and FloorStoreError; if power is
 * lost, or the TPM fails, after the record was written, the agent's first start does the increment.
 */
export async function createSealedRecord(
  disk: Disk,
  folder: string,
  record: DeviceState,
  floorStore: FloorStore,
): Promise<void> {
  if (floorStore.kind === 'record') {
    await createRecordFile(disk, folder, record);
    return;
  }
  const counter = (await floorStore.read()) + 1;
  await createRecordFile(disk, folder, { ...record, counter });
  await floorStore.increment();
}
