/** Where a graph begins: devices as they leave manufacture, and devices that have a history. */
import {
  createBootFile,
  encodeBootFile,
  provisionState,
  recordStore,
  type BootControlState,
  type DeviceState,
  type FloorStore,
} from '@airlock/agent';
import { type GroupLetter, parseManifest, sha256Hex } from '@airlock/trust';
import type { AgentModule } from './agent-module.ts';
import { CrashDisk, type DiskState, settled } from './crash-disk.ts';
import { bootOnce } from './device.ts';
import { goodEnvironment } from './environment.ts';
import type { NodeState } from './boot-types.ts';
import { dataPath, dataSaying } from './hooks.ts';
import { contentOf, emptyMedium, filled, garbage, type Medium, sectorBytes, unwritten } from './medium.ts';
import { bootPath, imageOf, slotPath, stateFolder, type World } from './world.ts';

export const startNames = [
  'fresh',
  'updated',
  'in fallback',
  'record lost',
  'trust lost',
  'in trial',
] as const;
export type StartName = (typeof startNames)[number];

/** A device with version 1 in group A and, with a history, version 2 confirmed in group B. Everything is durable. */
export async function startState(name: StartName, world: World, agent: AgentModule): Promise<NodeState> {
  const history = name === 'updated' || name === 'in fallback';
  const disk = new CrashDisk(
    { durable: slotsOf(world, history), pending: [] },
    { agent, slots: new Set(), running: new Set(), observe: () => undefined },
  );
  const port = disk.port();
  const version = history ? 2 : 1;
  const group: GroupLetter = history ? 'B' : 'A';
  const manifestText = textOf(world, version);
  const manifest = parseManifest(new TextEncoder().encode(manifestText));
  if (!manifest.ok) throw new Error(manifest.error.message);
  const trust = world.company.trustState();
  const { logCells, tpm } = world.options;
  let counter = 41;
  const sealed: FloorStore = {
    kind: 'tpm',
    read: async () => counter,
    increment: async () => {
      counter += 1;
    },
  };
  const floorStore: FloorStore = tpm ? sealed : { kind: 'record' };
  await provisionState(port, {
    folder: stateFolder,
    group,
    trust,
    manifest: manifest.value,
    manifestText,
    logCells,
    floorStore,
  });
  await createBootFile(port, bootPath, group, world.options.confirmedStarts);
  if (history) await giveHistory(disk, world, name === 'in fallback' ? 0 : world.options.confirmedStarts);
  if (name === 'record lost') disk.rot(`${stateFolder}/record`, (content) => content.map(() => garbage));
  if (name === 'trust lost') {
    for (const file of ['trust-1', 'trust-2'])
      disk.rot(`${stateFolder}/${file}`, (content) => content.map(() => garbage));
  }
  if (name === 'in trial') return await inTrial({ durable: disk.state().durable, pending: [] }, world, agent);
  const { durable } = disk.state();
  return { disk: { durable, pending: [] }, boot: undefined, serial: 1, counter: tpm ? counter : undefined };
}

/** The device itself goes there: armed, and about to boot into its trial. */
async function inTrial(disk: DiskState, world: World, agent: AgentModule): Promise<NodeState> {
  const node: NodeState = { disk, boot: undefined, serial: 1, counter: undefined };
  const observe = (): void => undefined;
  const { end, after } = await bootOnce(node, { world, agent, environment: goodEnvironment, observe });
  if (end.kind !== 'restart') throw new Error('the device did not restart into its trial');
  return { ...after, disk: { durable: settled(after.disk), pending: [] }, boot: undefined };
}

async function giveHistory(disk: CrashDisk, world: World, startsLeft: number): Promise<void> {
  const port = disk.port();
  const store = recordStore(port, stateFolder);
  const held = await store.read();
  if (held === undefined) throw new Error('the record that was just written cannot be read');
  const older = { version: 1, manifestSha256: sha256Hex(new TextEncoder().encode(textOf(world, 1))) };
  const record: DeviceState = { ...held.record, groups: { ...held.record.groups, A: older } };
  await store.write(record);
  const state: BootControlState = {
    order: ['B', 'A'],
    left: { A: world.options.confirmedStarts, B: startsLeft },
  };
  const file = await port.open(bootPath);
  await file?.write(0, encodeBootFile({ sequence: 2, state }));
  await file?.flush();
}

function textOf(world: World, version: number): string {
  const text = world.manifestTexts.get(version);
  if (text === undefined) throw new Error(`there is no release ${version}`);
  return text;
}

/** Group A holds version 1; group B version 2, or what nobody ever wrote. One sector more than an image has. */
function slotsOf(world: World, history: boolean): Medium {
  const { components, imageSectors } = world.options;
  const names = new Map<string, number>();
  const contents = new Map(emptyMedium.contents);
  for (const component of components) {
    for (const group of ['A', 'B'] as const) {
      const file = names.size + 1;
      const holds = group === 'A' ? 1 : 2;
      const image = contentOf(imageOf(component, holds, imageSectors));
      const blank = filled(imageSectors * sectorBytes, unwritten);
      names.set(slotPath(component, group), file);
      contents.set(file, [...(group === 'A' || history ? image : blank), unwritten]);
    }
  }
  names.set(dataPath, names.size + 1);
  contents.set(names.size, [dataSaying('as made')]);
  return { names, contents };
}
