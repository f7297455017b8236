/**
 * The one conditional request of a device: what changed since what it says it holds. Pure.
 *
 * Keeps true: the ETag covers roots, snapshots, director targets and the device record's number, not timestamps; it
 * depends on nothing else, so that an answer of 304 needs no file. Offline roles are covered by the snapshot's version,
 * which changes with them. What a device claims to hold decides only what it is sent.
 */
import type { CheckInRequest } from '@airlock/protocol';
import { sha256Hex } from '@airlock/trust';
import type { Versions } from './restoration.ts';

/** Versions of all that a device may hold. */
export interface Served {
  /** `root`, `snapshot`, `targets` and functions. */
  readonly image: Versions;
  readonly directorRoot: number;
  /** `targets` and `snapshot` of this device. */
  readonly director: Versions;
  readonly deviceRecord: number;
}

export function checkInEtag(served: Served): string {
  const { image, director } = served;
  const parts = [
    image.get('root') ?? 0,
    image.get('snapshot') ?? 0,
    served.directorRoot,
    director.get('targets') ?? 0,
    director.get('snapshot') ?? 0,
    served.deviceRecord,
  ];
  return `"${sha256Hex(Buffer.from(parts.join(' '))).slice(0, 32)}"`;
}

export interface Wanted {
  readonly imageRoots: boolean;
  readonly directorRoots: boolean;
  /** `targets` and functions that the device lacks or holds older. */
  readonly imageRoles: readonly string[];
  readonly imageSnapshot: boolean;
  readonly directorSnapshot: boolean;
  readonly directorTargets: boolean;
  readonly deviceRecord: boolean;
}

/** Another number, not only a higher one: a device that was ahead of a restored server gets what there is now. */
export function wantedFiles(request: CheckInRequest, served: Served): Wanted {
  const differs = (held: number, ours: number | undefined) => ours !== undefined && held !== ours;
  const held = new Map(Object.entries(request.imageRoles));
  const roles = [...served.image].filter(([role]) => role !== 'root' && role !== 'snapshot');
  return {
    imageRoots: request.imageRoot < (served.image.get('root') ?? 0),
    directorRoots: request.directorRoot < served.directorRoot,
    imageRoles: roles.filter(([role, ours]) => differs(held.get(role) ?? 0, ours)).map(([role]) => role),
    imageSnapshot: differs(request.imageSnapshot, served.image.get('snapshot')),
    directorSnapshot: differs(request.directorSnapshot, served.director.get('snapshot')),
    directorTargets: differs(request.directorTargets, served.director.get('targets')),
    deviceRecord: request.deviceRecord < served.deviceRecord,
  };
}
