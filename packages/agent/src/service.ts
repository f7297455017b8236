/**
 * The service that programs of the device speak to: requests in, answers out, over the local sockets.
 *
 * Keeps true: what a socket may ask is `serviceTable`, and nothing else decides it; one parser makes a request of a
 * line, and what it refuses changes nothing; no answer holds a secret, since there is none in status or log. It asks
 * the agent and decides nothing about updates itself.
 */
import {
  serviceAsks,
  serviceLimits,
  serviceSchema,
  serviceTable,
  type ServiceAnswers,
  type ServiceAsk,
  type ServiceHello,
  type ServiceRequest,
  type ServiceStatus,
} from '@airlock/protocol';
import { fail, ok, type Result } from '@airlock/trust';
import type { ServiceHandler, ServicePeer } from './adapters/service-sockets.ts';
import type { InterlockClients } from './adapters/socket-interlock.ts';
import type { Agent } from './agent.ts';
import { ConfigFault, ConfigField } from './config-field.ts';
import { consentSecondsMax, operatorExpected, operatorForm } from './core/consent.ts';
import { messageOf } from './core/operating-error.ts';
import type { ConsentDesk } from './service-consent.ts';
import { agentVersion } from './version.ts';

export interface ServiceParts {
  readonly device: string;
  readonly product: string;
  readonly agent: Agent;
  readonly desk: ConsentDesk;
  readonly clients: InterlockClients;
}

export function serviceHandler(parts: ServiceParts): ServiceHandler {
  /** One request of a connection after the other, so that answers come in order and nobody piles up work. */
  const busy = new Map<ServicePeer, Promise<void>>();
  const queued = new Map<ServicePeer, number>();
  return {
    opened: (peer) => {
      const { permission } = peer;
      busy.set(peer, Promise.resolve());
      const hello: ServiceHello = { service: serviceSchema, permission, agent: agentVersion };
      peer.send(hello);
      if (permission === 'interlock') parts.clients.opened(peer);
    },
    heard: (peer, value) => {
      if (isReply(parts, peer, value)) return;
      const waiting = (queued.get(peer) ?? 0) + 1;
      if (waiting > requestsWaitingMax) return peer.close();
      queued.set(peer, waiting);
      const before = busy.get(peer);
      const answer = async (): Promise<void> => {
        await before;
        peer.send(await answerTo(parts, peer, value));
        queued.set(peer, (queued.get(peer) ?? 1) - 1);
      };
      busy.set(peer, answer());
    },
    closed: (peer) => {
      busy.delete(peer);
      queued.delete(peer);
      if (peer.permission === 'interlock') parts.clients.closed(peer);
    },
  };
}

/** A program asks one thing and waits; one that sends hundreds is broken, or means harm. */
const requestsWaitingMax = 16;

/** An answer to a question of the agent; whatever has a `question` and is no good answer is a no. */
function isReply({ clients }: ServiceParts, peer: ServicePeer, value: unknown): boolean {
  if (peer.permission !== 'interlock') return false;
  const field = new ConfigField(value, '');
  if (!field.isObject() || !field.has('question')) return false;
  try {
    field.object(['question', 'allowed', 'reason']);
    const question = field.at('question').integer(1, Number.MAX_SAFE_INTEGER);
    const reason = field.optional('reason', (entry) =>
      entry.text().slice(0, serviceLimits.reasonCharactersMax),
    );
    clients.replied(peer, question, {
      allowed: field.at('allowed').boolean(),
      reason: reason ?? 'it says no',
    });
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    // Which question it meant is not known for sure: with its connection all of them are answered with no.
    peer.close();
  }
  return true;
}

async function answerTo(parts: ServiceParts, peer: ServicePeer, value: unknown): Promise<object> {
  const request = parseRequest(value);
  const id = request.ok ? request.value.id : idOf(value);
  const refused = (code: string, message: string) => ({ id, refused: { code, message } });
  if (!request.ok) return refused(request.error.code, request.error.message);
  const { ask } = request.value;
  if (!serviceTable[peer.permission].includes(ask)) {
    return refused('OTA_SERVICE_FORBIDDEN', `${ask} is not asked on the socket ${peer.permission}`);
  }
  try {
    const answer = await answerOf(parts, request.value);
    return answer.ok ? { id, answer: answer.value } : refused(answer.error.code, answer.error.message);
  } catch (error) {
    return refused('OTA_AGENT_BROKEN', messageOf(error));
  }
}

async function answerOf(
  parts: ServiceParts,
  request: ServiceRequest,
): Promise<Result<ServiceAnswers[ServiceAsk]>> {
  const { agent, desk } = parts;
  switch (request.ask) {
    case 'status':
      return ok(statusOf(parts));
    case 'log':
      return await logOf(parts, request.entries ?? serviceLimits.logEntriesMax);
    case 'install':
    case 'again':
      agent.wake();
      return ok({ asked: true });
    case 'consent':
      return await desk.give(agent, request);
    case 'withdraw':
      break;
  }
  return ok(await desk.withdraw(agent, request.operator));
}

async function logOf(parts: ServiceParts, entriesMax: number): Promise<Result<ServiceAnswers['log']>> {
  const entries = await parts.agent.log(entriesMax);
  if (entries === undefined) return fail('OTA_SERVICE_NOT_NOW', 'the log cannot be read now');
  // The newest that fit one line.
  let kept = [...entries];
  while (JSON.stringify(kept).length > serviceLimits.lineBytesMax / 2)
    kept = kept.slice(Math.ceil(kept.length / 4));
  return ok({ entries: kept });
}

function statusOf({ device, product, agent, desk }: ServiceParts): ServiceStatus {
  const { ready, bootedGroup, record, inTrial } = agent.status();
  const release = agent.release();
  const waiting = agent.waiting();
  const consent = release === undefined ? undefined : desk.held(release.manifestSha256);
  const base = {
    device,
    product,
    agent: agentVersion,
    bootedGroup,
    consentRequired: agent.consentRequired(),
    ...(release === undefined ? {} : { release }),
    ...(waiting === undefined ? {} : { waiting }),
    ...(consent === undefined ? {} : { consent: consentOf(consent) }),
  };
  if (record === undefined) return { ...base, clinicalUse: 'wait' };
  const { attempt, lastResult } = record;
  return {
    ...base,
    state: record.state,
    // As the news says it: not before the start is over, since a trial may still be left.
    clinicalUse: ready && !inTrial ? 'allowed' : 'wait',
    confirmedVersion: record.confirmed.version,
    floor: record.floor,
    ...(attempt === undefined ? {} : { attempt: { id: attempt.id, version: attempt.version } }),
    ...(lastResult === undefined
      ? {}
      : { lastResult: { code: lastResult.code, version: lastResult.version, reason: lastResult.reason } }),
  };
}

function consentOf({ operator, manifestSha256, until }: NonNullable<ServiceStatus['consent']>) {
  return { operator, manifestSha256, until };
}

/** Errors: `OTA_SERVICE_REQUEST` with the field. */
function parseRequest(value: unknown): Result<ServiceRequest> {
  try {
    return ok(readRequest(new ConfigField(value, '')));
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    return fail('OTA_SERVICE_REQUEST', `${error.field}: ${error.message}`, error.field);
  }
}

function readRequest(request: ConfigField): ServiceRequest {
  if (!request.isObject()) request.refuse('one JSON object on each line');
  const ask = request.at('ask').oneOf(serviceAsks);
  const id = request.at('id').integer(0, Number.MAX_SAFE_INTEGER);
  const operator = (): string => request.at('operator').matching(operatorForm, operatorExpected);
  switch (ask) {
    case 'log': {
      request.object(['id', 'ask', 'entries']);
      const entries = request.optional('entries', (field) => field.integer(1, serviceLimits.logEntriesMax));
      return { id, ask, ...(entries === undefined ? {} : { entries }) };
    }
    case 'consent': {
      request.object(['id', 'ask', 'operator', 'manifestSha256', 'validSeconds']);
      const validSeconds = request.optional('validSeconds', (field) =>
        field.integer(1, consentSecondsMax, 'seconds'),
      );
      const sha256 = request
        .at('manifestSha256')
        .matching(/^[0-9a-f]{64}$/, 'the SHA-256 of a manifest (64 hex digits)');
      const given = { id, ask, operator: operator(), manifestSha256: sha256 };
      return validSeconds === undefined ? given : { ...given, validSeconds };
    }
    case 'withdraw':
      request.object(['id', 'ask', 'operator']);
      return { id, ask, operator: operator() };
    default:
      request.object(['id', 'ask']);
      return { id, ask };
  }
}

/** So that a program can tell which of its requests was refused; 0 when that cannot be told. */
function idOf(value: unknown): number {
  const id: unknown = typeof value === 'object' && value !== null && 'id' in value ? value.id : 0;
  return typeof id === 'number' && Number.isSafeInteger(id) && id >= 0 ? id : 0;
}
