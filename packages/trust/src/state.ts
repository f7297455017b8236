/**
 * What a device keeps about trust, as one file: made at provisioning, read back strictly, changed in one place only.
 *
 * Keeps true: a state begins with roots that are signed by themselves and made for this device's product, and with a
 * device record that the image root's provisioning keys signed; a record is replaced by a higher number only; nothing
 * stored grows without limit. A stored state is not believed further than its roots: `checkTrust` verifies every other
 * text again, each time.
 * Leaves to others: what is verified and kept (repository.ts, check.ts), atomic replacement (the caller's disk).
 */
import { Buffer } from 'node:buffer';
import { parseDeviceRecord, verifyDeviceRecord } from './device-record.ts';
import { readEnvelopeUnverified } from './envelope.ts';
import { type Field, isFunctionName, readFields } from './fields.ts';
import { trustLimits } from './limits.ts';
import { openSession } from './repository-session.ts';
import { fail, ok, type Result, type UtcSeconds } from './result.ts';
import type { Owner } from './write.ts';
import type { DeviceRecord, RepositoryState, RoleMemory, TrustIdentity, TrustState } from './types.ts';

/**
 * Largest stored state. 16 functions with 200 releases each are 1.5 MB (91 kB a role);
 * escaped quotes in the texts add a fifth.
 */
const stateBytesMax = 4_000_000;

const schema = 'airlock-trust-state/1';
const topLevelNames: ReadonlySet<string> = new Set(['targets', 'snapshot', 'timestamp']);
const decoder = new TextDecoder('utf-8', { fatal: true });

/**
 * The first state of a device, from what the factory gives it. `builtAt` is the build time of the provisioned image,
 * in UTC seconds: the first lower bound of time. Errors: those of the roots and of the device record.
 */
export function newTrustState(input: {
  readonly identity: TrustIdentity;
  readonly imageRoot: string;
  readonly directorRoot: string;
  readonly deviceRecord: string;
  readonly builtAt: UtcSeconds;
}): Result<TrustState> {
  const { identity } = input;
  const image = newRepositoryState({ repository: 'image', product: identity.product }, input.imageRoot);
  if (!image.ok) return image;
  const director = newRepositoryState(
    { repository: 'director', device: identity.device },
    input.directorRoot,
  );
  if (!director.ok) return director;
  const record = verifyDeviceRecord(input.deviceRecord, input.imageRoot, identity);
  if (!record.ok) return record;
  return ok({
    schema,
    image: image.value,
    director: director.value,
    deviceRecord: input.deviceRecord,
    withdrawn: [],
    builtAt: input.builtAt,
    timeLowerBound: input.builtAt,
  });
}

/** State of one repository from its pinned root: what a device, a signer's machine or a server begins with. */
export function newRepositoryState(owner: Owner, root: string): Result<RepositoryState> {
  const state = { root, roles: {}, memory: {} };
  const opened = openSession(owner, state, 0, 'network');
  return opened.ok ? ok(state) : opened;
}

/**
 * Takes a device record that came with a check-in, if it is signed by a provisioning key and has a higher number.
 * The same record again changes nothing and is no error. Errors: `OTA_DEVICE_RECORD`.
 */
export function updateDeviceRecord(
  state: TrustState,
  envelopeText: string,
  identity: TrustIdentity,
): Result<TrustState> {
  const next = verifyDeviceRecord(envelopeText, state.image.root, identity);
  if (!next.ok) return next;
  const held = heldDeviceRecord(state);
  // The held record may no longer be signed by a current provisioning key; its number counts all the same.
  if (!held.ok) return held;
  if (envelopeText === state.deviceRecord) return ok(state);
  if (next.value.number <= held.value.number) {
    return fail(
      'OTA_DEVICE_RECORD',
      `device record ${next.value.number} is not above the stored record ${held.value.number}`,
      'number',
    );
  }
  return ok({ ...state, deviceRecord: envelopeText });
}

/** The stored record without asking who signed it: for its number and for showing. Errors: `OTA_DEVICE_RECORD`. */
export function heldDeviceRecord(state: TrustState): Result<DeviceRecord> {
  const signed = readEnvelopeUnverified(Buffer.from(state.deviceRecord), trustLimits.recordBytesMax);
  return signed.ok ? parseDeviceRecord(signed.value) : signed;
}

/** The file's bytes; `parseTrustState` reads them back. */
export function encodeTrustState(state: TrustState): Uint8Array {
  return Buffer.from(JSON.stringify(state));
}

/**
 * Reads a stored state: a missing field, or one of another form, is a damaged file. Fields that are not known are left
 * out: a newer agent wrote them before it was rolled back, and losing the whole state for them would end all updates.
 * So a later version may only add fields that it can do without, and may widen no limit of what is here
 * (docs/adr/0013). Errors: `OTA_TRUST_STATE`.
 */
export function parseTrustState(bytes: Uint8Array): Result<TrustState> {
  const damaged = (what: string) => fail('OTA_TRUST_STATE', `the stored trust state ${what}`);
  if (bytes.length > stateBytesMax)
    return damaged(`has ${bytes.length} bytes, at most ${stateBytesMax} are allowed`);
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch {
    return damaged('is not JSON in UTF-8');
  }
  return readFields(value, { code: 'OTA_TRUST_STATE', name: 'trust state' }, readState);
}

function readState(field: Field): TrustState {
  return {
    schema: field.at('schema').choice([schema]),
    image: readRepository(field.at('image')),
    director: readRepository(field.at('director')),
    ...optionalText(field, 'policy', trustLimits.policyBytesMax),
    ...optionalText(field, 'manifest', trustLimits.manifestBytesMax),
    deviceRecord: field.at('deviceRecord').text(trustLimits.recordBytesMax),
    withdrawn: field.at('withdrawn').unique((hash) => hash.sha256(), trustLimits.withdrawnMax),
    builtAt: field.at('builtAt').integer(0, trustLimits.utcSecondsMax),
    timeLowerBound: field.at('timeLowerBound').integer(0, trustLimits.utcSecondsMax),
  };
}

function readRepository(field: Field): RepositoryState {
  return {
    root: field.at('root').text(trustLimits.rootBytesMax),
    ...optionalText(field, 'timestamp', trustLimits.timestampBytesMax),
    ...optionalText(field, 'snapshot', trustLimits.roleBytesMax),
    roles: readNames(field.at('roles'), (role) => role.text(trustLimits.roleBytesMax)),
    memory: readNames(field.at('memory'), readMemory),
  };
}

function readMemory(field: Field, role: string): RoleMemory {
  return {
    ...(role === 'timestamp' ? { issued: field.at('issued').integer(0, trustLimits.utcSecondsMax) } : {}),
    version: field.at('version').integer(1, trustLimits.metadataVersionMax),
    signedSha256: field.at('signedSha256').sha256(),
    keyIds: field.at('keyIds').unique((keyId) => keyId.sha256(), trustLimits.keysPerRoleMax),
  };
}

function readNames<T>(field: Field, read: (field: Field, name: string) => T): Record<string, T> {
  const entries = field.entries(trustLimits.snapshotEntriesMax + 2);
  return Object.fromEntries(
    entries.map(([name, entry]) => {
      if (!isFunctionName(name) && !topLevelNames.has(name)) entry.refuse('is not the name of a role');
      return [name, read(entry, name)];
    }),
  );
}

function optionalText<K extends string>(field: Field, name: K, charactersMax: number): { [N in K]?: string } {
  const found = field.optional(name);
  return found === undefined ? {} : ({ [name]: found.text(charactersMax) } as { [N in K]?: string });
}
