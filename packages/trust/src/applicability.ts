/**
 * Applicability: whether a valid manifest may be written to this device now, judged before the first byte.
 *
 * DESIGN "Manifest", "Refused before a byte is written", each with its own code. Pure: what is known of the device
 * is given; nothing here decides whether the release is approved.
 */
import type { TrustCode } from './errors.ts';
import { fail, ok, type Failure, type Result } from './result.ts';
import type { GroupLetter, Manifest } from './types.ts';

/** What the agent knows of its device, none of it from the server. */
export interface DeviceFacts {
  /** Product and hardware of the verified device record. */
  readonly product: string;
  readonly hardware: readonly string[];
  /** The group that runs now, from the kernel command line; it is never written. */
  readonly bootedGroup: GroupLetter;
  readonly bootedVersion: number;
  readonly confirmedVersion: number;
  /** The highest version that was ever confirmed. */
  readonly floor: number;
  readonly bootloaderVersion: number;
  /** Bytes of each slot, by component and group. */
  readonly slots: Readonly<Record<string, Readonly<Record<GroupLetter, number>>>>;
  /** Keys that the boot chain trusts; undefined when the device has no secure boot. */
  readonly secureBootTrusted: readonly string[] | undefined;
  /** Of the policy: it can only revoke. */
  readonly secureBootRevoked: readonly string[];
  /** Data schemas that the running software, which would be the fallback, can read; undefined when not known. */
  readonly fallbackReads: readonly number[] | undefined;
  readonly hasDataHook: boolean;
  /** In fallback only: SHA-256 of the manifest that was confirmed, which alone may be installed again. */
  readonly repair?: string;
}

type Refusal = { readonly ok: false; readonly error: Failure };

function refuse(code: TrustCode, message: string, field: string): Refusal {
  return fail(code, message, field);
}

/**
 * The group to write, or the first reason not to. `manifestSha256` is the hash of the manifest's bytes.
 * Codes: OTA_WRONG_PRODUCT, OTA_INCOMPATIBLE, OTA_NOT_ABOVE_FLOOR, OTA_REQUIRES, OTA_SLOT_RUNNING,
 * OTA_UNKNOWN_COMPONENT, OTA_SLOT_TOO_SMALL, OTA_SECURE_BOOT_KEY, OTA_DATA_SCHEMA; the field is the manifest's.
 */
export function checkApplicability(
  manifest: Manifest,
  facts: DeviceFacts,
  manifestSha256: string,
): Result<{ readonly group: GroupLetter }> {
  const group: GroupLetter = facts.bootedGroup === 'A' ? 'B' : 'A';
  const refusal =
    checkDevice(manifest, facts) ??
    checkVersion(manifest, facts, manifestSha256) ??
    checkRequires(manifest, facts) ??
    checkSlots(manifest, facts, group) ??
    checkSecureBoot(manifest, facts) ??
    checkData(manifest, facts);
  return refusal ?? ok({ group });
}

function checkDevice(manifest: Manifest, facts: DeviceFacts): Refusal | undefined {
  if (manifest.product !== facts.product) {
    const message = `the release is for product ${manifest.product}, this device is a ${facts.product}`;
    return refuse('OTA_WRONG_PRODUCT', message, 'product');
  }
  if (!manifest.compat.some((entry) => facts.hardware.includes(entry))) {
    const message = `the release fits ${manifest.compat.join(', ')}, this device is ${facts.hardware.join(', ')}`;
    return refuse('OTA_INCOMPATIBLE', message, 'compat');
  }
  return undefined;
}

/** REQ-OTA-ROLL-01. The floor is at least the confirmed version; both are asked, should a restored disk part them. */
function checkVersion(manifest: Manifest, facts: DeviceFacts, manifestSha256: string): Refusal | undefined {
  const floor = Math.max(facts.floor, facts.confirmedVersion);
  if (manifest.version > floor || manifestSha256 === facts.repair) return undefined;
  const message = `version ${manifest.version} is not above the floor ${floor}`;
  return refuse('OTA_NOT_ABOVE_FLOOR', message, 'version');
}

function checkRequires({ requires }: Manifest, facts: DeviceFacts): Refusal | undefined {
  const { installedMin = 0, bootloaderMin = 0 } = requires;
  if (facts.bootedVersion < installedMin) {
    const message = `the release needs installed version ${installedMin} or above, ${facts.bootedVersion} runs`;
    return refuse('OTA_REQUIRES', message, 'requires.installedMin');
  }
  if (facts.bootloaderVersion < bootloaderMin) {
    const message = `the release needs boot loader ${bootloaderMin} or above, ${facts.bootloaderVersion} is there`;
    return refuse('OTA_REQUIRES', message, 'requires.bootloaderMin');
  }
  return undefined;
}

function checkSlots(manifest: Manifest, facts: DeviceFacts, group: GroupLetter): Refusal | undefined {
  if (manifest.slot === facts.bootedGroup) {
    return refuse(
      'OTA_SLOT_RUNNING',
      `the release is pinned to slot ${manifest.slot}, which runs now`,
      'slot',
    );
  }
  for (const [index, image] of manifest.images.entries()) {
    const slot = Object.hasOwn(facts.slots, image.component) ? facts.slots[image.component] : undefined;
    if (slot === undefined) {
      const message = `the device has no component ${image.component}`;
      return refuse('OTA_UNKNOWN_COMPONENT', message, `images[${index}].component`);
    }
    if (image.len > slot[group]) {
      const message = `image ${image.component} has ${image.len} bytes, its slot ${group} has ${slot[group]}`;
      return refuse('OTA_SLOT_TOO_SMALL', message, `images[${index}].len`);
    }
  }
  // A group is activated as a whole: what a release leaves out would be some older release's (REQ-OTA-APPLY-05).
  for (const component of Object.keys(facts.slots)) {
    if (!manifest.images.some((image) => image.component === component)) {
      return refuse('OTA_UNKNOWN_COMPONENT', `the release has no image for component ${component}`, 'images');
    }
  }
  return undefined;
}

/** REQ-OTA-KEYS-01. Every key must be trusted: one image of the chain that is not would stop the boot. */
function checkSecureBoot(manifest: Manifest, facts: DeviceFacts): Refusal | undefined {
  for (const [index, id] of manifest.secureBoot.entries()) {
    const field = `secureBoot[${index}]`;
    if (facts.secureBootRevoked.includes(id)) {
      return refuse('OTA_SECURE_BOOT_KEY', `the policy revoked secure-boot key ${id}`, field);
    }
    if (facts.secureBootTrusted !== undefined && !facts.secureBootTrusted.includes(id)) {
      return refuse('OTA_SECURE_BOOT_KEY', `this device's boot chain does not trust key ${id}`, field);
    }
  }
  return undefined;
}

/** REQ-OTA-APPLY-08. What the fallback reads is asked of the running software; not known means no. */
function checkData({ data }: Manifest, facts: DeviceFacts): Refusal | undefined {
  if (data === undefined || facts.hasDataHook || facts.fallbackReads?.includes(data.writes) === true) {
    return undefined;
  }
  const message = `the release writes data schema ${data.writes}, which the running software could not read`;
  return refuse('OTA_DATA_SCHEMA', message, 'data.writes');
}
