/**
 * One agent per state folder: a lock that dies with its process.
 *
 * It is a listening socket in Linux's abstract namespace, named by a hash of the state folder's real path. The kernel
 * frees it when the process ends in whatever way, so no stale lock file can keep a device from updating after a crash.
 * Abstract names live in a network namespace: two agents in two containers on one folder are not kept apart.
 */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { connect, createServer } from 'node:net';

export interface InstanceLock {
  release(): Promise<void>;
}

/** Takes the lock; undefined when another process holds it. */
export async function lockStateFolder(stateFolder: string): Promise<InstanceLock | undefined> {
  const name = await socketName(stateFolder);
  // Whoever connects is hung up on: the socket answers nothing.
  const server = createServer((socket) => socket.destroy());
  const taken = await new Promise<boolean>((resolve, reject) => {
    server.once('error', (error) => {
      if ('code' in error && error.code === 'EADDRINUSE') resolve(false);
      else reject(error);
    });
    server.listen(name, () => resolve(true));
  });
  if (!taken) return undefined;
  server.unref();
  return {
    release: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** Whether some process holds the lock now; asks without taking it. */
export async function isLocked(stateFolder: string): Promise<boolean> {
  const name = await socketName(stateFolder);
  return await new Promise((resolve) => {
    const socket = connect(name);
    const answer = (locked: boolean) => (): void => {
      socket.destroy();
      resolve(locked);
    };
    socket.once('connect', answer(true));
    socket.once('error', answer(false));
  });
}

async function socketName(stateFolder: string): Promise<string> {
  const place = await realpath(stateFolder);
  return `\0airlock-agent-${createHash('sha256').update(place).digest('hex')}`;
}
