/**
 * The boot loader's own access to the boot-control file: reads both copies, writes one after the other.
 *
 * Uses the agent's codec and nothing else of the agent. Each copy is flushed before the next is touched, so that the
 * count is durable before a group is started, and a loss of power between the two leaves one valid copy.
 */
import { open, readFile } from 'node:fs/promises';
import { bootCopySpacingBytes, type BootControlState, decodeBootFile, encodeBootCopy } from '@airlock/agent';

/** What the boot control says; undefined when no copy can be read. */
export async function readBootFile(path: string): Promise<BootControlState | undefined> {
  return decodeBootFile(await readFile(path))?.state;
}

/** Makes `state` durable in both copies. */
export async function writeBootFile(path: string, state: BootControlState): Promise<void> {
  const before = decodeBootFile(await readFile(path));
  if (before === undefined) throw new Error('no copy of the boot-control file can be read');
  const bytes = encodeBootCopy({ sequence: before.sequence + 1, state });
  const [first] = before.copies;
  // The copy that is not the newest goes first: the newest stays whole until the other is durable.
  const places = first?.sequence === before.sequence ? [1, 0] : [0, 1];
  const file = await open(path, 'r+');
  try {
    for (const place of places) {
      await file.write(bytes, 0, bytes.length, place * bootCopySpacingBytes);
      await file.sync();
    }
  } finally {
    await file.close();
  }
}
