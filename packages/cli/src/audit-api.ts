/** The server's audit log and statements in the words of the commands. Nothing of it is believed before it is proven. */
import type { Hash } from '@airlock/audit';
import type { Api } from './api.ts';
import type { Reader } from './fields.ts';

const base = '/api/v1';
const part = encodeURIComponent;

/** A statement as the server keeps it, with the leaf of the log that it says is its entry. */
export interface StoredStatement {
  readonly keyId: string;
  readonly statement: string;
  readonly entry: number;
  readonly leaf: string;
}

export interface ReleaseStatement extends StoredStatement {
  readonly role: string;
  readonly version: number;
}

export class AuditApi {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  async checkpoint(): Promise<Uint8Array> {
    return (await this.#api.send({ method: 'GET', path: `${base}/audit/checkpoint` })).bytes;
  }

  async consistency(first: number, size: number): Promise<Hash[]> {
    return await this.#hashes(`${base}/audit/consistency?first=${first}&size=${size}`);
  }

  async inclusion(index: number, size: number): Promise<Hash[]> {
    return await this.#hashes(`${base}/audit/inclusion?index=${index}&size=${size}`);
  }

  async statements(product: string, role: string, version: number): Promise<StoredStatement[]> {
    const path = `${base}/products/${part(product)}/statements/${part(role)}/${version}`;
    const answer = await this.#api.json({ method: 'GET', path });
    return answer.at('statements').list().map(readStatement);
  }

  /** About one release, by every function, in the order of the log. */
  async statementsAbout(product: string, release: number): Promise<ReleaseStatement[]> {
    const path = `${base}/products/${part(product)}/releases/${release}/statements`;
    const answer = await this.#api.json({ method: 'GET', path });
    return answer
      .at('statements')
      .list()
      .map((entry) => ({
        ...readStatement(entry),
        role: entry.at('role').text(),
        version: entry.at('version').integer(1),
      }));
  }

  async #hashes(path: string): Promise<Hash[]> {
    const answer = await this.#api.json({ method: 'GET', path });
    return answer
      .at('hashes')
      .list()
      .map((entry) => Buffer.from(entry.text(), 'hex'));
  }
}

function readStatement(entry: Reader): StoredStatement {
  return {
    keyId: entry.at('keyId').text(),
    statement: entry.at('statement').text(),
    entry: entry.at('entry').integer(0),
    leaf: entry.at('leaf').text(),
  };
}
