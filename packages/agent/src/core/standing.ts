/**
 * What the boot control says of the group that runs, when no attempt of the record is about it.
 *
 * A group in its trial, or one that is out of the boot order, is nobody's: it was armed and never confirmed, and the
 * next start is the other group's. Disarming a trial takes the group out of the order, so that after it - the agent
 * killed, the restart failed - only the order still tells that the group was in trial.
 */
import type { Facts } from './effects.ts';

/** `unproven`: the other group is the one to live on. `unknown`: nobody can say. */
export type Standing = 'confirmed' | 'unproven' | 'unknown';

export function standingOf({ boot, bootedGroup }: Pick<Facts, 'boot' | 'bootedGroup'>): Standing {
  if (boot === undefined) return 'unknown';
  const mayBoot = boot.order.filter((group) => group !== boot.trial);
  // With no other group to go back to, what runs is what the device lives on.
  return mayBoot.includes(bootedGroup) || mayBoot.length === 0 ? 'confirmed' : 'unproven';
}
