/**
 * A server that the tests own: it speaks the management API over real TLS, publishes with real online keys, and lies
 * on request. Told what to do in domain verbs (`slipIn`, `rollBack`), not in mocked answers.
 */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  draftFunction,
  draftSnapshot,
  draftTimestamp,
  parseManifest,
  type PublicKey,
  readRole,
  sha256Hex,
  type Signer,
  signDraft,
  signerFrom,
  verifyRoleFile,
} from '@airlock/trust';
import { type Identity, privateKeyPem } from '../../src/certificates.ts';
import { SimulatedLog } from './simulated-log.ts';

type Releases = Parameters<typeof draftFunction>[0]['releases'];

interface OpenProposal {
  readonly role: string;
  readonly version: number;
  readonly file: string;
  readonly state: 'open' | 'published';
}

interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

function refuse(status: number, code: string, message: string): Refusal {
  return { status, code, message };
}

function isRefusal(value: object): value is Refusal {
  return 'code' in value && 'status' in value && 'message' in value;
}

export class SimulatedServer {
  readonly snapshotKey: Signer;
  readonly timestampKey: Signer;
  readonly log: SimulatedLog;
  /** Files of the one product, by TUF path. */
  readonly files = new Map<string, Uint8Array>();
  readonly roles = new Map<string, Uint8Array>();
  readonly proposals = new Map<string, OpenProposal>();
  readonly releases = new Map<number, string>();
  /** Manifests that a hostile server gives instead, whatever they are. */
  readonly forgedManifests = new Map<number, string>();
  /** Said of every release. */
  withdrawnBy: readonly string[] = [];
  readonly images = new Map<string, number>();
  readonly devices = new Map<string, unknown>();
  /** Device records that were put, by device. */
  readonly records = new Map<string, string>();
  readonly assignments = new Map<string, number>();
  /** Every request, as `METHOD path`. */
  readonly requests: string[] = [];
  /** Numbers that were asked for. */
  readonly reservations: unknown[] = [];
  /** Called when a number is reserved; what it gives is the refusal. */
  onReservation: () => Refusal | undefined = () => undefined;
  /** Called when a proposal arrives, before it is looked at. */
  onProposal: () => void = () => undefined;
  product = '';
  now = 0;
  #version = 0;
  readonly #server: Server;

  /** `keysOf`: another server whose online keys this one has. */
  constructor(identity: Identity, keysOf?: SimulatedServer) {
    this.snapshotKey = keysOf?.snapshotKey ?? signerFrom(generateKeyPairSync('ed25519').privateKey);
    this.timestampKey = keysOf?.timestampKey ?? signerFrom(generateKeyPairSync('ed25519').privateKey);
    this.log = new SimulatedLog(keysOf?.log);
    const tls = { cert: identity.certificate, key: privateKeyPem(identity.privateKey) };
    this.#server = createServer(tls, (request, response) => void this.#answer(request, response));
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return `https://localhost:${address.port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  get onlineKeys(): { snapshot: PublicKey; timestamp: PublicKey } {
    return { snapshot: this.snapshotKey.publicKey, timestamp: this.timestampKey.publicKey };
  }

  /** Puts a role in force, whoever signed it, with a new snapshot and timestamp. `lifeSeconds` of the two. */
  publish(role: string, file: Uint8Array, lifeSeconds = 86_400): void {
    const view = readRole(file);
    if (!view.ok) throw new Error(view.error.message);
    this.roles.set(role, file);
    this.files.set(`${view.value.version}.${role}.json`, file);
    this.proposals.set(role, { role, version: view.value.version, file: text(file), state: 'published' });
    this.refresh(lifeSeconds);
  }

  refresh(lifeSeconds = 86_400): void {
    this.#version += 1;
    const owner = { repository: 'image', product: this.product } as const;
    const term = { version: this.#version, expires: this.now + lifeSeconds };
    const snapshot = signDraft(draftSnapshot({ ...owner, ...term, roles: Object.fromEntries(this.roles) }), [
      this.snapshotKey,
    ]);
    const timestamp = signDraft(draftTimestamp({ ...owner, ...term, issued: this.now, snapshot }), [
      this.timestampKey,
    ]);
    this.files.set(`${this.#version}.snapshot.json`, snapshot);
    this.files.set('timestamp.json', timestamp);
  }

  /** Everything that is published now, to be put back by `rollBack`. */
  remember(): ReadonlyMap<string, Uint8Array> {
    return new Map(this.files);
  }

  rollBack(files: ReadonlyMap<string, Uint8Array>): void {
    this.files.clear();
    for (const [path, bytes] of files) this.files.set(path, bytes);
  }

  /** Offers a proposal of the attacker's making. */
  offer(role: string, file: Uint8Array): void {
    const view = readRole(file);
    if (!view.ok) throw new Error(view.error.message);
    this.proposals.set(role, { role, version: view.value.version, file: text(file), state: 'open' });
  }

  /** The next number of a role with its list changed, signed by `signer`. */
  proposedBy(signer: Signer, role: string, change: (releases: Releases) => Releases): Uint8Array {
    const view = readRole(this.roles.get(role) ?? new Uint8Array());
    if (!view.ok || view.value.kind !== 'function') throw new Error(`${role} is not published`);
    const { version, expires, releases } = view.value;
    const draft = draftFunction({
      product: this.product,
      function: role,
      version: version + 1,
      expires,
      releases: change(releases),
    });
    return signDraft(draft, [signer]);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Uint8Array[] = [];
    for await (const piece of request) pieces.push(Buffer.from(piece));
    const body = Buffer.concat(pieces);
    const path = decodeURIComponent(request.url ?? '').replace('/api/v1/', '');
    const call = `${request.method ?? ''} ${path}`;
    this.requests.push(call);
    const answer = this.#route(call, body);
    if (answer instanceof Uint8Array) {
      response.writeHead(200).end(answer);
    } else if (isRefusal(answer)) {
      const { status, code, message } = answer;
      response.writeHead(status).end(JSON.stringify({ code, message }));
    } else {
      response.writeHead(200).end(JSON.stringify(answer));
    }
  }

  #route(call: string, body: Buffer): object {
    const logged = this.log.answer(call);
    if (logged !== undefined) return logged;
    if (call === 'GET products') {
      return {
        products: [{ product: this.product, demo: true, rootVersion: 1, published: {}, missing: [] }],
      };
    }
    const [, tuf] = /^GET products\/[^/]+\/tuf\/(.+)$/.exec(call) ?? [];
    if (tuf !== undefined) return this.files.get(tuf) ?? refuse(404, 'API_NOT_FOUND', 'no such file');
    const [, reserved] = /^PUT products\/[^/]+\/proposals\/([^/]+)\/reservation$/.exec(call) ?? [];
    if (reserved !== undefined) return this.#reserve(body);
    const [, role] = /^PUT products\/[^/]+\/proposals\/(.+)$/.exec(call) ?? [];
    if (role !== undefined) return this.#propose(role, body);
    if (/^GET products\/[^/]+\/proposals$/.test(call)) {
      return { proposals: [...this.proposals.values()].map((entry) => this.#view(entry)) };
    }
    const [, release] = /^GET products\/[^/]+\/releases\/(\d+)$/.exec(call) ?? [];
    if (release !== undefined)
      return this.#release(Number(release)) ?? refuse(404, 'API_NOT_FOUND', 'no such release');
    if (/^GET products\/[^/]+\/releases$/.test(call)) {
      return { releases: [...this.releases.keys()].map((version) => this.#release(version)) };
    }
    if (/^POST products\/[^/]+\/releases$/.test(call)) return this.#createRelease(body);
    const [, image] = /^PUT images\/([0-9a-f]{64})$/.exec(call) ?? [];
    if (image !== undefined) return this.#storeImage(image, body);
    return this.#routeDevices(call, body);
  }

  #routeDevices(call: string, body: Buffer): object {
    const [, method, device, rest] =
      /^(GET|PUT|DELETE|POST) devices(?:\/([^/]+)(\/.+)?)?$/.exec(call.replace(/\?.*$/, '')) ?? [];
    if (method === undefined) return refuse(404, 'API_NOT_FOUND', `no such address: ${call}`);
    if (device === undefined) {
      if (method === 'GET') return { devices: [...this.devices.values()] };
      const sent: unknown = JSON.parse(body.toString());
      this.devices.set('sent', sent);
      return {};
    }
    if (rest === '/assignment') {
      if (method === 'GET') return refuse(404, 'API_NOT_FOUND', 'nothing is assigned');
      return {};
    }
    if (method === 'PUT' && rest === '/record') {
      const sent: unknown = JSON.parse(body.toString());
      if (typeof sent === 'object' && sent !== null && 'record' in sent)
        this.records.set(device, String(sent.record));
      return {};
    }
    const found = this.devices.get(device);
    return typeof found === 'object' && found !== null
      ? found
      : refuse(404, 'API_NOT_FOUND', 'no such device');
  }

  /** A hostile server says yes to everything: a signer's machine must hold without. */
  #reserve(body: Buffer): object {
    this.reservations.push(JSON.parse(body.toString()));
    return this.onReservation() ?? {};
  }

  #propose(role: string, body: Buffer): object {
    this.onProposal();
    const sent: unknown = JSON.parse(body.toString());
    const file = typeof sent === 'object' && sent !== null && 'file' in sent ? String(sent.file) : '';
    const bytes = Buffer.from(file);
    const delegator = this.roles.get('targets') ?? new Uint8Array();
    const counted = verifyRoleFile(bytes, delegator);
    if (!counted.ok) return refuse(400, counted.error.code, counted.error.message);
    this.log.take(role, statementsIn(sent));
    if (counted.value.enough) this.publish(role, bytes);
    else this.offer(role, bytes);
    const entry = this.proposals.get(role);
    return entry === undefined ? {} : this.#view(entry);
  }

  #view(entry: OpenProposal): object {
    const view = readRole(Buffer.from(entry.file));
    const signedBy = view.ok ? view.value.signatures.map(({ keyId }) => keyId) : [];
    const more = { missing: [], proposedBy: 'token', until: '2027-02-01T00:00:00Z' };
    return { ...entry, ...more, product: this.product, signedBy, threshold: 1, etag: `"${entry.version}"` };
  }

  #release(version: number): object | undefined {
    const manifest = this.releases.get(version);
    const parsed = manifest === undefined ? undefined : parseManifest(Buffer.from(manifest));
    if (manifest === undefined || parsed?.ok !== true) return undefined;
    const given = this.forgedManifests.get(version) ?? manifest;
    return {
      version,
      name: parsed.value.name,
      safetyClass: parsed.value.safetyClass,
      manifestSha256: sha256Hex(Buffer.from(given)),
      approvedBy: [],
      withdrawnBy: this.withdrawnBy,
      emergency: parsed.value.emergency,
      created: '2026-01-01T00:00:00Z',
      manifest: given,
    };
  }

  #createRelease(body: Buffer): object {
    const sent: unknown = JSON.parse(body.toString());
    const manifest =
      typeof sent === 'object' && sent !== null && 'manifest' in sent ? String(sent.manifest) : '';
    const parsed = parseManifest(Buffer.from(manifest));
    if (!parsed.ok) return refuse(400, parsed.error.code, parsed.error.message);
    this.releases.set(parsed.value.version, manifest);
    return {};
  }

  #storeImage(sha256: string, body: Buffer): object {
    if (sha256Hex(body) !== sha256) return refuse(400, 'API_HASH', 'the bytes do not have the hash named');
    this.images.set(sha256, body.length);
    return {};
  }
}

function statementsIn(sent: unknown): string[] {
  const found = typeof sent === 'object' && sent !== null && 'statements' in sent ? sent.statements : [];
  return Array.isArray(found) ? found.map(String) : [];
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}
