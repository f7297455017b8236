/**
 * Composes the server: store, blobs, keys, both listeners, and the timers; and takes it down in order.
 *
 * Only one server may run on a folder: its timestamps' versions are counted in memory. The lock is one that the kernel
 * lets go when the process ends, however it ends.
 */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { DatabaseSync } from 'node:sqlite';
import { createSecureContext } from 'node:tls';
import { fail, ok, type PublicKey, type Result } from '@airlock/trust';
import { openBlobFolder } from './adapters/blob-folder.ts';
import { createDeviceListener } from './adapters/http/device-listener.ts';
import type { Listener } from './adapters/http/listener.ts';
import { createPeopleListener } from './adapters/http/people-listener.ts';
import { openKeyring } from './adapters/key-folder.ts';
import { createLogger, type Logger } from './adapters/logger.ts';
import { openStore } from './adapters/sqlite/database.ts';
import type { Context } from './app/context.ts';
import { flushSeen, renewDue } from './app/renewal.ts';
import { endAllOverdue } from './app/reservations.ts';
import { auditKeysIn, auditKeysNow, auditSigners, beginLog } from './audit-keys.ts';
import { readPassphrase, readText, type ServerConfig } from './config.ts';
import { readProvider } from './config-provider.ts';
import { createLocks } from './core/locks.ts';
import { createRates } from './core/rates.ts';
import { signInRates } from './core/rates-sign-in.ts';
import { reportRate } from './core/reports.ts';
import { deviceRewrites, productRewrites } from './core/restoration.ts';
import { createTimestampDesk, startWaitSeconds } from './core/timestamps.ts';
import type { Clock, Keyring } from './ports/platform.ts';
import type { Store } from './ports/store.ts';

export const serverVersion = '0.1.0';

/** Milliseconds between two looks at what is due for renewal; a third of the shortest life is more than two days. */
const renewalMs = 60_000;
/** Milliseconds that last-seen is gathered before it is written. */
const seenMs = 30_000;
/** Milliseconds between two looks at the clock at start. */
const pollMs = 20;
/** Milliseconds that requests may still take after a stop was asked for. */
const stopMs = 10_000;

export interface RunningServer {
  readonly deviceUrl: string;
  readonly peopleUrl: string;
  /** Lets running requests end (10 s at most), then closes everything. */
  close(): Promise<void>;
}

export interface ServerOptions {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** The online keys, when they do not lie in the folder; the audit log's first among them. */
  readonly keyring?: { readonly ring: Keyring; readonly audit: () => readonly PublicKey[] };
  /** Puts other ports in the place of some: a store that is shared, or one with faults. */
  readonly adapt?: (context: Context) => Context;
}

const systemClock: Clock = { now: () => Math.floor(Date.now() / 1000) };

/** Where a folder's parts are. */
const databaseFile = (config: ServerConfig): string => path.join(config.folder, 'data.sqlite');
export const onlineKeysFolder = (config: ServerConfig): string => path.join(config.folder, 'online-keys');

/** Starts both listeners. Errors: API_CONFIG, API_KEYS, API_PORT_TAKEN, API_FOLDER_IN_USE. */
export async function startServer(
  config: ServerConfig,
  options: ServerOptions = {},
): Promise<Result<RunningServer>> {
  const logger = options.logger ?? createLogger((line) => void process.stderr.write(line));
  const clock = options.clock ?? systemClock;
  const files = await readFiles(config);
  if (!files.ok) return files;
  await mkdir(config.folder, { recursive: true, mode: 0o700 });
  const lock = lockFolder(config);
  if (!lock.ok) return lock;
  const keys =
    options.keyring === undefined ? await openKeys(config, files.value.passphrase) : ok(options.keyring);
  if (!keys.ok) {
    lock.value.close();
    return keys;
  }
  const store = await openStore(databaseFile(config));
  const blobs = await openBlobFolder(path.join(config.folder, 'blobs'));
  await waitForClock(store, clock);
  await beginLog(store, keys.value.audit(), clock.now());
  const own: Context = {
    store,
    blobs,
    keyring: keys.value.ring,
    clock,
    auditSigners: () => auditSigners(keys.value.ring, keys.value.audit()),
    timestamps: createTimestampDesk(await store.timestampMark()),
    locks: createLocks(),
    rates: {
      deviceRewrites: createRates(deviceRewrites),
      productRewrites: createRates(productRewrites),
      reports: createRates(reportRate),
      ...signInRates(),
    },
    seen: new Map(),
  };
  const context = options.adapt?.(own) ?? own;
  const devices = createDeviceListener({ context, logger, tls: files.value.device });
  const people = await createPeopleListener({
    context,
    logger,
    version: serverVersion,
    tls: files.value.people,
    provider: files.value.provider,
  });
  const stopTimers = startTimers(context, logger);
  const release = async (): Promise<void> => {
    await stopTimers();
    await store.close();
    lock.value.close();
  };
  const urls = await listenBoth(config, devices, people);
  if (!urls.ok) {
    await Promise.all([devices.close(), people.close()]);
    await release();
    return urls;
  }
  let stopping: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    stopping ??= stop([devices, people], release);
    await stopping;
  };
  return ok({ ...urls.value, close });
}

/** The audit log's key is made before the ring is opened, so that the ring holds it. */
async function openKeys(config: ServerConfig, passphrase: string) {
  const folder = onlineKeysFolder(config);
  const audit = await auditKeysIn(folder, passphrase);
  if (!audit.ok) return audit;
  const ring = openKeyring(folder, passphrase);
  if (!ring.ok) return ring;
  // Read anew each time: a key that is made while the server runs signs from then on.
  return ok({ ring: ring.value, audit: () => auditKeysNow(folder) });
}

/** Until no timestamp of the process before can come again; a second at most but after a burst. */
async function waitForClock(store: Store, clock: Clock): Promise<void> {
  const seconds = startWaitSeconds(await store.highestSnapshot(), clock.now());
  const until = clock.now() + seconds;
  const giveUp = performance.now() + seconds * 1000;
  while (clock.now() < until && performance.now() < giveUp) await setTimeout(pollMs);
}

async function readFiles(config: ServerConfig) {
  const passphrase = await readPassphrase(config);
  if (!passphrase.ok) return passphrase;
  const device = await readTls('deviceListener', config.deviceListener);
  if (!device.ok) return device;
  const people = await readTls('peopleListener', config.peopleListener);
  if (!people.ok) return people;
  const field = 'deviceListener.clientAuthorityFile';
  const ca = await readText(config.deviceListener.clientAuthorityFile, field);
  if (!ca.ok) return ca;
  if (!ca.value.includes('-----BEGIN CERTIFICATE-----')) {
    return fail('API_CONFIG', `${field}: is no certificate in PEM`, field);
  }
  const provider = await readProvider(config);
  if (!provider.ok) return provider;
  return ok({
    provider: provider.value,
    passphrase: passphrase.value,
    device: { ...device.value, ca: ca.value },
    people: people.value,
  });
}

async function readTls(
  name: string,
  listener: { readonly certificateFile: string; readonly keyFile: string },
): Promise<Result<{ readonly cert: string; readonly key: string }>> {
  const cert = await readText(listener.certificateFile, `${name}.certificateFile`);
  if (!cert.ok) return cert;
  const key = await readText(listener.keyFile, `${name}.keyFile`);
  if (!key.ok) return key;
  try {
    createSecureContext({ cert: cert.value, key: key.value });
  } catch {
    // OpenSSL's words may show pieces of what it read.
    return fail('API_CONFIG', `${name}.keyFile: certificate and key are no pair in PEM`, `${name}.keyFile`);
  }
  return ok({ cert: cert.value, key: key.value });
}

function lockFolder(config: ServerConfig): Result<DatabaseSync> {
  const lock = new DatabaseSync(path.join(config.folder, 'server.lock'), { timeout: 0 });
  try {
    lock.exec('begin exclusive');
    return ok(lock);
  } catch {
    lock.close();
    return fail('API_FOLDER_IN_USE', `folder: another server runs on ${config.folder}`, 'folder');
  }
}

async function listenBoth(
  config: ServerConfig,
  devices: Listener,
  people: Listener,
): Promise<Result<{ readonly deviceUrl: string; readonly peopleUrl: string }>> {
  const deviceUrl = await listen('deviceListener', config.deviceListener, devices);
  if (!deviceUrl.ok) return deviceUrl;
  const peopleUrl = await listen('peopleListener', config.peopleListener, people);
  if (!peopleUrl.ok) return peopleUrl;
  return ok({ deviceUrl: deviceUrl.value, peopleUrl: peopleUrl.value });
}

async function listen(
  name: string,
  at: { readonly host: string; readonly port: number },
  listener: Listener,
): Promise<Result<string>> {
  try {
    await listener.listen({ host: at.host, port: at.port });
  } catch (error) {
    const code = error instanceof Error ? String(Reflect.get(error, 'code')) : '';
    if (code === 'EADDRINUSE') {
      return fail(
        'API_PORT_TAKEN',
        `${name}.port: ${at.host}:${at.port} is taken by another program`,
        `${name}.port`,
      );
    }
    return fail('API_CONFIG', `${name}: cannot listen on ${at.host}:${at.port} (${code})`, `${name}.host`);
  }
  const address = listener.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : at.port;
  // A wildcard is no name that a client could use.
  const host = at.host === '0.0.0.0' || at.host === '::' ? 'localhost' : at.host;
  return ok(`https://${host.includes(':') ? `[${host}]` : host}:${port}`);
}

/** Starts what happens by itself; answers how to stop it, with nothing left running. */
function startTimers(context: Context, logger: Logger): () => Promise<void> {
  let running = Promise.resolve();
  const report = (error: unknown) =>
    logger.error('timer-failed', { error: error instanceof Error ? error : new Error('unknown') });
  const every = (ms: number, act: () => Promise<unknown>) => {
    const turn = () => {
      running = running.then(act).then(() => undefined, report);
    };
    const timer = setInterval(turn, ms);
    timer.unref();
    return { timer, turn };
  };
  const renewal = every(renewalMs, async () => {
    await renewDue(context, report);
    await endAllOverdue(context, report);
  });
  const seen = every(seenMs, async () => await flushSeen(context));
  // At start: a server that was off for a week has expired snapshots.
  renewal.turn();
  return async () => {
    clearInterval(renewal.timer);
    clearInterval(seen.timer);
    await running;
    await flushSeen(context);
  };
}

async function stop(listeners: readonly Listener[], release: () => Promise<void>): Promise<void> {
  const force = globalThis.setTimeout(() => {
    for (const listener of listeners) listener.server.closeAllConnections();
  }, stopMs);
  try {
    await Promise.all(listeners.map((listener) => listener.close()));
  } finally {
    clearTimeout(force);
    await release();
  }
}

/** For subcommands: the store alone, beside a running server. */
export async function withStore<T>(config: ServerConfig, act: (store: Store) => Promise<T>): Promise<T> {
  await mkdir(config.folder, { recursive: true, mode: 0o700 });
  const store = await openStore(databaseFile(config));
  try {
    return await act(store);
  } finally {
    await store.close();
  }
}
