/** What a newer agent may add to the formats that are not written twice, planted on a simulated disk. */
import assert from 'node:assert/strict';
import { openEventLog } from '../../src/index.ts';
import { replaceFile } from '../../src/durable/folder-file.ts';
import { encodeTrustCopy, trustFileNames, trustStore } from '../../src/durable/trust-store.ts';
import { Power, type SimDisk } from './sim-disk.ts';

const portOf = (disk: SimDisk) => disk.port(new Power(), () => '');

/** One entry with a code and a field that this agent does not know. */
export async function logAsNewer(disk: SimDisk, folder: string, cells: number): Promise<void> {
  const log = await openEventLog(portOf(disk), folder, cells);
  const known = { time: 1, bootId: 'boot-newer', reason: 'a newer agent was here' } as const;
  const added = { battery: { percent: 80 } };
  await log.append({ ...known, ...added, code: 'OTA_OF_A_NEWER_AGENT', facts: { volts: 3.3 } });
}

/** Both copies of the trust state, with fields that this agent does not know at every level. */
export async function trustAsNewer(disk: SimDisk, folder: string): Promise<void> {
  const held = await trustStore(portOf(disk), folder).read();
  assert.ok(held);
  const { image } = held.state;
  const memory = Object.entries(image.memory).map(([role, one]) => [role, { ...one, seen: 1 }] as const);
  const added = { mirrors: ['mirror-1'] };
  const state = {
    ...held.state,
    ...added,
    image: { ...image, ...added, memory: Object.fromEntries(memory) },
  };
  const bytes = encodeTrustCopy({ sequence: 900, state });
  for (const name of trustFileNames) await replaceFile(portOf(disk), folder, name, bytes);
}
