/**
 * Slot layout: which slot of which component belongs to which group, and where an image says what it is.
 *
 * Plain values from the configuration; reading and writing goes through the Disk port.
 */
import type { GroupLetter } from '@airlock/trust';

export interface SlotLayout {
  /** Component name to the path (file or block device) of its slot in each group. */
  readonly components: Readonly<Record<string, Readonly<Record<GroupLetter, string>>>>;
}

/** Reads product and version out of an installed image; used only when the state was lost. */
export interface ImageIdentity {
  /** undefined when the slot holds nothing that can be recognised. */
  identify(component: string, group: GroupLetter): Promise<{ product: string; version: number } | undefined>;
}
