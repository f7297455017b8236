/**
 * The integrator's data hooks: a program that keeps application data, in two durable steps, as simple as one can be.
 *
 * Each hook says first that it began and then that it is done; one that fails half way leaves the first word, one that
 * fails at once says so. Hooks are idempotent: a second call does both again. What the agent owes the data is judged in `invariants.ts`.
 */
import type { AgentPorts, Disk } from '@airlock/agent';
import type { Environment } from './environment.ts';
import { bytesOf, contentAt, type Medium, sectorBytes } from './medium.ts';

export const dataPath = '/data/app';

type Hook = 'prepare' | 'commit' | 'revert';

export function dataGuardOf(disk: Disk, present: boolean, environment: Environment): AgentPorts['dataGuard'] {
  const hook = (name: Hook) => async (): Promise<boolean> => {
    const { hooks } = environment;
    try {
      if (hooks === 'fail') {
        await say(disk, `${name} failed`);
        return false;
      }
      await say(disk, `${name} begun`);
      if (hooks === 'fail half way') return false;
      await say(disk, `${name} done`);
      return true;
    } catch (error) {
      // A hook is a program: what goes wrong in it is its exit status, whatever it is.
      return !(error instanceof Error);
    }
  };
  return { present, prepare: hook('prepare'), commit: hook('commit'), revert: hook('revert') };
}

async function say(disk: Disk, words: string): Promise<void> {
  const file = await disk.open(dataPath);
  if (file === undefined) throw new Error('there are no data');
  await file.write(0, dataSaying(words));
  await file.flush();
  await file.close();
}

export function dataSaying(words: string): Uint8Array {
  const bytes = new Uint8Array(sectorBytes);
  bytes.set(new TextEncoder().encode(words));
  return bytes;
}

/** The last hook that was done, to its end. */
export function lastHookDone(medium: Medium): string | undefined {
  const [hook, how] = hookWords(medium);
  return how?.startsWith('done') === true ? hook : undefined;
}

/** The last hook that got anywhere; undefined: none did, or a cut spoiled what it said. */
export function lastHook(medium: Medium): string | undefined {
  return hookWords(medium)[0];
}

function hookWords(medium: Medium): readonly string[] {
  const content = contentAt(medium, dataPath);
  if (content === undefined) return [];
  return Buffer.from(bytesOf(content, 0, sectorBytes))
    .toString('latin1')
    .replaceAll('\0', '')
    .split(' ');
}
