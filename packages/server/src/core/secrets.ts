/**
 * Secrets of sessions, API tokens and one-time codes: how they look, and the hash under which they are stored.
 *
 * Keeps true: each has 256 random bits, so that SHA-256 is enough at rest and a look-up by hash tells a guesser nothing.
 * The fixed beginning lets scanners find one that leaked, and tells the kinds apart.
 */
import { createHash } from 'node:crypto';

/** A one-time secret is typed by a person: 160 bits in groups that can be read out. */
export const oneTimeSecretBytes = 20;
export const secretBytes = 32;

const apiTokenPattern = /^airlock_[A-Za-z0-9_-]{43}$/;
const sessionPattern = /^airlock_session_[A-Za-z0-9_-]{43}$/;
const oneTimeGroupLength = 4;

const encoded = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

export const apiTokenText = (random: Uint8Array): string => `airlock_${encoded(random)}`;
export const sessionText = (random: Uint8Array): string => `airlock_session_${encoded(random)}`;
/** For codes, states and cookies that no person sees. */
export const opaqueText = encoded;

/** `7f3a-…`: forty hex digits in groups. */
export function oneTimeText(random: Uint8Array): string {
  const digits = Buffer.from(random).toString('hex');
  return Array.from({ length: digits.length / oneTimeGroupLength }, (_, at) =>
    digits.slice(at * oneTimeGroupLength, (at + 1) * oneTimeGroupLength),
  ).join('-');
}

export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** What a secret claims to be, by its form alone. A session's also fits no API token: its text is longer. */
export function kindOfSecret(secret: string): 'session' | 'api-token' | undefined {
  if (sessionPattern.test(secret)) return 'session';
  return apiTokenPattern.test(secret) ? 'api-token' : undefined;
}
