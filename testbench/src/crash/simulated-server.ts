/**
 * The server of one boot: what it answers, or does not, in an environment.
 *
 * Answers come at once, as microtasks; one that never comes is a connection that broke.
 */
import type { Transport } from '@airlock/agent';
import type { AgentModule } from './agent-module.ts';
import type { Environment } from './environment.ts';
import { sectorBytes } from './medium.ts';
import type { LeaveHeld } from './simulated-leave.ts';
import type { World } from './world.ts';

/** Three sectors: neither a stretch between two flushes nor nothing. */
const brokenOffBytes = 3 * sectorBytes;

/** `leave`: told before the first byte of an image, and when a time was signed. */
export function transportOf(
  {
    environment,
    world,
    agent,
  }: {
    readonly environment: Environment;
    readonly world: World;
    readonly agent: AgentModule;
  },
  leave: Pick<LeaveHeld, 'fetching' | 'timeSigned'>,
): Transport {
  const reach = (): NonNullable<Environment['server']> => {
    const { server } = environment;
    if (server === undefined) throw new agent.TransportError('OTA_SERVER_UNREACHABLE', 'there is no answer');
    return server;
  };
  return {
    checkIn: async (request) => {
      const { files, etag } = world.serve(reach(), request.imageSnapshot);
      if (request.etag === etag && !request.timestamps) return { kind: 'unchanged' };
      return { kind: 'files', etag, files };
    },
    readImage: async function* ({ sha256, start: from, end }) {
      reach();
      leave.fetching();
      const image = world.images.get(sha256);
      if (image === undefined) throw new agent.TransportError('OTA_SERVER_REFUSED', 'no such image');
      const { images } = environment;
      const last = images === 'broken off' ? Math.min(end, brokenOffBytes) : end;
      if (from < last) {
        const piece = image.slice(from, last);
        if (images === 'damaged') piece[piece.length - 1] = (piece.at(-1) ?? 0) ^ 1;
        yield piece;
      }
      if (last < end) throw new agent.TransportError('OTA_SERVER_UNREACHABLE', 'the connection broke');
    },
    sendReport: async () => {
      reach();
    },
    sendLog: async (text) => {
      reach();
      const batch: unknown = JSON.parse(text);
      return lastSequence(batch);
    },
    signedTime: async (nonce) => {
      reach();
      leave.timeSigned();
      return world.company.time(nonce);
    },
  };
}

function lastSequence(batch: unknown): number {
  if (typeof batch !== 'object' || batch === null || !('entries' in batch) || !Array.isArray(batch.entries))
    return 0;
  const last: unknown = batch.entries.at(-1);
  return typeof last === 'object' && last !== null && 'sequence' in last ? Number(last.sequence) : 0;
}
