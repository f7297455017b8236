/**
 * Releases that keep coming: made, signed and approved ahead of the devices that will be given them.
 *
 * All devices of a run are given the same sequence, each at its own pace; the kind of its n-th release is the seed's to
 * say. What was ever signed is remembered with its hash, for the checks.
 */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { sha256Hex } from '@airlock/trust';
import { seededRandom } from '../random.ts';
import type { Company, Release } from '../world/company.ts';
import type { Images } from '../world/images.ts';
import type { KnownImage } from './checks.ts';

export type ReleaseKind = 'good' | 'fails';

export interface Supplied {
  readonly version: number;
  readonly kind: ReleaseKind;
}

/** Small, so that one update takes a second or two. */
const fillerBytes = 200_000;
const failing = 0.3;

export class Supply {
  /** What every device is made with; version 1. */
  readonly factory: Release;
  readonly images: KnownImage[];
  readonly #company: Company;
  readonly #files: Images;
  readonly #seed: number;
  readonly #releases: Promise<Supplied>[] = [];

  private constructor(company: Company, files: Images, seed: number, factory: Release, image: KnownImage) {
    this.#company = company;
    this.#files = files;
    this.#seed = seed;
    this.factory = factory;
    this.images = [image];
  }

  static async open(company: Company, files: Images, seed: number): Promise<Supply> {
    const image = await files.make({ version: 1, agent: 'both', fillerBytes });
    return new Supply(company, files, seed, await company.release({ version: 1, image }), known(1, image));
  }

  /** The n-th release, from 0. The one after it is begun at once, so that no device waits for it. */
  async release(index: number): Promise<Supplied> {
    while (this.#releases.length <= index + 1) {
      const made = this.#make(this.#releases.length);
      // Awaited by whoever asks for it; until then a failure must not count as unhandled.
      made.catch(() => undefined);
      this.#releases.push(made);
    }
    const supplied = this.#releases[index];
    if (supplied === undefined) throw new Error(`there is no release ${index}`);
    return await supplied;
  }

  /** Waits for what is being made. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#releases);
  }

  async #make(index: number): Promise<Supplied> {
    const version = index + 2;
    const random = seededRandom(this.#seed * 1009 + version);
    // The first one is good, so that even a short run has a confirmation.
    const kind = index > 0 && random.fraction() < failing ? 'fails' : 'good';
    const selfTest = kind === 'good' ? 'passes' : 'fails';
    const image = await this.#files.make({ version, agent: 'both', selfTest, fillerBytes });
    this.images.push(known(version, image));
    await this.#company.release({ version, image });
    // The server has it; a hundred of them would fill a small disk.
    rmSync(image);
    return { version, kind };
  }
}

function known(version: number, image: string): KnownImage {
  return { version, bytes: statSync(image).size, sha256: sha256Hex(readFileSync(image)) };
}
