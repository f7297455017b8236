/**
 * Limits of the audit log and of statements: judged before anything is parsed or walked. Units stand last in the name.
 */

export const auditLimits = {
  /** Origin, size, hash and two signatures (an old and a new key) have 500 bytes. */
  noteBytesMax: 4_000,
  /** Signature lines: the log's old and new key, and room for witnesses. */
  noteSignaturesMax: 16,
  /** A proof in a tree of 2^48 leaves has at most 48 hashes, and one more that a consistency proof may need. */
  proofHashesMax: 64,
  /** Ten thousand acts a day for a thousand years are 2^32; sizes stay safe integers well below 2^53. */
  treeSizeMax: 2 ** 48,
  /** An entry has some twenty short facts, 700 bytes in all. */
  entryBytesMax: 16_000,
  /** Facts in one of `subject`, `before` and `after`. */
  entryFactsMax: 32,
  /** A list in a fact: permissions of a token, functions, key ids. */
  entryListMax: 64,
  /** A sentence and the number of a record; more belongs into that record. */
  reasonCharactersMax: 500,
  /** Payload in base64 and one signature: 2 kB; reason and names are bounded lines. */
  statementBytesMax: 8_000,
  /** Names of logs: host name and path. */
  originCharactersMax: 128,
} as const;
