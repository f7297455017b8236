/**
 * JSON Schemas (TypeBox) of the signing queue: what waits for whose signature, and the reservation of a number.
 *
 * For finding and showing: what a signer relies on is verified on the signer's own machine.
 */
import { Type, type Static } from 'typebox';
import { Instant, ProposalView, RoleName, KeyHolder } from './management.ts';
import { type Alarm, alarms } from './role-terms.ts';
import { Name, ReleaseVersion, Sha256, strict, Version } from './schemas.ts';

/** When a role ends, and from when its renewal is due. */
export const RoleTerm = Type.Object(
  {
    role: RoleName,
    version: Version,
    expires: Instant,
    renewFrom: Instant,
    due: Type.Boolean(),
    alarm: Type.Optional(Type.Unsafe<Alarm>(Type.Enum([...alarms]))),
  },
  strict,
);
export type RoleTerm = Static<typeof RoleTerm>;

/** PUT …/proposals/:role/reservation: the number and content that a key is about to sign. */
export const ReservationPut = Type.Object(
  {
    version: Version,
    /** SHA-256 of exactly what will be signed. */
    signedSha256: Sha256,
    keyId: Sha256,
    /** The version of this role that the signer's machine verified last, 0 for none. */
    previous: Type.Integer({ minimum: 0, maximum: 9007199254740991 }),
  },
  strict,
);
export type ReservationPut = Static<typeof ReservationPut>;

export const ReservationView = Type.Object(
  { role: RoleName, version: Version, by: KeyHolder, until: Instant },
  strict,
);
export type ReservationView = Static<typeof ReservationView>;

/** What one function is waited for. */
export const FunctionQueue = Type.Object(
  {
    function: Name,
    threshold: Type.Integer({ minimum: 1 }),
    holders: Type.Array(KeyHolder),
    proposal: Type.Optional(ProposalView),
    reservation: Type.Optional(ReservationView),
    /** Releases that the function does not approve yet, and for what it is asked: `class C`, `market us`, `release`. */
    releases: Type.Array(
      Type.Object(
        {
          version: ReleaseVersion,
          name: Type.String(),
          emergency: Type.Boolean(),
          askedFor: Type.Array(Type.String()),
        },
        strict,
      ),
    ),
    /** Absent: the function has no role yet. */
    term: Type.Optional(RoleTerm),
  },
  strict,
);
export type FunctionQueue = Static<typeof FunctionQueue>;

export const QueueView = Type.Object(
  {
    product: Name,
    functions: Type.Array(FunctionQueue),
    /** Open proposals of root and targets, and when these end. */
    proposals: Type.Array(ProposalView),
    terms: Type.Array(RoleTerm),
  },
  strict,
);
export type QueueView = Static<typeof QueueView>;
