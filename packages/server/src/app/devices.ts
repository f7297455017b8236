/** Registering, showing and revoking devices. A certificate is accepted only for the device that it names. */
import { X509Certificate } from 'node:crypto';
import {
  fail,
  formatInstant,
  ok,
  parseDeviceRecord,
  parsePublicKey,
  publicKeyJson,
  readEnvelopeUnverified,
  type Result,
  sha256Hex,
  type DeviceRecord,
  trustLimits,
  verifyDeviceRecord,
} from '@airlock/trust';
import type { DeviceCreate, DeviceView, ReportView } from '@airlock/protocol';
import { writeDirectorSet } from '../core/assignment.ts';
import { certificateDevice, certificateSha256 } from '../core/certificate.ts';
import { deviceOwner } from '../core/versions.ts';
import { type DeviceRow, Raced, type StoredReport } from '../ports/store.ts';
import { assignmentView } from './assignments.ts';
import { type Actor, record as recordAct } from './audit.ts';
import type { Context } from './context.ts';
import { storeDirectorSet } from './director.ts';
import { loadDirector, loadImage } from './repositories.ts';

/** Registers a device. The same once more changes nothing. */
export async function createDevice(
  context: Context,
  request: DeviceCreate,
  by: Actor,
): Promise<Result<{ readonly created: boolean; readonly view: DeviceView }>> {
  const verified = await verifyRecord(context, request.record);
  if (!verified.ok) return verified;
  const record = verified.value;
  const certificate = readCertificate(request.certificate, record.device);
  if (!certificate.ok) return certificate;
  const logKey = parsePublicKey(request.logKey, 'logKey');
  if (!logKey.ok) return logKey;
  const row: DeviceRow = {
    device: record.device,
    product: record.product,
    record: request.record,
    recordNumber: record.number,
    certificateSha256: certificate.value,
    logKey: JSON.stringify(publicKeyJson(logKey.value)),
    registered: context.clock.now(),
  };
  return await context.locks.run(deviceOwner(row.device), async () => {
    const held = await context.store.device(row.device);
    const same =
      held?.revoked === undefined &&
      held?.record === row.record &&
      held.certificateSha256 === row.certificateSha256 &&
      held.logKey === row.logKey;
    if (held !== undefined && !same) {
      return fail('API_CONFLICT', `device ${row.device} exists with other data`, 'record');
    }
    if (held === undefined) {
      const added = await addDevice(context, row, by);
      if (!added.ok) return added;
    }
    const view = await deviceView(context, row.device);
    return view.ok ? ok({ created: held === undefined, view: view.value }) : view;
  });
}

async function verifyRecord(context: Context, envelope: string): Promise<Result<DeviceRecord>> {
  const signed = readEnvelopeUnverified(Buffer.from(envelope), trustLimits.recordBytesMax);
  if (!signed.ok) return signed;
  const claimed = parseDeviceRecord(signed.value);
  if (!claimed.ok) return claimed;
  const image = await loadImage(context.store, claimed.value.product);
  if (image === undefined) {
    return fail('API_NOT_FOUND', `there is no product ${claimed.value.product}`, 'record.product');
  }
  const { product, device } = claimed.value;
  return verifyDeviceRecord(envelope, image.root.file, { product, device });
}

function readCertificate(pem: string, device: string): Result<string> {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    return fail('API_CERTIFICATE', 'is not a certificate in PEM', 'certificate');
  }
  const named = certificateDevice(certificate.subjectAltName);
  if (named !== device) {
    const message = `the certificate names ${named ?? 'no device'}, expected URI urn:airlock:device:${device}`;
    return fail('API_CERTIFICATE', message, 'certificate');
  }
  return ok(certificateSha256(certificate.raw));
}

/** A device begins with an empty set of its own, so that its first check-in is complete. */
async function addDevice(context: Context, row: DeviceRow, by: Actor): Promise<Result<true>> {
  if (context.store.deviceByCertificate(row.certificateSha256) !== undefined) {
    return fail('API_CONFLICT', 'the certificate belongs to another device', 'certificate');
  }
  const before = await loadDirector(context.store, row.device);
  if (before === undefined)
    return fail('API_NOT_PUBLISHED', 'the director has no root yet: post it first', 'director');
  const at = { now: row.registered, keyring: context.keyring };
  const after = writeDirectorSet(before, undefined, at);
  if (!after.ok) return after;
  await context.store.transaction(async (store) => {
    await store.addDevice(row);
    await storeDirectorSet(store, before, after.value, at.now);
    const { device, product, certificateSha256: certificate, logKey } = row;
    await recordAct(store, by, at.now, {
      act: 'device.register',
      subject: { device, product },
      after: {
        ...recordFacts(row),
        certificateSha256: certificate,
        logKeySha256: sha256Hex(Buffer.from(logKey)),
      },
    });
  });
  return ok(true);
}

function recordFacts({ record: envelope, recordNumber }: Pick<DeviceRow, 'record' | 'recordNumber'>) {
  return { record: recordNumber, recordSha256: sha256Hex(Buffer.from(envelope)) };
}

/** Replaces a device's record by one with a higher number; it travels to the device in its next check-in. */
export async function putRecord(
  context: Context,
  device: string,
  envelope: string,
  by: Actor,
): Promise<Result<DeviceView>> {
  const verified = await verifyRecord(context, envelope);
  if (!verified.ok) return verified;
  return await context.locks.run(deviceOwner(device), async () => {
    const held = await context.store.device(device);
    if (held === undefined) return fail('API_NOT_FOUND', `there is no device ${device}`, 'device');
    const { number } = verified.value;
    if (verified.value.device !== device || verified.value.product !== held.product) {
      return fail('OTA_WRONG_BINDING', `the record is for device ${verified.value.device}`, 'record.device');
    }
    if (held.record !== envelope && number <= held.recordNumber) {
      const message = `record number ${number} is not above ${held.recordNumber}`;
      return fail('API_VERSION_USED', message, 'record.number');
    }
    if (held.record !== envelope) {
      await context.store.transaction(async (store) => {
        if ((await store.device(device))?.recordNumber !== held.recordNumber) throw new Raced();
        await store.setRecord(device, envelope, number);
        await recordAct(store, by, context.clock.now(), {
          act: 'device.record',
          subject: { device, product: held.product },
          before: recordFacts(held),
          after: recordFacts({ record: envelope, recordNumber: number }),
        });
      });
    }
    return await deviceView(context, device);
  });
}

/** From now on the device's connections end without an answer. */
export async function revokeDevice(context: Context, device: string, by: Actor): Promise<Result<true>> {
  const held = await context.store.device(device);
  if (held === undefined) return fail('API_NOT_FOUND', `there is no device ${device}`, 'device');
  if (held.revoked !== undefined) return ok(true);
  const now = context.clock.now();
  await context.store.transaction(async (store) => {
    await store.revoke(device, now);
    await recordAct(store, by, now, {
      act: 'device.revoke',
      subject: { device, product: held.product },
      before: { revoked: false },
      after: { revoked: true },
    });
  });
  return ok(true);
}

export async function deviceView(context: Context, device: string): Promise<Result<DeviceView>> {
  const row = await context.store.device(device);
  if (row === undefined) return fail('API_NOT_FOUND', `there is no device ${device}`, 'device');
  return ok(await viewOfDevice(context, row));
}

/** `products`: of these only. */
export async function deviceViews(
  context: Context,
  after: string,
  count: number,
  products?: readonly string[],
): Promise<DeviceView[]> {
  const views: DeviceView[] = [];
  for (const row of await context.store.devices(after, count, products))
    views.push(await viewOfDevice(context, row));
  return views;
}

async function viewOfDevice(context: Context, row: DeviceRow): Promise<DeviceView> {
  const signed = readEnvelopeUnverified(Buffer.from(row.record), trustLimits.recordBytesMax);
  const record = signed.ok ? parseDeviceRecord(signed.value) : signed;
  if (!record.ok) throw new Error(`the record of ${row.device} cannot be read`);
  const assignment = await context.store.assignment(row.device);
  const reported = await context.store.latestReport(row.device);
  const lastSeen = context.seen.get(row.device) ?? row.lastSeen;
  return {
    device: row.device,
    product: row.product,
    udi: record.value.udi,
    safetyClass: record.value.safetyClass,
    market: record.value.market,
    hardware: [...record.value.hardware],
    emergencyAllowed: record.value.emergencyAllowed,
    recordNumber: row.recordNumber,
    recordKeyIds: recordKeyIds(row.record),
    record: row.record,
    certificateSha256: row.certificateSha256,
    registered: formatInstant(row.registered),
    ...(row.revoked === undefined ? {} : { revoked: formatInstant(row.revoked) }),
    ...(lastSeen === undefined ? {} : { lastSeen: formatInstant(lastSeen) }),
    ...(assignment === undefined ? {} : { assignment: await assignmentView(context.store, assignment) }),
    ...(reported === undefined ? {} : { reported: reportView(reported) }),
    logFindings: (await context.store.findings(row.device)).length,
  };
}

/** As the envelope lists them; it was verified when it came, under the root of then. */
function recordKeyIds(envelope: string): string[] {
  const value: unknown = JSON.parse(envelope);
  const signatures =
    typeof value === 'object' && value !== null && 'signatures' in value ? value.signatures : [];
  if (!Array.isArray(signatures)) return [];
  return signatures.flatMap((entry: unknown) =>
    typeof entry === 'object' && entry !== null && 'keyid' in entry ? [String(entry.keyid)] : [],
  );
}

export function reportView({ received, report }: StoredReport): ReportView {
  return { received: formatInstant(received), report };
}
