/** Public face of trust: bytes in, verdict out. Nothing here does I/O. */
export * from './result.ts';
export * from './types.ts';
export { trustErrors, type TrustCode } from './errors.ts';
export { trustLimits } from './limits.ts';
export { canonicalBytes, sha256Hex, tufCanonicalBytes } from './canonical.ts';
export {
  type PublicKey,
  type PublicKeyJson,
  type Signer,
  parsePublicKey,
  publicKeyFrom,
  publicKeyJson,
  signerFrom,
  verifySignature,
} from './keys.ts';
export {
  openPrivateKey,
  readSealedPublicKey,
  sealNonceBytes,
  sealPrivateKey,
  sealSaltBytes,
} from './key-file.ts';
export { type SignedEnvelope, readEnvelopeUnverified, signEnvelope, verifyEnvelope } from './envelope.ts';
export { plainJson, plainText } from './plain-text.ts';
export { parseRaw } from './raw.ts';
export { formatInstant, parseInstant } from './instant.ts';
export {
  type DirectorTargetsView,
  type FileEntry,
  type FunctionView,
  type KeysAndThreshold,
  type RoleView,
  type RootView,
  type SnapshotView,
  type TargetsView,
  type TimestampView,
  type TopLevelRole,
  checkRole,
  readRole,
} from './read.ts';
export {
  type Draft,
  type Owner,
  addSignature,
  draftDirectorTargets,
  draftFunction,
  draftOf,
  draftRoot,
  draftSnapshot,
  draftTargets,
  draftTimestamp,
  signDraft,
} from './write.ts';
export { encodeManifest, parseManifest } from './manifest.ts';
export { encodePolicy, parsePolicy } from './policy.ts';
export { checkFunctionSeparation, checkRepositoriesApart, checkRootSeparation } from './separation.ts';
export { checkOffered, computeDemand } from './demand.ts';
export { checkMinimumMet } from './minimum.ts';
export { parseDeviceRecord, verifyDeviceRecord } from './device-record.ts';
export { type DeviceFacts, checkApplicability } from './applicability.ts';
export { timeForClock, timeLowerBound } from './time-bound.ts';
export { isTimeNonce, signTimeAnswer, verifyTimeAnswer } from './time.ts';
export { type Field, isDeviceId, isFunctionName, readFields } from './fields.ts';
export { type RoleChange, describeChange, describePolicyChange } from './describe.ts';
export {
  type Fetched,
  type RepositoryStep,
} from './repository-session.ts';
export { checkTrust } from './check.ts';
export { type FunctionRole, type ImageView, checkImageRepository, verifyRoleFile } from './check-image.ts';
export {
  encodeTrustState,
  heldDeviceRecord,
  newRepositoryState,
  newTrustState,
  parseTrustState,
  updateDeviceRecord,
} from './state.ts';
