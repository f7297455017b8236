/**
 * What the management API answers about devices, read strictly: for showing and comparing, since what devices report of
 * themselves is in their own signed reports, and what they are in their signed records.
 */
import type { Reader } from './fields.ts';

export interface ReportedDevice {
  readonly state: string;
  readonly booted: number;
  readonly confirmed: number;
  readonly floor: number;
  readonly counter?: number;
  readonly restored: boolean;
  /** What a release waits for there, in words. */
  readonly waiting?: string;
  /** Whether somebody defers it past its deadline. */
  readonly overdue: boolean;
  readonly lastCode?: string;
  readonly lastVersion?: number;
  readonly lastReason?: string;
}

export interface Device {
  readonly device: string;
  readonly product: string;
  readonly safetyClass: string;
  readonly market: string;
  readonly hardware: readonly string[];
  readonly recordNumber: number;
  /** Envelope of the device record. */
  readonly record: string;
  readonly registered: string;
  readonly revoked?: string;
  readonly lastSeen?: string;
  readonly assigned?: number;
  /** Whether what is assigned is marked as an emergency. */
  readonly emergency: boolean;
  readonly emergencyAllowed: boolean;
  readonly reported?: ReportedDevice;
  readonly logFindings: number;
}

export interface LogLine {
  readonly sequence: number;
  readonly time: number;
  readonly code: string;
  readonly reason: string;
  readonly attempt?: string;
  readonly toVersion?: number;
}

/** A field that is there only with a value. */
export function optional<K extends string, T>(name: K, value: T | undefined): { readonly [N in K]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { [N in K]: T });
}

function readReported(reader: Reader): ReportedDevice {
  const report = reader.at('report');
  const last = report.optional('lastResult');
  const waiting = report.optional('waiting');
  return {
    state: report.at('state').text(),
    booted: report.at('booted').at('version').integer(0),
    confirmed: report.at('confirmed').at('version').integer(0),
    floor: report.at('floor').integer(0),
    ...optional('counter', report.optional('counter')?.integer(0)),
    restored: report.optional('restored')?.value === true,
    ...optional('waiting', waiting?.at('reason').text()),
    overdue: waiting?.at('overdue').value === true,
    ...optional('lastCode', last?.at('code').text()),
    ...optional('lastVersion', last?.at('version').integer(0)),
    ...optional('lastReason', last?.at('reason').text()),
  };
}

export function readDevice(reader: Reader): Device {
  const reported = reader.optional('reported');
  return {
    device: reader.at('device').text(),
    product: reader.at('product').text(),
    safetyClass: reader.at('safetyClass').text(),
    market: reader.at('market').text(),
    hardware: reader.at('hardware').texts(),
    recordNumber: reader.at('recordNumber').integer(1),
    record: reader.at('record').text(),
    registered: reader.at('registered').text(),
    ...optional('revoked', reader.optional('revoked')?.text()),
    ...optional('lastSeen', reader.optional('lastSeen')?.text()),
    ...optional('assigned', reader.optional('assignment')?.at('release').integer(1)),
    emergency: reader.optional('assignment')?.optional('emergency')?.value === true,
    emergencyAllowed: reader.optional('emergencyAllowed')?.value === true,
    ...optional('reported', reported === undefined ? undefined : readReported(reported)),
    logFindings: reader.at('logFindings').integer(0),
  };
}

export function readLogLine(reader: Reader): LogLine {
  return {
    sequence: reader.at('sequence').integer(1),
    time: reader.at('time').integer(0),
    code: reader.at('code').text(),
    reason: reader.at('reason').text(),
    ...optional('attempt', reader.optional('attempt')?.text()),
    ...optional('toVersion', reader.optional('toVersion')?.integer(0)),
  };
}

export function findingText(entry: Reader): string {
  return `${entry.at('kind').text()} at ${entry.at('sequence').integer(0)}: ${entry.at('detail').text()}`;
}
