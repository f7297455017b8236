/** The assignment's `custom` as the store keeps it: JSON that this server wrote itself. */
import type { Assignment } from '@airlock/trust';
import type { AssignmentPut } from '@airlock/protocol';

/** Reads what `customText` wrote; the API's schema had checked every field. */
export function parseCustom(text: string): Assignment {
  return JSON.parse(text) as Assignment;
}

export function customOf(put: AssignmentPut): Assignment {
  return {
    rollout: put.rollout ?? 'direct',
    ...(put.window === undefined ? {} : { window: put.window }),
    ...(put.bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax: put.bytesPerSecondMax }),
    consentRequired: put.consentRequired ?? false,
  };
}
