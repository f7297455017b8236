/** Proposals as the server answers them: for finding and comparing; what is signed is verified here. */
import { optional } from './device-answers.ts';
import type { Reader } from './fields.ts';

/** An open, blocked or published proposal for one role. */
export interface Proposal {
  readonly role: string;
  readonly state: 'open' | 'blocked' | 'published';
  readonly version: number;
  readonly file: string;
  readonly signedBy: readonly string[];
  /** Keys that may sign and did not, with their holders. */
  readonly missing: readonly KeyHolder[];
  readonly threshold: number;
  readonly problem?: string;
  readonly etag: string;
  readonly proposedBy: string;
  /** When an open one ends by itself. */
  readonly until: string;
}

/** A key and who holds it, as the server says. */
export interface KeyHolder {
  readonly keyId: string;
  readonly holder?: string;
  readonly name?: string;
}

export function readKeyHolder(reader: Reader): KeyHolder {
  return {
    keyId: reader.at('keyId').text(),
    ...optional('holder', reader.optional('holder')?.text()),
    ...optional('name', reader.optional('name')?.text()),
  };
}

export function readProposal(reader: Reader): Proposal {
  return {
    role: reader.at('role').text(),
    state: reader.at('state').choice(['open', 'blocked', 'published']),
    version: reader.at('version').integer(1),
    file: reader.at('file').text(),
    signedBy: reader.at('signedBy').texts(),
    missing: reader.at('missing').list().map(readKeyHolder),
    threshold: reader.at('threshold').integer(1),
    ...optional('problem', reader.optional('problem')?.at('message').text()),
    etag: reader.at('etag').text(),
    proposedBy: reader.at('proposedBy').text(),
    until: reader.at('until').text(),
  };
}
