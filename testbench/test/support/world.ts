/**
 * One company with its server for all end-to-end tests: made once, since making keys takes seconds.
 */
import { mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostileServer } from '../../src/hostile-server.ts';
import { removeAtEnd } from '../../src/processes.ts';
import { Company, type Release } from '../../src/world/company.ts';
import { type Device, makeDevice, type MakeDeviceOptions } from '../../src/world/device.ts';
import { type ImageRequest, type Images, prepareImages } from '../../src/world/images.ts';
import { startStolenServer } from '../../src/world/thief.ts';

const slotBytes = 6_000_000;
const fillerBytes = 300_000;

export class World {
  readonly folder: string;
  readonly company: Company;
  readonly images: Images;
  readonly stolen: HostileServer;
  readonly factory: Release;
  readonly #devices: Device[] = [];

  constructor(parts: Pick<World, 'folder' | 'company' | 'images' | 'stolen' | 'factory'>) {
    this.folder = parts.folder;
    this.company = parts.company;
    this.images = parts.images;
    this.stolen = parts.stolen;
    this.factory = parts.factory;
  }

  async device(id: string, options: Partial<MakeDeviceOptions> = {}): Promise<Device> {
    const { company, images, factory, folder } = this;
    const device = await makeDevice({
      company,
      id,
      folder: join(folder, 'devices'),
      slotBytes,
      factory,
      agentFile: images.agentFile,
      ...options,
    });
    this.#devices.push(device);
    return device;
  }

  /** A release approved by all functions. */
  async release(request: ImageRequest): Promise<Release> {
    const image = await this.images.make({ fillerBytes, ...request });
    return await this.company.release({ version: request.version, image });
  }

  /** The same, waiting for its approvals. */
  async unapproved(request: ImageRequest): Promise<Release> {
    const image = await this.images.make({ fillerBytes, ...request });
    return await this.company.createRelease({ version: request.version, image });
  }

  async close(): Promise<void> {
    for (const { virtual } of this.#devices) await virtual.killAgent();
    await this.stolen.close();
    await this.company.stopServer();
  }
}

export async function makeWorld(): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'airlock-e2e-'));
  removeAtEnd(folder);
  mkdirSync(join(folder, 'images'));
  const company = new Company(folder);
  const [images] = await Promise.all([prepareImages(join(folder, 'images')), company.init()]);
  await company.startServer();
  const factory = await company.release({
    version: 1,
    image: await images.make({ version: 1, fillerBytes }),
  });
  const stolen = await startStolenServer(company);
  return new World({ folder, company, images, stolen, factory });
}
