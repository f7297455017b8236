/** The director's signed time, for a device whose clock makes fresh metadata look expired. Writes nothing. */
import { fail, ok, type Result, signTimeAnswer } from '@airlock/trust';
import { onlineSigners } from '../core/publication.ts';
import type { Context } from './context.ts';
import { loadDirector } from './repositories.ts';

export async function signedTime(context: Context, device: string, nonce: string): Promise<Result<string>> {
  const director = await loadDirector(context.store, device);
  if (director === undefined) return fail('API_NOT_PUBLISHED', 'the director has no root yet');
  const online = onlineSigners(director.root, context.keyring);
  if (!online.ok) return online;
  const [signer] = online.value.timestamp;
  if (signer === undefined) return fail('API_ONLINE_KEYS', 'the director root names no timestamp key');
  const answer = signTimeAnswer({ device, nonce, time: context.clock.now() }, signer);
  return ok(Buffer.from(answer).toString());
}
