/** How a release that its manifest marks as an emergency is told in the log, before its attempt begins. Pure. */
import type { ApprovedRelease } from '@airlock/trust';

export interface EmergencyNote {
  readonly code: 'OTA_EMERGENCY';
  readonly reason: string;
}

/** undefined for every other release. */
export function emergencyNote({ manifest, emergency, demand }: ApprovedRelease): EmergencyNote | undefined {
  if (!manifest.emergency) return undefined;
  const how = emergency
    ? 'the emergency set stood in for class and market'
    : 'the emergency set does not count here, class and market were asked';
  const approvers = Object.keys(demand).join(', ');
  const reason = `release ${manifest.version} is marked EMERGENCY; ${how}; approved by ${approvers}`;
  return { code: 'OTA_EMERGENCY', reason };
}
