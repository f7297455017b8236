/**
 * Kernel of the virtual device: what happens between the boot loader's jump and the agent's first instruction.
 *
 * Gives each boot a random id of its own, writes the kernel command line that names the booted group, and unpacks the
 * programs of that group's image into the run folder. An image that cannot be unpacked is a boot that fails. The
 * payload stays in the slot: a real kernel mounts it and copies nothing. In a trial the command line says how long the
 * watchdog that the boot loader armed waits to be opened. Leaves starting and ending the agent to `virtual-device.ts`,
 * and the watchdog itself to `virtual-watchdog.ts`.
 */
import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { GroupLetter } from '@airlock/trust';
import { extract } from 'tar-stream';
import { tarLengthIn } from './tar-length.ts';

/** Entries below this folder are the payload. */
export const payloadFolder = 'payload/';
/** The agent's bundle is the first entry of every image. */
export const agentEntry = 'airlock-agent.mjs';
/** The same agent bundled for a volatile disk, in images that a device with such a disk shares with others. */
export const volatileAgentEntry = 'airlock-agent-volatile.mjs';
/** A program larger than this is no program of the demo: the bundle has well under 2 MB. */
const programBytesMax = 8_000_000;
/** Programs an image may bring; the demo's have fewer than ten. */
const programsMax = 64;

export interface BootFiles {
  readonly runFolder: string;
  readonly commandLineFile: string;
  readonly bootIdFile: string;
}

export interface Booted {
  readonly bootId: string;
  /** The agent's program of the booted group. */
  readonly agentProgram: string;
}

/** Prepares one boot, of a trial if `openSecondsMax` is given; undefined when the slot's image cannot be started. */
export async function bootKernel(
  slotFile: string,
  group: GroupLetter,
  files: BootFiles,
  volatile: boolean,
  openSecondsMax: number | undefined,
): Promise<Booted | undefined> {
  const bootId = randomUUID();
  await writeFile(files.bootIdFile, `${bootId}\n`);
  const armed = openSecondsMax === undefined ? '' : ` watchdog.open_timeout=${openSecondsMax}`;
  await writeFile(files.commandLineFile, `console=ttyS0 ro airlock.group=${group}${armed} quiet\n`);
  const folder = join(files.runFolder, group);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const names = await unpackPrograms(slotFile, folder);
  if (names === undefined || names[0] !== agentEntry) return undefined;
  const program = volatile && names.includes(volatileAgentEntry) ? volatileAgentEntry : agentEntry;
  return { bootId, agentProgram: join(folder, program) };
}

/** Names unpacked, in order; undefined when the slot holds no whole archive. */
async function unpackPrograms(slotFile: string, folder: string): Promise<readonly string[] | undefined> {
  const slot = await open(slotFile, 'r');
  try {
    const length = await tarLengthIn(slot);
    if (length === undefined) return undefined;
    const archive = slot.createReadStream({ start: 0, end: length - 1, autoClose: false });
    const entries = archive.pipe(extract());
    archive.on('error', (error) => entries.destroy(error));
    const names: string[] = [];
    for await (const entry of entries) {
      const { name, size } = entry.header;
      if (name.startsWith(payloadFolder)) break;
      if (name !== basename(name) || size > programBytesMax || names.length >= programsMax) return undefined;
      names.push(name);
      await pipeline(entry, createWriteStream(join(folder, name)));
    }
    return names;
  } catch {
    return undefined;
  } finally {
    await slot.close();
  }
}
