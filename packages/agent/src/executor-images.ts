/**
 * The images of an attempt: written into the slots of its group, and proven there.
 *
 * Keeps true: the slots of the running group are never opened (invariant 1); a release is staged only when every one
 * of its images was read back (REQ-OTA-APPLY-05). Answers an event for the state machine, and never throws for what
 * a network or a medium does.
 */
import type { GroupLetter, Manifest } from '@airlock/trust';
import type { MachineEvent } from './core/effects.ts';
import type { Attempt } from './core/record.ts';
import { tokenBucket } from './core/schedule.ts';
import { proveSlot, writeSlot, type ImageTarget } from './durable/slot-writer.ts';
import { DownloadEnded, downloadImage } from './executor-download.ts';
import { tuningDefault, type AgentPorts, type AgentSettings } from './settings.ts';

/** Writes, flushes and reads back every image: `staged`, or `fail`. */
export async function writeImages(
  context: { readonly ports: AgentPorts; readonly settings: AgentSettings },
  attempt: Attempt,
  manifest: Manifest,
  bytesPerSecondMax: number | undefined,
): Promise<MachineEvent> {
  const { ports, settings } = context;
  const tuning = { ...tuningDefault, ...settings.tuning };
  const bucket = tokenBucket(bytesPerSecondMax);
  const targets = targetsOf(settings, manifest, attempt.group, ports.platform.bootedGroup);
  for (const target of targets) {
    const source = downloadImage(ports, target, { triesMax: tuning.downloadTriesMax, bucket });
    try {
      const written = await writeSlot(ports.disk, target, source, tuning);
      if (!written.ok) return failed(written.error.code, written.error.message);
    } catch (error) {
      if (!(error instanceof DownloadEnded)) throw error;
      return { kind: 'fail', code: 'OTA_FAIL_DOWNLOAD', reason: error.message };
    }
  }
  for (const target of targets) {
    const proven = await proveSlot(ports.disk, target);
    if (!proven.ok) return failed(proven.error.code, proven.error.message);
  }
  return { kind: 'staged' };
}

/** Reads every image back once more: undefined when all are what they were, else `rotted`. */
export async function proveImages(
  context: { readonly ports: AgentPorts; readonly settings: AgentSettings },
  attempt: Attempt,
  manifest: Manifest,
): Promise<MachineEvent | undefined> {
  const { ports, settings } = context;
  for (const target of targetsOf(settings, manifest, attempt.group, ports.platform.bootedGroup)) {
    const proven = await proveSlot(ports.disk, target);
    if (!proven.ok) return { kind: 'rotted' };
  }
  return undefined;
}

function targetsOf(
  settings: AgentSettings,
  manifest: Manifest,
  group: GroupLetter,
  bootedGroup: GroupLetter,
): readonly ImageTarget[] {
  if (group === bootedGroup) throw new Error('the running group is never written');
  return manifest.images.map((image) => {
    const path = settings.slots.components[image.component]?.[group];
    if (path === undefined)
      throw new Error(`component ${image.component} was judged applicable and has no slot`);
    return { path, len: image.len, hash: image.hash };
  });
}

function failed(code: string, reason: string): MachineEvent {
  const known = code === 'OTA_FAIL_HASH' || code === 'OTA_FAIL_READBACK' ? code : 'OTA_FAIL_WRITE';
  return { kind: 'fail', code: known, reason };
}
