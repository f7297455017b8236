/**
 * The running agent: one process on one state folder, its local sockets, its polls, until a signal ends it.
 *
 * Keeps true: the sockets are open before the record is gone on with, so that a trial is told to whoever connects, and
 * a configuration whose sockets cannot be opened is told and stops nothing in a trial; everything that was opened is
 * closed again. What it does with the world is the agent's.
 */
import { stat } from 'node:fs/promises';
import type { Failure } from '@airlock/trust';
import { killRunningPrograms } from './adapters/programs.ts';
import { openServiceSockets, type ServiceSockets } from './adapters/service-sockets.ts';
import { lockStateFolder } from './adapters/single-instance.ts';
import { createAgent, type Agent } from './agent.ts';
import { missingFiles } from './check-files.ts';
import { compose, type Composed } from './compose.ts';
import type { AgentConfig } from './config.ts';
import { notProvisioned } from './inspect.ts';
import { type Level, lineOf, noWatchdog, outcomeText } from './output.ts';
import { serviceHandler } from './service.ts';
import { agentVersion } from './version.ts';

/** After a signal, an attempt is left where its record stands; nothing is worth waiting longer for. */
const stopSecondsMax = 10;

type Tell = (level: Level, text: string) => void;

/** Runs until SIGTERM or SIGINT. Answers why it could not. Throws DiskError. */
export async function runDaemon(config: AgentConfig, json: boolean): Promise<Failure | undefined> {
  const tell: Tell = (level, text) => void process.stderr.write(lineOf(level, text, json));
  // An empty folder may be a state that was lost, which is the agent's to tell; where there is none, nothing can be.
  const place = await stat(config.stateFolder).catch(() => undefined);
  if (place?.isDirectory() !== true) {
    const { error } = notProvisioned(config.stateFolder);
    return error;
  }
  const lock = await lockStateFolder(config.stateFolder);
  if (lock === undefined)
    return { code: 'OTA_AGENT_RUNNING', message: `another agent works on ${config.stateFolder}` };
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    tell('info', `stopping (${signal})`);
    stop.abort();
    // The record says at every moment how to go on, so that waiting for a hung program gains nothing.
    setTimeout(() => {
      killRunningPrograms();
      process.exit(0);
    }, stopSecondsMax * 1000).unref();
  };
  process.once('SIGTERM', onSignal).once('SIGINT', onSignal);
  try {
    const composed = await compose(config, (line) => tell('warning', line));
    if (!composed.ok) return composed.error;
    await live(config, composed.value, stop.signal, tell);
    tell('info', 'stopped');
    return undefined;
  } finally {
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
    killRunningPrograms();
    await lock.release();
  }
}

async function live(config: AgentConfig, composed: Composed, signal: AbortSignal, tell: Tell): Promise<void> {
  const { ports, settings, transport, local } = composed;
  for (const { message } of await missingFiles(config, ports.platform.bootedGroup)) tell('warning', message);
  const agent = createAgent({ ports, settings });
  local.setMoment(() => agent.moment());
  tell('info', `agent ${agentVersion} of ${config.device} started in group ${ports.platform.bootedGroup}`);
  if (config.watchdog === undefined) tell('warning', `watchdog: ${noWatchdog}`);
  const sockets = await openSockets(config, composed, agent, tell);
  try {
    await agent.boot();
    let said = '';
    await agent.run(signal, (outcome) => {
      // An idle device says so once, not at every poll.
      const text = outcomeText(outcome);
      if (text !== said) tell(outcome.kind === 'failed' ? 'warning' : 'info', text);
      said = text;
    });
  } finally {
    await sockets?.close();
    transport.close();
    await agent.close();
  }
}

/**
 * An agent that ended here could not end a trial. Without its sockets nobody can say yes: it waits, where one of them is
 * asked, and says why.
 */
async function openSockets(
  { service, device, product }: AgentConfig,
  { local }: Composed,
  agent: Agent,
  tell: Tell,
): Promise<ServiceSockets | undefined> {
  if (service === undefined) return undefined;
  const { clients, desk } = local;
  const handler = serviceHandler({ device, product, agent, desk, clients });
  const opened = await openServiceSockets(service, handler);
  if (opened.ok) return opened.value;
  tell('error', opened.error.message);
  return undefined;
}
