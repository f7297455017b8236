/**
 * The signed time: the answer for a device whose clock is so wrong that fresh metadata looks expired.
 *
 * {nonce, device, time} is signed by the timestamp keys of the director *and* of the device's image repository, which
 * already vouch for `issued`. An answer makes expired metadata valid again, so it takes the keys of whoever could sign
 * that metadata anew: with the director's alone, a thief would serve an old image repository for ever, and hide every
 * withdrawal. The device's own fresh nonce makes every answer good for one question only; how long it counts (until
 * reboot) is the agent's.
 */
import { Buffer } from 'node:buffer';
import { signEnvelope, verifyEnvelope } from './envelope.ts';
import { isDeviceId, readFields } from './fields.ts';
import type { Signer } from './keys.ts';
import { trustLimits } from './limits.ts';
import { type KeysAndThreshold, readRole } from './read.ts';
import { fail, ok, type Result, type UtcSeconds } from './result.ts';

/** 128 bits in hex at least, so that no answer can be collected beforehand. */
const noncePattern = /^[A-Za-z0-9_-]{22,128}$/;

/** Whether a nonce from a device may be signed: 22 to 128 characters of base64url or hex. */
export function isTimeNonce(nonce: string): boolean {
  return noncePattern.test(nonce);
}

/** Signs an answer (`airlock-time/1` envelope) with the timestamp keys of both repositories. Throws RangeError for a nonce, device id or time of another form. */
export function signTimeAnswer(
  answer: { readonly device: string; readonly nonce: string; readonly time: UtcSeconds },
  signers: readonly Signer[],
): Uint8Array {
  const { device, nonce, time } = answer;
  const timeFits = Number.isSafeInteger(time) && time >= 0 && time <= trustLimits.utcSecondsMax;
  if (!isTimeNonce(nonce) || !isDeviceId(device) || !timeFits) {
    throw new RangeError('a time answer needs a device id, a nonce of 22 to 128 characters and UTC seconds');
  }
  return signEnvelope({ schema: 'airlock-time/1', device, nonce, time }, signers);
}

/**
 * The time, if the timestamp keys of both roots signed it for this device and this nonce.
 * The roots must have been verified. Code: OTA_TIME_ANSWER, or those of `readRole` for a root.
 */
export function verifyTimeAnswer(
  bytes: Uint8Array,
  options: {
    readonly imageRootText: string;
    readonly directorRootText: string;
    readonly device: string;
    readonly nonce: string;
  },
): Result<UtcSeconds> {
  const image = timestampKeys(options.imageRootText, 'image');
  if (!image.ok) return image;
  const director = timestampKeys(options.directorRootText, 'director');
  if (!director.ok) return director;
  const bytesMax = trustLimits.timeAnswerBytesMax;
  const vouched = verifyEnvelope(bytes, { ...director.value, bytesMax });
  if (!vouched.ok) return refuse(vouched.error.message, vouched.error.field);
  const signed = verifyEnvelope(bytes, { ...image.value, bytesMax });
  if (!signed.ok) return refuse(`image timestamp keys: ${signed.error.message}`, signed.error.field);
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

function timestampKeys(rootText: string, repository: 'image' | 'director'): Result<KeysAndThreshold> {
  const name = `${repository} root`;
  const root = readRole(Buffer.from(rootText), name, trustLimits.rootBytesMax);
  if (!root.ok) return root;
  if (root.value.kind === 'root' && root.value.repository === repository) {
    return ok(root.value.roles.timestamp);
  }
  return refuse(`judged with a file that is no ${name}`, name);
}

function refuse(message: string, field: string | undefined) {
  return fail('OTA_TIME_ANSWER', `time answer: ${message}`, field);
}
