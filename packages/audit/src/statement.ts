/**
 * Statements: what a person's signature of a role means (21 CFR 11.50), signed by the same key in the same act.
 *
 * An in-toto Statement v1 in a DSSE envelope with exactly one signature. It covers the hash of the role's signed bytes,
 * so that it cannot be moved to another record (11.70), the manifest's hash, the printed name, the meaning, the
 * signer's time, and the newest checkpoint of the audit log that the signer's machine verified: the statement cannot be
 * older than that checkpoint. DSSE signs its pre-authentication encoding, which begins like no JSON and no note.
 * Keeps true: one statement has one spelling (RFC 8785 inside, fixed fields outside). Pure.
 * Leaves to others: whether it fits role, policy and log (prove.ts); what the person is shown (the signer's machine).
 */
import {
  canonicalBytes,
  fail,
  type Field,
  formatInstant,
  ok,
  parseInstant,
  parseRaw,
  type PublicKey,
  readFields,
  type Result,
  sha256Hex,
  type Signer,
  trustLimits,
  type UtcSeconds,
  verifySignature,
} from '@airlock/trust';
import { auditLimits } from './limits.ts';
import { isNoteName } from './note.ts';

const statementType = 'https://in-toto.io/Statement/v1';
const predicateType = 'urn:airlock:signature-statement:1';
const payloadType = 'application/vnd.in-toto+json';

/** Meanings with which a release is put into a role (11.50(a)(3): review, approval, responsibility, authorship). */
export const approvalMeanings = ['authored', 'reviewed', 'approved for release'] as const;
export type ApprovalMeaning = (typeof approvalMeanings)[number];
const meanings = [...approvalMeanings, 'renewed', 'withdrawn'] as const;
export type Meaning = (typeof meanings)[number];

export interface Statement {
  readonly product: string;
  readonly function: string;
  readonly roleVersion: number;
  /** SHA-256 of the role's canonical signed part: exactly the bytes that the role's signature covers. */
  readonly signedSha256: string;
  /** What was approved or withdrawn; absent when the role was renewed with the same list. */
  readonly release?: { readonly version: number; readonly manifestSha256: string };
  readonly meaning: Meaning;
  /** Needed for a withdrawal, empty otherwise unless somebody gave one. */
  readonly reason: string;
  /** Whose signature it is; the name is printed wherever the record is shown. */
  readonly signer: { readonly keyId: string; readonly holder: string; readonly name: string };
  /** What the clock of the signer's machine said. */
  readonly time: UtcSeconds;
  readonly checkpoint: { readonly origin: string; readonly size: number; readonly rootSha256: string };
}

/** DSSE's pre-authentication encoding: what is signed. */
function encodeForSigning(payload: Uint8Array): Uint8Array {
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

function subjectsOf(statement: Statement) {
  const { product, release, roleVersion, signedSha256 } = statement;
  const role = { name: `${product}/${statement.function}/${roleVersion}`, digest: { sha256: signedSha256 } };
  if (release === undefined) return [role];
  const { version, manifestSha256 } = release;
  return [role, { name: `${product}/releases/${version}/manifest`, digest: { sha256: manifestSha256 } }];
}

function payloadOf(statement: Statement): Uint8Array {
  const { product, roleVersion, release, meaning, reason, signer, time, checkpoint } = statement;
  return canonicalBytes({
    _type: statementType,
    subject: subjectsOf(statement),
    predicateType,
    predicate: {
      product,
      function: statement.function,
      roleVersion,
      ...(release === undefined ? {} : { release: release.version }),
      meaning,
      reason,
      signer,
      time: formatInstant(time),
      checkpoint,
    },
  });
}

/** The envelope. Throws TypeError for a statement that its own parser would refuse: a programmer's error. */
export function signStatement(statement: Statement, signer: Signer): Uint8Array {
  const payload = payloadOf(statement);
  const sig = Buffer.from(signer.sign(encodeForSigning(payload))).toString('base64');
  const envelope = canonicalBytes({
    payload: Buffer.from(payload).toString('base64'),
    payloadType,
    signatures: [{ keyid: signer.publicKey.keyId, sig }],
  });
  const opened = openStatement(envelope, [signer.publicKey]);
  if (!opened.ok) throw new TypeError(`not a statement: ${opened.error.message}`);
  return envelope;
}

/** The hash by which audit entries name a statement. */
export function statementSha256(envelope: Uint8Array): string {
  return sha256Hex(envelope);
}

/** A statement whose signature is valid under the key that it names. */
export interface OpenedStatement {
  readonly statement: Statement;
  readonly key: PublicKey;
}

/**
 * The statement, if one of `keys` signed it and it is that key which the statement itself names.
 * Codes: STATEMENT_FORM with the field's path, STATEMENT_SIGNATURE.
 */
export function openStatement(envelope: Uint8Array, keys: readonly PublicKey[]): Result<OpenedStatement> {
  const read = readEnvelope(envelope);
  if (!read.ok) return read;
  const { payload, keyId, signature } = read.value;
  const statement = readPayload(payload);
  if (!statement.ok) return statement;
  const key = keys.find((candidate) => candidate.keyId === keyId);
  if (key === undefined || statement.value.signer.keyId !== keyId) {
    const why = key === undefined ? 'a key that does not sign here' : 'another key than it names';
    return fail('STATEMENT_SIGNATURE', `statement is signed by ${why} (${keyId.slice(0, 16)})`, 'signatures');
  }
  if (verifySignature(key, encodeForSigning(payload), signature)) {
    return ok({ statement: statement.value, key });
  }
  return fail(
    'STATEMENT_SIGNATURE',
    `statement has no valid signature of key ${keyId.slice(0, 16)}`,
    'signatures',
  );
}

/** The statement with no signature checked: only to show it, or to find out whose key to ask for. */
export function readStatementUnverified(envelope: Uint8Array): Result<Statement> {
  const read = readEnvelope(envelope);
  return read.ok ? readPayload(read.value.payload) : read;
}

interface Envelope {
  readonly payload: Uint8Array;
  readonly keyId: string;
  readonly signature: Uint8Array;
}

const form = { code: 'STATEMENT_FORM', name: 'statement' } as const;

function readEnvelope(envelope: Uint8Array): Result<Envelope> {
  const parsed = parseRaw(envelope, auditLimits.statementBytesMax, 'statement');
  if (!parsed.ok) return fail('STATEMENT_FORM', parsed.error.message, 'statement');
  const read = readFields(parsed.value, form, (field) => {
    field.object(['payload', 'payloadType', 'signatures']);
    field.at('payloadType').choice([payloadType]);
    const [entry, second] = field.at('signatures').array(1);
    // Each person makes a statement of their own: with a second signature the name in it would be one of two.
    if (entry === undefined || second !== undefined)
      return field.at('signatures').refuse('must be exactly one');
    entry.object(['keyid', 'sig']);
    return {
      payload: readBase64(field.at('payload')),
      keyId: entry.at('keyid').sha256(),
      signature: readBase64(entry.at('sig')),
    };
  });
  if (!read.ok || Buffer.from(canonicalBytes(parsed.value)).equals(envelope)) return read;
  return fail('STATEMENT_FORM', 'statement: the envelope is not in canonical form (RFC 8785)', 'statement');
}

function readBase64(field: Field): Uint8Array {
  const text = field.text(auditLimits.statementBytesMax);
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : field.refuse('must be base64 as RFC 4648 writes it');
}

function readPayload(payload: Uint8Array): Result<Statement> {
  const parsed = parseRaw(payload, auditLimits.statementBytesMax, 'statement');
  if (!parsed.ok) return fail('STATEMENT_FORM', parsed.error.message, 'payload');
  const statement = readFields(parsed.value, form, readStatement);
  // Names of subjects and the order of fields follow from the values: written again it must be the same bytes.
  if (!statement.ok || Buffer.from(payloadOf(statement.value)).equals(payload)) return statement;
  return fail(
    'STATEMENT_FORM',
    'statement: subjects do not follow from the predicate, or the form is not canonical',
    'payload',
  );
}

function readStatement(field: Field): Statement {
  field.object(['_type', 'subject', 'predicateType', 'predicate']);
  field.at('_type').choice([statementType]);
  field.at('predicateType').choice([predicateType]);
  const [role, manifest] = field.at('subject').array(2).map(readSubject);
  const predicate = field.at('predicate');
  predicate.object([
    'product',
    'function',
    'roleVersion',
    'release',
    'meaning',
    'reason',
    'signer',
    'time',
    'checkpoint',
  ]);
  const meaning = predicate.at('meaning').choice(meanings);
  const release = predicate.optional('release')?.integer(1, trustLimits.releaseVersionMax);
  if (role === undefined) return field.at('subject').refuse('must not be empty');
  if (
    (release === undefined) !== (meaning === 'renewed') ||
    (release === undefined) !== (manifest === undefined)
  ) {
    return predicate.refuse('names a release and its manifest unless a role was renewed');
  }
  const reason = predicate.at('reason');
  const given = reason.line({ empty: true, charactersMax: auditLimits.reasonCharactersMax });
  if (meaning === 'withdrawn' && given.trim() === '') reason.refuse('must say why a release was withdrawn');
  const time = predicate.at('time');
  return {
    product: predicate.at('product').name(),
    function: predicate.at('function').name(),
    roleVersion: predicate.at('roleVersion').integer(1, trustLimits.metadataVersionMax),
    signedSha256: role,
    ...(release === undefined || manifest === undefined
      ? {}
      : { release: { version: release, manifestSha256: manifest } }),
    meaning,
    reason: given,
    signer: readSigner(predicate.at('signer')),
    time: parseInstant(time.text(32)) ?? time.refuse('must be a date of the form YYYY-MM-DDTHH:MM:SSZ'),
    checkpoint: readCheckpoint(predicate.at('checkpoint')),
  };
}

function readSubject(field: Field): string {
  field.object(['name', 'digest']);
  field.at('name').line();
  field.at('digest').object(['sha256']);
  return field.at('digest').at('sha256').sha256();
}

function readSigner(field: Field): Statement['signer'] {
  field.object(['keyId', 'holder', 'name']);
  return {
    keyId: field.at('keyId').sha256(),
    holder: field.at('holder').line(),
    name: field.at('name').line(),
  };
}

function readCheckpoint(field: Field): Statement['checkpoint'] {
  field.object(['origin', 'size', 'rootSha256']);
  const origin = field.at('origin');
  if (!isNoteName(origin.line())) origin.refuse('must be the name of an audit log');
  return {
    origin: origin.line(),
    size: field.at('size').integer(0, auditLimits.treeSizeMax),
    rootSha256: field.at('rootSha256').sha256(),
  };
}
