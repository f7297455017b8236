/**
 * Entries of the audit log: who did what, when, and what it changed. One leaf is the RFC 8785 bytes of one entry.
 *
 * Keeps true: one entry has one spelling; people stand in it by pseudonym only, so that a person can be forgotten
 * without breaking the log (the name that a signature needs stands in its statement, of which the entry holds the
 * hash); facts are short and bounded, longer things stand as hashes. Pure. Leaves to others: which acts are recorded
 * (the server), and that the whole is one log (merkle.ts).
 */
import {
  canonicalBytes,
  type Field,
  formatInstant,
  parseInstant,
  parseRaw,
  fail,
  readFields,
  type Result,
  type UtcSeconds,
} from '@airlock/trust';
import { auditLimits } from './limits.ts';

/** What the server records; readers take any name of this form, since newer servers have more. */
export const auditActs = {
  'log.start': 'the log began',
  'product.create': 'a product was made',
  'policy.store': 'a policy was uploaded',
  'image.store': 'an image was uploaded',
  'release.create': 'a release was made',
  'role.sign': 'somebody signed a proposed role',
  'role.publish': 'a role came into force',
  'proposal.reserve': 'a number was reserved for a signature',
  'proposal.remove': 'an open proposal was taken away',
  'proposal.expire': 'an open proposal was not signed in time',
  'proposal.void': 'an open proposal was ended by a change of who may sign it',
  'recovery.hand-back': 'a file that was lost was handed back',
  'recovery.dismiss': 'what devices claimed was not believed',
  'director.root': 'the director got a root',
  'device.register': 'a device was registered',
  'device.record': 'a device got another record',
  'device.revoke': 'a device was revoked',
  'assignment.set': 'a release was assigned to a device',
  'assignment.remove': 'an assignment was taken back',
  'user.add': 'a user was made',
  'user.change': 'what a user may do was changed',
  'user.remove': 'a user was removed',
  'user.secret': 'a user got a one-time secret in place of their password',
  'user.password': 'a user changed their password',
  'session.begin': 'a person signed in',
  'session.end': 'sessions were ended',
  'session.block': 'a user name was tried too often',
  'token.make': 'an API token was made or replaced',
  'token.revoke': 'an API token was revoked',
  'keys.make': 'online keys were made',
  'keys.retire': 'online keys that nothing names any more were destroyed',
} as const;
export type AuditAct = keyof typeof auditActs;

export type AuditFact = string | number | boolean | null | readonly string[];
export type AuditFacts = Readonly<Record<string, AuditFact>>;

export interface AuditEntry {
  readonly schema: 'airlock-audit-entry/1';
  readonly time: UtcSeconds;
  readonly act: string;
  /** Pseudonym of the person or tool; `server` when it acted by itself. */
  readonly actor: string;
  /** The function for which a signature was made; for another act of a product, the one that its actor stands in. */
  readonly function?: string;
  /** Under which permission the act was let in; absent when it was done at the server itself. */
  readonly permission?: string;
  /** What it is about: product, role, release, device. */
  readonly subject: AuditFacts;
  /** The facts that changed, as they were and as they are; null: there were none. */
  readonly before: AuditFacts | null;
  readonly after: AuditFacts | null;
  /** Empty when nobody is asked for one. */
  readonly reason: string;
}

/** `p-` and 128 random bits. */
const pseudonymPattern = /^p-[0-9a-f]{32}$/;
const actPattern = /^[a-z]{1,24}\.[a-z-]{1,24}$/;
const namePattern = /^[a-z][A-Za-z0-9]{0,31}$/;

/** The leaf. Throws TypeError for an entry that its own parser would refuse: a programmer's error. */
export function encodeEntry(entry: AuditEntry): Uint8Array {
  const value = { ...entry, time: formatInstant(entry.time) };
  // The value is judged, not its bytes again: an append has 0.2 ms of CPU in all.
  const judged = readFields(value, { code: 'AUDIT_ENTRY' }, readEntry);
  if (!judged.ok) throw new TypeError(`not an audit entry: ${judged.error.message}`);
  const bytes = canonicalBytes(value);
  if (bytes.length > auditLimits.entryBytesMax)
    throw new TypeError(`an audit entry has ${bytes.length} bytes`);
  return bytes;
}

/** Code: AUDIT_ENTRY with the field's path. */
export function parseEntry(leaf: Uint8Array): Result<AuditEntry> {
  const parsed = parseRaw(leaf, auditLimits.entryBytesMax, 'audit entry');
  if (!parsed.ok) return fail('AUDIT_ENTRY', parsed.error.message, 'entry');
  const entry = readFields(parsed.value, { code: 'AUDIT_ENTRY', name: 'audit entry' }, readEntry);
  if (!entry.ok || Buffer.from(canonicalBytes(parsed.value)).equals(leaf)) return entry;
  return fail('AUDIT_ENTRY', 'audit entry: is not in canonical form (RFC 8785)', 'entry');
}

function readEntry(field: Field): AuditEntry {
  field.object([
    'schema',
    'time',
    'act',
    'actor',
    'function',
    'permission',
    'subject',
    'before',
    'after',
    'reason',
  ]);
  const time = field.at('time');
  const act = field.at('act');
  const actor = field.at('actor').line();
  if (actor !== 'server' && !pseudonymPattern.test(actor)) {
    field.at('actor').refuse('must be a pseudonym or "server"');
  }
  if (!actPattern.test(act.line())) act.refuse('must be a name such as role.sign');
  const name = field.optional('function')?.text(32);
  const permission = field.optional('permission')?.text(64);
  const reason = field.at('reason').line({ empty: true, charactersMax: auditLimits.reasonCharactersMax });
  return {
    schema: field.at('schema').choice(['airlock-audit-entry/1']),
    time: parseInstant(time.text(32)) ?? time.refuse('must be a date of the form YYYY-MM-DDTHH:MM:SSZ'),
    act: act.line(),
    actor,
    ...(name === undefined ? {} : { function: name }),
    ...(permission === undefined ? {} : { permission }),
    subject: readFacts(field.at('subject')),
    before: readChange(field.at('before')),
    after: readChange(field.at('after')),
    reason,
  };
}

function readChange(field: Field): AuditFacts | null {
  return field.value === null ? null : readFacts(field);
}

function readFacts(field: Field): AuditFacts {
  const facts = field.entries(auditLimits.entryFactsMax).map(([name, entry]): [string, AuditFact] => {
    if (!namePattern.test(name)) entry.refuse('stands under a name that is not allowed');
    return [name, readFact(entry)];
  });
  return Object.fromEntries(facts);
}

function readFact(field: Field): AuditFact {
  const { value } = field;
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') return field.integer(0, Number.MAX_SAFE_INTEGER);
  if (typeof value === 'string') return field.line({ empty: true });
  return field.array(auditLimits.entryListMax).map((item) => item.line({ empty: true }));
}
