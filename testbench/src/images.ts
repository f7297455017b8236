/**
 * Images of the demo and of the tests: reproducible tars whose first entry is the bundled agent.
 *
 * Order, owners and times are fixed, so that the same inputs give the same bytes. Programs (agent, self-tests, hooks,
 * identity) come first and the payload last, so that the virtual device's kernel can stop reading before it.
 */
import { createCipheriv } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';
import { agentEntry, payloadFolder } from './virtual-device/kernel.ts';

/** Every entry bears this time, or two builds of one version would differ. */
const entryTime = new Date('2026-01-01T00:00:00Z');

export interface ImageOptions {
  readonly file: string;
  readonly agentBundle: Uint8Array;
  readonly product: string;
  readonly version: number;
  /** Program name to its text or bytes, put beside the agent. */
  readonly programs: Readonly<Record<string, string | Uint8Array>>;
  /** A file or a folder taken as it is. */
  readonly payload?: string;
  /** Seeded filler in the payload, different for each version: what changed between versions. */
  readonly fillerBytes: number;
}

/** Writes the image file. */
export async function writeImage(options: ImageOptions): Promise<void> {
  const tar = pack();
  const written = pipeline(tar, createWriteStream(options.file));
  const identity = JSON.stringify({ product: options.product, version: options.version });
  await add(tar, agentEntry, options.agentBundle);
  await add(tar, 'airlock-image.json', Buffer.from(identity));
  for (const name of Object.keys(options.programs).sort())
    await add(tar, name, Buffer.from(options.programs[name] ?? []));
  await add(tar, `${payloadFolder}filler.bin`, filler(options.fillerBytes, options.version));
  if (options.payload !== undefined) await addTree(tar, options.payload);
  tar.finalize();
  await written;
}

async function add(tar: Pack, name: string, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    tar.entry({ name, size: bytes.length, mtime: entryTime, mode: 0o755 }, Buffer.from(bytes), (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

async function addTree(tar: Pack, from: string): Promise<void> {
  const kind = await stat(from);
  const files = kind.isFile() ? [from] : await filesBelow(from);
  for (const file of files) {
    const { size } = await stat(file);
    const name = `${payloadFolder}tree/${kind.isFile() ? 'file' : relative(from, file)}`;
    const entry = tar.entry({ name, size, mtime: entryTime, mode: 0o644 });
    await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), entry);
  }
}

/** Bytes that a file or folder takes in an image: each file is padded to, and headed by, blocks of a tar. */
export async function payloadBytes(from: string): Promise<number> {
  const block = 512;
  const kind = await stat(from);
  let bytes = 0;
  for (const file of kind.isFile() ? [from] : await filesBelow(from)) {
    const { size } = await stat(file);
    // Four blocks of heads: a long name has three of its own.
    bytes += Math.ceil(size / block) * block + 4 * block;
  }
  return bytes;
}

/** Plain files below a folder, in one order on every machine; links are left out. */
async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Bytes that do not compress and are the same for the same version: a key stream, since that is fast to make. */
export function filler(length: number, seed: number): Uint8Array {
  const key = Buffer.alloc(16);
  key.writeUInt32LE(seed);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}
