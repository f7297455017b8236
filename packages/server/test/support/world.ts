/**
 * A whole small company for tests: authority, real server on real sockets, one product with two functions, devices.
 * It speaks in verbs of the domain; the server under test is the real one, with a clock that tests may move.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  draftFunction,
  draftRoot,
  draftTargets,
  encodePolicy,
  type Policy,
  publicKeyJson,
  sha256Hex,
  signDraft,
  signEnvelope,
  type Signer,
  type PublicKey,
} from '@airlock/trust';
import { type RunningServer, type ServerConfig, startServer } from '../../src/index.ts';
import type { ServerOptions } from '../../src/server.ts';
import type { Facts } from '../../src/adapters/logger.ts';
import type { LogIdentity } from '@airlock/audit';
import { type Authority, makeAuthority } from './certificates.ts';
import type { Release } from './making.ts';
import { product, type TestDevice } from './names.ts';
import { makeOnline, makeSigner } from './online.ts';
import { giveToken, giveUser } from './people.ts';
import { statementsFor } from './stating.ts';

export { makeSigner } from './online.ts';

export * from './making.ts';
export * from './names.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly bytes: Buffer;
  /** Parsed body; empty when there is none. */
  readonly body: Record<string, unknown>;
}

export interface Ask {
  readonly method?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly tls?: Record<string, unknown>;
}

/** One request; rejects when the connection ends without an answer. */
export async function ask(url: string, authority: string, options: Ask = {}): Promise<Answer> {
  const { method = 'GET', body, headers = {}, tls = {} } = options;
  const raw = typeof body === 'string' || body instanceof Uint8Array;
  const bytes = body === undefined ? undefined : raw ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  return await new Promise((resolve, reject) => {
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    const length = bytes === undefined ? {} : { 'content-length': String(bytes.length) };
    const all = { ...type, ...length, ...headers };
    const sent = httpsRequest(
      url,
      { method, headers: all, ca: authority, agent: false, ...tls },
      (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const received = Buffer.concat(pieces);
          const json = String(response.headers['content-type']).includes('json') && received.length > 0;
          const parsed = json ? (JSON.parse(received.toString()) as Record<string, unknown>) : {};
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            bytes: received,
            body: parsed,
          });
        });
      },
    );
    sent.on('error', reject);
    sent.end(bytes);
  });
}

export interface World {
  readonly folder: string;
  readonly config: ServerConfig;
  readonly authority: Authority;
  readonly token: string;
  readonly keys: Readonly<
    Record<
      'root' | 'targets' | 'targets2' | 'engineering' | 'quality' | 'provisioning' | 'directorRoot',
      Signer
    >
  >;
  /** The audit log that the policy names. */
  readonly audit: LogIdentity;
  readonly online: Readonly<Record<'director' | 'image', Readonly<Record<string, PublicKey>>>>;
  readonly clock: { moved: number; now(): number };
  server: RunningServer;
  people(method: string, url: string, options?: Ask): Promise<Answer>;
  device(device: TestDevice, url: string, options?: Ask): Promise<Answer>;
  restart(): Promise<void>;
  close(): Promise<void>;
}

const day = 86_400;

export interface WorldOptions {
  readonly sealed?: boolean;
  readonly adapt?: NonNullable<ServerOptions['adapt']>;
  /** Where the server's folder is; a folder of its own in the temporary one when not given. */
  readonly data?: string;
  /** Where people sign in who are known elsewhere. */
  readonly identityProvider?: (folder: string) => NonNullable<ServerConfig['identityProvider']>;
  /** Fixed, where another program must know it. */
  readonly peoplePort?: number;
  /** Further files beside the configuration. */
  readonly files?: Readonly<Record<string, string>>;
}

export async function makeWorld(asked: WorldOptions = {}): Promise<World> {
  const { sealed = false, adapt, data, identityProvider, peoplePort = 0, files = {} } = asked;
  const folder = await mkdtemp(path.join(tmpdir(), 'airlock-server-'));
  const authority = await makeAuthority('Test authority');
  const server = await authority.issue({ name: 'server', use: 'server' });
  const put = async (name: string, text: string) => {
    await writeFile(path.join(folder, name), text);
    return path.join(folder, name);
  };
  const certificateFile = await put('server.pem', server.certificate);
  const keyFile = await put('server.key', server.key);
  const listener = { host: '127.0.0.1', port: 0, certificateFile, keyFile };
  const config: ServerConfig = {
    schema: 'airlock-server-config/1',
    folder: data ?? path.join(folder, 'data'),
    deviceListener: { ...listener, clientAuthorityFile: await put('clients.pem', authority.certificate) },
    peopleListener: { ...listener, port: peoplePort },
    onlineKeys: { passphraseFile: await put('passphrase', 'a long test passphrase\n') },
    ...(identityProvider === undefined ? {} : { identityProvider: identityProvider(folder) }),
  };
  for (const [name, text] of Object.entries(files)) await put(name, text);
  await giveUser(config, 'tester');
  const token = await giveToken(config, 'tester');
  const { online, options: ports, audit } = await makeOnline(config, sealed);
  const startOptions = { ...ports, ...(adapt === undefined ? {} : { adapt }) };
  const clock = { moved: 0, now: () => Math.floor(Date.now() / 1000) + clock.moved };
  const world: World = {
    folder,
    config,
    authority,
    token,
    clock,
    keys: {
      root: makeSigner(),
      targets: makeSigner(),
      targets2: makeSigner(),
      engineering: makeSigner(),
      quality: makeSigner(),
      provisioning: makeSigner(),
      directorRoot: makeSigner(),
    },
    online,
    audit: { origin: `airlock-audit/${audit.keyId.slice(0, 32)}`, key: audit },
    server: await start(config, clock, startOptions),
    async people(method, url, options = {}) {
      const headers = { authorization: `Bearer ${token}`, ...options.headers };
      return await ask(world.server.peopleUrl + url, authority.certificate, { ...options, method, headers });
    },
    async device(device, url, options = {}) {
      const tls = { cert: device.issued.certificate, key: device.issued.key, ...options.tls };
      return await ask(world.server.deviceUrl + url, authority.certificate, { ...options, tls });
    },
    async restart() {
      await world.server.close();
      world.server = await start(config, clock, startOptions);
    },
    async close() {
      await world.server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return world;
}

async function start(
  config: ServerConfig,
  clock: { now(): number },
  options: ServerOptions,
): Promise<RunningServer> {
  const quiet = {
    info: () => undefined,
    error: (event: string, facts?: Facts) => {
      const shown = Object.values(facts ?? {}).map(String);
      process.stderr.write(`${event} ${shown.join(' ')}
`);
    },
  };
  const started = await startServer(config, { ...options, clock, logger: quiet });
  if (!started.ok) throw new Error(started.error.message);
  return started.value;
}

function only(keys: Readonly<Record<string, PublicKey>>, role: string) {
  const key = keys[role];
  if (key === undefined) throw new Error(`no ${role} key`);
  return { keys: [key], threshold: 1 };
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const one = (signer: Signer) => ({ keys: [signer.publicKey], threshold: 1 });

/** `key`: the root key that it names. */
export function imageRoot(
  world: World,
  version = 1,
  signers: readonly Signer[] = [world.keys.root],
  key: Signer = world.keys.root,
): string {
  const { targets, targets2, provisioning } = world.keys;
  const draft = draftRoot({
    repository: 'image',
    product,
    version,
    expires: world.clock.now() + 365 * day,
    roles: {
      root: one(key),
      targets: { keys: [targets.publicKey, targets2.publicKey], threshold: 2 },
      snapshot: only(world.online.image, 'snapshot'),
      timestamp: only(world.online.image, 'timestamp'),
    },
    minimum: { classes: { C: { engineering: 1, quality: 1 } }, markets: { us: {} } },
    provisioning: one(provisioning),
    demo: true,
  });
  return text(signDraft(draft, signers));
}

export function directorRoot(world: World, version = 1): string {
  const { directorRoot: root } = world.keys;
  const draft = draftRoot({
    repository: 'director',
    version,
    expires: world.clock.now() + 365 * day,
    roles: {
      root: one(root),
      targets: only(world.online.director, 'targets'),
      snapshot: only(world.online.director, 'snapshot'),
      timestamp: only(world.online.director, 'timestamp'),
    },
  });
  return text(signDraft(draft, [root]));
}

function policyBytes(world: World): Uint8Array {
  const { engineering, quality } = world.keys;
  const holder = (signer: Signer, name: string) => ({
    keyId: signer.publicKey.keyId,
    holder: `${name}-1`,
    name,
    function: name,
  });
  const policy: Policy = {
    schema: 'airlock-policy/1',
    product,
    classes: { C: { engineering: 1, quality: 1 } },
    markets: { us: {} },
    holders: [holder(engineering, 'engineering'), holder(quality, 'quality')],
    auditKey: publicKeyJson(world.audit.key),
    auditOrigin: world.audit.origin,
    secureBootRevoked: [],
  };
  return encodePolicy(policy);
}

export function targetsFile(
  world: World,
  version: number,
  signers: readonly Signer[],
  now = world.clock.now(),
): string {
  const { engineering, quality } = world.keys;
  const draft = draftTargets({
    product,
    version,
    expires: now + 180 * day,
    functions: [
      { name: 'engineering', ...one(engineering) },
      { name: 'quality', ...one(quality) },
    ],
    policy: policyBytes(world),
  });
  return text(signDraft(draft, signers));
}

export function functionFile(
  world: World,
  name: 'engineering' | 'quality',
  version: number,
  releases: readonly Release[],
): string {
  const draft = draftFunction({
    product,
    function: name,
    version,
    expires: world.clock.now() + 90 * day,
    releases: releases.map((release) => ({
      version: release.version,
      length: release.manifest.length,
      sha256: sha256Hex(release.manifest),
    })),
  });
  return text(signDraft(draft, [world.keys[name]]));
}

export async function must(answer: Promise<Answer>, status: number): Promise<Answer> {
  const got = await answer;
  if (got.status !== status)
    throw new Error(`answered ${got.status}, not ${status}: ${got.bytes.toString().slice(0, 500)}`);
  return got;
}

export const upload = { 'content-type': 'application/octet-stream' };

/** Presents a role; one of a function comes with the statement of whoever signed it. */
export async function propose(
  world: World,
  role: string,
  file: string,
  more: Record<string, unknown> = {},
): Promise<Answer> {
  const statements =
    role === 'engineering' || role === 'quality' ? await statementsFor(world, role, file) : [];
  const stated = statements.length === 0 ? {} : { statements };
  return await world.people('PUT', `/api/v1/products/${product}/proposals/${role}`, {
    body: { file, ...stated, ...more },
  });
}

/** Product, director, policy and targets. */
export async function publishProduct(world: World, root = imageRoot(world)): Promise<void> {
  await must(world.people('POST', '/api/v1/director/root', { body: { root: directorRoot(world) } }), 200);
  await must(world.people('POST', '/api/v1/products', { body: { product, root } }), 201);
  const policy = policyBytes(world);
  const url = `/api/v1/products/${product}/policies/${sha256Hex(policy)}`;
  await must(world.people('PUT', url, { body: policy, headers: upload }), 204);
  const { targets, targets2 } = world.keys;
  await must(propose(world, 'targets', targetsFile(world, 1, [targets, targets2])), 200);
}

export async function uploadRelease(world: World, release: Release): Promise<void> {
  const url = `/api/v1/images/${sha256Hex(release.image)}`;
  await must(world.people('PUT', url, { body: release.image, headers: upload }), 201);
  const body = { manifest: text(release.manifest) };
  await must(world.people('POST', `/api/v1/products/${product}/releases`, { body }), 201);
}

export async function approve(world: World, version: number, releases: readonly Release[]): Promise<void> {
  for (const name of ['engineering', 'quality'] as const) {
    await must(propose(world, name, functionFile(world, name, version, releases)), 200);
  }
}

export async function addDevice(
  world: World,
  id: string,
  change: Record<string, unknown> = {},
): Promise<TestDevice> {
  const issued = await world.authority.issue({ name: id, device: id, use: 'client' });
  const logKey = makeSigner();
  const record = {
    schema: 'airlock-device-record/1',
    number: 1,
    device: id,
    udi: '(01)00000000000017(21)1',
    product,
    safetyClass: 'C',
    market: 'us',
    hardware: ['hw:rev2'],
    emergencyAllowed: false,
    ...change,
  };
  const envelope = text(signEnvelope(record, [world.keys.provisioning]));
  const body = { record: envelope, certificate: issued.certificate, logKey: publicKeyJson(logKey.publicKey) };
  await must(world.people('POST', '/api/v1/devices', { body }), 201);
  return { id, issued, logKey, record: envelope };
}

export const emptyCheckIn = {
  imageRoot: 1,
  directorRoot: 1,
  imageRoles: {},
  imageSnapshot: 0,
  directorSnapshot: 0,
  directorTargets: 0,
  deviceRecord: 1,
  timestamps: false,
};
