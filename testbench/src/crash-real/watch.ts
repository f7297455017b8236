/**
 * Watches a device's files from outside and says when a moment has come: for kills, where nothing sits inside of the
 * agent, and for power cuts by delay.
 *
 * An operation is what the kernel reports of the state folder, the boot-control file and the slots; it reports several
 * changes of one file at once as one, so that counts are lower than the agent's own.
 */
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { DeviceFolder } from '../virtual-device/device-folder.ts';
import { readRecord } from '../virtual-device/device-view.ts';
import type { Moment } from './moments.ts';

export class MomentWatch {
  readonly #folder: DeviceFolder;
  readonly #moment: Moment;
  readonly #fire: () => void;
  readonly #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | undefined;
  #begun = false;
  #seen = 0;

  /** `fire` is called once at most, and never after `close`. */
  constructor(folder: DeviceFolder, moment: Moment, fire: () => void) {
    this.#folder = folder;
    this.#moment = moment;
    this.#fire = fire;
    const folders = [folder.stateFolder, dirname(folder.bootFile), dirname(folder.slots.A)];
    for (const name of folders) this.#watchers.push(watch(name, () => this.#changed()));
    this.#look();
  }

  close(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    clearTimeout(this.#timer);
  }

  #changed(): void {
    if (this.#watchers.length === 0) return;
    this.#look();
    if (!this.#begun || this.#moment.kind !== 'operations') return;
    this.#seen += 1;
    if (this.#seen >= this.#moment.nth) this.#now();
  }

  #look(): void {
    if (this.#begun || readRecord(this.#folder.stateFolder)?.state !== this.#moment.phase) return;
    this.#begun = true;
    if (this.#moment.kind === 'delay') this.#timer = setTimeout(() => this.#now(), this.#moment.ms);
  }

  #now(): void {
    this.close();
    this.#fire();
  }
}
