/**
 * What may become of a device's state while it is off, beyond what a cut leaves: every copy of the record rots, or
 * somebody writes an old copy of the state partition back.
 *
 * Where a scenario allows it, each state of its graph is left to it once. What the device must do then is DESIGN's
 * "State" and "Floor and repair", judged in `ways.ts` and `invariants.ts`.
 */
import type { DiskState } from './crash-disk.ts';
import type { NodeState } from './boot-types.ts';
import { garbage, type Medium, withContent } from './medium.ts';
import { newest, recordCopies } from './reading.ts';
import { stateFolder, type World } from './world.ts';

export interface Tampered {
  readonly what: string;
  readonly disk: DiskState;
}

/** `start`: where the graph begins, which is what somebody keeps a copy of. */
export function tampered(state: NodeState, start: NodeState, { options }: World): readonly Tampered[] {
  if (state.boot !== undefined) return [];
  const { durable } = state.disk;
  const found: Tampered[] = [];
  if (options.recordMayBeLost && newest(recordCopies(durable)) !== undefined)
    found.push({ what: 'every copy of the record rots', disk: { durable: lost(durable), pending: [] } });
  // While the counter is where it was, the old copy cannot be told from the device's own.
  if (options.stateMayBeRestored && state.counter !== start.counter)
    found.push({
      what: 'the state partition is written back from an old copy',
      disk: { durable: restored(durable, start.disk.durable), pending: [] },
    });
  return found;
}

function lost(medium: Medium): Medium {
  const file = medium.names.get(`${stateFolder}/record`);
  const content = file === undefined ? undefined : medium.contents.get(file);
  if (file === undefined || content === undefined) throw new Error('a device without a record');
  return withContent(
    medium,
    file,
    content.map(() => garbage),
  );
}

/** Slots, boot control and data as they are; everything of the state folder as it was. */
function restored(now: Medium, old: Medium): Medium {
  const isState = (path: string): boolean => path.startsWith(`${stateFolder}/`);
  const names = new Map([...now.names].filter(([path]) => !isState(path)));
  const contents = new Map(now.contents);
  let next = Math.max(0, ...now.contents.keys()) + 1;
  for (const [path, file] of old.names) {
    if (!isState(path)) continue;
    names.set(path, next);
    contents.set(next, old.contents.get(file) ?? []);
    next += 1;
  }
  return { names, contents };
}
