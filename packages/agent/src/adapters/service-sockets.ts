/**
 * The local sockets: one Unix socket for each permission, in a folder that is the agent's alone.
 *
 * Keeps true: who may connect is the socket file's owner, group and mode, which the kernel checks at `connect` - Node
 * cannot ask a connection for its peer's user, so that a permission is a file and not a claim (docs/adr/0018). The file
 * is never wider than configured, not for a moment; the folder cannot be written by others, or somebody could put a
 * socket of their own in a socket's place and tell the device that clinical use may begin. Lines, connections and what
 * waits to be sent are bounded; a program that breaks them is hung up on. What the lines mean is `service.ts`'s.
 */
import { chmod, chown, mkdir, stat, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { fail, ok, type Result } from '@airlock/trust';
import { serviceLimits, servicePermissions, type ServicePermission } from '@airlock/protocol';

export interface SocketFile {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

export interface ServicePeer {
  readonly permission: ServicePermission;
  /** Nothing happens once the connection has ended. */
  send(value: object): void;
  close(): void;
}

export interface ServiceHandler {
  opened(peer: ServicePeer): void;
  /** One line; undefined: it was no JSON. */
  heard(peer: ServicePeer, value: unknown): void;
  closed(peer: ServicePeer): void;
}

export interface ServiceSockets {
  close(): Promise<void>;
}

/** A program that asks and does not read is hung up on. */
const unsentBytesMax = 4 * serviceLimits.lineBytesMax;

/** Errors: `OTA_CONFIG` naming the folder or socket. */
export async function openServiceSockets(
  options: {
    readonly folder: string;
    readonly sockets: Readonly<Partial<Record<ServicePermission, SocketFile>>>;
  },
  handler: ServiceHandler,
): Promise<Result<ServiceSockets>> {
  const { folder, sockets } = options;
  const judged = await judgeFolder(folder);
  if (!judged.ok) return judged;
  const servers: Server[] = [];
  const open = new Set<Socket>();
  const close = async (): Promise<void> => {
    for (const socket of open) socket.destroy();
    await Promise.all(servers.map(async (server) => await closed(server)));
  };
  for (const permission of servicePermissions) {
    const file = sockets[permission];
    if (file === undefined) continue;
    const server = createServer((socket) => serve({ socket, permission, handler, open }));
    server.maxConnections = serviceLimits.connectionsMax;
    try {
      await listen(server, join(folder, permission), file);
      servers.push(server);
    } catch (error) {
      await closed(server);
      await close();
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
      const field = `service.sockets.${permission}`;
      return fail('OTA_CONFIG', `${field}: ${join(folder, permission)}: cannot be opened (${code})`, field);
    }
  }
  return ok({ close });
}

async function judgeFolder(folder: string): Promise<Result<undefined>> {
  const field = 'service.folder';
  try {
    await mkdir(folder, { recursive: true, mode: 0o755 });
    const facts = await stat(folder);
    const mine = facts.isDirectory() && facts.uid === process.getuid?.() && (facts.mode & 0o022) === 0;
    if (mine) return ok(undefined);
    const message = `${field}: ${folder}: expected a folder of the agent's own user that nobody else may write`;
    return fail('OTA_CONFIG', message, field);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    return fail(
      'OTA_CONFIG',
      `${field}: ${folder}: expected a folder, or a place to make it (${code})`,
      field,
    );
  }
}

async function listen(server: Server, path: string, { uid, gid, mode }: SocketFile): Promise<void> {
  // What an agent left that was killed; two agents at once are kept apart by the lock on the state folder.
  await unlink(path).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  });
  const listening = new Promise<void>((resolve, reject) => {
    server.once('listening', resolve).once('error', reject);
  });
  // The file is made within this call: with the agent's own mask others could connect until it is narrowed.
  const mask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(mask);
  }
  await listening;
  await chown(path, uid, gid);
  await chmod(path, mode);
}

function serve(given: {
  readonly socket: Socket;
  readonly permission: ServicePermission;
  readonly handler: ServiceHandler;
  readonly open: Set<Socket>;
}): void {
  const { socket, permission, handler, open } = given;
  open.add(socket);
  const peer: ServicePeer = {
    permission,
    send: (value) => {
      if (socket.destroyed) return;
      socket.write(`${JSON.stringify(value)}\n`);
      if (socket.writableLength > unsentBytesMax) socket.destroy();
    },
    close: () => void socket.destroy(),
  };
  let held = Buffer.alloc(0);
  socket.on('data', (piece: Buffer) => {
    held = Buffer.concat([held, piece]);
    for (let end = held.indexOf(0x0a); end >= 0 && !socket.destroyed; end = held.indexOf(0x0a)) {
      const line = held.subarray(0, end);
      held = held.subarray(end + 1);
      if (line.length > serviceLimits.requestBytesMax) socket.destroy();
      else handler.heard(peer, parsed(line));
    }
    if (held.length > serviceLimits.requestBytesMax) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    open.delete(socket);
    handler.closed(peer);
  });
  handler.opened(peer);
}

function parsed(line: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(line));
  } catch {
    return undefined;
  }
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
}
