/** Values that tests send: releases, reports, log batches. No server is needed to make them. */
import { encodeManifest, type Manifest, sha256Hex, signEnvelope } from '@airlock/trust';
import type { DeviceReport, LogEntry } from '@airlock/protocol';
import { entrySha256 } from '../../src/core/device-log.ts';
import { product, type TestDevice } from './names.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

export interface Release {
  readonly version: number;
  readonly image: Uint8Array;
  readonly manifest: Uint8Array;
}

export function makeRelease(version: number, change: Partial<Manifest> = {}): Release {
  const image = Buffer.alloc(200_000, version);
  const manifest: Manifest = {
    schema: 'airlock-manifest/1',
    product,
    version,
    name: `1.${version}.0`,
    udi: '(01)00000000000017',
    safetyClass: 'C',
    compat: ['hw:rev2'],
    slot: 'inactive',
    requires: {},
    images: [{ component: 'rootfs', len: image.length, hash: sha256Hex(image) }],
    secureBoot: [],
    change: {
      record: 'CR-1',
      impact: {
        assessment: 'none',
        safety: false,
        effectiveness: false,
        cybersecurity: false,
        labelling: false,
      },
      regulatory: { decision: 'letter to file', reference: 'RA-1' },
      links: ['https://qms.example/CR-1'],
    },
    authors: ['ann'],
    emergency: false,
    urgency: { level: 'routine' },
    selfTest: { timeLimitSeconds: 60, critical: [] },
    notes: '',
    demand: {},
    critical: [],
    ...change,
  };
  return { version, image, manifest: encodeManifest(manifest) };
}

export function reportOf(device: TestDevice, sequence: number, change: Partial<DeviceReport> = {}): string {
  const installed = { version: 1, manifestSha256: 'a'.repeat(64) };
  const report: DeviceReport = {
    schema: 'airlock-report/1',
    device: device.id,
    product,
    bootId: '11111111-2222-4333-8444-555555555555',
    sequence,
    time: 1_800_000_000,
    bootedGroup: 'A',
    confirmedGroup: 'A',
    installed: { A: installed },
    booted: installed,
    confirmed: installed,
    floor: 1,
    state: 'Idle',
    deviceRecord: 1,
    agent: '0.1.0',
    logHead: { sequence: 0, sha256: '0'.repeat(64) },
    ...change,
  };
  return text(signEnvelope(report, [device.logKey]));
}

/** Entries that follow `previous`, and the batch with their signed head. */
export function logBatch(device: TestDevice, first: number, count: number, previous: string, reason = 'x') {
  const entries: LogEntry[] = [];
  let last = previous;
  for (let sequence = first; sequence < first + count; sequence += 1) {
    const entry: LogEntry = {
      schema: 'airlock-log-entry/1',
      sequence,
      previous: last,
      time: 1_800_000_000 + sequence,
      bootId: '11111111-2222-4333-8444-555555555555',
      code: 'OTA_BAD_SIGNATURE',
      reason,
    };
    entries.push(entry);
    last = entrySha256(entry);
  }
  const head = {
    schema: 'airlock-log-head/1',
    device: device.id,
    sequence: first + count - 1,
    sha256: last,
    time: 1,
  };
  return { last, batch: { entries, head: text(signEnvelope(head, [device.logKey])) } };
}
