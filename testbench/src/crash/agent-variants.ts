/**
 * The agent twice in one process: as it is (`previous`), and as it will be once its record has a second format
 * (`next`) - so that one group of a simulated device can hold the older one and the other group the newer one.
 *
 * No switch in shipped code: `next` is the agent's own sources, loaded a second time under the query `?agent=next`,
 * which a module hook passes on from each file to the ones that it imports; one of them, `core/record-formats.ts`, is
 * answered by `next-record-formats.ts` beside this file. The ports stay the same modules for both, so that a simulated
 * disk's errors are errors to either agent.
 */
import { registerHooks, type ModuleHooks } from 'node:module';
import * as previous from '@airlock/agent';
import type { AgentModule } from './agent-module.ts';

export type { AgentModule };

export interface AgentVariants {
  readonly previous: AgentModule;
  readonly next: AgentModule;
}

const query = 'agent';
const index = import.meta.resolve('@airlock/agent');
const source = new URL('./', index).href;
const replaced = new URL('./core/record-formats.ts', index).href;
const replacement = new URL('./next-record-formats.ts', import.meta.url).href;

/** Both agents. The hooks stand only while `next` is loaded; loaded once, it stays. */
export async function agentVariants(): Promise<AgentVariants> {
  const hooks = nextHooks();
  try {
    const next: unknown = await import(`${index}?${query}=next`);
    if (!isAgent(next)) throw new Error('the next agent has another public face');
    if (next.recordFormats.length <= previous.recordFormats.length)
      throw new Error(`nothing in the agent imports ${replaced}`);
    return { previous, next };
  } finally {
    hooks.deregister();
  }
}

/** The same sources, so the same names. */
function isAgent(value: unknown): value is AgentModule {
  return typeof value === 'object' && value !== null && Object.keys(previous).every((name) => name in value);
}

function nextHooks(): ModuleHooks {
  return registerHooks({
    resolve(specifier, context, nextResolve) {
      const found = nextResolve(specifier, context);
      const from = context.parentURL;
      const isNext = from !== undefined && new URL(from).searchParams.get(query) === 'next';
      // What other packages give is the same for both, and so are the ports.
      if (!isNext || !specifier.startsWith('.') || found.url.startsWith(`${source}ports/`)) return found;
      return { ...found, url: `${found.url === replaced ? replacement : found.url}?${query}=next` };
    },
  });
}
