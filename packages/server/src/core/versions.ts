/**
 * Versions and lives of what the server signs online.
 *
 * Keeps true: an online version is the larger of last + 1 and Unix seconds, so that a restored backup or a second
 * replica never falls behind what a device has seen. Offline versions are never made here.
 */
import type { UtcSeconds } from '@airlock/trust';

const daySeconds = 24 * 3600;

/** DESIGN "Expiry": how long what the server signs is valid. */
export const lifeSeconds = {
  /** A hidden withdrawal is bounded by this. */
  imageSnapshot: 7 * daySeconds,
  directorSet: 30 * daySeconds,
  timestamp: daySeconds,
} as const;

export function nextOnlineVersion(last: number | undefined, now: UtcSeconds): number {
  return Math.max((last ?? 0) + 1, now);
}

/** Owners as the store names them. */
export const directorOwner = 'director';
export const imageOwner = (product: string): string => `image:${product}`;
export const deviceOwner = (device: string): string => `device:${device}`;

/** The product of an image owner, or the device of a device owner. */
export function ownerParts(owner: string): { readonly kind: string; readonly name: string } {
  const colon = owner.indexOf(':');
  return colon < 0
    ? { kind: owner, name: '' }
    : { kind: owner.slice(0, colon), name: owner.slice(colon + 1) };
}
