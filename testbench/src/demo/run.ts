/**
 * One run of the demo: company, images, devices by their names, and the report that every scenario writes into.
 */
import { join } from 'node:path';
import type { LogEntry } from '@airlock/protocol';
import type { HostileServer } from '../hostile-server.ts';
import type { Company, Release, ReleaseOptions } from '../world/company.ts';
import { type Device, makeDevice, type MakeDeviceOptions } from '../world/device.ts';
import type { ImageRequest, Images } from '../world/images.ts';
import type { Report } from './report.ts';

export interface Run {
  readonly folder: string;
  readonly company: Company;
  readonly images: Images;
  readonly report: Report;
  /** The real server's identity in a thief's hands. */
  readonly stolen: HostileServer;
  /** What small devices were made with. */
  readonly factory: Release;
  readonly devices: Device[];
}

/** Slots of the devices that refuse: four times a small image. */
const smallSlotBytes = 12_000_000;

/** What a scenario found: the device's answer, and a fault when it is not what it must be. */
export interface Found {
  readonly code: string;
  readonly answer: string;
  readonly fault?: string;
  /** Where it was decided, when that is not the code's own place. */
  readonly where?: string;
}

/** Runs one scenario and reports it; a scenario that throws has failed, and the demo goes on. */
export async function scenario(
  run: Run,
  about: { readonly number: string; readonly requirement: string; readonly done: string },
  act: () => Promise<Found>,
): Promise<void> {
  run.report.begin(about.number);
  try {
    const found = await act();
    run.report.outcome({ ...about, ...found, passed: found.fault === undefined });
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error);
    run.report.outcome({ ...about, code: '-', answer: 'nothing that was waited for', passed: false, fault });
  }
}

/** A device's own words, as its log has them. */
export function said(entry: LogEntry, more = ''): Found {
  const version = entry.toVersion === undefined ? '' : ` for version ${entry.toVersion}`;
  const answer = `${entry.code}${version}: ${entry.reason}${more === '' ? '' : `; ${more}`}`;
  return { code: entry.code, answer };
}

export async function addDevice(
  run: Run,
  id: string,
  options: Partial<MakeDeviceOptions> = {},
): Promise<Device> {
  const device = await makeDevice({
    company: run.company,
    id,
    folder: join(run.folder, 'devices'),
    slotBytes: smallSlotBytes,
    factory: run.factory,
    agentFile: run.images.agentFile,
    onLine: (line) => run.report.progress(`${id}: ${line}`),
    ...options,
  });
  run.devices.push(device);
  return device;
}

/** Makes the image of a version and the release around it, approved by all unless `approved` says no. */
export async function addRelease(
  run: Run,
  request: ImageRequest &
    Omit<Partial<ReleaseOptions>, 'version' | 'image'> & { readonly approved?: boolean },
): Promise<Release> {
  const image = await run.images.make(request);
  const options = {
    version: request.version,
    image,
    ...(request.hardware === undefined ? {} : { hardware: request.hardware }),
  };
  return request.approved === false
    ? await run.company.createRelease(options)
    : await run.company.release(options);
}
