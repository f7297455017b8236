/**
 * Loads the agent's own sources a second time, with what testbench changes in them: planted defects, and a trust check
 * that remembers.
 *
 * No switch in shipped code: a module hook answers for the imports of one copy, told apart by its query. The ports
 * stay the same modules for every copy, so that a simulated disk's errors are errors to each of them. A change that
 * does not find its place exactly once throws: a mutant that is none must not count as caught.
 */
import { registerHooks, type ModuleHooks } from 'node:module';
import type { AgentModule } from './agent-module.ts';

/** One change in one source file of the agent. */
export interface SourceChange {
  /** Path below the agent's `src/`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const index = import.meta.resolve('@airlock/agent');
const sources = new URL('./', index).href;
const memory = new URL('./memoised-trust.ts', import.meta.url).href;
const query = 'crash';

/** Whose step of docs/write-order.md is under way: told to the simulated ports, so that traces use its letters. */
export interface StepTold {
  readonly tellStep: (letters: string | undefined) => void;
}

const lettered: SourceChange = {
  file: 'executor-effects.ts',
  find: 'const outcome = await this.#perform(effect);',
  replace: `const { tellStep } = this.#parts.ports;
      tellStep?.(effect.step);
      const outcome = await this.#perform(effect);
      tellStep?.(undefined);`,
};

const copies = new Map<string, Promise<AgentModule>>();

/** The agent with these changes; the same `name` is loaded once. */
export async function loadAgent(name: string, given: readonly SourceChange[] = []): Promise<AgentModule> {
  const loading = copies.get(name) ?? loadCopy(name, given);
  copies.set(name, loading);
  return await loading;
}

async function loadCopy(name: string, given: readonly SourceChange[]): Promise<AgentModule> {
  const changes = [...given, lettered];
  const left = new Set(changes);
  const hooks = copyHooks(name, changes, left);
  try {
    const loaded = (await import(`${index}?${query}=${encodeURIComponent(name)}`)) as AgentModule;
    const [missed] = left;
    if (missed !== undefined) throw new Error(`${name}: nothing in the agent imports ${missed.file}`);
    return loaded;
  } finally {
    hooks.deregister();
  }
}

function copyHooks(name: string, changes: readonly SourceChange[], left: Set<SourceChange>): ModuleHooks {
  const isCopy = (url: string | undefined): boolean =>
    url !== undefined && URL.canParse(url) && new URL(url).searchParams.get(query) === name;
  return registerHooks({
    resolve(specifier, context, nextResolve) {
      const found = nextResolve(specifier, context);
      if (!isCopy(context.parentURL)) return found;
      if (specifier === '@airlock/trust') return { ...found, url: memory };
      if (!specifier.startsWith('.') || found.url.startsWith(`${sources}ports/`)) return found;
      return { ...found, url: `${found.url}?${query}=${encodeURIComponent(name)}` };
    },
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!isCopy(url)) return loaded;
      const file = url.slice(sources.length).split('?')[0];
      const mine = changes.filter((change) => change.file === file);
      if (mine.length === 0) return loaded;
      for (const change of mine) left.delete(change);
      return { ...loaded, source: mine.reduce(changed, textOf(loaded.source)) };
    },
  });
}

function textOf(source: unknown): string {
  if (typeof source === 'string') return source;
  if (source instanceof Uint8Array) return new TextDecoder().decode(source);
  throw new Error('a source of the agent is neither text nor bytes');
}

function changed(source: string, { file, find, replace }: SourceChange): string {
  const places = source.split(find);
  if (places.length !== 2) throw new Error(`${file} has ${places.length - 1} places that say: ${find}`);
  return places.join(replace);
}
