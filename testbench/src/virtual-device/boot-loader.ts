/**
 * Boot loader contract of the virtual device, as a pure function over the boot control.
 *
 * What it keeps true: a trial is started at most as often as it has tries; tries and starts are counted down, and the
 * count written, before the start; a confirmed group is not left before all its starts are used; a group out of the
 * order is never started; nothing here puts a group into the order or gives tries back - only the agent does. When
 * everything is used up the first confirmed group is started all the same: a halted device helps no patient.
 * It leaves to its caller: reading and writing the boot-control file, durably, before it acts on the decision.
 */
import type { BootControlState } from '@airlock/agent';
import type { GroupLetter } from '@airlock/trust';

export interface BootDecision {
  /** Group to start; undefined when the order names none that may be started. */
  readonly group: GroupLetter | undefined;
  /** What the boot-control file must say, durably, before the group is started. */
  readonly after: BootControlState;
  /** Why, for the console. */
  readonly words: string;
}

/** Decides one start. Takes the boot control as read; never throws. */
export function decideBoot(before: BootControlState): BootDecision {
  for (const group of before.order) {
    const left = before.left[group] ?? 0;
    if (left < 1) continue;
    const words =
      group === before.trial
        ? `trial of group ${group}, ${left - 1} tries left after this one`
        : `group ${group}, ${left - 1} starts left after this one`;
    return { group, after: { ...before, left: { ...before.left, [group]: left - 1 } }, words };
  }
  const lastResort = before.order.find((group) => group !== before.trial);
  return lastResort === undefined
    ? { group: undefined, after: before, words: 'no group in the boot order may be started' }
    : { group: lastResort, after: before, words: `group ${lastResort}, though all its starts are used` };
}
