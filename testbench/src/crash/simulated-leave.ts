/**
 * What the device's own software, the operator, the clock and the data hooks last said; held against the agent at the
 * moment it acts.
 *
 * The rules of REQ-OTA-POL-06 and ROLL-03 are about moments, not about durable states: no image is fetched, no group armed,
 * nothing restarted without leave; and but for the restart into a trial, and out of one, the agent restarts nothing.
 * A break is a wrong use of the disk's device, which stops the run as that of the disk does.
 */
import type { GroupLetter } from '@airlock/trust';
import type { CrashDisk } from './crash-disk.ts';
import { lastHookDone } from './hooks.ts';
import { bootCopies, newest, recordCopies } from './reading.ts';
import type { World } from './world.ts';

type What = 'fetch' | 'activate' | 'reboot';

export class LeaveHeld {
  readonly #disk: CrashDisk;
  readonly #world: World;
  readonly #said = new Map<What, boolean>();
  #consented = false;
  #timeSigned = false;

  constructor(disk: CrashDisk, world: World) {
    this.#disk = disk;
    this.#world = world;
  }

  said(what: What, allowed: boolean): void {
    this.#said.set(what, allowed);
  }

  consented(given: boolean): void {
    this.#consented = given;
  }

  /** Both repositories say that it is not later than their metadata: then the clock is wrong, and not the metadata. */
  timeSigned(): void {
    this.#timeSigned = true;
  }

  fetching(): void {
    if (this.#said.get('fetch') !== true)
      throw this.#disk.wrong('POL-06: an image is fetched without the leave of the interlock');
  }

  /** `clockRight`: whether the metadata that the verdict stands on have not expired meanwhile. */
  arming(clockRight: boolean): void {
    const { consentRequired, dataHooks } = this.#world.options;
    if (this.#said.get('activate') !== true || this.#said.get('reboot') !== true)
      throw this.#disk.wrong('POL-06: a group is armed without the leave of the interlock');
    if (consentRequired && !this.#consented)
      throw this.#disk.wrong('POL-06: a group is armed and the operator has not consented');
    if (!clockRight && !this.#timeSigned)
      throw this.#disk.wrong('ROLL-03: a group is armed on metadata that have expired');
    if (dataHooks && lastHookDone(this.#disk.live()) !== 'prepare')
      throw this.#disk.wrong('hooks: a group is armed and the data were not prepared');
  }

  restarting(booted: GroupLetter): void {
    const record = newest(recordCopies(this.#disk.live()));
    const boot = newest(bootCopies(this.#disk.live()));
    const { attempt } = record ?? {};
    // Out of a trial, or of a group that a lost record no longer vouches for: asked of nobody.
    if (attempt?.group === booted || boot?.trial === booted || record?.confirmed.group !== booted) return;
    if (record.state !== 'Pending')
      throw this.#disk.wrong(`POL-06: a restart outside any trial, while the record says ${record.state}`);
    if (this.#said.get('reboot') !== true)
      throw this.#disk.wrong('POL-06: restarted into the trial although the interlock said no');
  }
}
