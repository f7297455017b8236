/**
 * Limits of trust: how much of anything is read, counted or believed, whatever signed metadata says.
 *
 * Each is checked before the bytes are parsed or the list is walked, so that nobody, not even the holder of a
 * stolen key, can make a device work without bound. Units stand last in the name.
 */

export const trustLimits = {
  /** A root with ten P-256 keys and the minimum for five markets has 8 kB. 486 kB block a check for 11 s, 64 kB for 0.1 s. */
  rootBytesMax: 64_000,
  /** One entry and a handful of signatures; a real one has 700 bytes. */
  timestampBytesMax: 4_000,
  /** 200 releases and 16 signatures have 91 kB; the rest is room for longer names. */
  roleBytesMax: 256_000,
  /** Hundreds of holders at 200 bytes each. */
  policyBytesMax: 64_000,
  /** Two thirds may be notes, the rest is some hundred short fields. */
  manifestBytesMax: 64_000,
  /** A device record names one device: 1 kB with two signatures. */
  recordBytesMax: 16_000,
  /** {nonce, device, time} and one signature of each repository: 600 bytes. */
  timeAnswerBytesMax: 4_000,
  /** A sealed P-256 key has 1 kB. */
  keyFileBytesMax: 8_000,
  /** tuf-js copies the list once per entry: 200 cost 16 ms, 1000 cost 136 ms on a small device. */
  releasesPerRoleMax: 200,
  /** Roots fetched in one check. Each is kept at once, so that a device further behind goes on at its next check. */
  rootRotationsMax: 64,
  /** `maxFresh` of the design: a withdrawal is hidden for at most this long by whoever holds the network. */
  timestampLifeSecondsMax: 7 * 24 * 3600,
  /** Withdrawn manifests remembered, newest last: with four releases a year, sixteen years of withdrawing every one. */
  withdrawnMax: 64,
  /** Keys that one role may name; thresholds above this make no ceremony safer. */
  keysPerRoleMax: 16,
  /** All keys in one root or targets file: 16 functions with up to 4 keys, or 4 roles with 16. */
  keysPerFileMax: 64,
  /** Signatures on one file: all keys of an old and of a new root together. */
  signaturesMax: 32,
  /** Functions that may approve for one product. */
  functionsMax: 16,
  /** Entries of a snapshot: functions in use and retired ones, whose names never leave it. */
  snapshotEntriesMax: 128,
  /** Nesting of any JSON. The deepest of ours has 7 levels. */
  jsonDepthMax: 16,
  /** TUF versions are safe integers; online ones are at least Unix seconds. */
  metadataVersionMax: Number.MAX_SAFE_INTEGER,
  /** Versions of releases, floors and boot loaders fit a signed 32-bit counter in any boot loader. */
  releaseVersionMax: 2_147_483_647,
  /** 2^53 - 1 bytes need no further bound: the slot's size decides. */
  imageBytesMax: Number.MAX_SAFE_INTEGER,
  /** Names of people, references, reasons: one line. */
  lineCharactersMax: 256,
  /** Release notes: pages, not books. */
  notesCharactersMax: 32_000,
  /** An impact assessment in its own words; a longer one is named by reference. */
  impactCharactersMax: 8_000,
  /** Entries of any short list in a manifest, policy or record (compat, authors, images, tests, keys). */
  listEntriesMax: 64,
  /** People who hold keys of one product. */
  holdersMax: 256,
  /** Markets that a policy or a root minimum may name. */
  marketsMax: 256,
  /** A self-test that needs more than a day is not one. */
  selfTestSecondsMax: 86_400,
  /** The last second that `YYYY-MM-DDTHH:MM:SSZ` can write (9999-12-31T23:59:59Z). */
  utcSecondsMax: 253_402_300_799,
} as const;
