/**
 * Whether a record can be believed on a device whose floor is sealed with a counter of the TPM (REQ-OTA-ROLL-04).
 *
 * Pure. The counter never holds a version: a record says with which value of it it is sealed. What raises the floor
 * writes the record {floor, counter + 1} first, in both copies, and the increment commits it. So a copy of the record
 * that is found says the counter's value, or one more if power was lost in between; anything else - less, more, or
 * nothing at all - is a disk that was restored, or a counter that was replaced, and the floor in it proves nothing.
 *
 * The loss of one copy is no restored disk: the counter is incremented only after both copies say the new value, so
 * that no copy that was whole at that moment can be behind it.
 */
import type { GroupLetter } from '@airlock/trust';
import type { Effect, Facts } from './effects.ts';
import { recoverLost, type Found } from './lost.ts';
import { standingOf } from './standing.ts';
import { deviceRecordUnknown, otherGroup, type Attempt, type DeviceState } from './record.ts';

/** What the floor store says: there is no counter, its value, or why it cannot be read. */
export type CounterReading =
  | { readonly kind: 'none' }
  | { readonly kind: 'value'; readonly counter: number }
  | { readonly kind: 'unreadable'; readonly reason: string };

/**
 * `unbound`: no counter on this device. `whole`: sealed with the counter. `uncommitted`: the increment is still to be
 * done. `restored`: the floor is not to be believed, until a device record names it. `unreadable`: nobody knows now.
 */
export type SealVerdict = 'unbound' | 'whole' | 'uncommitted' | 'restored' | 'unreadable';

export function judgeSeal(
  record: Pick<DeviceState, 'counter' | 'restored'>,
  reading: CounterReading,
): SealVerdict {
  // A configuration that lost its TPM must not turn a sealed floor into one that is not.
  if (reading.kind === 'none') return isSealed(record) ? 'unreadable' : 'unbound';
  // Found once, it stays so, whatever the counter says since: only a device record ends it.
  if (record.restored !== undefined) return 'restored';
  if (reading.kind === 'unreadable') return 'unreadable';
  if (record.counter === reading.counter) return 'whole';
  return record.counter === reading.counter + 1 ? 'uncommitted' : 'restored';
}

/** Whether the record says that this device has a counter. */
export function isSealed(record: Pick<DeviceState, 'counter' | 'restored'>): boolean {
  return record.counter !== undefined || record.restored !== undefined;
}

/**
 * The counter that a record which raises the floor is sealed with. Only for a record that was judged `whole` in this
 * boot: one more than a value of a restored disk might by chance be what the counter says.
 */
export function nextCounter(
  record: DeviceState,
  floor: number,
  sealed: boolean,
): Pick<DeviceState, 'counter'> {
  if (!sealed || record.counter === undefined || floor <= record.floor) return {};
  return { counter: record.counter + 1 };
}

/**
 * What a restored disk comes to. Nothing of what its record says about groups is believed, since the groups may have
 * been written many times since: what runs stays and counts as confirmed, and only the boot control says whether it
 * is a trial - which then ends as failed. The record's attempt ends with a result. The floor is the highest of the
 * record's and of what the groups hold, and never enough to install anything.
 */
export function recoverRestored(
  held: DeviceState,
  found: Found,
  facts: Facts,
  deviceRecord: number,
): { readonly record: DeviceState; readonly effects: readonly Effect[] } {
  const { record: fresh } = recoverLost(found, facts, deviceRecord);
  const idle: DeviceState = {
    ...fresh,
    floor: Math.max(fresh.floor, held.floor),
    ...(held.counter === undefined ? {} : { counter: held.counter }),
    ...(held.lastResult === undefined ? {} : { lastResult: held.lastResult }),
    failures: held.failures,
  };
  const attempt = held.attempt === undefined ? undefined : endedAttempt(held.attempt, facts);
  const record: DeviceState =
    attempt === undefined ? idle : { ...idle, state: 'Failing', attempt, failing: restoredReason };
  const stray = attempt === undefined ? unprovenGroup(facts) : undefined;
  return {
    record,
    // Disarmed first: a cut in between leaves a record that is still noticed as restored, and this is done again.
    effects: [...disarming(stray, 'wait'), { kind: 'write-record', step: 'seal.a', record }],
  };
}

/** At every start until a device record names the floor: a boot control that failed once may do it now. */
export function stillUnproven(record: DeviceState, facts: Facts): readonly Effect[] {
  return record.state === 'Idle' ? disarming(unprovenGroup(facts), 'go on') : [];
}

function disarming(group: GroupLetter | undefined, onFault: 'go on' | 'wait'): readonly Effect[] {
  return group === undefined ? [] : [{ kind: 'disarm', step: 'fail.b', group, onFault }];
}

const restoredReason = {
  code: 'OTA_STATE_RESTORED',
  reason: 'the attempt stands in a record that was restored from an older copy',
} as const;

/**
 * The attempt as its ending needs it. In a real trial the group that runs is left and its data reverted. Otherwise
 * the running group is not touched, and no data is reverted: they may belong to what was confirmed long since.
 */
function endedAttempt(attempt: Attempt, facts: Facts): Attempt {
  const { bootedGroup, bootId } = facts;
  const { pendingBootId, ...rest } = attempt;
  if (standingOf(facts) === 'unproven')
    return { ...rest, group: bootedGroup, pendingBootId: pendingBootId ?? bootId };
  const group = unprovenGroup(facts) ?? bootedGroup;
  return { ...rest, group, staged: false, trialBoots: 0 };
}

/**
 * Invariant 2: with a record that is not believed, nothing proves the images of the group that does not run. In a
 * trial it is the confirmed one, and while the boot control cannot be read it may be.
 */
function unprovenGroup(facts: Facts): GroupLetter | undefined {
  return standingOf(facts) === 'confirmed' ? otherGroup(facts.bootedGroup) : undefined;
}

/** What the device holds as its signed device record. */
export interface NamedFloor {
  readonly number: number;
  readonly floor?: number;
  readonly counter?: number;
}

/** Whether a device record with a higher number than was held when the restored disk was noticed names a floor. */
function namesFloor(
  { restored }: Pick<DeviceState, 'restored'>,
  deviceRecord: NamedFloor,
): deviceRecord is NamedFloor & { readonly floor: number } {
  return (
    restored !== undefined && deviceRecord.floor !== undefined && deviceRecord.number > restored.deviceRecord
  );
}

/**
 * The record of a restored disk, sealed anew: once the device holds a device record with a higher number than it held
 * when it noticed, and that one names the floor for the very value that the counter has. undefined: not yet.
 *
 * Without the counter in it, a device record that was signed for one restoration would vouch for every older copy of
 * the disk, for ever: the server that offers it and the thief who has the copy are the two that this is against. The
 * new seal raises the counter, so that the device record has counted once for good.
 */
export function sealAnew(
  record: DeviceState,
  deviceRecord: NamedFloor,
  counter: number,
): DeviceState | undefined {
  if (!namesFloor(record, deviceRecord) || deviceRecord.counter !== counter) return undefined;
  const { restored: _restored, ...rest } = record;
  return { ...rest, floor: Math.max(record.floor, deviceRecord.floor), counter: counter + 1 };
}

/** Why a device record that names a floor does not count here; undefined for one that counts, or names none. */
export function namingRefused(
  record: Pick<DeviceState, 'restored'>,
  deviceRecord: NamedFloor,
  counter: number,
): string | undefined {
  if (!namesFloor(record, deviceRecord) || deviceRecord.counter === counter) return undefined;
  const named = deviceRecord.counter === undefined ? 'no counter' : `counter ${deviceRecord.counter}`;
  return (
    `device record ${deviceRecord.number} names the floor for ${named}, and the counter says ${counter}: ` +
    `one with a number above ${deviceRecord.number} must name both`
  );
}

/** Why a restored disk installs nothing, for people; `counter`: what the TPM says now, where that is known. */
export function restoredWords({ restored }: Pick<DeviceState, 'restored'>, counter?: number): string {
  if (restored === undefined) return 'the record is not sealed with the counter of the TPM';
  const { deviceRecord } = restored;
  return deviceRecord === deviceRecordUnknown
    ? 'nothing vouches for the floor, and no device record is held: provision the device anew'
    : `nothing vouches for the floor: a device record with a number above ${deviceRecord} must name it ` +
        `for counter ${counter ?? 'that the TPM has, which cannot be asked now'}`;
}
