/**
 * Puts the real adapters and the configuration together: the one place where the agent's ports get their bodies.
 *
 * It reads configuration, keys and certificates, and refuses what is broken with a line that names the file. It
 * decides nothing: what is done with the ports is the agent's.
 */
import { createPrivateKey } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { fail, ok, type Result, type Signer, signerFrom } from '@airlock/trust';
import { commandBootControl } from './adapters/command-boot-control.ts';
import { programDataGuard } from './adapters/data-hooks.ts';
import { type HttpsTransport, httpsTransport } from './adapters/https-transport.ts';
import { nodeDisk } from './adapters/node-disk.ts';
import { judgePlaces } from './adapters/places.ts';
import {
  configuredSecureBoot,
  PlatformError,
  programClock,
  readPlatform,
  recordFloorStore,
  systemClock,
  systemRandom,
} from './adapters/platform.ts';
import { commandFor } from './adapters/programs.ts';
import { programSelfTest } from './adapters/self-test.ts';
import { tarIdentity } from './adapters/tar-identity.ts';
import { tpmFloorStore } from './adapters/tpm-floor.ts';
import { deviceWatchdog } from './adapters/watchdog.ts';
import { type AgentConfig, configBytesMax, parseConfig } from './config.ts';
import { bootFileControl } from './durable/boot-file.ts';
import type { BootControl } from './ports/boot-control.ts';
import type { Disk } from './ports/disk.ts';
import type { Clock, FloorStore, Platform } from './ports/platform.ts';
import { marginSecondsOf } from './executor-watchdog.ts';
import type { AgentPorts, AgentSettings } from './settings.ts';
import { interlockOf, interlockSecondsOf, localParts, type LocalParts } from './compose-local.ts';
import { agentVersion } from './version.ts';

/** Certificates and keys in PEM have a few kB. */
const pemBytesMax = 64_000;

/** Reads and parses the configuration. Errors: `OTA_CONFIG` naming the file and field. */
export async function loadConfig(file: string): Promise<Result<AgentConfig>> {
  const bytes = await readBounded(file, configBytesMax, 'a configuration (airlock-agent-config/1)');
  return bytes.ok ? parseConfig(bytes.value, file) : bytes;
}

/** Reads a file of at most `bytesMax` bytes. Errors: `OTA_CONFIG` naming the file and what was expected in it. */
export async function readBounded(
  file: string,
  bytesMax: number,
  expected: string,
): Promise<Result<Uint8Array>> {
  try {
    const facts = await stat(file);
    if (!facts.isFile())
      return fail('OTA_CONFIG', `${file}: expected ${expected}, found no plain file`, file);
    if (facts.size > bytesMax) {
      return fail('OTA_CONFIG', `${file}: expected ${expected} of at most ${bytesMax} bytes`, file);
    }
    return ok(await readFile(file));
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'it cannot be read';
    return fail('OTA_CONFIG', `${file}: expected ${expected}, found none (${reason})`, file);
  }
}

/** Kernel facts. Errors: `OTA_CONFIG` naming the file that does not say what it must. */
export async function loadPlatform(config: AgentConfig): Promise<Result<Platform>> {
  try {
    return ok(
      await readPlatform({
        commandLineFile: config.commandLineFile,
        bootIdFile: config.bootIdFile,
        rebootCommand: config.reboot.command,
      }),
    );
  } catch (error) {
    if (error instanceof PlatformError) return fail('OTA_CONFIG', error.message);
    throw error;
  }
}

export function bootControlOf(config: AgentConfig, disk: Disk): BootControl {
  const { bootControl } = config;
  return bootControl.kind === 'file'
    ? bootFileControl({ disk, path: bootControl.file })
    : commandBootControl(bootControl);
}

export function floorStoreOf({ tpm }: AgentConfig): FloorStore {
  return tpm === undefined ? recordFloorStore : tpmFloorStore(tpm);
}

/** The transport, with keys and certificates loaded. Errors: `OTA_CONFIG` naming the file. */
async function loadTransport(
  config: AgentConfig,
  warn: (line: string) => void,
): Promise<Result<HttpsTransport>> {
  const { server } = config;
  const authority = await readPem(
    'server.authorityFile',
    server.authorityFile,
    "the server's authority (PEM)",
  );
  if (!authority.ok) return authority;
  const certificate = await readPem(
    'server.certificateFile',
    server.certificateFile,
    "the device's certificate (PEM)",
  );
  if (!certificate.ok) return certificate;
  const key = await readPem('server.keyFile', server.keyFile, "the device's private key (PEM)");
  if (!key.ok) return key;
  await warnIfReadable(server.keyFile, warn);
  try {
    return ok(
      httpsTransport({
        url: server.url,
        authority: authority.value,
        certificate: certificate.value,
        key: key.value,
        tlsMin: server.tlsMin,
      }),
    );
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'not usable';
    const files = `${server.authorityFile}, ${server.certificateFile}, ${server.keyFile}`;
    return fail('OTA_CONFIG', `${files}: expected an authority, a certificate and its key (${reason})`);
  }
}

/** The log key. Errors: `OTA_CONFIG` naming the file; never anything of its content. */
async function loadLogSigner(config: AgentConfig, warn: (line: string) => void): Promise<Result<Signer>> {
  const pem = await readPem('logKeyFile', config.logKeyFile, "the device's log key (PEM)");
  if (!pem.ok) return pem;
  await warnIfReadable(config.logKeyFile, warn);
  try {
    return ok(signerFrom(createPrivateKey(pem.value)));
  } catch {
    return fail('OTA_CONFIG', `${config.logKeyFile}: expected an Ed25519 or P-256 private key (PEM)`);
  }
}

async function readPem(field: string, file: string, expected: string): Promise<Result<string>> {
  const bytes = await readBounded(file, pemBytesMax, expected);
  return bytes.ok
    ? ok(new TextDecoder().decode(bytes.value))
    : fail('OTA_CONFIG', `${field}: ${bytes.error.message}`, field);
}

/** Whether the device's keys and certificates are there and usable. Errors: `OTA_CONFIG` naming field and file. */
export async function checkIdentity(
  config: AgentConfig,
  warn: (line: string) => void,
): Promise<Result<undefined>> {
  const transport = await loadTransport(config, warn);
  if (!transport.ok) return transport;
  transport.value.close();
  const logSigner = await loadLogSigner(config, warn);
  return logSigner.ok ? ok(undefined) : logSigner;
}

/** A private key that others can read is a key that others have; but a device must not stop for it in the field. */
async function warnIfReadable(file: string, warn: (line: string) => void): Promise<void> {
  const { mode } = await stat(file);
  if ((mode & 0o077) !== 0) {
    warn(
      `${file}: a private key that other users can read (mode ${(mode & 0o777).toString(8)}, expected 600)`,
    );
  }
}

export interface Composed {
  readonly ports: AgentPorts;
  readonly settings: AgentSettings;
  readonly transport: HttpsTransport;
  /** What the local sockets work with. */
  readonly local: LocalParts;
}

/** Everything that `createAgent` takes. `tell` gets one line for each warning. `check` gives a disk for reading only. */
export async function compose(
  config: AgentConfig,
  tell: (line: string) => void,
  disk: Disk = nodeDisk(),
): Promise<Result<Composed>> {
  const places = await judgePlaces(config);
  if (!places.ok) return places;
  const platform = await loadPlatform(config);
  if (!platform.ok) return platform;
  const transport = await loadTransport(config, tell);
  if (!transport.ok) return transport;
  const logSigner = await loadLogSigner(config, tell);
  if (!logSigner.ok) return logSigner;
  const slots = { components: config.slots };
  const local = localParts(config);
  const ports: AgentPorts = {
    disk,
    bootControl: bootControlOf(config, disk),
    platform: platform.value,
    clock: clockOf(config, platform.value.bootedGroup),
    random: systemRandom,
    ...programPorts(config, platform.value.bootedGroup, tell),
    interlock: interlockOf(config, platform.value.bootedGroup, local),
    floorStore: floorStoreOf(config),
    ...(config.watchdog === undefined ? {} : { watchdog: deviceWatchdog(config.watchdog) }),
    secureBoot: configuredSecureBoot({
      trustedKeys: config.secureBoot?.trustedKeys,
      bootloaderVersion: config.bootloaderVersion,
    }),
    transport: transport.value,
    identity: tarIdentity({ disk: nodeDisk({ access: 'read' }), slots, ...config.identity }),
    logSigner: logSigner.value,
  };
  return ok({ ports, settings: settingsOf(config), transport: transport.value, local });
}

function clockOf({ clock }: AgentConfig, group: string): Clock {
  return clock === undefined
    ? systemClock
    : programClock({ ...clock, setCommand: commandFor(clock.setCommand, group) });
}

/** Self-tests and data hooks run from the booted group. */
function programPorts(
  config: AgentConfig,
  group: string,
  tell: (line: string) => void,
): Pick<AgentPorts, 'selfTest' | 'dataGuard'> {
  const tests = config.selfTest.tests.map((test) => ({ ...test, command: commandFor(test.command, group) }));
  const hooks = config.dataHooks;
  return {
    selfTest: programSelfTest(tests, systemClock),
    dataGuard: programDataGuard(
      hooks === undefined
        ? undefined
        : {
            prepare: commandFor(hooks.prepare, group),
            commit: commandFor(hooks.commit, group),
            revert: commandFor(hooks.revert, group),
            timeLimitSeconds: hooks.timeLimitSeconds,
          },
      tell,
    ),
  };
}

/** What may run in a trial beside the self-test: the interlock is told, the boot control confirms or disarms. */
function marginOf({ interlock, bootControl, tpm }: AgentConfig): number {
  const boot = bootControl.kind === 'file' ? 0 : bootControl.timeLimitSeconds;
  // Read, and three tries to disarm; the counter of the TPM is read and incremented at most once each.
  return marginSecondsOf([interlockSecondsOf(interlock), 4 * boot, 2 * (tpm?.timeLimitSeconds ?? 0)]);
}

function settingsOf(config: AgentConfig): AgentSettings {
  const { limits } = config;
  return {
    device: config.device,
    product: config.product,
    agentVersion,
    stateFolder: config.stateFolder,
    slots: { components: config.slots },
    identityComponent: config.identity.component,
    fallbackAllowed: config.fallbackAllowed,
    pollIntervalSeconds: config.poll.intervalSeconds,
    ...(limits.bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax: limits.bytesPerSecondMax }),
    ...(limits.window === undefined ? {} : { window: limits.window }),
    timeZone: config.timeZone,
    attemptsPerReleaseMax: limits.attemptsPerReleaseMax,
    silenceSecondsMax: limits.silenceSecondsMax,
    trialTries: limits.trialTries,
    builtInTimeLimitSeconds: config.selfTest.builtInTimeLimitSeconds,
    trialMarginSeconds: marginOf(config),
    interlockSecondsMax: interlockSecondsOf(config.interlock),
    ...(config.consent === undefined ? {} : { consentRequired: config.consent.required }),
  };
}
