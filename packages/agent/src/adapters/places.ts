/**
 * Whether the places that a configuration names are as many places on the medium: slots, boot control, state.
 *
 * The parser compares texts; a link, a second name of a partition or a hard link is another text for the same place,
 * and writing the other group would then overwrite the running one, the record or the boot order. So the kernel is
 * asked, at every start and before provisioning. Left out: partitions that overlap on the disk. Writes nothing.
 */
import { stat } from 'node:fs/promises';
import { fail, ok, type Result } from '@airlock/trust';
import type { AgentConfig } from '../config.ts';

interface Place {
  readonly field: string;
  /** What must belong to this field alone: the file, or the device. */
  readonly own: string;
  /** The device that the file system of a file or folder lies on; writing to it as a slot would destroy them. */
  readonly on?: string;
}

/** Errors: `OTA_CONFIG`, naming the two fields that are one place. */
export async function judgePlaces(config: AgentConfig): Promise<Result<undefined>> {
  const { slots, bootControl, stateFolder } = config;
  const named: [string, string][] = Object.entries(slots).flatMap(([component, pair]) =>
    (['A', 'B'] as const).map((group): [string, string] => [`slots.${component}.${group}`, pair[group]]),
  );
  named.push(['stateFolder', stateFolder]);
  if (bootControl.kind === 'file') named.push(['bootControl.file', bootControl.file]);
  const places: Place[] = [];
  for (const [field, path] of named) {
    const place = await placeOf(field, path);
    if (place === undefined) continue;
    const same = places.find(({ own, on }) => own === place.own || own === place.on || on === place.own);
    if (same !== undefined) {
      const message = `${field}: expected a place of its own, found the place of ${same.field} (${path})`;
      return fail('OTA_CONFIG', message, field);
    }
    places.push(place);
  }
  return ok(undefined);
}

/** undefined for what is not there, or cannot be looked at: it cannot be written through that path either. */
async function placeOf(field: string, path: string): Promise<Place | undefined> {
  try {
    const facts = await stat(path, { bigint: true });
    if (facts.isBlockDevice() || facts.isCharacterDevice()) return { field, own: `device ${facts.rdev}` };
    return { field, own: `file ${facts.dev}:${facts.ino}`, on: `device ${facts.dev}` };
  } catch {
    return undefined;
  }
}
