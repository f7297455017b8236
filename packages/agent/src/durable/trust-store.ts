/**
 * The home of the trust state: two copies, each a file of its own that is replaced atomically (REQ-OTA-APPLY-07).
 *
 * Keeps true: what `checkTrust` asked to keep is durable in both copies before it goes on; the older or damaged copy
 * is replaced first, so that at every moment the newest one is whole; the valid copy with the highest sequence counts,
 * so that the loss of either brings no rollback; metadata is never swapped file by file.
 * What is in it, and what may be believed of it, is trust's; the checksum is against accidents only.
 */
import { encodeTrustState, parseTrustState, sha256Hex, type TrustState } from '@airlock/trust';
import { DiskError, type Disk } from '../ports/disk.ts';
import { readWhole, replaceFile } from './folder-file.ts';

/** The two copies; nothing else in the state folder bears these names. */
export const trustFileNames = ['trust-1', 'trust-2'] as const;
/** As long as trust itself writes at most: 16 functions with 200 releases each are 1.5 MB. */
const stateBytesMax = 4_000_000;
/** `<SHA-256 of what follows> airlock-trust/1 <sequence>\n`, then the state; the sequence has at most 16 digits. */
const headBytesMax = 128;
const headForm = /^([0-9a-f]{64}) (airlock-trust\/1 ([1-9][0-9]{0,15})\n)/;

interface TrustCopy {
  readonly sequence: number;
  readonly state: TrustState;
}

export interface HeldTrust {
  readonly state: TrustState;
  /** Whether the other copy is missing, cannot be read or is damaged. */
  readonly damaged: boolean;
  /** Whether both copies hold this state: if not, `keep` makes them. */
  readonly inBoth: boolean;
}

export interface TrustStore {
  /** The newest valid copy; undefined when there is none: then nothing can be installed. Writes nothing. */
  read(): Promise<HeldTrust | undefined>;
  /** Durable in both copies when it returns. Throws DiskError; the newest of before is then still whole. */
  keep(state: TrustState): Promise<void>;
}

export function trustStore(disk: Disk, folder: string): TrustStore {
  /** What stands in each place, as far as it was looked at. */
  let copies: [TrustCopy | undefined, TrustCopy | undefined] | undefined;
  const look = async (): Promise<[TrustCopy | undefined, TrustCopy | undefined]> => {
    const [first, second] = trustFileNames;
    return [await readCopy(disk, `${folder}/${first}`), await readCopy(disk, `${folder}/${second}`)];
  };
  return {
    async read() {
      copies = await look();
      const newest = newestOf(copies);
      if (newest === undefined) return undefined;
      const other = copies[newest.place === 0 ? 1 : 0];
      return {
        state: newest.copy.state,
        damaged: other === undefined,
        inBoth: other?.sequence === newest.copy.sequence,
      };
    },
    async keep(state) {
      const held = (copies ??= await look());
      const newest = newestOf(held);
      const copy = { sequence: (newest?.copy.sequence ?? 0) + 1, state };
      const bytes = encodeTrustCopy(copy);
      for (const place of newest?.place === 0 ? ([1, 0] as const) : ([0, 1] as const)) {
        // Until it is replaced for certain, nothing is known of this place.
        held[place] = undefined;
        await replaceFile(disk, folder, trustFileNames[place], bytes);
        held[place] = copy;
      }
    },
  };
}

/** One copy as bytes. */
export function encodeTrustCopy(copy: TrustCopy): Uint8Array {
  const state = encodeTrustState(copy.state);
  const head = new TextEncoder().encode(`airlock-trust/1 ${copy.sequence}\n`);
  const sealed = new Uint8Array(head.length + state.length);
  sealed.set(head, 0);
  sealed.set(state, head.length);
  const checksum = new TextEncoder().encode(`${sha256Hex(sealed)} `);
  const bytes = new Uint8Array(checksum.length + sealed.length);
  bytes.set(checksum, 0);
  bytes.set(sealed, checksum.length);
  return bytes;
}

/** undefined for a copy that is damaged or of another form. */
export function decodeTrustCopy(bytes: Uint8Array): TrustCopy | undefined {
  const found = headForm.exec(new TextDecoder('latin1').decode(bytes.subarray(0, headBytesMax)));
  if (found === null) return undefined;
  const [whole, checksum, , digits] = found;
  const sequence = Number(digits);
  if (!Number.isSafeInteger(sequence) || sha256Hex(bytes.subarray(65)) !== checksum) return undefined;
  const state = parseTrustState(bytes.subarray(whole.length));
  return state.ok ? { sequence, state: state.value } : undefined;
}

async function readCopy(disk: Disk, path: string): Promise<TrustCopy | undefined> {
  try {
    const bytes = await readWhole(disk, path, stateBytesMax + headBytesMax);
    return bytes === undefined ? undefined : decodeTrustCopy(bytes);
  } catch (error) {
    if (error instanceof DiskError) return undefined;
    throw error;
  }
}

function newestOf(
  copies: readonly [TrustCopy | undefined, TrustCopy | undefined],
): { readonly place: 0 | 1; readonly copy: TrustCopy } | undefined {
  const [first, second] = copies;
  if (second !== undefined && (first === undefined || second.sequence > first.sequence))
    return { place: 1, copy: second };
  return first === undefined ? undefined : { place: 0, copy: first };
}
