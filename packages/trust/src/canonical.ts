/**
 * The two canonical encodings and the one hash.
 *
 * RFC 8785 is used for everything that Airlock itself defines (manifest, policy, envelopes): it is plain JSON and
 * can be parsed back. TUF's own form (OLPC canonical JSON) is used for what TUF signs and for key ids: it leaves
 * control characters as they are, so that it is never parsed, only signed and hashed.
 */
import { createHash } from 'node:crypto';
import { canonicalize } from '@tufjs/canonical-json';
import serialize from 'canonicalize';

const encoder = new TextEncoder();

/**
 * UTF-8 bytes of `value` in RFC 8785 form.
 * Throws TypeError for what JSON cannot say (undefined, NaN, lone surrogates, cycles): a programmer's error, since
 * every value from outside went through a parser before.
 */
export function canonicalBytes(value: unknown): Uint8Array {
  const text = serialize(value);
  if (text === undefined) throw new TypeError('value has no JSON form');
  return encoder.encode(text);
}

/** UTF-8 bytes of `value` in TUF's canonical form: what role signatures and key ids are computed over. */
export function tufCanonicalBytes(value: unknown): Uint8Array {
  return encoder.encode(canonicalize(value));
}

/** SHA-256 as 64 lower-case hex digits. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
