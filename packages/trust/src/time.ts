/**
 * The director's signed time: the answer for a device whose clock is so wrong that fresh metadata looks expired.
 *
 * {nonce, device, time} is signed by the director's timestamp key, which already vouches for `issued`. The device's
 * own fresh nonce makes every answer good for one question only; how long it counts (until reboot) is the agent's.
 */
import { Buffer } from 'node:buffer';
import { signEnvelope, verifyEnvelope } from './envelope.ts';
import { isDeviceId, readFields } from './fields.ts';
import type { Signer } from './keys.ts';
import { trustLimits } from './limits.ts';
import { readRole } from './read.ts';
import { fail, ok, type Result, type UtcSeconds } from './result.ts';

/** 128 bits in hex at least, so that no answer can be collected beforehand. */
const noncePattern = /^[A-Za-z0-9_-]{22,128}$/;

/** Whether a nonce from a device may be signed: 22 to 128 characters of base64url or hex. */
export function isTimeNonce(nonce: string): boolean {
  return noncePattern.test(nonce);
}

/** Signs an answer (`airlock-time/1` envelope). Throws RangeError for a nonce, device id or time of another form. */
export function signTimeAnswer(
  answer: { readonly device: string; readonly nonce: string; readonly time: UtcSeconds },
  signer: Signer,
): Uint8Array {
  const { device, nonce, time } = answer;
  const timeFits = Number.isSafeInteger(time) && time >= 0 && time <= trustLimits.utcSecondsMax;
  if (!isTimeNonce(nonce) || !isDeviceId(device) || !timeFits) {
    throw new RangeError('a time answer needs a device id, a nonce of 22 to 128 characters and UTC seconds');
  }
  return signEnvelope({ schema: 'airlock-time/1', device, nonce, time }, [signer]);
}

/**
 * The time, if the timestamp keys of the director root signed it for this device and this nonce.
 * `directorRootText` must be a root that was verified. Code: OTA_TIME_ANSWER, or those of `readRole` for the root.
 */
export function verifyTimeAnswer(
  bytes: Uint8Array,
  options: { readonly directorRootText: string; readonly device: string; readonly nonce: string },
): Result<UtcSeconds> {
  const root = readRole(Buffer.from(options.directorRootText), 'director root', trustLimits.rootBytesMax);
  if (!root.ok) return root;
  if (root.value.kind !== 'root' || root.value.repository !== 'director') {
    return refuse('judged with a file that is no director root', 'director root');
  }
  const { keys, threshold } = root.value.roles.timestamp;
  const signed = verifyEnvelope(bytes, { keys, threshold, bytesMax: trustLimits.timeAnswerBytesMax });
  if (!signed.ok) return refuse(signed.error.message, signed.error.field);
  const code = 'OTA_TIME_ANSWER';
  const answer = readFields(signed.value, { code, name: 'time answer' }, (field) => {
    field.object(['schema', 'device', 'nonce', 'time']);
    field.at('schema').choice(['airlock-time/1']);
    return {
      device: field.at('device').device(),
      nonce: field.at('nonce').text(128),
      time: field.at('time').integer(0, trustLimits.utcSecondsMax),
    };
  });
  if (!answer.ok) return answer;
  if (answer.value.device !== options.device) return refuse('is for another device', 'device');
  if (answer.value.nonce !== options.nonce) return refuse('answers another question', 'nonce');
  return ok(answer.value.time);
}

function refuse(message: string, field: string | undefined) {
  return fail('OTA_TIME_ANSWER', `time answer: ${message}`, field);
}
