/** What must hold on the durable state after every crash (DESIGN "What always holds"), as far as one state shows it. */
import assert from 'node:assert/strict';
import type { GroupLetter } from '@airlock/trust';
import { imageOf } from './sim-company.ts';
import { slotPath, type SimDevice } from './sim-device.ts';

/** Whether every slot of the group holds the images of one and the same release among `versions`. */
export function provenVersion(
  device: SimDevice,
  group: GroupLetter,
  versions: readonly number[],
): number | undefined {
  return versions.find((version) =>
    ['app', 'rootfs'].every((component) => {
      const image = imageOf(component, version);
      const slot = device.disk.bytes(slotPath(component, group)) ?? new Uint8Array();
      return image.every((byte, at) => slot[at] === byte);
    }),
  );
}

/** Invariants 2, 3 and 4 on what is durable now. `floorBefore`: the highest floor seen so far. */
export async function assertHolds(
  device: SimDevice,
  given: { floorBefore: number; versions: readonly number[]; where: string },
): Promise<number> {
  const record = await device.record();
  const boot = device.bootState();
  const { where } = given;
  assert.ok(record.floor >= given.floorBefore, `${where}: the floor fell to ${record.floor}`);
  if (device.tpm !== undefined) {
    const { counter } = device.tpm;
    const sealedWith = record.counter ?? -1;
    assert.ok(
      [counter, counter + 1].includes(sealedWith),
      `${where}: sealed with ${sealedWith}, not ${counter}`,
    );
    assert.equal(record.restored, undefined, `${where}: taken for a restored disk`);
  }
  for (const group of boot.order) {
    const version = provenVersion(device, group, given.versions);
    assert.ok(version !== undefined, `${where}: group ${group} is armed and its images are not proven`);
  }
  if (boot.trial !== undefined) {
    assert.equal(boot.trial, record.attempt?.group, `${where}: armed for a trial that is not the attempt's`);
    const states = ['Pending', 'Trial', 'Confirming', 'Failing'];
    assert.ok(states.includes(record.state), `${where}: in trial while the record says ${record.state}`);
  }
  const confirmedBoots = boot.order.some((group) => group !== boot.trial);
  assert.ok(confirmedBoots, `${where}: no confirmed group is left in the boot order`);
  return record.floor;
}
