/**
 * The management API in the words of the commands: one function per call, answers read strictly.
 *
 * All addresses stand here. Values that a signer relies on are never taken from these answers but from the
 * repository, verified (signer.ts); what is read here is for finding, showing and comparing.
 */
import type { Readable } from 'node:stream';
import type {
  AssignmentPut,
  DeviceCreate,
  DirectorRootPost,
  ProductCreate,
  ProposalPut,
  RecordPut,
  ReleaseCreate,
} from '@airlock/protocol';
import { wireLimits } from '@airlock/protocol';
import type { Api, ApiAnswer } from './api.ts';
import { AuditApi } from './audit-api.ts';
import {
  type Device,
  findingText,
  type LogLine,
  optional,
  readDevice,
  readLogLine,
} from './device-answers.ts';
import type { Reader } from './fields.ts';
import { PeopleApi } from './people-api.ts';
import { type Proposal, readProposal } from './proposal-answers.ts';
import { QueueApi } from './queue-api.ts';

const base = '/api/v1';
const part = encodeURIComponent;
/** Rows of one page: what the server gives at most. */
const pageRows = wireLimits.pageRowsMax;

export interface Release {
  readonly version: number;
  readonly name: string;
  readonly safetyClass: string;
  readonly manifestSha256: string;
  readonly approvedBy: readonly string[];
  /** Functions that ever took their approval back. */
  readonly withdrawnBy: readonly string[];
  /** Marked so in its manifest. */
  readonly emergency: boolean;
  readonly created: string;
  readonly manifest?: string;
}

export interface Product {
  readonly product: string;
  readonly demo: boolean;
  readonly rootVersion: number;
  readonly published: Readonly<Record<string, number>>;
  /** Files that a restored server lost, by name. */
  readonly missing: readonly string[];
  /** What single devices claim to hold, such as `quality 7 (pump-1, alone)`; those dismissed are left out. */
  readonly suspicions: readonly string[];
}

function readRelease(reader: Reader): Release {
  return {
    version: reader.at('version').integer(1),
    name: reader.at('name').text(),
    safetyClass: reader.at('safetyClass').text(),
    manifestSha256: reader.at('manifestSha256').text(),
    approvedBy: reader.at('approvedBy').texts(),
    withdrawnBy: reader.at('withdrawnBy').texts(),
    emergency: reader.optional('emergency')?.value === true,
    created: reader.at('created').text(),
    ...optional('manifest', reader.optional('manifest')?.text()),
  };
}

function readProduct(reader: Reader): Product {
  const published = reader.at('published').entries();
  return {
    product: reader.at('product').text(),
    demo: reader.at('demo').value === true,
    rootVersion: reader.at('rootVersion').integer(1),
    published: Object.fromEntries(published.map(([role, version]) => [role, version.integer(1)])),
    missing: reader
      .at('missing')
      .list()
      .map((entry) => entry.at('file').text()),
    suspicions: (reader.optional('suspicions')?.list() ?? []).flatMap((entry) => {
      const state = entry.at('state').text();
      const what = `${entry.at('role').text()} ${entry.at('version').integer(1)}`;
      return state === 'dismissed' ? [] : [`${what} (${entry.at('device').text()}, ${state})`];
    }),
  };
}

export class ServerApi {
  readonly #api: Api;
  readonly audit: AuditApi;
  readonly people: PeopleApi;
  readonly queue: QueueApi;

  constructor(api: Api) {
    this.#api = api;
    this.audit = new AuditApi(api);
    this.people = new PeopleApi(api);
    this.queue = new QueueApi(api);
  }

  close(): void {
    this.#api.close();
  }

  async health(): Promise<void> {
    await this.#api.send({ method: 'GET', path: '/health' });
  }

  async postDirectorRoot(root: string, reason?: string): Promise<void> {
    const value: DirectorRootPost = { root };
    await this.#api.send({
      method: 'POST',
      path: `${base}/director/root`,
      body: { kind: 'json', value },
      reason,
    });
  }

  async postProduct(product: string, root: string): Promise<void> {
    const value: ProductCreate = { product, root };
    await this.#api.send({ method: 'POST', path: `${base}/products`, body: { kind: 'json', value } });
  }

  async products(): Promise<Product[]> {
    const answer = await this.#api.json({ method: 'GET', path: `${base}/products` });
    return answer.at('products').list().map(readProduct);
  }

  async putPolicy(product: string, sha256: string, bytes: Uint8Array, reason?: string): Promise<void> {
    const path = `${base}/products/${part(product)}/policies/${sha256}`;
    await this.#api.send({ method: 'PUT', path, body: { kind: 'bytes', bytes }, reason });
  }

  /** A file of the product's repository in its TUF layout; undefined when the server has none. */
  async tufFile(product: string, file: string): Promise<Uint8Array | undefined> {
    const encoded = file.split('/').map(part).join('/');
    const path = `${base}/products/${part(product)}/tuf/${encoded}`;
    const answer = await this.#api.send({ method: 'GET', path, expected: [404] });
    return answer.status === 404 ? undefined : answer.bytes;
  }

  /** A root of the director; undefined when the server has none of that number. */
  async directorRoot(version: number): Promise<Uint8Array | undefined> {
    const path = `${base}/director/tuf/${version}.root.json`;
    const answer = await this.#api.send({ method: 'GET', path, expected: [404] });
    return answer.status === 404 ? undefined : answer.bytes;
  }

  async proposals(product: string): Promise<Proposal[]> {
    const path = `${base}/products/${part(product)}/proposals`;
    const answer = await this.#api.json({ method: 'GET', path });
    return answer.at('proposals').list().map(readProposal);
  }

  /** Presents a role file with at least one signature. `etag`: of the proposal or version that it replaces. */
  async putProposal(options: {
    readonly product: string;
    readonly role: string;
    readonly file: string;
    readonly previous: number;
    readonly etag?: string;
    /** One for each new signature of a function's role. */
    readonly statements?: string[];
    readonly reason?: string;
  }): Promise<Proposal> {
    const { product, role, file, previous, etag, statements, reason } = options;
    const path = `${base}/products/${part(product)}/proposals/${part(role)}`;
    const value: ProposalPut = { file, previous, ...optional('statements', statements) };
    const answer = await this.#api.send({
      method: 'PUT',
      path,
      body: { kind: 'json', value },
      reason,
      ...(etag === undefined ? {} : { ifMatch: etag }),
    });
    return readProposal(this.#api.reader(answer, path));
  }

  async putImage(sha256: string, stream: Readable, length: number): Promise<void> {
    const body = { kind: 'stream', stream, length } as const;
    await this.#api.send({ method: 'PUT', path: `${base}/images/${sha256}`, body });
  }

  async postRelease(product: string, manifest: string): Promise<void> {
    const value: ReleaseCreate = { manifest };
    const path = `${base}/products/${part(product)}/releases`;
    await this.#api.send({ method: 'POST', path, body: { kind: 'json', value } });
  }

  async releases(product: string): Promise<Release[]> {
    const path = `${base}/products/${part(product)}/releases`;
    const answer = await this.#api.json({ method: 'GET', path });
    return answer.at('releases').list().map(readRelease);
  }

  /** One release with its manifest; undefined when the server has none of this number. */
  async release(product: string, version: number): Promise<Release | undefined> {
    const path = `${base}/products/${part(product)}/releases/${version}`;
    return await this.#found(path, readRelease);
  }

  async postDevice(value: DeviceCreate): Promise<void> {
    await this.#api.send({ method: 'POST', path: `${base}/devices`, body: { kind: 'json', value } });
  }

  /** Every device, page by page. */
  async devices(): Promise<Device[]> {
    return await this.devicesAs(readDevice);
  }

  /** The same, read by whoever needs other fields. */
  async devicesAs<T extends { readonly device: string }>(read: (reader: Reader) => T): Promise<T[]> {
    const devices: T[] = [];
    for (;;) {
      const after = devices.at(-1)?.device;
      const query = after === undefined ? '' : `&after=${part(after)}`;
      const answer = await this.#api.json({
        method: 'GET',
        path: `${base}/devices?limit=${pageRows}${query}`,
      });
      const page = answer.at('devices').list().map(read);
      devices.push(...page);
      if (page.length < pageRows) return devices;
    }
  }

  async device(device: string): Promise<Device | undefined> {
    return await this.#found(`${base}/devices/${part(device)}`, readDevice);
  }

  async putRecord(device: string, record: string, reason: string | undefined): Promise<void> {
    const value: RecordPut = { record };
    const path = `${base}/devices/${part(device)}/record`;
    await this.#api.send({ method: 'PUT', path, body: { kind: 'json', value }, reason });
  }

  async revokeDevice(device: string, reason: string | undefined): Promise<void> {
    await this.#api.send({ method: 'DELETE', path: `${base}/devices/${part(device)}`, reason });
  }

  /** The ETag of a device's assignment; undefined when nothing is assigned. */
  async assignmentEtag(device: string): Promise<string | undefined> {
    const path = `${base}/devices/${part(device)}/assignment`;
    return await this.#found(path, (reader) => reader.at('etag').text());
  }

  async putAssignment(
    device: string,
    value: AssignmentPut,
    given: { readonly etag: string | undefined; readonly reason: string | undefined },
  ): Promise<void> {
    const { etag, reason } = given;
    const path = `${base}/devices/${part(device)}/assignment`;
    const condition = etag === undefined ? {} : { ifMatch: etag };
    await this.#api.send({ method: 'PUT', path, body: { kind: 'json', value }, reason, ...condition });
  }

  async deleteAssignment(device: string, etag: string, reason: string | undefined): Promise<void> {
    const path = `${base}/devices/${part(device)}/assignment`;
    await this.#api.send({ method: 'DELETE', path, ifMatch: etag, reason });
  }

  /** A device's whole log as the server holds it, page by page, and what was found wrong with it. */
  async log(device: string): Promise<{ entries: LogLine[]; findings: string[]; raw: unknown[] }> {
    const entries: LogLine[] = [];
    const raw: unknown[] = [];
    for (;;) {
      const query = `after=${entries.at(-1)?.sequence ?? 0}&limit=${pageRows}`;
      const path = `${base}/devices/${part(device)}/log?${query}`;
      const answer = await this.#api.json({ method: 'GET', path });
      const page = answer.at('entries').list();
      entries.push(...page.map(readLogLine));
      raw.push(...page.map(({ value }) => value));
      if (page.length < pageRows)
        return { entries, findings: answer.at('findings').list().map(findingText), raw };
    }
  }

  async #found<T>(path: string, read: (reader: Reader) => T): Promise<T | undefined> {
    const answer: ApiAnswer = await this.#api.send({ method: 'GET', path, expected: [404] });
    return answer.status === 404 ? undefined : read(this.#api.reader(answer, path));
  }
}
