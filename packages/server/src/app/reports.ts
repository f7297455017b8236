/**
 * What devices say: reports and log entries, each kept once, as signed; of reports the newest.
 *
 * Keeps true: acknowledged only after the commit that holds it; a device speaks for itself only; a repeated request
 * is acknowledged again and changes nothing.
 */
import {
  fail,
  ok,
  parsePublicKey,
  type PublicKey,
  readEnvelopeUnverified,
  type Result,
  verifyEnvelope,
} from '@airlock/trust';
import { type DeviceReport, DeviceReportSchema, type LogBatch, wireLimits } from '@airlock/protocol';
import { Check } from 'typebox/value';
import { planBatch, readBatch } from '../core/device-log.ts';
import { reportRate, reportsKeptMax, supersedes } from '../core/reports.ts';
import type { StoreParts } from '../ports/store.ts';
import type { Context } from './context.ts';

async function logKeyOf(store: StoreParts, device: string): Promise<PublicKey> {
  const row = await store.device(device);
  const key = parsePublicKey(row === undefined ? undefined : JSON.parse(row.logKey), 'logKey');
  if (!key.ok) throw new Error(`device ${device} has no log key in the store`);
  return key.value;
}

function isReport(value: unknown): value is DeviceReport {
  return Check(DeviceReportSchema, value);
}

/** Stores a report. Errors: those of `verifyEnvelope`, API_BAD_REQUEST, API_NOT_YOURS, API_TOO_MANY. */
export async function takeReport(
  context: Context,
  from: { readonly device: string; readonly product: string },
  envelope: string,
): Promise<Result<{ readonly stored: boolean }>> {
  const bytes = Buffer.from(envelope);
  const shown = readEnvelopeUnverified(bytes, wireLimits.reportBytesMax);
  if (!shown.ok) return shown;
  if (!isReport(shown.value)) return fail('API_BAD_REQUEST', 'is not a report (airlock-report/1)', 'signed');
  const report = shown.value;
  for (const name of ['device', 'product'] as const) {
    if (report[name] === from[name]) continue;
    return fail('API_NOT_YOURS', `the report is for ${name} ${report[name]}`, `signed.${name}`);
  }
  const keys = [await logKeyOf(context.store, from.device)];
  const signed = verifyEnvelope(bytes, { keys, threshold: 1, bytesMax: wireLimits.reportBytesMax });
  if (!signed.ok) return signed;
  const received = context.clock.now();
  // Counted only now: who has the TLS key alone must not use up what the device itself may say.
  const seconds = context.rates.reports.take(from.device, received);
  if (seconds !== undefined) {
    const message = `${reportRate.perWindow} reports came within an hour; the next is taken in ${seconds} s`;
    return fail('API_TOO_MANY', message);
  }
  const stored = await context.store.grouped(async (store) => {
    const next = { received, envelope, report };
    const before = await store.latestReport(from.device);
    if (!(await store.addReport(next))) return false;
    if (before === undefined || supersedes(next, before)) await store.markLatest(report);
    await store.keepReports(from.device, reportsKeptMax);
    return true;
  });
  return ok({ stored });
}

/** Stores log entries; answers the highest sequence held. Errors: those of `readBatch`. */
export async function takeLog(
  context: Context,
  device: string,
  batch: LogBatch,
): Promise<Result<{ readonly sequence: number }>> {
  const entries = readBatch(batch, device, await logKeyOf(context.store, device));
  if (!entries.ok) return entries;
  const first = entries.value[0]?.sequence ?? 0;
  const last = entries.value.at(-1)?.sequence ?? 0;
  const found = context.clock.now();
  const sequence = await context.store.grouped(async (store) => {
    const newest = await store.lastLogEntry(device);
    const held = newest === undefined ? [] : await store.logRange(device, newest.generation, first, last);
    const plan = planBatch(entries.value, newest, held);
    for (const entry of plan.store) await store.addLogEntry(device, entry);
    for (const finding of plan.findings) await store.addFinding(device, { ...finding, found });
    const end = await store.lastLogEntry(device);
    // A head for less than what is stored pins nothing new.
    if (end?.sequence === last) await store.putLogHead(device, last, batch.head);
    return end?.sequence ?? 0;
  });
  return ok({ sequence });
}
