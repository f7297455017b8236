/**
 * Boot control port: the contract with the boot loader.
 *
 * Each call but `read` is one atomic durable write and idempotent. The boot loader decrements counters itself
 * and its decrements may be lost. Nothing but the agent puts a group back into the boot order.
 */
import type { GroupLetter } from '@airlock/trust';

export interface BootControlState {
  /** Groups that may be booted, first one first. A disarmed group is not in it. */
  readonly order: readonly GroupLetter[];
  /** The group that is in a trial, if any: armed by `arm` and not yet confirmed. */
  readonly trial?: GroupLetter;
  /** Tries left of a trial, or starts left of a confirmed group; undefined where the platform cannot tell. */
  readonly left: Readonly<Partial<Record<GroupLetter, number>>>;
}

export interface BootControl {
  /** `counted`: tries are counted by the boot loader; `one-shot`: the trial is booted once. */
  readonly tries: 'counted' | 'one-shot';
  /** Whether a group armed for trial stays armed when power is lost before the boot. */
  readonly armingSurvivesPowerOff: boolean;
  /** Starts that `confirm` gives a group; undefined: `confirmedStartsDefault`. */
  readonly confirmedStarts?: number;
  /** undefined when no copy can be read. */
  read(): Promise<BootControlState | undefined>;
  /** Where there are two copies: writes a damaged or older one again, and nothing when both are alike. */
  repair?(): Promise<void>;
  disarm(group: GroupLetter): Promise<void>;
  /** Puts the group first, in trial, with so many tries; the other group stays as it was behind it. */
  arm(group: GroupLetter, tries: number): Promise<void>;
  /** Puts the group first, confirmed, with its starts restored; ends its trial. The other group stays behind it. */
  confirm(group: GroupLetter): Promise<void>;
}

/** Tries of a trial before the boot loader gives up: three survive one power cut and one crash. */
export const trialTriesDefault = 3;
/** Starts of a confirmed group before a fallback is tried; many, so that quick unplugs never drop a device. */
export const confirmedStartsDefault = 16;
