/**
 * The ImageIdentity port for images that are tar files: product and version stand in one small member.
 *
 * It reads headers by position and nothing else of the payload, through a Disk opened for reading, since the booted
 * group's slot may be mounted. Whatever is not plainly a tar with such a member is "not recognised": a slot may hold
 * half an image, an old one, or noise. It is asked only when the record was lost; no signature is looked at here.
 */
import type { Disk, DiskFile } from '../ports/disk.ts';
import type { ImageIdentity, SlotLayout } from '../ports/slots.ts';

const blockBytes = 512;
/** Two short fields in JSON. */
const memberBytesMax = 4096;
/** The member stands near the beginning; a slot full of noise must not be read for hours. */
const entriesMax = 10_000;

export function tarIdentity(options: {
  /** Opened for reading only: `nodeDisk({ access: 'read' })`. */
  readonly disk: Disk;
  readonly slots: SlotLayout;
  /** The component whose image carries the member. */
  readonly component: string;
  readonly member: string;
}): ImageIdentity {
  return {
    identify: async (component, group) => {
      if (component !== options.component) return undefined;
      const path = options.slots.components[component]?.[group];
      if (path === undefined) return undefined;
      const file = await options.disk.open(path);
      if (file === undefined) return undefined;
      try {
        const source = await readMember(file, options.member);
        return source === undefined ? undefined : parseIdentity(source);
      } finally {
        await file.close();
      }
    },
  };
}

/** The text of a plain member; undefined when it is missing, too long, or the tar is not well formed before it. */
async function readMember(file: DiskFile, member: string): Promise<string | undefined> {
  let position = 0;
  for (let entry = 0; entry < entriesMax; entry += 1) {
    const header = await file.read(position, blockBytes);
    const parsed = parseHeader(header);
    if (parsed === undefined) return undefined;
    const { name, sizeBytes, plain } = parsed;
    if (plain && (name === member || name === `./${member}`)) {
      if (sizeBytes > memberBytesMax) return undefined;
      const bytes = await file.read(position + blockBytes, sizeBytes);
      return bytes.length === sizeBytes ? new TextDecoder().decode(bytes) : undefined;
    }
    position += blockBytes + Math.ceil(sizeBytes / blockBytes) * blockBytes;
  }
  return undefined;
}

/** Name, size and kind out of a ustar header whose checksum is right. */
function parseHeader(header: Uint8Array): { name: string; sizeBytes: number; plain: boolean } | undefined {
  if (header.length !== blockBytes) return undefined;
  const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0);
  if (octal(header.subarray(148, 156)) !== sum) return undefined;
  const sizeBytes = octal(header.subarray(124, 136));
  if (sizeBytes === undefined) return undefined;
  const prefix = text(header.subarray(257, 262)) === 'ustar' ? text(header.subarray(345, 500)) : '';
  const name = text(header.subarray(0, 100));
  const kind = header[156];
  return { name: prefix === '' ? name : `${prefix}/${name}`, sizeBytes, plain: kind === 0 || kind === 0x30 };
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder('latin1').decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function octal(bytes: Uint8Array): number | undefined {
  const digits = text(bytes).trim();
  return /^[0-7]{1,12}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

function parseIdentity(source: string): { product: string; version: number } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const product = 'product' in value ? value.product : undefined;
  const version = 'version' in value ? value.version : undefined;
  if (typeof product !== 'string' || typeof version !== 'number') return undefined;
  if (!Number.isInteger(version) || version < 1 || version > 2 ** 31 - 1) return undefined;
  return { product, version };
}
