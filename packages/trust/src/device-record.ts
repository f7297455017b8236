/**
 * Device records: what a device is, signed at manufacture by the provisioning keys that the image root names.
 *
 * Class, market and hardware decide what a device may install, so that neither the server nor the device's own
 * configuration may say them. A record counts only for the very device and product that it names.
 * Leaves to others: that a record is replaced by a higher number only (state.ts).
 */
import { Buffer } from 'node:buffer';
import { verifyEnvelope } from './envelope.ts';
import { type Field, readFields } from './fields.ts';
import { trustLimits } from './limits.ts';
import { readRole } from './read.ts';
import { fail, type Result } from './result.ts';
import { readSafetyClass } from './thresholds.ts';
import type { DeviceRecord, TrustIdentity } from './types.ts';

/** Parses the signed value of a device record's envelope. Code: OTA_DEVICE_RECORD with the field's path. */
export function parseDeviceRecord(value: unknown): Result<DeviceRecord> {
  return readFields(value, { code: 'OTA_DEVICE_RECORD', name: 'device record' }, readRecord);
}

/**
 * The record, if the provisioning keys of the image root signed it and it is this device's. `imageRootText` must be
 * a root that was verified. Codes: OTA_DEVICE_RECORD for the record, OTA_WRONG_BINDING for another device's or
 * product's, those of `readRole` for the root.
 */
export function verifyDeviceRecord(
  envelopeText: string,
  imageRootText: string,
  identity: TrustIdentity,
): Result<DeviceRecord> {
  const root = readRole(Buffer.from(imageRootText), 'image root', trustLimits.rootBytesMax);
  if (!root.ok) return root;
  if (
    root.value.kind !== 'root' ||
    root.value.image === undefined ||
    root.value.product !== identity.product
  ) {
    const message = `device record: judged with a file that is no image root of ${identity.product}`;
    return fail('OTA_WRONG_BINDING', message, 'image root');
  }
  const { keys, threshold } = root.value.image.provisioning;
  const options = { keys, threshold, bytesMax: trustLimits.recordBytesMax };
  const signed = verifyEnvelope(Buffer.from(envelopeText), options);
  if (!signed.ok) {
    return fail('OTA_DEVICE_RECORD', `device record: ${signed.error.message}`, signed.error.field);
  }
  const record = parseDeviceRecord(signed.value);
  if (!record.ok) return record;
  for (const name of ['product', 'device'] as const) {
    if (record.value[name] !== identity[name]) {
      const message = `device record: is for ${name} ${record.value[name]}, this is ${identity[name]}`;
      return fail('OTA_WRONG_BINDING', message, name);
    }
  }
  return record;
}

function readRecord(field: Field): DeviceRecord {
  field.object([
    'schema',
    'number',
    'device',
    'udi',
    'product',
    'safetyClass',
    'market',
    'hardware',
    'emergencyAllowed',
    'floor',
    'counter',
  ]);
  const schema = field.at('schema').choice(['airlock-device-record/1']);
  const hardware = field.at('hardware').unique((entry) => entry.line());
  if (hardware.length === 0) field.at('hardware').refuse('must not be empty');
  const floor = field.optional('floor');
  const counter = field.optional('counter');
  if (floor === undefined) counter?.refuse('must stand beside the floor that it is named for');
  return {
    schema,
    number: field.at('number').integer(1, trustLimits.metadataVersionMax),
    device: field.at('device').device(),
    udi: field.at('udi').line(),
    product: field.at('product').name(),
    safetyClass: readSafetyClass(field.at('safetyClass')),
    market: field.at('market').name(),
    hardware,
    emergencyAllowed: field.at('emergencyAllowed').boolean(),
    ...(floor === undefined ? {} : { floor: floor.integer(1, trustLimits.releaseVersionMax) }),
    ...(counter === undefined ? {} : { counter: counter.integer(0, trustLimits.metadataVersionMax) }),
  };
}
