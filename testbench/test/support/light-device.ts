/**
 * A device without images: the agent's own trust client over its own transport, against a real server.
 *
 * Its state lives in memory as the bytes that the agent would keep on disk, so that switching it off and on again is
 * reading these bytes anew. Fifty of them fit into one process, where fifty agents with disks would not.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type HttpsTransport, httpsTransport, type TrustClient, trustClient } from '@airlock/agent';
import {
  encodeTrustState,
  newTrustState,
  openPrivateKey,
  parseTrustState,
  publicKeyJson,
  readRole,
  signEnvelope,
  type Signer,
  signerFrom,
  type TrustState,
  type Verdict,
} from '@airlock/trust';
import { request } from 'node:https';
import { type Identity, makeDeviceIdentity } from '../../src/certificates.ts';
import { type Company, product } from '../../src/world/company.ts';
import { openDeviceAuthority } from '../../src/world/thief.ts';

/** What all devices of a company are made with: opened once, since each opening costs a third of a second. */
export interface Factory {
  readonly company: Company;
  readonly authority: Identity;
  readonly provisioning: Signer;
  readonly imageRoot: string;
  readonly directorRoot: string;
}

export function openKey(company: Company, name: string): Signer {
  const key = openPrivateKey(
    readFileSync(join(company.home, 'keys', `${name}.key.json`)),
    company.passphrase,
  );
  if (!key.ok) throw new Error(key.error.message);
  return signerFrom(key.value);
}

export function openFactory(company: Company): Factory {
  const { certificate, privateKey } = openDeviceAuthority(company);
  return {
    company,
    authority: { certificate, privateKey },
    provisioning: openKey(company, `${product}.provisioning-1`),
    imageRoot: readFileSync(join(company.home, 'products', product, '1.root.json'), 'utf8'),
    directorRoot: readFileSync(join(company.home, 'director', '1.root.json'), 'utf8'),
  };
}

export function deviceRecord(device: string, number: number, signer: Signer): string {
  const record = {
    schema: 'airlock-device-record/1',
    number,
    device,
    udi: '(01)00844588003288(21)1',
    product,
    safetyClass: 'C',
    market: 'us',
    hardware: ['hw:rev2'],
    emergencyAllowed: false,
  };
  return new TextDecoder().decode(signEnvelope(record, [signer]));
}

const clock = {
  now: () => Math.floor(Date.now() / 1000),
  monotonicMs: () => performance.now(),
  sleep: () => Promise.resolve(),
};
const random = {
  bytes: (count: number) => new Uint8Array(randomBytes(count)),
  // The earliest of the last half of a timestamp's life: asked for often.
  fraction: () => 0,
};

interface Managed {
  readonly status: number;
  readonly body: string;
}

/** The management API with the home's own token. */
export async function manage(
  company: Company,
  method: string,
  path: string,
  body?: unknown,
  ifMatch?: string,
): Promise<Managed> {
  const token = readFileSync(join(company.home, 'token'), 'utf8').trim();
  const ca = readFileSync(join(company.home, 'tls', 'server-authority.pem'));
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers = {
    authorization: `Bearer ${token}`,
    'content-length': Buffer.byteLength(text),
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
  };
  const url = `${company.paths().apiUrl}/api/v1${path}`;
  return await new Promise((resolve, reject) => {
    const sent = request(url, { method, ca, headers }, (answer) => {
      let said = '';
      answer.setEncoding('utf8').on('data', (piece: string) => (said += piece));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: said }));
    });
    sent.on('error', reject);
    sent.end(text);
  });
}

/** Without a process for each device. */
export async function assign(company: Company, device: string, release: number): Promise<void> {
  const path = `/devices/${device}/assignment`;
  const held = await manage(company, 'GET', path);
  const etag = held.status === 200 ? (JSON.parse(held.body) as { etag: string }).etag : undefined;
  const { status } = await manage(company, 'PUT', path, { release }, etag);
  if (status >= 300) throw new Error(`${device} was not assigned release ${release}: ${status}`);
}

export class LightDevice {
  readonly id: string;
  readonly transport: HttpsTransport;
  #kept: Uint8Array;
  #client: TrustClient | undefined;

  private constructor(id: string, transport: HttpsTransport, state: TrustState) {
    this.id = id;
    this.transport = transport;
    this.#kept = encodeTrustState(state);
  }

  static async make(factory: Factory, id: string): Promise<LightDevice> {
    const { company, authority, provisioning, imageRoot, directorRoot } = factory;
    const identity = await makeDeviceIdentity(authority, id);
    const record = deviceRecord(id, 1, provisioning);
    const logKey = publicKeyJson(provisioning.publicKey);
    const { status } = await manage(company, 'POST', '/devices', {
      record,
      certificate: identity.certificate,
      logKey,
    });
    if (status !== 201) throw new Error(`device ${id} was not registered: ${status}`);
    const state = newTrustState({
      identity: { product, device: id },
      imageRoot,
      directorRoot,
      deviceRecord: record,
      builtAt: clock.now() - 86_400,
    });
    if (!state.ok) throw new Error(state.error.message);
    const transport = httpsTransport({
      url: company.paths().deviceUrl,
      authority: readFileSync(join(company.home, 'tls', 'server-authority.pem'), 'utf8'),
      certificate: identity.certificate,
      key: identity.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      tlsMin: '1.3',
    });
    return new LightDevice(id, transport, state.value);
  }

  /** The same device with an older disk. */
  before(state: TrustState): LightDevice {
    return new LightDevice(this.id, this.transport, state);
  }

  /** Whatever is not kept is gone. */
  restart(): void {
    this.#client = undefined;
  }

  /** What a disk would hold. */
  state(): TrustState {
    const state = parseTrustState(this.#kept);
    if (!state.ok) throw new Error(state.error.message);
    return state.value;
  }

  /** One poll of the agent's trust client. */
  async poll(transport: Pick<HttpsTransport, 'checkIn' | 'signedTime'> = this.transport): Promise<Verdict> {
    if (transport !== this.transport) return await this.#clientOver(transport).refresh();
    this.#client ??= this.#clientOver(transport);
    return await this.#client.refresh();
  }

  #clientOver(transport: Pick<HttpsTransport, 'checkIn' | 'signedTime'>): TrustClient {
    const unused = () => Promise.reject(new Error('not asked for by trust'));
    return trustClient({
      ports: {
        transport: {
          readImage: () => {
            throw new Error('no images here');
          },
          sendReport: unused,
          sendLog: unused,
          checkIn: (asked) => transport.checkIn(asked),
          signedTime: (nonce) => transport.signedTime(nonce),
        },
        clock,
        random,
      },
      identity: { product, device: this.id },
      store: {
        keep: (state) => {
          this.#kept = encodeTrustState(state);
          return Promise.resolve();
        },
      },
      state: this.state(),
    });
  }

  roots(): readonly [number, number] {
    const { image, director } = this.state();
    return [versionOf(image.root), versionOf(director.root)];
  }
}

function versionOf(text: string): number {
  const view = readRole(Buffer.from(text));
  if (!view.ok) throw new Error(view.error.message);
  return view.value.version;
}
