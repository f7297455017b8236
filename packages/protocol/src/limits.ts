/**
 * Limits of what crosses a wire, for both sides: how long a body may be, how many things one message may hold.
 *
 * Judged before anything is parsed. Limits of signed files are trust's own and are only repeated here where a
 * server has to name them before it knows which file it reads. Units stand last in the name.
 */

export const wireLimits = {
  /** A report with its signature has 2 kB; reasons and names are bounded lines. */
  reportBytesMax: 16_000,
  /** 200 entries of at most 4 kB would be 800 kB; real ones have 400 bytes, so one batch is about 80 kB. */
  logBatchBytesMax: 256_000,
  /** Secure-boot keys in a report, and characters of each id: 8 kB at most. Fuses hold four to sixteen hashes. */
  secureBootKeysMax: 64,
  secureBootKeyCharactersMax: 128,
  /** Entries in one batch; a device that was long offline sends several batches. */
  logBatchEntriesMax: 200,
  /** One entry with 16 facts of one line each. */
  logEntryBytesMax: 8_000,
  /** Facts beside one log entry. */
  logFactsMax: 16,
  /** {nonce}: 64 hex digits and the frame. */
  timeRequestBytesMax: 200,
  /** Nonce of a time request: 128 bits at least, in base64url or hex; the same as trust signs. */
  noncePattern: '^[A-Za-z0-9_-]{22,128}$',
  /**
   * A check-in answer after years on a shelf: 2 MB of roots (the server cuts them there, and the device asks again),
   * 17 roles, two snapshots and a director's targets of 256 kB each at their very most, a policy and manifests are
   * 7.5 MB, and JSON's quoting adds a tenth. A device with 512 MB of memory can hold it several times over.
   */
  checkInAnswerBytesMax: 8 << 20,
  /** Nesting of that answer: two levels today, the rest is room for what a newer server may add. */
  checkInDepthMax: 4,
  /** Values in it: the files at most, each a text, and a few beside them. */
  checkInValuesMax: 600,
  /** JSON bodies of the management API: one role file of 256 kB as an escaped string, doubled at worst. */
  managementBodyBytesMax: 600_000,
  /** A policy file, as trust limits it. */
  policyBytesMax: 64_000,
  /** One image. 64 GiB is above any medical device's root file system, and bounds what a token can fill a disk with. */
  imageBytesMax: 64 * 1024 ** 3,
  /** A PEM certificate with a P-256 key has 1 kB; RSA 8192 would have 3 kB. */
  certificateCharactersMax: 8_000,
  /** Names of people, references, reasons: one line. */
  lineCharactersMax: 256,
  /**
   * Two weeks for all signatures of one proposal: a colleague's holiday, and still half of the last third of a role of
   * class C (30 days), so that a renewal that was missed can be begun anew.
   */
  proposalSecondsMax: 14 * 86_400,
  /** From the reservation of a number to its signature: a token's own confirmation, no person's thought. */
  reservationSecondsMax: 120,
  /** Rows in one page of any list. */
  pageRowsMax: 500,
  pageRowsDefault: 100,
} as const;

/** Of people who sign in; each argued. Units stand last in the name. */
export const peopleLimits = {
  /**
   * NIST SP 800-63B-4: 15 where a password is the only factor, no rules of composition, long ones allowed. A longer one
   * than this is no password but an attack on the hash.
   */
  passwordCharactersMin: 15,
  passwordCharactersMax: 1_024,
  /** A shift; whoever works longer signs in again. 21 CFR 11.200(a)(1): a session is one continuous period. */
  sessionSecondsMax: 12 * 3600,
  /** A terminal that was left: after an hour without a request somebody else may sit there. */
  sessionIdleSecondsMax: 3600,
  /** To reach the new person by a way that is not the server's. */
  oneTimeSecretSecondsMax: 7 * 86_400,
  /** A year: a token that nobody thinks of any more ends by itself. */
  apiTokenDaysMax: 366,
  /** Of one user: one for each of their programs. */
  apiTokensMax: 50,
  /** An identity provider tells nobody who has left: their API tokens end so long after they last signed in. */
  providerAbsenceSecondsMax: 30 * 86_400,
  /**
   * Tries to sign in with one name within a window. Ten guesses a quarter of an hour are 350,000 a year: nothing
   * against 15 characters. It can keep a person out (not their open session, not their API tokens) for as long as
   * somebody keeps guessing; the address limit makes that cost addresses.
   */
  signInsPerUserMax: 10,
  /** From one address, or one IPv6 network of 64 bits, since a customer is given one: a small office at eight o'clock. */
  signInsPerAddressMax: 60,
  signInWindowSeconds: 15 * 60,
  /** Signing in at the identity provider, with a second factor that must be looked for. */
  providerSeconds: 600,
  /** Begun and not ended: at 60 for an address more than 150 addresses are at it. */
  providerPendingMax: 10_000,
  /** Roles, functions, products of one user. */
  listMax: 32,
} as const;
