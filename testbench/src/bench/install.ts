/**
 * `npm run bench -- install`: what the main job costs, as ratios measured in one run.
 *
 * A real server and real agents install an image of 64 MiB and one of 1 GiB over mutual TLS into file slots; the
 * pipeline of standard tools does the same work against the same server before and after. All in one folder on one
 * disk. The time of the agent runs from its first log entry of the attempt to the one that says that every byte was
 * read back.
 */
import { closeSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '@airlock/trust';
import { filler } from '../images.ts';
import { Company, product, type Release } from '../world/company.ts';
import { type Device, makeDevice } from '../world/device.ts';
import { type Images, prepareImages } from '../world/images.ts';
import { startStolenServer } from '../world/thief.ts';
import { type Figure } from './figures.ts';
import { type Memory, sampleMemory } from './memory.ts';
import { runPipeline } from './pipeline.ts';
import { benchTrustCheck } from './trust-check.ts';

const mebibyte = 1024 * 1024;
const sizes = { small: 64 * mebibyte, large: 1024 * mebibyte } as const;
const installMsMax = 300_000;
/** Polls that are watched for the requests they make. */
const idlePolls = 5;

interface Installed {
  readonly seconds: number;
  readonly memory: Memory;
}

interface Bench {
  readonly folder: string;
  readonly company: Company;
  readonly images: Images;
  readonly factory: Release;
  readonly tell: (words: string) => void;
}

/** Measures everything; `tell` hears of the steps. */
export async function benchInstall(
  folder: string,
  tell: (words: string) => void,
): Promise<readonly Figure[]> {
  tell('timing the trust check');
  const trust = benchTrustCheck();
  tell('making a company and its server');
  mkdirSync(join(folder, 'images'));
  const company = new Company(folder);
  const [images] = await Promise.all([prepareImages(join(folder, 'images')), company.init()]);
  await company.startServer();
  const factory = await company.release({ version: 1, image: await images.make({ version: 1 }) });
  const bench: Bench = { folder, company, images, factory, tell };
  const small = await install(bench, 2, sizes.small);
  const release = await makeRelease(bench, 3, sizes.large);
  const device = await bench1GiB(bench);
  // The server hands an image only to a device that it is assigned to; switched off, the device does not take it yet.
  await device.virtual.killAgent();
  await company.assign(device.id, release.version);
  const before = await pipeline(bench, device, release);
  const large = await installRelease(bench, device, release);
  const after = await pipeline(bench, device, release);
  const requests = await idleRequests(bench);
  await company.stopServer();
  const megabytes = statSync(release.image).size / 1e6;
  return figuresOf({
    agentRate: megabytes / large.seconds,
    pipelineRate: megabytes / Math.min(before, after),
    small: small.memory,
    large: large.memory,
    trustMs: Math.max(trust.firstMs, trust.againMs),
    requests,
  });
}

function figuresOf(found: {
  readonly agentRate: number;
  readonly pipelineRate: number;
  readonly small: Memory;
  readonly large: Memory;
  readonly trustMs: number;
  readonly requests: number;
}): readonly Figure[] {
  const ratio = found.agentRate / found.pipelineRate;
  const peak = Math.max(found.small.peakBytes, found.large.peakBytes) / 1e6;
  const growth = Math.abs(found.large.anonymousBytes - found.small.anonymousBytes) / 1e6;
  return [
    {
      name: 'install 1 GiB, against curl | openssl | dd and read-back',
      value: found.agentRate,
      unit: 'MB/s',
      reference: found.pipelineRate,
      ratio,
      goal: 'ratio >= 0.8',
      holds: ratio >= 0.8,
    },
    {
      name: 'peak resident memory of the agent',
      value: peak,
      unit: 'MB',
      goal: '<= 120',
      holds: peak <= 120,
    },
    {
      name: 'anonymous memory, 1 GiB against 64 MiB',
      value: found.large.anonymousBytes / 1e6,
      unit: 'MB',
      reference: found.small.anonymousBytes / 1e6,
      goal: 'within 10 MB',
      holds: growth <= 10,
    },
    {
      name: 'trust check, 3 functions of 50 releases',
      value: found.trustMs,
      unit: 'ms',
      goal: '<= 10',
      holds: found.trustMs <= 10,
    },
    {
      name: 'requests of a poll with nothing new',
      value: found.requests,
      unit: 'requests',
      goal: '= 1',
      holds: found.requests === 1,
    },
  ];
}

async function makeRelease(bench: Bench, version: number, bytes: number): Promise<Release> {
  bench.tell(`making an image of ${bytes / mebibyte} MiB`);
  const payload = join(bench.folder, `payload-${version}`);
  const descriptor = openSync(payload, 'w');
  const piece = 16 * mebibyte;
  for (let at = 0; at < bytes; at += piece) writeSync(descriptor, filler(piece, version * 1000 + at / piece));
  closeSync(descriptor);
  const image = await bench.images.make({ version, payload, fillerBytes: 1000 });
  return await bench.company.release({ version, image });
}

async function benchDevice(bench: Bench, id: string, slotBytes: number, serverUrl?: string): Promise<Device> {
  const device = await makeDevice({
    company: bench.company,
    id,
    folder: join(bench.folder, 'devices'),
    slotBytes,
    factory: bench.factory,
    agentFile: bench.images.agentFile,
    ...(serverUrl === undefined ? {} : { serverUrl }),
  });
  device.virtual.powerOn();
  await device.waitForCode('OTA_BOOT');
  return device;
}

async function bench1GiB(bench: Bench): Promise<Device> {
  return await benchDevice(bench, 'bench-large', sizes.large + 16 * mebibyte);
}

async function install(bench: Bench, version: number, bytes: number): Promise<Installed> {
  const release = await makeRelease(bench, version, bytes);
  return await installRelease(bench, await benchDevice(bench, 'bench-small', bytes + 16 * mebibyte), release);
}

async function installRelease(bench: Bench, device: Device, release: Release): Promise<Installed> {
  bench.tell(`the agent installs version ${release.version}`);
  const { virtual } = device;
  virtual.powerOn();
  const pid = await virtual.waitFor('an agent', 60_000, () => virtual.agentPid);
  const memory = sampleMemory(pid);
  const wait = { version: release.version, limitMs: installMsMax };
  await bench.company.assign(device.id, release.version);
  await device.waitForCode('OTA_ATTEMPT_BEGUN', wait);
  const started = performance.now();
  await device.waitForCode('OTA_STAGED', wait);
  const seconds = (performance.now() - started) / 1000;
  const seen = memory.stop();
  await device.waitForCode('OTA_CONFIRMED', wait);
  await virtual.killAgent();
  return { seconds, memory: seen };
}

async function pipeline(bench: Bench, device: Device, release: Release): Promise<number> {
  bench.tell('the pipeline of standard tools does the same');
  const [image] = (JSON.parse(release.manifestText) as Manifest).images;
  if (image === undefined) throw new Error('the release has no image');
  return await runPipeline({
    url: `${bench.company.paths().deviceUrl}/device/v1/images/${image.hash}`,
    authorityFile: join(bench.company.home, 'tls', 'server-authority.pem'),
    certificateFile: join(device.given, 'tls.pem'),
    keyFile: join(device.given, 'tls.key'),
    sha256: image.hash,
    slotFile: join(bench.folder, 'pipeline-slot.img'),
  });
}

/** Requests for each check-in, seen at a server in between, once nothing is new any more. */
async function idleRequests(bench: Bench): Promise<number> {
  bench.tell(`counting the requests of ${idlePolls} idle polls of ${product}`);
  const between = await startStolenServer(bench.company);
  const device = await benchDevice(bench, 'bench-idle', 16 * mebibyte, between.url);
  const checkIns = (): number => between.requests.filter((path) => path.includes('/check-in')).length;
  const past = async (count: number): Promise<void> => {
    const from = checkIns();
    await device.virtual.waitFor('polls', 120_000, () => (checkIns() >= from + count ? true : undefined));
  };
  await past(3);
  const from = between.requests.length;
  const checked = checkIns();
  await past(idlePolls);
  const requests = (between.requests.length - from) / (checkIns() - checked);
  await device.virtual.killAgent();
  await between.close();
  return requests;
}
