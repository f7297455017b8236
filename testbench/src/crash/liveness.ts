/**
 * Whether a device gets on once faults stop: to the target release, or to one logged result, in few boots.
 *
 * Each node has one way on in the good environment; the ways are followed after the graph was explored. A rest that
 * is neither the target nor a reason that was told is a device that waits for nobody.
 */
import type { DeviceState } from '@airlock/agent';
import { settled } from './crash-disk.ts';
import type { BootEnd, NodeState } from './boot-types.ts';
import { bootCopies, newest, recordCopies } from './reading.ts';
import type { World } from './world.ts';

/** Boots from any state to rest. Falling back through every try, rewriting and trying again takes the most. */
export const bootsToRestMax = 12;

export type Rest =
  | { readonly kind: 'settled' }
  | { readonly kind: 'on the way' }
  | { readonly kind: 'stuck'; readonly violation: string };

/** Reasons for which a device may rest on what it runs, each told in its log. */
const toldReasons: ReadonlySet<string> = new Set([
  'OTA_WITHDRAWN',
  'OTA_NOT_APPROVED',
  'OTA_ATTEMPTS_EXHAUSTED',
  'OTA_STATE_LOST',
  'OTA_STATE_RESTORED',
]);

/** Judges the end of one boot in the good environment. */
export function restOf(end: BootEnd, after: NodeState, world: World): Rest {
  if (end.kind !== 'rest') return { kind: 'on the way' };
  const medium = settled(after.disk);
  const record = newest(recordCopies(medium));
  const boot = newest(bootCopies(medium));
  if (record === undefined || boot === undefined) return stuck('without a record or a boot control', end);
  if (record.state !== 'Idle') return stuck(`in ${record.state}`, end);
  if (!boot.order.includes(end.group) || boot.trial === end.group)
    return stuck(`in group ${end.group}, which is not a confirmed one of the boot order`, end);
  const [first] = boot.order;
  const left = first === undefined ? 0 : (boot.left[first] ?? 0);
  if (left < world.options.confirmedStarts && world.options.tries === 'counted')
    return stuck(`with ${left} starts left of group ${first} (ROLL-07)`, end);
  if (runsTarget(record, boot.order, world)) return { kind: 'settled' };
  const { outcome } = end;
  // The floor of a lost record is the highest version found, and a group may hold the beginning of the target.
  const lost = world.options.recordMayBeLost;
  const isTold = (code: string): boolean => toldReasons.has(code) || (lost && code === 'OTA_NOT_ABOVE_FLOOR');
  if ((outcome.kind === 'refused' || outcome.kind === 'failed') && isTold(outcome.code))
    return { kind: 'settled' };
  return stuck(`idle on version ${record.confirmed.version}`, end);
}

function stuck(where: string, end: Extract<BootEnd, { kind: 'rest' }>): Rest {
  return { kind: 'stuck', violation: `liveness: rests ${where}, and says ${JSON.stringify(end.outcome)}` };
}

function runsTarget({ confirmed }: DeviceState, order: readonly string[], { target }: World): boolean {
  return confirmed.version === target && order[0] === confirmed.group;
}

export interface Chains {
  /** The node after `index`; undefined: it settles there. */
  set(index: number, next: number | undefined): void;
  /** A node from which the way is endless or too long; undefined: there is none. */
  measure(): number | undefined;
  readonly bootsToRest: number;
}

export function chains(): Chains {
  const next = new Map<number, number | undefined>();
  let longest = 0;
  return {
    set: (index, after) => {
      next.set(index, after);
    },
    measure() {
      const lengths = new Map<number, number>();
      for (const index of next.keys()) {
        const length = lengthFrom(index, next, lengths);
        if (length > bootsToRestMax) return index;
        longest = Math.max(longest, length);
      }
      return undefined;
    },
    get bootsToRest() {
      return longest;
    },
  };
}

/** Boots from a node to rest; beyond the limit for a circle. A node that was not booted yet ends its way. */
function lengthFrom(
  index: number,
  next: ReadonlyMap<number, number | undefined>,
  lengths: Map<number, number>,
): number {
  const way: number[] = [];
  let length = 0;
  for (let at: number | undefined = index; at !== undefined && next.has(at); at = next.get(at)) {
    const known = lengths.get(at);
    if (known !== undefined) {
      length = known;
      break;
    }
    if (way.length > bootsToRestMax) return way.length;
    way.push(at);
  }
  for (const at of way.toReversed()) {
    length += 1;
    lengths.set(at, length);
  }
  return length;
}
