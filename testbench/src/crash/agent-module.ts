/**
 * The agent as one module: as it is shipped, or a variant of it that testbench made by a module hook.
 *
 * Classes differ between variants, so that whoever throws a port's error must take the class from the variant that
 * catches it. Importing a variant is `agent-variants.ts`'s.
 */
import type * as agent from '@airlock/agent';

export type AgentModule = typeof agent;
