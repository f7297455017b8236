/**
 * Whether the abstraction of `node-key.ts` may be believed: states of one key must go on alike.
 *
 * Each state that the graph would leave out, because its key is known, is booted all the same - one in so many - and
 * the keys of everything that it can lead to are compared with those of the state that was kept.
 */
import { seededRandom } from '../random.ts';
import type { AgentModule } from './agent-module.ts';
import type { Moment, NodeState } from './boot-types.ts';
import { bootOnce } from './device.ts';
import { type Environment, goodEnvironment } from './environment.ts';
import { keyOf } from './node-key.ts';
import { outcomes } from './outcomes.ts';
import { tampered } from './tampered.ts';
import type { World } from './world.ts';

/** Of states that somebody may tamper with, the share that is. */
const tamperedShare = 0.3;

/** Keys of all that one boot can leave, in one text. */
async function leadsTo(
  node: NodeState,
  world: World,
  agent: AgentModule,
  environment: Environment,
): Promise<{ readonly keys: string; readonly states: readonly NodeState[] }> {
  const random = seededRandom(1);
  const keys = new Set<string>();
  const states: NodeState[] = [];
  const serial = node.serial + 1;
  const observe = (_step: string, { disk, counter }: Moment): void => {
    for (const durable of outcomes(disk, random)) {
      const state = { disk: { durable, pending: [] }, boot: undefined, serial, counter };
      const key = keyOf(state, world);
      if (!keys.has(key)) states.push(state);
      // Of one key, a state that was not kept is what the comparison is about.
      else if (random.fraction() < 0.02) states.push(state);
      keys.add(key);
    }
  };
  const { after } = await bootOnce(node, { world, agent, environment, observe });
  keys.add(keyOf(after, world));
  return { keys: [...keys].toSorted().join('\n'), states };
}

export interface Compared {
  /** Pairs of states with one key, of which what follows was compared. */
  readonly pairs: number;
  /** The key of a pair that goes on differently. */
  readonly differs: string | undefined;
}

export async function compareAbstraction(
  start: NodeState,
  options: { readonly world: World; readonly agent: AgentModule; readonly pairsMax: number },
): Promise<Compared> {
  const { world, agent, pairsMax } = options;
  const known = new Map<string, string>();
  const queue: NodeState[] = [start];
  const random = seededRandom(2);
  let pairs = 0;
  for (let node = queue.shift(); node !== undefined && pairs < pairsMax; node = queue.shift()) {
    const key = keyOf(node, world);
    const held = known.get(key);
    const { keys, states } = await leadsTo(node, world, agent, goodEnvironment);
    if (held === undefined) {
      known.set(key, keys);
      for (const state of states) {
        queue.push(state);
        // Lost records and restored disks as well, of some: they are what the first sectors of a slot are read for.
        if (random.fraction() > tamperedShare) continue;
        for (const { disk } of tampered(state, start, world)) queue.push({ ...state, disk });
      }
    } else {
      pairs += 1;
      if (held !== keys) return { pairs, differs: key };
    }
  }
  return { pairs, differs: undefined };
}
