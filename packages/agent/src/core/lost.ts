/**
 * What a device does when every copy of its record is lost (`OTA_STATE_LOST`, REQ-OTA-APPLY-07): it stays on what
 * runs, never believes itself new, and takes the highest version found in either group as its floor.
 *
 * Pure. A trial that is under way cannot be vouched for any more: the group in trial leaves the boot order, and a
 * device that runs in it goes back to the other group, which was the confirmed one when the trial was armed.
 */
import type { GroupLetter } from '@airlock/trust';
import type { Effect, Facts } from './effects.ts';
import { standingOf } from './standing.ts';
import { manifestUnknown, newRecord, otherGroup, type DeviceState, type Installed } from './record.ts';

/** What the images themselves say, and the manifests that survived. */
export type Found = Readonly<Record<GroupLetter, Installed | undefined>>;

/**
 * `deviceRecord`: the number of the device record held. With a TPM nothing vouches for the floor of a lost record,
 * or deleting it would be an easier way to lower the floor than restoring it.
 */
export function recoverLost(
  found: Found,
  facts: Facts,
  deviceRecord: number,
): { record: DeviceState; effects: readonly Effect[] } {
  const trial = facts.boot?.trial;
  const unproven = standingOf(facts) === 'unproven';
  const confirmedGroup = unproven ? otherGroup(facts.bootedGroup) : facts.bootedGroup;
  const installed = found[confirmedGroup] ?? { version: 0, manifestSha256: manifestUnknown };
  const fresh = newRecord(confirmedGroup, installed);
  const floor = Math.max(found.A?.version ?? 0, found.B?.version ?? 0);
  const restored = facts.sealed ? { restored: { deviceRecord } } : {};
  const record: DeviceState = { ...fresh, floor, ...restored };
  // Disarmed first: a cut in between leaves a record that is still lost, and this is done again.
  const effects: Effect[] = [];
  if (trial !== undefined) effects.push({ kind: 'disarm', step: 'fail.b', group: trial, onFault: 'wait' });
  effects.push({ kind: 'write-record', step: 'fail.a', record });
  if (unproven) effects.push({ kind: 'restart-out-of-trial', step: 'fail.c' });
  return { record, effects };
}
