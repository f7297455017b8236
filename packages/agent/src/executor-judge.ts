/**
 * Whether a release suits this device now: trust's verdict joined with what the device knows of itself.
 *
 * Keeps true: applicability is judged with the floor of the record, never of the server; what is said about an attempt
 * under way is an end only if it is about the release - a broken answer or an expired role only waits (in `Staged`).
 */
import { isWrittenCode, type DeviceCode } from '@airlock/protocol';
import {
  checkApplicability,
  fail,
  heldDeviceRecord,
  parsePolicy,
  trustErrors,
  type ApprovedRelease,
  type DeviceFacts,
  type Failure,
  type GroupLetter,
  type Result,
  type TrustState,
  type Verdict,
} from '@airlock/trust';
import { manifestUnknown, otherGroup, type Attempt, type DeviceState } from './core/record.ts';
import type { GroupManifests } from './durable/group-manifests.ts';
import { bootedOf } from './executor-report.ts';
import type { Judgement } from './executor-parts.ts';
import { isAboutRelease } from './executor-trust.ts';
import type { AgentPorts, AgentSettings } from './settings.ts';

export interface JudgeContext {
  readonly ports: AgentPorts;
  readonly settings: AgentSettings;
  readonly manifests: GroupManifests;
}

/** Codes of trust are codes of the device; anything else would be a defect of the table. */
export function trustCode(error: Failure): DeviceCode {
  const { code } = error;
  return isTrustCode(code) ? code : 'OTA_BAD_METADATA';
}

function isTrustCode(code: string): code is DeviceCode & keyof typeof trustErrors {
  return isWrittenCode(code) && Object.hasOwn(trustErrors, code);
}

/** Whether the device runs in fallback: the booted group is not the confirmed one, outside any trial. */
export function inFallback(record: DeviceState, bootedGroup: GroupLetter): boolean {
  return record.confirmed.group !== bootedGroup;
}

/** True when what is assigned is what is confirmed and runs. */
export function isInstalled(
  record: DeviceState,
  release: ApprovedRelease,
  bootedGroup: GroupLetter,
): boolean {
  if (inFallback(record, bootedGroup)) return false;
  const { manifestSha256, version } = record.confirmed;
  if (manifestSha256 === release.manifestSha256) return true;
  // After a lost state the hash may be unknown; the version then tells.
  return manifestSha256 === manifestUnknown && version === release.manifest.version;
}

/** The group to write, or why not. Throws DiskError when the slot cannot be looked at. */
export async function judgeApplicability(
  context: JudgeContext,
  record: DeviceState,
  trust: TrustState,
  release: ApprovedRelease,
): Promise<Result<{ readonly group: GroupLetter }>> {
  const facts = await deviceFacts(context, record, trust);
  if (!facts.ok) return facts;
  const judged = checkApplicability(release.manifest, facts.value, release.manifestSha256);
  if (judged.ok || judged.error.code !== 'OTA_SLOT_TOO_SMALL') return judged;
  const missing = await missingSlot(context, otherGroup(facts.value.bootedGroup));
  return missing === undefined ? judged : fail('OTA_SLOT_TOO_SMALL', missing, judged.error.field);
}

/** A slot that is not there has no bytes either; whoever reads the reason must look for a path, not for space. */
async function missingSlot(
  { ports, settings }: JudgeContext,
  group: GroupLetter,
): Promise<string | undefined> {
  for (const [component, paths] of Object.entries(settings.slots.components)) {
    const file = await ports.disk.open(paths[group]);
    if (file === undefined) return `slot ${group} of ${component} is missing: ${paths[group]}`;
    await file.close();
  }
  return undefined;
}

async function deviceFacts(
  { ports, settings, manifests }: JudgeContext,
  record: DeviceState,
  trust: TrustState,
): Promise<Result<DeviceFacts>> {
  const { bootedGroup } = ports.platform;
  const held = heldDeviceRecord(trust);
  if (!held.ok) return held;
  const policy = trust.policy === undefined ? undefined : parsePolicy(new TextEncoder().encode(trust.policy));
  const booted = bootedOf(record, bootedGroup);
  const running = await manifests.read(booted.manifestSha256);
  return {
    ok: true,
    value: {
      product: held.value.product,
      hardware: held.value.hardware,
      bootedGroup,
      bootedVersion: booted.version,
      confirmedVersion: record.confirmed.version,
      floor: Math.max(record.floor, held.value.floor ?? 0),
      bootloaderVersion: await ports.secureBoot.bootloaderVersion(),
      slots: await slotSizes(ports, settings, otherGroup(bootedGroup)),
      secureBootTrusted: await ports.secureBoot.trustedKeys(),
      secureBootRevoked: policy?.ok === true ? policy.value.secureBootRevoked : [],
      fallbackReads: running?.data?.reads,
      hasDataHook: ports.dataGuard.present,
      ...(inFallback(record, bootedGroup) ? { repair: record.confirmed.manifestSha256 } : {}),
    },
  };
}

/** Only the slots that would be written are opened: those of the running group may be mounted. */
async function slotSizes(
  ports: AgentPorts,
  settings: AgentSettings,
  group: GroupLetter,
): Promise<DeviceFacts['slots']> {
  const sizes: Record<string, Record<GroupLetter, number>> = {};
  for (const [component, paths] of Object.entries(settings.slots.components)) {
    const file = await ports.disk.open(paths[group]);
    const size = file?.sizeBytes ?? 0;
    await file?.close();
    sizes[component] = group === 'A' ? { A: size, B: 0 } : { A: 0, B: size };
  }
  return sizes;
}

/** What a verdict means for the attempt that is under way. Throws DiskError. */
export async function judgeAttempt(
  context: JudgeContext,
  given: {
    readonly record: DeviceState;
    readonly trust: TrustState;
    readonly attempt: Attempt;
    readonly verdict: Verdict;
  },
): Promise<Judgement> {
  const { record, trust, attempt, verdict } = given;
  const cancelled = (reason: string): Judgement => ({ kind: 'end', code: 'OTA_CANCELLED', reason });
  if (verdict.kind === 'none') return cancelled('nothing is assigned any more');
  if (verdict.kind === 'refused') {
    const { error, manifestSha256 } = verdict;
    if (!isAboutRelease(error.code)) return { kind: 'wait', reason: `${error.code}: ${error.message}` };
    if (manifestSha256 !== undefined && manifestSha256 !== attempt.manifestSha256) {
      return cancelled('another release was assigned');
    }
    return { kind: 'end', code: trustCode(error), reason: error.message };
  }
  if (verdict.manifestSha256 !== attempt.manifestSha256) return cancelled('another release was assigned');
  const applicable = await judgeApplicability(context, record, trust, verdict);
  if (!applicable.ok)
    return { kind: 'end', code: trustCode(applicable.error), reason: applicable.error.message };
  return { kind: 'go' };
}
