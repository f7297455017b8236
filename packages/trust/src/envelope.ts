/**
 * Signed envelopes: `{"signatures":[{"keyid","sig"}],"signed":{"schema",...}}` for everything that is signed but is
 * no TUF role: device records, reports, log heads, time answers.
 *
 * Signatures are over the RFC 8785 bytes of `signed`. `signed` always has a `schema` and never a `_type`, and TUF
 * roles the other way round, so that a signature made for the one can never be shown as the other. Who may sign
 * is given by the caller.
 */
import { canonicalBytes } from './canonical.ts';
import { type Field, isObject, type JsonObject, readFields } from './fields.ts';
import { type PublicKey, type Signer, verifySignature } from './keys.ts';
import { trustLimits } from './limits.ts';
import { parseRaw } from './raw.ts';
import { fail, ok, type Result } from './result.ts';

export interface SignedEnvelope {
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
  readonly signed: JsonObject;
}

function isSignable(value: unknown): value is JsonObject {
  return isObject(value) && typeof value['schema'] === 'string' && !Object.hasOwn(value, '_type');
}

/** Signs `value` (an object with `schema`) with every signer; throws TypeError for another value or no signer. */
export function signEnvelope(value: unknown, signers: readonly Signer[]): Uint8Array {
  if (!isSignable(value)) throw new TypeError('an envelope signs an object with a schema and no _type');
  const keyIds = new Set(signers.map((signer) => signer.publicKey.keyId));
  if (signers.length === 0 || keyIds.size !== signers.length) {
    throw new TypeError('an envelope needs signers, each key once');
  }
  const bytes = canonicalBytes(value);
  const signatures = signers.map((signer) => ({
    keyid: signer.publicKey.keyId,
    sig: Buffer.from(signer.sign(bytes)).toString('hex'),
  }));
  return canonicalBytes({ signatures, signed: value });
}

/** Reads one list of signatures: bounded, hex, each key id once. Shared with the role files. */
export function readSignatures(field: Field): { readonly keyid: string; readonly sig: string }[] {
  const seen = new Set<string>();
  return field.array(trustLimits.signaturesMax).map((entry) => {
    entry.object(['keyid', 'sig']);
    const keyid = entry.at('keyid').sha256();
    if (seen.has(keyid)) entry.at('keyid').refuse('stands twice');
    seen.add(keyid);
    const sig = entry.at('sig').text(256);
    // Buffer.from(.., 'hex') would silently stop at the first wrong digit.
    if (!/^(?:[0-9a-f]{2})+$/.test(sig)) entry.at('sig').refuse('must be lower-case hex');
    return { keyid, sig };
  });
}

function parseEnvelope(bytes: Uint8Array, bytesMax: number): Result<SignedEnvelope> {
  const parsed = parseRaw(bytes, bytesMax, 'envelope');
  if (!parsed.ok) return parsed;
  return readFields(parsed.value, { code: 'OTA_BAD_METADATA', name: 'envelope' }, (field) => {
    field.object(['signatures', 'signed']);
    const signed = field.at('signed').value;
    if (!isSignable(signed)) return field.at('signed').refuse('must be an object with a schema and no _type');
    return { signatures: readSignatures(field.at('signatures')), signed };
  });
}

/**
 * The signed value, if at least `threshold` different keys of `keys` signed it (keys are told apart by their SPKI).
 * `bytesMax` bounds the whole envelope. Codes: those of `parseRaw`, OTA_BAD_METADATA, OTA_BAD_SIGNATURE.
 * Throws RangeError for a threshold below 1.
 */
export function verifyEnvelope(
  bytes: Uint8Array,
  options: { readonly keys: readonly PublicKey[]; readonly threshold: number; readonly bytesMax: number },
): Result<unknown> {
  if (!Number.isSafeInteger(options.threshold) || options.threshold < 1) {
    throw new RangeError('a threshold is an integer from 1');
  }
  const envelope = parseEnvelope(bytes, options.bytesMax);
  if (!envelope.ok) return envelope;
  const message = canonicalBytes(envelope.value.signed);
  const signedBy = new Set<string>();
  for (const { keyid, sig } of envelope.value.signatures) {
    const key = options.keys.find((candidate) => candidate.keyId === keyid);
    if (key !== undefined && verifySignature(key, message, Buffer.from(sig, 'hex')))
      signedBy.add(key.spkiSha256);
  }
  if (signedBy.size < options.threshold) {
    const found = `envelope has ${signedBy.size} valid signatures of the ${options.threshold} needed`;
    return fail('OTA_BAD_SIGNATURE', found, 'signatures');
  }
  return ok(envelope.value.signed);
}

/** The signed value with no signature checked: only for showing it, or for finding out whose keys to ask for. */
export function readEnvelopeUnverified(bytes: Uint8Array, bytesMax: number): Result<unknown> {
  const envelope = parseEnvelope(bytes, bytesMax);
  return envelope.ok ? ok(envelope.value.signed) : envelope;
}
