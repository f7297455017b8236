/**
 * A simulated counter of a TPM. It lies on no disk: boots, lost writes and restored disks leave it alone. An increment
 * counts as two durable operations, so that power can be cut before it and after it, before the agent hears of it.
 */
import { FloorStoreError, type FloorCounter } from '../../src/index.ts';
import type { Power } from './sim-disk.ts';

export class SimTpm {
  /** Not zero: a counter that is defined anew begins where others on the same TPM ended. */
  counter = 41;
  /** Nothing answers. */
  dead = false;
  /** Faults of increments to come, the next first: told as failed, and done all the same or not. */
  readonly faults: ('done' | 'not done')[] = [];
  increments = 0;

  clone(): SimTpm {
    const copy = new SimTpm();
    copy.counter = this.counter;
    copy.dead = this.dead;
    return copy;
  }

  /** Deleted and defined anew: it goes on above every value that it ever had. */
  redefine(): void {
    this.counter += 1;
  }

  /** The FloorStore port of one boot. */
  port(power: Power): FloorCounter {
    return {
      kind: 'tpm',
      read: async () => {
        await power.alive();
        if (this.dead) throw new FloorStoreError('the TPM does not answer');
        return this.counter;
      },
      increment: async () => {
        await power.step('tpm increment');
        if (this.dead) throw new FloorStoreError('the TPM does not answer');
        const fault = this.faults.shift();
        if (fault !== 'not done') {
          this.counter += 1;
          this.increments += 1;
        }
        await power.step('tpm answers');
        if (fault !== undefined) throw new FloorStoreError('the TPM hung up');
      },
    };
  }
}
