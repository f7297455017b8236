/** The signing queue in the words of the commands, and the reservation of a number. For finding and showing only. */
import type { ReservationPut } from '@airlock/protocol';
import { alarms, type Alarm } from '@airlock/protocol';
import type { Api } from './api.ts';
import { optional } from './device-answers.ts';
import type { Reader } from './fields.ts';
import { type Proposal, readProposal, readKeyHolder, type KeyHolder } from './proposal-answers.ts';

const base = '/api/v1';
const part = encodeURIComponent;

export interface RoleTerm {
  readonly role: string;
  readonly version: number;
  readonly expires: string;
  readonly renewFrom: string;
  readonly due: boolean;
  readonly alarm?: Alarm;
}

export interface FunctionQueue {
  readonly function: string;
  readonly threshold: number;
  readonly holders: readonly KeyHolder[];
  readonly proposal?: Proposal;
  /** Who is signing at this moment, and until when at the latest. */
  readonly reservation?: { readonly version: number; readonly by: KeyHolder; readonly until: string };
  readonly releases: readonly {
    readonly version: number;
    readonly name: string;
    readonly emergency: boolean;
    readonly askedFor: readonly string[];
  }[];
  readonly term?: RoleTerm;
}

export interface Queue {
  readonly functions: readonly FunctionQueue[];
  /** Of root and targets. */
  readonly proposals: readonly Proposal[];
  readonly terms: readonly RoleTerm[];
}

export class QueueApi {
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
  }

  async read(product: string): Promise<Queue> {
    const answer = await this.#api.json({ method: 'GET', path: `${base}/products/${part(product)}/queue` });
    return {
      functions: answer.at('functions').list().map(readFunction),
      proposals: answer.at('proposals').list().map(readProposal),
      terms: answer.at('terms').list().map(readTerm),
    };
  }

  /** Before a signature exists. Stops with API_RESERVED, API_VERSION_USED or API_PRECONDITION. */
  async reserve(product: string, role: string, value: ReservationPut): Promise<void> {
    const path = `${base}/products/${part(product)}/proposals/${part(role)}/reservation`;
    await this.#api.send({ method: 'PUT', path, body: { kind: 'json', value } });
  }

  async remove(product: string, role: string, etag: string, reason: string): Promise<void> {
    const path = `${base}/products/${part(product)}/proposals/${part(role)}`;
    await this.#api.send({ method: 'DELETE', path, ifMatch: etag, reason });
  }
}

function readTerm(reader: Reader): RoleTerm {
  const alarm = reader.optional('alarm')?.choice(alarms);
  return {
    role: reader.at('role').text(),
    version: reader.at('version').integer(1),
    expires: reader.at('expires').text(),
    renewFrom: reader.at('renewFrom').text(),
    due: reader.at('due').value === true,
    ...optional('alarm', alarm),
  };
}

function readFunction(reader: Reader): FunctionQueue {
  const proposal = reader.optional('proposal');
  const held = reader.optional('reservation');
  const term = reader.optional('term');
  return {
    function: reader.at('function').text(),
    threshold: reader.at('threshold').integer(1),
    holders: reader.at('holders').list().map(readKeyHolder),
    ...(proposal === undefined ? {} : { proposal: readProposal(proposal) }),
    ...(held === undefined
      ? {}
      : {
          reservation: {
            version: held.at('version').integer(1),
            by: readKeyHolder(held.at('by')),
            until: held.at('until').text(),
          },
        }),
    releases: reader
      .at('releases')
      .list()
      .map((entry) => ({
        version: entry.at('version').integer(1),
        name: entry.at('name').text(),
        emergency: entry.at('emergency').value === true,
        askedFor: entry.at('askedFor').texts(),
      })),
    ...(term === undefined ? {} : { term: readTerm(term) }),
  };
}
