/**
 * JSON Schemas (TypeBox) of what a device and its server say to each other.
 *
 * Strict: a field that is not named here is refused. The shapes in `messages.ts` are what the code speaks in; these
 * are what is checked at the border. The management API's schemas stand in `management.ts`.
 */
import { Type, type Static } from 'typebox';
import { codePattern } from './device-codes.ts';
import { wireLimits } from './limits.ts';

/** An object that refuses unknown fields. */
export const strict = { additionalProperties: false } as const;

export const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$', description: '64 lower-case hex digits' });
export const DeviceId = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' });
export const Name = Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' });
export const Line = Type.String({ maxLength: wireLimits.lineCharactersMax });
export const Version = Type.Integer({ minimum: 1, maximum: 9007199254740991 });
export const ReleaseVersion = Type.Integer({ minimum: 1, maximum: 2147483647 });
export const Count = Type.Integer({ minimum: 0, maximum: 9007199254740991 });
/** Seconds since 1970 that a file can still write as a date. */
export const Seconds = Type.Integer({ minimum: 0, maximum: 253402300799 });
const Group = Type.Union([Type.Literal('A'), Type.Literal('B')]);
const Code = Type.String({ pattern: codePattern });
const RandomId = Type.String({ pattern: '^[A-Za-z0-9-]{8,64}$' });

/** Body of every answer that says no, of both APIs. */
export const ApiErrorBody = Type.Object(
  {
    code: Type.String({ description: 'a code of the table in docs/errors.md' }),
    message: Type.String({ description: 'one plain sentence' }),
    field: Type.Optional(Type.String({ description: 'path of the offending field, header or file' })),
  },
  strict,
);
export type ApiErrorBody = Static<typeof ApiErrorBody>;

/** Body of a check-in's 200; see `CheckInAnswer`. */
export const CheckInFiles = Type.Object(
  {
    etag: Type.String({ pattern: '^"[A-Za-z0-9._-]{1,80}"$' }),
    files: Type.Record(Type.String(), Type.String()),
    deviceRecord: Type.Optional(Type.String()),
    /** True when roots were left out to keep the answer within its limit: check in again after these. */
    more: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type CheckInFiles = Static<typeof CheckInFiles>;

const InstalledGroupSchema = Type.Object(
  { version: Type.Integer({ minimum: 0, maximum: 2147483647 }), manifestSha256: Sha256 },
  strict,
);

/** The signed part of a report. */
export const DeviceReportSchema = Type.Object(
  {
    schema: Type.Literal('airlock-report/1'),
    device: DeviceId,
    product: Name,
    bootId: RandomId,
    sequence: Count,
    time: Seconds,
    bootedGroup: Group,
    confirmedGroup: Group,
    installed: Type.Object(
      { A: Type.Optional(InstalledGroupSchema), B: Type.Optional(InstalledGroupSchema) },
      strict,
    ),
    booted: InstalledGroupSchema,
    confirmed: InstalledGroupSchema,
    floor: Count,
    restored: Type.Optional(Type.Boolean()),
    counter: Type.Optional(Count),
    state: Type.Union([
      Type.Literal('Idle'),
      Type.Literal('Fetching'),
      Type.Literal('Staged'),
      Type.Literal('Pending'),
      Type.Literal('Trial'),
      Type.Literal('Confirming'),
      Type.Literal('Failing'),
    ]),
    attempt: Type.Optional(
      Type.Object(
        {
          id: RandomId,
          version: ReleaseVersion,
          manifestSha256: Sha256,
          emergency: Type.Optional(Type.Literal(true)),
        },
        strict,
      ),
    ),
    waiting: Type.Optional(
      Type.Object(
        {
          by: Type.String({ maxLength: 64 }),
          reason: Type.String({ maxLength: 1000 }),
          since: Seconds,
          version: Type.Optional(ReleaseVersion),
          urgency: Type.Optional(
            Type.Union([Type.Literal('routine'), Type.Literal('security'), Type.Literal('safety')]),
          ),
          deadline: Type.Optional(Type.String({ maxLength: 32 })),
          overdue: Type.Boolean(),
          emergency: Type.Optional(Type.Literal(true)),
        },
        strict,
      ),
    ),
    lastResult: Type.Optional(
      Type.Object(
        { attempt: RandomId, code: Code, version: ReleaseVersion, reason: Type.String({ maxLength: 1000 }) },
        strict,
      ),
    ),
    deviceRecord: Count,
    heard: Type.Optional(Type.Object({ imageRoot: Version, directorRoot: Version, targets: Count }, strict)),
    secureBoot: Type.Optional(
      Type.Object(
        {
          trusted: Type.Optional(
            Type.Array(Type.String({ minLength: 1, maxLength: wireLimits.secureBootKeyCharactersMax }), {
              maxItems: wireLimits.secureBootKeysMax,
              uniqueItems: true,
            }),
          ),
        },
        strict,
      ),
    ),
    agent: Line,
    logHead: Type.Object({ sequence: Count, sha256: Sha256 }, strict),
  },
  strict,
);

export const LogEntrySchema = Type.Object(
  {
    schema: Type.Literal('airlock-log-entry/1'),
    sequence: Version,
    previous: Sha256,
    time: Seconds,
    bootId: RandomId,
    code: Code,
    reason: Type.String({ maxLength: 1000 }),
    attempt: Type.Optional(RandomId),
    fromVersion: Type.Optional(Count),
    toVersion: Type.Optional(Count),
    facts: Type.Optional(
      Type.Record(Type.String({ maxLength: 64 }), Type.Union([Line, Type.Number(), Type.Boolean()]), {
        maxProperties: wireLimits.logFactsMax,
      }),
    ),
  },
  strict,
);

/** The signed part of a log head. */
export const LogHeadSchema = Type.Object(
  {
    schema: Type.Literal('airlock-log-head/1'),
    device: DeviceId,
    sequence: Count,
    sha256: Sha256,
    time: Seconds,
  },
  strict,
);

export const LogBatchSchema = Type.Object(
  {
    entries: Type.Array(LogEntrySchema, { minItems: 1, maxItems: wireLimits.logBatchEntriesMax }),
    head: Type.String({ maxLength: wireLimits.reportBytesMax }),
  },
  strict,
);

/** What the server holds of a device's log after a batch: the highest sequence without a hole before it. */
export const LogAnswer = Type.Object({ sequence: Count }, strict);
export type LogAnswer = Static<typeof LogAnswer>;

export const TimeRequest = Type.Object(
  {
    nonce: Type.String({ pattern: wireLimits.noncePattern }),
  },
  strict,
);
export type TimeRequest = Static<typeof TimeRequest>;
