/** The server of a simulated device, as its transport meets it: the company's files, and what a network does to them. */
import type { CheckInAnswer, LogBatch } from '@airlock/protocol';
import { TransportError, type Transport } from '../../src/index.ts';
import type { Power } from './sim-disk.ts';
import type { World } from './sim-world.ts';

export function transportOf(world: World, power: Power): Transport {
  const reach = async (): Promise<void> => {
    await power.alive();
    if (!world.reachable) throw new TransportError('OTA_SERVER_UNREACHABLE', 'no answer');
  };
  return {
    checkIn: async (request): Promise<CheckInAnswer> => {
      await reach();
      world.checkIns += 1;
      const etag = world.company.files.get('director/timestamp.json') ?? '';
      if (request.etag === etag && !request.timestamps) return { kind: 'unchanged' };
      const { deviceRecord } = world;
      const files = Object.fromEntries(world.company.files);
      return { kind: 'files', etag, files, ...(deviceRecord === undefined ? {} : { deviceRecord }) };
    },
    readImage: async function* ({ sha256, start: from, end }) {
      await reach();
      world.imageRequests.push({ start: from, end });
      const blob = world.company.blobs.get(sha256);
      if (blob === undefined) throw new TransportError('OTA_SERVER_REFUSED', 'no such image');
      const limit = world.breakAfter === undefined ? end : Math.min(end, from + world.breakAfter);
      for (let at = from; at < limit; at += 700) {
        const piece = blob.slice(at, Math.min(at + 700, limit));
        if (world.corrupt) piece[0] = (piece[0] ?? 0) ^ 1;
        yield piece;
      }
      if (limit < end) throw new TransportError('OTA_SERVER_UNREACHABLE', 'the connection broke');
    },
    sendReport: async (text) => {
      await reach();
      world.reports.push(text);
    },
    sendLog: async (text) => {
      await reach();
      const batch = JSON.parse(text) as LogBatch;
      world.uploaded.push(...batch.entries);
      return batch.entries.at(-1)?.sequence ?? 0;
    },
    signedTime: async (nonce) => {
      await reach();
      world.timesAsked += 1;
      return world.timeAnswer?.(nonce) ?? world.company.time(nonce);
    },
  };
}
