/**
 * JSON Schemas (TypeBox) of the management API, `/api/v1`: what people's tools send and get.
 *
 * Texts of signed files travel as strings, exactly as signed. Strict: unknown fields are refused. Moments are
 * UTC as `YYYY-MM-DDTHH:MM:SSZ`. Who may call what stands in the server's permission table.
 */
import { Type, type Static } from 'typebox';
import { wireLimits } from './limits.ts';
import {
  ApiErrorBody,
  Count,
  DeviceId,
  DeviceReportSchema,
  Line,
  LogEntrySchema,
  Name,
  ReleaseVersion,
  Sha256,
  strict,
  Version,
} from './schemas.ts';

export const Instant = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$' });
/** A role file: root, targets, or a function's. */
export const RoleFileText = Type.String({ minLength: 2, maxLength: 256_000 });
export const RoleName = Type.String({ pattern: '^[a-z][a-z0-9-]{0,31}$' });

/** Why a product publishes nothing new: an offline file that existed is not here (restored from an older backup). */
export const MissingFile = Type.Object(
  {
    role: RoleName,
    /** The lowest version that is known to be missing. */
    version: Version,
    /** Name of the file to hand back, such as `7.quality.json`. */
    file: Type.String(),
    /** Who knew of it: a signer's machine, or the check-ins of several devices (`device` is one of them). */
    evidence: Type.Union([Type.Literal('signer'), Type.Literal('device')]),
    device: Type.Optional(DeviceId),
    since: Instant,
  },
  strict,
);
export type MissingFile = Static<typeof MissingFile>;

/**
 * A device's claim to hold a newer file than the server has. Alone it is an alarm only; `agreed` with other devices'
 * it is in `missing` as well; `absurd` is too far ahead to be true, `dismissed` was not believed by a person.
 */
export const Suspicion = Type.Object(
  {
    role: RoleName,
    version: Version,
    device: DeviceId,
    since: Instant,
    state: Type.Union([
      Type.Literal('alone'),
      Type.Literal('agreed'),
      Type.Literal('absurd'),
      Type.Literal('dismissed'),
    ]),
  },
  strict,
);
export type Suspicion = Static<typeof Suspicion>;

export const ProductCreate = Type.Object({ product: Name, root: Type.String({ maxLength: 64_000 }) }, strict);
export type ProductCreate = Static<typeof ProductCreate>;

export const ProductView = Type.Object(
  {
    product: Name,
    demo: Type.Boolean(),
    rootVersion: Version,
    /** Published versions of `targets` and the functions. */
    published: Type.Record(Type.String(), Version),
    snapshotVersion: Type.Optional(Version),
    missing: Type.Array(MissingFile),
    suspicions: Type.Array(Suspicion),
    created: Instant,
  },
  strict,
);
export type ProductView = Static<typeof ProductView>;
export const ProductList = Type.Object({ products: Type.Array(ProductView) }, strict);
export type ProductList = Static<typeof ProductList>;

/** DSSE envelopes of statements; as many as a role may have signatures. */
export const StatementTexts = Type.Array(Type.String({ minLength: 2, maxLength: 8_000 }), { maxItems: 32 });

/** PUT …/proposals/:role. `statements`: of a function's role, one for each new signature. `previous`: the version of this role that the signer's machine verified last, 0 for none. */
export const ProposalPut = Type.Object(
  { file: RoleFileText, previous: Type.Optional(Count), statements: Type.Optional(StatementTexts) },
  strict,
);
export type ProposalPut = Static<typeof ProposalPut>;

/** A key that signs or may sign; who holds it stands in the policy, where the role is a function's. */
export const KeyHolder = Type.Object(
  { keyId: Sha256, holder: Type.Optional(Type.String()), name: Type.Optional(Type.String()) },
  strict,
);
export type KeyHolder = Static<typeof KeyHolder>;

/**
 * The state of one role. `open`: signatures are missing. `blocked`: signed by enough keys, but the repository as a
 * whole would be refused by devices (`problem`), for instance until another role follows. `published`: in force.
 */
export const ProposalView = Type.Object(
  {
    product: Name,
    role: RoleName,
    state: Type.Union([Type.Literal('open'), Type.Literal('blocked'), Type.Literal('published')]),
    version: Version,
    file: Type.String(),
    signedBy: Type.Array(Sha256),
    /** Keys that may sign and did not; `threshold` less `signedBy` of them are needed. */
    missing: Type.Array(KeyHolder),
    threshold: Type.Integer({ minimum: 1 }),
    problem: Type.Optional(ApiErrorBody),
    /** To be given back as If-Match when the proposal is replaced by another content. */
    etag: Type.String(),
    proposedBy: Line,
    proposed: Instant,
    /** When an open proposal ends by itself, and its signatures with it. */
    until: Instant,
  },
  strict,
);
export type ProposalView = Static<typeof ProposalView>;
export const ProposalList = Type.Object({ proposals: Type.Array(ProposalView) }, strict);
export type ProposalList = Static<typeof ProposalList>;

export const ReleaseCreate = Type.Object(
  { manifest: Type.String({ minLength: 2, maxLength: 64_000 }) },
  strict,
);
export type ReleaseCreate = Static<typeof ReleaseCreate>;

export const ReleaseView = Type.Object(
  {
    product: Name,
    version: ReleaseVersion,
    name: Type.String(),
    safetyClass: Type.Union([Type.Literal('A'), Type.Literal('B'), Type.Literal('C')]),
    manifestSha256: Sha256,
    manifestLength: Type.Integer({ minimum: 1 }),
    /** Functions whose published role lists exactly this manifest. */
    approvedBy: Type.Array(Name),
    /**
     * Functions that ever took their approval of exactly this manifest back, also those that approve it again: devices
     * that saw it refuse the release for good.
     */
    withdrawnBy: Type.Array(Name),
    /** Marked so in its manifest. This and `change` are absent only while the manifest is not here. */
    emergency: Type.Optional(Type.Boolean()),
    /** Of the manifest: record, areas that its impact assessment touches, regulatory decision. */
    change: Type.Optional(
      Type.Object({ record: Line, touches: Type.Array(Type.String()), regulatory: Line }, strict),
    ),
    created: Instant,
    createdBy: Line,
    /** Exact text; only when one release is asked for. */
    manifest: Type.Optional(Type.String()),
  },
  strict,
);
export type ReleaseView = Static<typeof ReleaseView>;
export const ReleaseList = Type.Object({ releases: Type.Array(ReleaseView) }, strict);
export type ReleaseList = Static<typeof ReleaseList>;

export const ImageView = Type.Object(
  { sha256: Sha256, length: Type.Integer({ minimum: 1 }), created: Type.Boolean() },
  strict,
);
export type ImageView = Static<typeof ImageView>;

const PublicKeySchema = Type.Object(
  {
    keytype: Type.Union([Type.Literal('ed25519'), Type.Literal('ecdsa')]),
    scheme: Type.String({ maxLength: 64 }),
    keyval: Type.Object({ public: Type.String({ maxLength: 1000 }) }, strict),
  },
  strict,
);

export const DeviceCreate = Type.Object(
  {
    /** Envelope of the device record, signed by provisioning keys of the product's image root. */
    record: Type.String({ minLength: 2, maxLength: 16_000 }),
    /** PEM of the device's TLS certificate; its SAN URI is `urn:airlock:device:<id>`. */
    certificate: Type.String({ minLength: 2, maxLength: wireLimits.certificateCharactersMax }),
    /** Public key that signs the device's reports and log heads. */
    logKey: PublicKeySchema,
  },
  strict,
);
export type DeviceCreate = Static<typeof DeviceCreate>;

export const RecordPut = Type.Object({ record: Type.String({ minLength: 2, maxLength: 16_000 }) }, strict);
export type RecordPut = Static<typeof RecordPut>;

const Window = Type.Object(
  {
    fromMinute: Type.Integer({ minimum: 0, maximum: 1439 }),
    toMinute: Type.Integer({ minimum: 1, maximum: 1440 }),
    days: Type.Array(Type.Integer({ minimum: 0, maximum: 6 }), {
      minItems: 1,
      maxItems: 7,
      uniqueItems: true,
    }),
  },
  strict,
);

export const AssignmentPut = Type.Object(
  {
    release: ReleaseVersion,
    /** Name of the act that gave it, shown in evidence; `direct` when not given. */
    rollout: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' })),
    window: Type.Optional(Window),
    bytesPerSecondMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 9007199254740991 })),
    consentRequired: Type.Optional(Type.Boolean()),
  },
  strict,
);
export type AssignmentPut = Static<typeof AssignmentPut>;

export const AssignmentView = Type.Object(
  {
    device: DeviceId,
    product: Name,
    release: ReleaseVersion,
    manifestSha256: Sha256,
    rollout: Type.String(),
    window: Type.Optional(Window),
    bytesPerSecondMax: Type.Optional(Type.Integer()),
    consentRequired: Type.Boolean(),
    /** Present, and true, for a release that its manifest marks so. */
    emergency: Type.Optional(Type.Literal(true)),
    etag: Type.String(),
    assigned: Instant,
    assignedBy: Line,
  },
  strict,
);
export type AssignmentView = Static<typeof AssignmentView>;

/** A report as stored: what the device said, and when it arrived. */
export const ReportView = Type.Object({ received: Instant, report: DeviceReportSchema }, strict);
export type ReportView = Static<typeof ReportView>;
export const ReportList = Type.Object({ reports: Type.Array(ReportView) }, strict);
export type ReportList = Static<typeof ReportList>;

export const DeviceView = Type.Object(
  {
    device: DeviceId,
    product: Name,
    udi: Line,
    safetyClass: Type.String(),
    market: Type.String(),
    hardware: Type.Array(Type.String()),
    /** Whether the emergency set may stand in for its class and market; of its device record. */
    emergencyAllowed: Type.Boolean(),
    recordNumber: Version,
    /** Keys whose signatures its record carries; whoever takes a provisioning key away must know. */
    recordKeyIds: Type.Optional(Type.Array(Sha256)),
    /** Envelope of the device record in force, for whoever signs the next one. */
    record: Type.String(),
    certificateSha256: Sha256,
    registered: Instant,
    revoked: Type.Optional(Instant),
    /** Batched, so up to a minute late. */
    lastSeen: Type.Optional(Instant),
    /** What was assigned; apart from what the device reported of itself. */
    assignment: Type.Optional(AssignmentView),
    reported: Type.Optional(ReportView),
    /** Whether its log showed a gap, a change or a restart. */
    logFindings: Count,
  },
  strict,
);
export type DeviceView = Static<typeof DeviceView>;
export const DeviceList = Type.Object({ devices: Type.Array(DeviceView) }, strict);
export type DeviceList = Static<typeof DeviceList>;

/** Something wrong with a device's log, found by the server and kept for ever. */
export const LogFinding = Type.Object(
  {
    kind: Type.Union([Type.Literal('gap'), Type.Literal('change'), Type.Literal('restart')]),
    sequence: Count,
    detail: Type.String(),
    found: Instant,
  },
  strict,
);
export type LogFinding = Static<typeof LogFinding>;
export const DeviceLog = Type.Object(
  {
    entries: Type.Array(LogEntrySchema),
    findings: Type.Array(LogFinding),
    /** Envelope of the newest signed head. */
    head: Type.Optional(Type.String()),
  },
  strict,
);
export type DeviceLog = Static<typeof DeviceLog>;

export const DirectorRootPost = Type.Object(
  { root: Type.String({ minLength: 2, maxLength: 64_000 }) },
  strict,
);
export type DirectorRootPost = Static<typeof DirectorRootPost>;
export const DirectorView = Type.Object(
  { rootVersion: Count, missing: Type.Array(MissingFile), suspicions: Type.Array(Suspicion) },
  strict,
);
export type DirectorView = Static<typeof DirectorView>;
export const Health = Type.Object({ status: Type.Literal('ok'), version: Type.String() }, strict);
export type Health = Static<typeof Health>;
