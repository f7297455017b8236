/**
 * Provisioning: makes a device out of a configuration, two roots, a device record and the release that it was built
 * with. Done once, at manufacture.
 *
 * It keeps true: nothing is written before everything was verified; the record comes last, so that a provisioning
 * that was cut short is not a device; what exists is never overwritten, since a second provisioning would lower the
 * floor; one that fails takes back what it made and nothing else, so that it can be done again. It is the only place that writes a first record (DESIGN "State").
 */
import { mkdir, rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  fail,
  type GroupLetter,
  type Manifest,
  newTrustState,
  ok,
  parseManifest,
  type Result,
  sha256Hex,
  trustLimits,
  type TrustState,
} from '@airlock/trust';
import { nodeDisk } from './adapters/node-disk.ts';
import { judgePlaces } from './adapters/places.ts';
import { lockStateFolder } from './adapters/single-instance.ts';
import { prepareTpmCounter } from './adapters/tpm-floor.ts';
import { missingFiles } from './check-files.ts';
import { bootControlOf, checkIdentity, floorStoreOf, readBounded } from './compose.ts';
import type { AgentConfig } from './config.ts';
import { formatNumber } from './core/record-formats.ts';
import { newRecord } from './core/record.ts';
import { createBootFile } from './durable/boot-file.ts';
import { createLogFile } from './durable/event-log.ts';
import { groupManifests } from './durable/group-manifests.ts';
import { proveSlot } from './durable/slot-writer.ts';
import { createSealedRecord } from './durable/provision.ts';
import { trustFileNames, trustStore } from './durable/trust-store.ts';
import type { Disk } from './ports/disk.ts';
import { FloorStoreError } from './ports/platform.ts';
import { tuningDefault } from './settings.ts';

export interface ProvisionInput {
  readonly imageRootFile: string;
  readonly directorRootFile: string;
  readonly deviceRecordFile: string;
  /** The manifest of the release that the booted group was built with. */
  readonly installedFile: string;
  readonly group: GroupLetter;
  /** Build time in UTC seconds: the first lower bound of time. */
  readonly builtAt: number;
}

export interface Provisioned {
  readonly device: string;
  readonly group: GroupLetter;
  readonly version: number;
  readonly manifestSha256: string;
}

/**
 * Verifies everything, then writes the state. `warn` gets one line for what is odd and stops nothing. Errors:
 * `OTA_CONFIG`, `OTA_PROVISIONED`, `OTA_AGENT_RUNNING`, or those of trust; `DiskError` is thrown.
 */
export async function provision(
  config: AgentConfig,
  input: ProvisionInput,
  disk: Disk,
  warn: (line: string) => void,
): Promise<Result<Provisioned>> {
  const places = await judgePlaces(config);
  if (!places.ok) return places;
  const free = await refuseExisting(config, disk);
  if (!free.ok) return free;
  const trust = await readTrust(config, input);
  if (!trust.ok) return trust;
  const installed = await readInstalled(config, input);
  if (!installed.ok) return installed;
  const held = await verifyInstalled(config, input.group, installed.value.manifest);
  if (!held.ok) return held;
  const complete = await refuseMissing(config, input.group, warn);
  if (!complete.ok) return complete;
  const counter = await prepareCounter(config);
  if (!counter.ok) return counter;
  const made = await makeFolders(config.stateFolder);
  if (!made.ok) return made;
  const written = await writeLocked(config, disk, made.value, async () => {
    await writeState(config, disk, { group: input.group, trust: trust.value, ...installed.value });
  });
  if (!written.ok) return written;
  const { manifest, manifestText } = installed.value;
  const manifestSha256 = sha256Hex(new TextEncoder().encode(manifestText));
  return ok({ device: config.device, group: input.group, version: manifest.version, manifestSha256 });
}

async function readTrust(config: AgentConfig, input: ProvisionInput): Promise<Result<TrustState>> {
  const text = async (file: string, bytesMax: number, expected: string): Promise<Result<string>> => {
    const bytes = await readBounded(file, bytesMax, expected);
    return bytes.ok ? ok(new TextDecoder().decode(bytes.value)) : bytes;
  };
  const imageRoot = await text(input.imageRootFile, trustLimits.rootBytesMax, "the image repository's root");
  if (!imageRoot.ok) return imageRoot;
  const directorRoot = await text(input.directorRootFile, trustLimits.rootBytesMax, "the director's root");
  if (!directorRoot.ok) return directorRoot;
  const deviceRecord = await text(
    input.deviceRecordFile,
    trustLimits.recordBytesMax,
    'the signed device record',
  );
  if (!deviceRecord.ok) return deviceRecord;
  return newTrustState({
    identity: { product: config.product, device: config.device },
    imageRoot: imageRoot.value,
    directorRoot: directorRoot.value,
    deviceRecord: deviceRecord.value,
    builtAt: input.builtAt,
  });
}

async function writeState(
  config: AgentConfig,
  disk: Disk,
  given: {
    readonly group: GroupLetter;
    readonly trust: TrustState;
    readonly manifest: Manifest;
    readonly manifestText: string;
  },
): Promise<void> {
  const { group, manifest, manifestText } = given;
  const folder = config.stateFolder;
  const manifestSha256 = sha256Hex(new TextEncoder().encode(manifestText));
  await disk.flushFolder(dirname(folder));
  await trustStore(disk, folder).keep(given.trust);
  await groupManifests(disk, folder).keep(manifestText);
  await createLogFile(disk, folder, tuningDefault.logCellsMax);
  await writeBootControl(config, group, disk);
  const record = newRecord(group, { version: manifest.version, manifestSha256 });
  await createSealedRecord(disk, folder, record, floorStoreOf(config));
}

/**
 * Writes with the folder locked: of two provisionings at once, the one that fails must not take back the other's. What
 * a failure leaves would refuse every later provisioning, and there was nothing of it before.
 */
async function writeLocked(
  config: AgentConfig,
  disk: Disk,
  madeFolders: readonly string[],
  write: () => Promise<void>,
): Promise<Result<undefined>> {
  const lock = await lockStateFolder(config.stateFolder);
  if (lock === undefined) {
    return fail('OTA_AGENT_RUNNING', `another agent works on ${config.stateFolder}`, 'stateFolder');
  }
  try {
    const free = await refuseExisting(config, disk);
    if (!free.ok) return free;
    const before = new Set(await disk.list(config.stateFolder));
    try {
      await write();
      return ok(undefined);
    } catch (error) {
      await takeBack(config, disk, before, madeFolders);
      throw error;
    }
  } finally {
    await lock.release();
  }
}

async function takeBack(
  config: AgentConfig,
  disk: Disk,
  before: ReadonlySet<string>,
  madeFolders: readonly string[],
): Promise<void> {
  const folder = config.stateFolder;
  // What went wrong first is what is told; what a broken medium keeps is named by the next provisioning.
  const settle = async (work: Promise<unknown>): Promise<void> => {
    await work.catch(() => undefined);
  };
  const ours = (name: string): boolean => !before.has(name) && isState(name.replace(/\.new$/, ''));
  for (const name of (await disk.list(folder).catch(() => [])).filter((one) => ours(one))) {
    await settle(disk.remove(`${folder}/${name}`));
  }
  // It was not there, or nothing would have been written.
  if (config.bootControl.kind === 'file') await settle(disk.remove(config.bootControl.file));
  for (const made of madeFolders.toReversed()) await settle(rmdir(made));
}

/**
 * Makes the folder and those above it that are missing; answers the ones it made, topmost first. Not `recursive`: in
 * /proc, where nothing can be made, Node then tries for ever.
 */
async function makeFolders(folder: string): Promise<Result<readonly string[]>> {
  const missing: string[] = [];
  for (let place = folder; !(await exists(place)) && dirname(place) !== place; place = dirname(place)) {
    missing.unshift(place);
  }
  const made: string[] = [];
  try {
    for (const place of missing) {
      await mkdir(place, { mode: 0o700 });
      made.push(place);
    }
    if ((await stat(folder)).isDirectory()) return ok(made);
    return fail(
      'OTA_CONFIG',
      `stateFolder: ${folder}: expected a folder, found something else`,
      'stateFolder',
    );
  } catch (error) {
    for (const place of made.toReversed()) await rmdir(place).catch(() => undefined);
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const message = `stateFolder: ${folder}: expected a folder, or a place to make it (${reason})`;
    return fail('OTA_CONFIG', message, 'stateFolder');
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/** In the factory a wrong path can still be mended; later it is a device that refuses every release. */
async function refuseMissing(
  config: AgentConfig,
  group: GroupLetter,
  warn: (line: string) => void,
): Promise<Result<undefined>> {
  const identity = await checkIdentity(config, warn);
  if (!identity.ok) return identity;
  for (const { message, field, inGroup } of await missingFiles(config, group)) {
    if (!inGroup) return fail('OTA_CONFIG', message, field);
    warn(message);
  }
  return ok(undefined);
}

/** Before anything is written: a device that should have a TPM and has none is not half provisioned. */
async function prepareCounter({ tpm }: AgentConfig): Promise<Result<undefined>> {
  if (tpm === undefined) return ok(undefined);
  try {
    await prepareTpmCounter(tpm);
    return ok(undefined);
  } catch (error) {
    if (!(error instanceof FloorStoreError)) throw error;
    return fail('OTA_FAIL_FLOOR', `${error.message}; nothing was changed`, 'tpm');
  }
}

async function readInstalled(
  config: AgentConfig,
  input: ProvisionInput,
): Promise<Result<{ manifest: Manifest; manifestText: string }>> {
  const file = input.installedFile;
  const bytes = await readBounded(
    file,
    trustLimits.manifestBytesMax,
    'the manifest of the installed release',
  );
  if (!bytes.ok) return bytes;
  const manifest = parseManifest(bytes.value);
  if (!manifest.ok) {
    const { code, message, field } = manifest.error;
    return fail(code, `${file}: ${message}`, field);
  }
  const { product, images } = manifest.value;
  if (product !== config.product) {
    return fail('OTA_CONFIG', `${file}: product: expected ${config.product}, found ${product}`, 'product');
  }
  const unknown = images.find((image) => !Object.hasOwn(config.slots, image.component));
  if (unknown !== undefined) {
    return fail('OTA_CONFIG', `${file}: images: no slot for component ${unknown.component}`, 'images');
  }
  return ok({ manifest: manifest.value, manifestText: new TextDecoder().decode(bytes.value) });
}

/**
 * The group must hold what the manifest says, on the medium: a record that claims a wrong content would make it the
 * floor, the fallback and what a repair restores. Read only, so that a slot that is mounted can be looked at.
 */
async function verifyInstalled(
  config: AgentConfig,
  group: GroupLetter,
  manifest: Manifest,
): Promise<Result<undefined>> {
  const disk = nodeDisk({ access: 'read' });
  for (const { component, len, hash } of manifest.images) {
    const path = config.slots[component]?.[group];
    if (path === undefined) throw new Error(`component ${component} was judged known and has no slot`);
    const proven = await proveSlot(disk, { path, len, hash });
    if (!proven.ok) {
      const { message } = proven.error;
      return fail(
        'OTA_NOT_INSTALLED',
        `group ${group}, ${component}: ${message}`,
        `slots.${component}.${group}`,
      );
    }
  }
  return ok(undefined);
}

/** What the stores in durable/ keep in the state folder. */
const stateNames: ReadonlySet<string> = new Set(['log', ...trustFileNames]);

function isState(name: string): boolean {
  // Of any format: a newer agent's record is a record.
  return stateNames.has(name) || name.endsWith('.manifest.json') || formatNumber(name) !== undefined;
}

/** Any trace of state refuses: a device whose record was lost must be found out about, not made new. */
async function refuseExisting(config: AgentConfig, disk: Disk): Promise<Result<undefined>> {
  const found = await disk.list(config.stateFolder).catch(() => []);
  const state = found.find((name) => isState(name));
  if (state !== undefined) {
    const message = `${config.stateFolder}: expected no state of a device yet, found ${state}; nothing was changed`;
    return fail('OTA_PROVISIONED', message, 'stateFolder');
  }
  if (config.bootControl.kind === 'command') return ok(undefined);
  const file = await disk.open(config.bootControl.file);
  if (file === undefined) return ok(undefined);
  await file.close();
  const message = `${config.bootControl.file}: expected no boot control yet, found one; nothing was changed`;
  return fail('OTA_PROVISIONED', message, 'bootControl.file');
}

async function writeBootControl(config: AgentConfig, group: GroupLetter, disk: Disk): Promise<void> {
  if (config.bootControl.kind === 'file') {
    await createBootFile(disk, config.bootControl.file, group);
    return;
  }
  const control = bootControlOf(config, disk);
  await control.disarm(group === 'A' ? 'B' : 'A');
  await control.confirm(group);
}
