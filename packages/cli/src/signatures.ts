/**
 * The signatures about one release as people must see them: printed name, time and meaning of each (21 CFR 11.50(b)), and
 * whether it is proven - by this machine, from the verified repository and the audit log that it follows.
 *
 * Keeps true: nothing is shown as proven that `proveSignature` did not prove; what is not stands there with the reason.
 * A statement of a key that `targets` no longer names is not proven here: that takes the `targets` of its day.
 */
import {
  type ProvenSignature,
  proveSignature,
  readStatementUnverified,
  type Statement,
} from '@airlock/audit';
import { fail, type Result } from '@airlock/trust';
import type { ReleaseStatement } from './audit-api.ts';
import { type Followed, followAuditLog, logOfPolicy } from './audit-memory.ts';
import type { Home } from './home.ts';
import { instant, plain } from './output.ts';
import type { ServerApi } from './server-api.ts';
import type { Verified } from './signer.ts';
import { need, Stop } from './stop.ts';

export interface ShownSignature {
  /** As it is written; undefined when it cannot even be read. */
  readonly statement?: Statement;
  readonly entry: number;
  readonly proven: Result<ProvenSignature>;
}

/** Every statement about a release, in the order of the log. Stops with the codes of following the log. */
export async function signaturesAbout(
  home: Home,
  api: ServerApi,
  verified: Verified,
  about: { readonly product: string; readonly version: number },
): Promise<ShownSignature[]> {
  const { product, version } = about;
  const log = logOfPolicy(product, verified.view.policy);
  const stored = await api.audit.statementsAbout(product, version);
  const head = need(await followAuditLog(home, log, api.audit));
  const shown: ShownSignature[] = [];
  for (const one of stored) {
    const read = readStatementUnverified(Buffer.from(one.statement));
    const proven = read.ok ? await prove(api, verified, { product, one, head, said: read.value }) : read;
    shown.push({ ...(read.ok ? { statement: read.value } : {}), entry: one.entry, proven });
  }
  return shown;
}

interface Proving {
  readonly product: string;
  readonly one: ReleaseStatement;
  readonly said: Statement;
  readonly head: Followed;
}

async function prove(api: ServerApi, { view }: Verified, proving: Proving): Promise<Result<ProvenSignature>> {
  const { product, one, head, said } = proving;
  const role = await api.tufFile(product, `${one.version}.${one.role}.json`);
  if (role === undefined) {
    return fail('CLI_SERVER_ANSWER', `the server gives no ${one.version}.${one.role}.json`, one.role);
  }
  const previous = await api.tufFile(product, `${one.version - 1}.${one.role}.json`);
  try {
    return proveSignature({
      role,
      ...(previous === undefined ? {} : { previous }),
      targets: Buffer.from(view.state.roles['targets'] ?? ''),
      policy: Buffer.from(view.policyText),
      statement: Buffer.from(one.statement),
      checkpoint: head.note,
      entry: {
        index: one.entry,
        leaf: Buffer.from(one.leaf),
        proof: await api.audit.inclusion(one.entry, head.size),
      },
      seen: { proof: await api.audit.consistency(said.checkpoint.size, head.size) },
    });
  } catch (error) {
    // A server that gives no proof proves nothing: that is no reason to hide the other signatures.
    if (error instanceof Stop) return { ok: false, error: error.failure };
    throw error;
  }
}

/** One signature, for people. */
export function signatureLines({ statement, entry, proven }: ShownSignature): string {
  if (statement === undefined) return `entry ${entry}: cannot be read\n`;
  const { signer, meaning, reason, time } = statement;
  const head = `${statement.function}: "${meaning}" by ${signer.name} <${signer.holder}>, ${instant(time)}`;
  const why = reason === '' ? '' : `, because: ${reason}`;
  const proof = proven.ok
    ? `proven: entry ${entry} of the audit log, ${instant(proven.value.notAfter.time)}, after ${proven.value.notBefore.size} entries seen`
    : `NOT PROVEN: ${proven.error.message}`;
  return `${plain(head + why)}\n  ${plain(proof)}\n`;
}
