/**
 * `consent` and `install`: what a person at the device asks the running agent for, over its local sockets.
 *
 * Who may is decided by the socket's file; these commands hold no power of their own. `consent` shows which release it
 * is about, and consents to that one by its hash.
 */
import { fail, formatInstant, ok, plainText, type Result } from '@airlock/trust';
import type { ServicePermission } from '@airlock/protocol';
import { connectAgent, ServiceError, type ServiceClient } from './client/index.ts';
import type { AgentConfig } from './config.ts';

export interface ConsentInput {
  readonly operator: string;
  readonly validSeconds?: number;
  readonly withdraw?: boolean;
}

export interface Said {
  readonly value: object;
  readonly words: string;
}

/** Errors: those of the service, `OTA_SERVICE_CLOSED` when no agent can be asked, `OTA_CONFIG` without a socket. */
export async function runConsent(config: AgentConfig, input: ConsentInput): Promise<Result<Said>> {
  return await withAgent(config, 'consent', async (agent) => {
    const { operator, validSeconds } = input;
    if (input.withdraw === true) {
      const withdrawn = await agent.withdraw(operator);
      return {
        value: { withdrawn },
        words: withdrawn ? 'the consent is taken back' : 'there was no consent',
      };
    }
    const { release } = await agent.status();
    if (release === undefined)
      throw new ServiceError('OTA_SERVICE_NOT_NOW', 'no release waits for a consent: none is assigned');
    const { version, name, manifestSha256 } = release;
    const given = { operator, manifestSha256, ...(validSeconds === undefined ? {} : { validSeconds }) };
    const { until } = await agent.consent(given);
    const words = `${operator} consents to version ${version} (${name}, manifest ${manifestSha256}) until ${formatInstant(until)}`;
    return { value: { operator, version, manifestSha256, until }, words };
  });
}

export async function runInstall(config: AgentConfig): Promise<Result<Said>> {
  return await withAgent(config, 'install', async (agent) => {
    await agent.install();
    const words = 'the agent looks now at what is assigned; `status` tells what it waits for';
    return { value: { asked: true }, words };
  });
}

async function withAgent(
  { service }: AgentConfig,
  permission: ServicePermission,
  work: (agent: ServiceClient) => Promise<Said>,
): Promise<Result<Said>> {
  if (service?.sockets[permission] === undefined)
    return fail('OTA_CONFIG', `service.sockets.${permission}: expected a socket, found none`, 'service');
  let agent: ServiceClient | undefined;
  try {
    agent = await connectAgent(service.folder, permission);
    return ok(await work(agent));
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    if (error.code.startsWith('OTA_')) return fail(error.code, plainText(error.message));
    const message = `${service.folder}/${permission}: no agent can be asked (${error.code})`;
    return fail('OTA_SERVICE_CLOSED', message);
  } finally {
    agent?.close();
  }
}
