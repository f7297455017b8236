/** What one boot of a simulated device is given, and what it comes to. The boot itself is `device.ts`'s. */
import type { PollOutcome } from '@airlock/agent';
import type { GroupLetter } from '@airlock/trust';
import type { AgentModule } from './agent-module.ts';
import type { DiskOptions, DiskState, WriteFault } from './crash-disk.ts';
import type { Environment } from './environment.ts';
import type { World } from './world.ts';

/** Everything from which a device goes on. */
export interface NodeState {
  readonly disk: DiskState;
  /** The boot that goes on, when only the agent was killed; undefined: the boot loader comes next. */
  readonly boot: { readonly group: GroupLetter; readonly id: string } | undefined;
  /** Counts boots and attempts, so that no id comes twice on one way through the graph. */
  readonly serial: number;
  /** The counter of the TPM; undefined where there is none. */
  readonly counter: number | undefined;
}

export type BootEnd =
  /** The agent restarted the device, or a watchdog did before the agent ran. */
  | { readonly kind: 'restart' }
  /** The agent was killed, and the same boot goes on. */
  | { readonly kind: 'killed' }
  /** Nothing more to do for now. */
  | { readonly kind: 'rest'; readonly outcome: PollOutcome; readonly group: GroupLetter };

export interface Boot {
  readonly end: BootEnd;
  /** As it is left when nothing was lost. */
  readonly after: NodeState;
}

/** What a cut or a kill at this moment is about. */
export interface Moment extends Pick<NodeState, 'boot' | 'counter'> {
  readonly disk: DiskState;
}

export interface BootOptions {
  readonly world: World;
  readonly agent: AgentModule;
  /** The agent that the target release brings; undefined: the same one. */
  readonly nextAgent?: AgentModule;
  readonly environment: Environment;
  /** Told after each step; `agentRuns`: a kill of the agent alone is possible now. */
  readonly observe: (step: string, now: Moment) => void;
  /** What a medium answers; `step`: by the letters of docs/write-order.md, or nothing. */
  readonly fault?: (
    ...given: [...Parameters<NonNullable<DiskOptions['fault']>>, step: string]
  ) => WriteFault | undefined;
}
