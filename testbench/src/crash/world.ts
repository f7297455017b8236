/**
 * The world around a simulated device: its product, its releases, its server and the scenario's fixed numbers.
 *
 * It stays the same for a whole graph; what may differ from boot to boot is `environment.ts`'s.
 */
import { createHash } from 'node:crypto';
import type { AgentSettings } from '@airlock/agent';
import { type GroupLetter, type Manifest, sha256Hex } from '@airlock/trust';
import { type Files, PaperCompany } from '../paper-company.ts';
import type { Environment } from './environment.ts';
import { type Content, contentOf, sectorBytes } from './medium.ts';

const product = 'infusion-pump';
const deviceId = 'pump-1';
/** 2026-11-01T00:00:00Z. */
export const start = 1_793_491_200;
export const stateFolder = '/state';
export const bootPath = '/boot/control';
export const slotPath = (component: string, group: GroupLetter): string => `/slots/${component}-${group}`;

/** What a scenario fixes. */
export interface ScenarioOptions {
  readonly components: readonly string[];
  /** Sectors of each image. */
  readonly imageSectors: number;
  readonly pieceSectors: number;
  readonly flushSectors: number;
  readonly trialTries: number;
  /** Starts of a confirmed group before the other one is started; 0: the boot loader does not count them. */
  readonly confirmedStarts: number;
  readonly fallbackAllowed: boolean;
  readonly tries: 'counted' | 'one-shot';
  readonly armingSurvivesPowerOff: boolean;
  readonly dataHooks: boolean;
  /** Whether the operator is asked before a group is armed. */
  readonly consentRequired: boolean;
  readonly attemptsMax: number;
  /** How often a group that was armed and not tried is armed again. */
  readonly notTriedMax: number;
  readonly logCells: number;
  /** Whether the record may be lost at any moment. */
  readonly recordMayBeLost: boolean;
  /** Whether somebody may write an old copy of the state partition back, at any moment. */
  readonly stateMayBeRestored: boolean;
  /** Whether the floor is bound to a counter of a TPM. */
  readonly tpm: boolean;
}

/**
 * The release that must close: two images of eight sectors, flushed every four. Each number that only multiplies the
 * states by itself is as small as it goes; the scenarios raise them one by one, the seeded runs all at once.
 */
export const smallRelease: ScenarioOptions = {
  components: ['app', 'rootfs'],
  imageSectors: 8,
  pieceSectors: 1,
  flushSectors: 4,
  trialTries: 1,
  confirmedStarts: 0,
  fallbackAllowed: true,
  tries: 'counted',
  armingSurvivesPowerOff: true,
  dataHooks: true,
  consentRequired: false,
  attemptsMax: 1,
  notTriedMax: 0,
  logCells: 32,
  recordMayBeLost: false,
  stateMayBeRestored: false,
  tpm: false,
};

/**
 * What the server published, oldest first: it assigns, takes back, assigns the oldest release, the target again, and
 * that is withdrawn.
 */
const publications = ['assigned', 'nothing', 'older', 'assigned', 'withdrawn'] as const;
const assignedBy = (kind: (typeof publications)[number], target: number): number | undefined =>
  kind === 'nothing' ? undefined : kind === 'older' ? 1 : target;

/** The bytes of one image: its first line says what it is, the rest is its own in every sector. */
export function imageOf(component: string, version: number, sectors: number): Uint8Array {
  const image = new Uint8Array(sectors * sectorBytes);
  for (let sector = 0; sector < sectors; sector += 1) {
    const seed = createHash('sha256').update(`${component} ${version} ${sector}`).digest();
    for (let at = 0; at < sectorBytes; at += seed.length) image.set(seed, sector * sectorBytes + at);
  }
  image.set(new TextEncoder().encode(`${JSON.stringify({ product, version, component })}\n`), 0);
  return image;
}

/** A product with three releases: 1 is installed, 2 is the target, 3 came before it and may be in the other group. */
export class World {
  readonly options: ScenarioOptions;
  readonly company: PaperCompany;
  readonly manifestTexts = new Map<number, string>();
  /** Image bytes by SHA-256. */
  readonly images = new Map<string, Uint8Array>();
  /** Release that the device shall come to run. */
  readonly target: number;
  readonly #published: readonly Files[];
  readonly #contents = new Map<number, readonly Content[]>();

  constructor(options: ScenarioOptions, versions: { readonly installed: number; readonly target: number }) {
    this.options = options;
    this.target = versions.target;
    const functions = ['engineering', 'quality'];
    this.company = new PaperCompany({ product, device: deviceId, functions, now: start });
    for (let version = 1; version <= versions.target; version += 1) this.#release(version);
    this.#published = publications.map((kind) => {
      if (kind === 'withdrawn') this.company.withdraw('quality', versions.target);
      return this.company.publish(assignedBy(kind, versions.target));
    });
  }

  /**
   * The publication that a server shows a device that holds number `held` (0: none): never an older one than it has
   * seen, unless the server repeats itself, and never anything after a withdrawal.
   */
  serve(
    server: NonNullable<Environment['server']>,
    held: number,
  ): { readonly files: Files; readonly etag: string } {
    const from = server === 'stale' ? 0 : Math.max(0, held - 1);
    const last = publications.length - 1;
    const wanted = server === 'stale' ? 'assigned' : server;
    const found = publications.findIndex((kind, at) => at >= from && kind === wanted);
    // Nothing is taken back a second time: from then on the server goes on with what it says.
    const at = found >= 0 ? found : Math.min(from, last);
    return { files: this.#published[at] ?? {}, etag: `${at}` };
  }

  versions(): readonly number[] {
    return [...this.manifestTexts.keys()];
  }

  /** The images of a release, by sector, in the order of the components. */
  imagesOf(version: number): readonly Content[] {
    return this.#contents.get(version) ?? [];
  }

  settings(): AgentSettings {
    const {
      components,
      pieceSectors,
      flushSectors,
      trialTries,
      fallbackAllowed,
      consentRequired,
      attemptsMax,
      notTriedMax,
      logCells,
    } = this.options;
    return {
      device: deviceId,
      product,
      agentVersion: 'crash explorer',
      stateFolder,
      slots: {
        components: Object.fromEntries(
          components.map((name) => [name, { A: slotPath(name, 'A'), B: slotPath(name, 'B') }]),
        ),
      },
      identityComponent: components[0] ?? '',
      fallbackAllowed,
      consentRequired,
      pollIntervalSeconds: 60,
      timeZone: 'UTC',
      attemptsPerReleaseMax: attemptsMax,
      silenceSecondsMax: 14 * 86_400,
      trialTries,
      builtInTimeLimitSeconds: 5,
      tuning: {
        logCellsMax: logCells,
        pieceBytes: pieceSectors * sectorBytes,
        flushBytes: flushSectors * sectorBytes,
        backoffSecondsMin: 0,
        notTriedMax,
        // Once and often: more would be the same states again, told apart by a number that only slows polls down.
        wastedMax: 1,
        downloadTriesMax: 2,
      },
    };
  }

  #release(version: number): void {
    const images: Manifest['images'] = this.options.components.map((component) => {
      const bytes = imageOf(component, version, this.options.imageSectors);
      const hash = sha256Hex(bytes);
      this.images.set(hash, bytes);
      return { component, len: bytes.length, hash };
    });
    this.manifestTexts.set(version, this.company.release(version, { images }));
    const bytes = images.map(({ hash }) => this.images.get(hash) ?? new Uint8Array());
    this.#contents.set(version, bytes.map(contentOf));
  }
}
