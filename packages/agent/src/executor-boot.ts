/**
 * The boot control as the executor uses it: its faults are events and facts, never exceptions.
 *
 * When it is read, armed, disarmed or confirmed is `core/`'s to decide.
 */
import type { GroupLetter } from '@airlock/trust';
import type { MachineEvent } from './core/effects.ts';
import { messageOf } from './core/operating-error.ts';
import { confirmedStartsDefault, type BootControl, type BootControlState } from './ports/boot-control.ts';

/** Whether a running group outside any trial is given its starts back, or confirmed anew. */
export function mayRestore(
  state: BootControlState | undefined,
  group: GroupLetter,
  known: boolean,
  starts: number = confirmedStartsDefault,
): boolean {
  if (state === undefined) return known;
  // Nothing could be booted any more: what runs, and is known, is what there is.
  if (state.order.length === 0) return known;
  if (!state.order.includes(group)) return false;
  if (state.trial === group) return known;
  return state.order[0] !== group || (state.left[group] ?? 0) < starts;
}

export async function bootControlDo(
  work: () => Promise<void>,
): Promise<{ readonly event: Extract<MachineEvent, { kind: 'fail' }> } | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return { event: { kind: 'fail', code: 'OTA_FAIL_BOOT_CONTROL', reason: messageOf(error) } };
  }
}

/** A boot control that cannot be read is a fact, like any other: undefined. */
export async function readBoot(bootControl: BootControl): Promise<BootControlState | undefined> {
  try {
    return await bootControl.read();
  } catch (error) {
    messageOf(error);
    return undefined;
  }
}
