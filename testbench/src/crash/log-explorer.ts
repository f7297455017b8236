/**
 * The event log, explored apart: few cells, every cut in every append, until the ring has come round twice.
 *
 * The graph of whole devices keeps of the log only the results (`node-key.ts`); here is why that may be: whatever a
 * cut leaves, the log opens with an unbroken chain, holds every entry whose append returned and that the ring has
 * not overwritten, and knows each result among them. The real `openEventLog` on the simulated disk.
 */
import type { EventLog } from '@airlock/agent';
import { seededRandom } from '../random.ts';
import type { AgentModule } from './agent-module.ts';
import { CrashDisk, type DiskState } from './crash-disk.ts';
import type { Medium } from './medium.ts';
import { outcomes } from './outcomes.ts';

const folder = '/state';
/** Few, so that the ring comes round soon; a gap entry beside a new one must still leave older ones. */
const cells = 4;
/** Appends from the first to the last: the ring has come round twice. */
const appendsMax = 2 * cells + 1;

interface Place {
  readonly medium: Medium;
  /** Sequences of the entries that must be there: their append returned, or an earlier start found them. */
  readonly returned: readonly number[];
}

export interface LogExplored {
  readonly states: number;
  readonly cuts: number;
  readonly broken: string | undefined;
}

export async function exploreLog(agent: AgentModule): Promise<LogExplored> {
  const first = disk(
    agent,
    { durable: { names: new Map(), contents: new Map() }, pending: [] },
    () => undefined,
  );
  await agent.openEventLog(first.port(), folder, cells);
  let places: readonly Place[] = [{ medium: first.state().durable, returned: [] }];
  let [states, cuts] = [1, 0];
  for (let depth = 0; depth < appendsMax; depth += 1) {
    const next = new Map<string, Place>();
    for (const place of places) {
      const step = await append(agent, place);
      cuts += step.left.length;
      for (const left of step.left) {
        const broken = await judge(agent, left);
        if (broken !== undefined) return { states, cuts, broken: `append ${depth + 1}: ${broken}` };
        // What a cut left on the medium is durable: from now on it must stay, whether its append returned or not.
        const entries = await (await opened(agent, left.medium)).after(0, cells);
        next.set(JSON.stringify(entries), { ...left, returned: entries.map(({ sequence }) => sequence) });
      }
    }
    places = [...next.values()];
    states += places.length;
  }
  return { states, cuts, broken: undefined };
}

function disk(agent: AgentModule, state: DiskState, observe: () => void): CrashDisk {
  return new CrashDisk(state, { agent, slots: new Set(), running: new Set(), observe });
}

/** One start and one append; every third is a result. What each cut leaves, and what is left without one. */
async function append(agent: AgentModule, place: Place): Promise<{ left: readonly Place[] }> {
  const left: Place[] = [];
  const random = seededRandom(1);
  const used = disk(agent, { durable: place.medium, pending: [] }, () => {
    for (const medium of outcomes(used.state(), random)) left.push({ medium, returned: place.returned });
  });
  const log = await agent.openEventLog(used.port(), folder, cells);
  const event = { time: 1, bootId: 'boot', code: 'OTA_BOOT', reason: 'a start' } as const;
  const { sequence } = log.head();
  const isResult = sequence % 3 === 0;
  await log.append(isResult ? { ...event, attempt: `a${sequence}`, facts: { result: true } } : event);
  left.push({ medium: used.state().durable, returned: [...place.returned, log.head().sequence] });
  return { left };
}

async function opened(agent: AgentModule, medium: Medium): Promise<EventLog> {
  return await agent.openEventLog(
    disk(agent, { durable: medium, pending: [] }, () => undefined).port(),
    folder,
    cells,
  );
}

async function judge(agent: AgentModule, { medium, returned }: Place): Promise<string | undefined> {
  const log = await opened(agent, medium);
  const entries = await log.after(0, cells);
  for (const [at, entry] of entries.entries()) {
    const before = entries[at - 1];
    if (before !== undefined && entry.previous !== log.sha256Of(before.sequence))
      return 'the chain is broken';
    if (entry.facts?.['result'] === true && !log.hasResult(entry.attempt ?? ''))
      return 'a result is not known';
  }
  // One cell may be the torn one, and a gap entry may have taken one more.
  const kept = entries.map(({ sequence }) => sequence);
  const lost = returned.filter((one) => !kept.includes(one) && one > log.head().sequence - (cells - 2));
  return lost.length === 0 ? undefined : `entries ${lost.join()} were appended and are gone`;
}
