/**
 * Codes of trust: every reason for which signed metadata, a manifest or a device record is refused.
 *
 * Runs in a browser. A check compares this table with docs/errors.md and with the functions it names.
 */
import type { ErrorTable } from './result.ts';

export const trustErrors = {
  OTA_TOO_LARGE: {
    summary: 'A file is longer than its limit.',
    remedy: 'Ask the publisher for a smaller role; remove releases that nobody may install any more.',
    decidedIn: 'packages/trust/src/raw.ts#parseRaw',
  },
  OTA_BAD_ENCODING: {
    summary: 'A file is not valid UTF-8 or holds broken strings.',
    remedy: 'Publish the file again; if it persists, suspect the network or the server.',
    decidedIn: 'packages/trust/src/raw.ts#parseRaw',
  },
  OTA_BAD_JSON: {
    summary: 'A file is not JSON as it is written canonically (duplicate keys, spaces, trailing bytes).',
    remedy: "Publish the file again with Airlock's own tools.",
    decidedIn: 'packages/trust/src/raw.ts#parseRaw',
  },
  OTA_BAD_METADATA: {
    summary: 'A metadata file lacks a field, or a field has a form that is not allowed.',
    remedy: "Publish the role again with Airlock's own tools; the message names the field.",
    decidedIn: 'packages/trust/src/read.ts#checkRole',
  },
  OTA_BAD_SIGNATURE: {
    summary: "A file carries fewer valid signatures than its role's threshold.",
    remedy: 'Check who signed it and with which key; sign again with the keys that the delegator names.',
    decidedIn: 'packages/trust/src/repository-session.ts#codeOf',
  },
  OTA_EXPIRED: {
    summary: 'A metadata file is past its expiry.',
    remedy: 'Renew the role; running software is not touched.',
    decidedIn: 'packages/trust/src/repository.ts#expired',
  },
  OTA_ROLLBACK_METADATA: {
    summary: 'A metadata file is older than one that was verified before.',
    remedy: 'Publish a version above the highest one; after a restored backup import the missing file.',
    decidedIn: 'packages/trust/src/repository-session.ts#rolledBack',
  },
  OTA_SAME_VERSION_CHANGED: {
    summary: 'A metadata file has a known version number but another content.',
    remedy: 'A number once signed is never used again: publish the next number.',
    decidedIn: 'packages/trust/src/repository-session.ts#checkMemory',
  },
  OTA_MISSING_FILE: {
    summary: 'A file that other metadata names was not served.',
    remedy: "Check that the server has the file; import it from a signer's machine.",
    decidedIn: 'packages/trust/src/repository.ts#missing',
  },
  OTA_WRONG_BINDING: {
    summary: 'Metadata was made for another repository, product or device.',
    remedy: 'Check what was published where; suspect a replay.',
    decidedIn: 'packages/trust/src/repository-session.ts#checkBinding',
  },
  OTA_TIMESTAMP_LIFE: {
    summary: 'A timestamp lives longer than is allowed outside offline bundles.',
    remedy: 'Issue a shorter timestamp, or install it as a bundle.',
    decidedIn: 'packages/trust/src/repository.ts#judgeTimestamp',
  },
  OTA_KEY_SHARED: {
    summary: 'One key or one holder stands in two places that must be separate.',
    remedy: 'Give each function keys and holders of its own.',
    decidedIn: 'packages/trust/src/separation.ts#shared',
  },
  OTA_BAD_DELEGATION: {
    summary: 'A delegation has a form that is not allowed.',
    remedy: 'Delegate each function once, terminating, with its one path; publish targets again.',
    decidedIn: 'packages/trust/src/read.ts#readTargets',
  },
  OTA_POLICY: {
    summary: 'The policy is missing or not valid.',
    remedy: 'Publish targets with a valid policy.json.',
    decidedIn: 'packages/trust/src/policy.ts#parsePolicy',
  },
  OTA_BELOW_MINIMUM: {
    summary: 'The repository offers a function with a lower threshold than is demanded.',
    remedy: "Raise the function's threshold in targets; lowering the minimum takes a root ceremony.",
    decidedIn: 'packages/trust/src/demand.ts#checkOffered',
  },
  OTA_DEMAND_UNKNOWN: {
    summary: "The device's class or market, or a function demanded, is not known.",
    remedy: 'Add the class or market to policy and root minimum, or correct the device record.',
    decidedIn: 'packages/trust/src/demand.ts#checkOffered',
  },
  OTA_NOT_APPROVED: {
    summary: 'A function that must approve this release does not list it.',
    remedy: 'Have the function named in the message approve the release.',
    decidedIn: 'packages/trust/src/agreement.ts#listing',
  },
  OTA_WITHDRAWN: {
    summary: 'A function that approved this release has withdrawn it.',
    remedy: 'Assign another release.',
    decidedIn: 'packages/trust/src/agreement.ts#agree',
  },
  OTA_AGREEMENT: {
    summary: 'Director and image repository do not describe the same manifest.',
    remedy: "Assign the release again; suspect the director's keys.",
    decidedIn: 'packages/trust/src/agreement.ts#listing',
  },
  OTA_MANIFEST: {
    summary: 'The manifest is not valid.',
    remedy: 'Correct the field named; a release that was created already needs a new version.',
    decidedIn: 'packages/trust/src/manifest.ts#parseManifest',
  },
  OTA_HASH_MISMATCH: {
    summary: 'Bytes do not have the length or hash that signed metadata gives.',
    remedy: 'Fetch again; if it persists, the file at the server is damaged.',
    decidedIn: 'packages/trust/src/repository-session.ts#checkReference',
  },
  OTA_DEVICE_RECORD: {
    summary: 'The device record is not valid or not signed by a provisioning key.',
    remedy: 'Issue a device record with a higher number.',
    decidedIn: 'packages/trust/src/device-record.ts#verifyDeviceRecord',
  },
  OTA_TRUST_STATE: {
    summary: 'The stored trust state cannot be read.',
    remedy: 'The device keeps its running software; provision its trust state again at service.',
    decidedIn: 'packages/trust/src/state.ts#parseTrustState',
  },
  OTA_WRONG_PRODUCT: {
    summary: 'The release is for another product.',
    remedy: "Assign a release of the device's product.",
    decidedIn: 'packages/trust/src/applicability.ts#checkDevice',
  },
  OTA_WRONG_CLASS: {
    summary: "The manifest's safety class is not the device's.",
    remedy: "Assign a release made for the device's class.",
    decidedIn: 'packages/trust/src/demand.ts#computeDemand',
  },
  OTA_INCOMPATIBLE: {
    summary: 'The release and the device share no compat entry.',
    remedy: "Assign a release that lists the device's hardware.",
    decidedIn: 'packages/trust/src/applicability.ts#checkDevice',
  },
  OTA_NOT_ABOVE_FLOOR: {
    summary: "The release's version is not above the device's floor.",
    remedy: 'Publish the software again under a higher version.',
    decidedIn: 'packages/trust/src/applicability.ts#checkVersion',
  },
  OTA_SLOT_TOO_SMALL: {
    summary: 'An image is longer than the slot.',
    remedy: 'Make the image smaller; slots cannot grow over the air.',
    decidedIn: 'packages/trust/src/applicability.ts#checkSlots',
  },
  OTA_UNKNOWN_COMPONENT: {
    summary: 'The release has an image for a component that the device lacks, or lacks one that it has.',
    remedy: 'Assign a release made for this hardware.',
    decidedIn: 'packages/trust/src/applicability.ts#checkSlots',
  },
  OTA_SLOT_RUNNING: {
    summary: 'The manifest pins the slot that the device runs from.',
    remedy: 'Leave slot at `inactive`, or wait until the device runs from the other group.',
    decidedIn: 'packages/trust/src/applicability.ts#checkSlots',
  },
  OTA_SECURE_BOOT_KEY: {
    summary: 'The boot chain is signed by a key that this device does not trust.',
    remedy: 'Follow the key rotation plan; sign with a key that the fuses hold.',
    decidedIn: 'packages/trust/src/applicability.ts#checkSecureBoot',
  },
  OTA_REQUIRES: {
    summary: 'An installed version or boot loader is below what the release requires.',
    remedy: 'Install the version named first.',
    decidedIn: 'packages/trust/src/applicability.ts#checkRequires',
  },
  OTA_DATA_SCHEMA: {
    summary: 'The fallback could not read the data that the release writes, and there is no data hook.',
    remedy: 'Add a data hook, or a release between the two that reads both schemas.',
    decidedIn: 'packages/trust/src/applicability.ts#checkData',
  },
  KEY_PASSPHRASE: {
    summary: 'A sealed private key cannot be opened: wrong passphrase, or the file was changed.',
    remedy: 'Try the passphrase again; otherwise restore the key file from its backup.',
    decidedIn: 'packages/trust/src/key-file.ts#openPrivateKey',
  },
  KEY_FILE: {
    summary: 'A file is not a sealed private key, or shows another public key than the one it holds.',
    remedy: 'Name the right file, or restore it from its backup.',
    decidedIn: 'packages/trust/src/key-file.ts#openPrivateKey',
  },
  OTA_TIME_ANSWER: {
    summary:
      'The signed time is not valid: not signed by both repositories, or for another device or question.',
    remedy: "Check the device's id, and that the server holds the timestamp keys of both roots.",
    decidedIn: 'packages/trust/src/time.ts#verifyTimeAnswer',
  },
} as const satisfies ErrorTable;

export type TrustCode = keyof typeof trustErrors;
