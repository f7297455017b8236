/**
 * The Interlock port over the local socket `interlock`: the device's own software stays connected and is asked.
 *
 * Keeps true: a yes is the answer of every program that is connected, and of one at least; nobody connected, no answer
 * in time, a connection that ends while it is asked, or an answer that is none, is a no (REQ-OTA-POL-06). News that
 * stands - a trial, a confirmed release - is told to whoever connects later too, so that a program that starts in a
 * trial hears of it first of all.
 */
import type { ServiceNews, ServiceQuestion } from '@airlock/protocol';
import type { Interlock, InterlockAnswer, ReleaseBrief } from '../ports/platform.ts';
import type { ServicePeer } from './service-sockets.ts';

const by = 'interlock socket';

type Reply = { readonly allowed: boolean; readonly reason: string };

export interface InterlockClients {
  readonly interlock: Pick<Interlock, 'allows' | 'tell'>;
  opened(peer: ServicePeer): void;
  /** An answer to a question; false: nobody asked this. */
  replied(peer: ServicePeer, question: number, reply: Reply): boolean;
  closed(peer: ServicePeer): void;
}

export function interlockClients(timeLimitSeconds: number): InterlockClients {
  const peers = new Map<ServicePeer, Map<number, (reply: Reply) => void>>();
  let standing: ServiceNews | undefined;
  let questions = 0;

  const askOne = async (
    peer: ServicePeer,
    what: ServiceQuestion['may'],
    release: ReleaseBrief,
  ): Promise<Reply> => {
    questions += 1;
    const question: ServiceQuestion = { question: questions, may: what, release };
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const waiting = peers.get(peer);
    waiting?.set(question.question, resolve);
    const limit = setTimeout(() => {
      resolve({ allowed: false, reason: `no answer within ${timeLimitSeconds} s` });
    }, timeLimitSeconds * 1000);
    peer.send(question);
    const reply = await promise;
    clearTimeout(limit);
    waiting?.delete(question.question);
    return reply;
  };

  const allows = async (what: ServiceQuestion['may'], release: ReleaseBrief): Promise<InterlockAnswer> => {
    const refused = (reason: string): InterlockAnswer => ({
      allowed: false,
      by,
      reason: `interlock: ${reason}`,
    });
    if (peers.size === 0) return refused('nobody is connected to its socket');
    const asked = [...peers.keys()];
    const replies = await Promise.all(asked.map(async (peer) => await askOne(peer, what, release)));
    const no = replies.find((reply) => !reply.allowed);
    if (no !== undefined) return refused(no.reason);
    // Whoever connected meanwhile was not asked, and may be the one that knows of a therapy.
    const same = asked.length === peers.size && asked.every((peer) => peers.has(peer));
    return same ? { allowed: true, by } : refused('a program connected or left while it was asked');
  };

  return {
    interlock: {
      allows,
      tell: async (news, release) => {
        const line: ServiceNews = { news, release };
        if (news !== 'called-off' && news !== 'overdue') standing = line;
        for (const peer of peers.keys()) peer.send(line);
      },
    },
    opened: (peer) => {
      peers.set(peer, new Map());
      if (standing !== undefined) peer.send(standing);
    },
    replied: (peer, question, reply) => {
      const resolve = peers.get(peer)?.get(question);
      resolve?.(reply);
      return resolve !== undefined;
    },
    closed: (peer) => {
      const waiting = peers.get(peer);
      peers.delete(peer);
      for (const resolve of waiting?.values() ?? [])
        resolve({ allowed: false, reason: 'the connection ended while it was asked' });
    },
  };
}
