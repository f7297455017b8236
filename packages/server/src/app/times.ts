/** The signed time, for a device whose clock makes fresh metadata look expired. Writes nothing. */
import { fail, ok, type Result, signTimeAnswer } from '@airlock/trust';
import { onlineSigners } from '../core/publication.ts';
import type { Context } from './context.ts';
import { loadDirector, loadImage } from './repositories.ts';

/** Signed by both repositories: the device believes neither alone. Errors: API_NOT_PUBLISHED, API_ONLINE_KEYS. */
export async function signedTime(
  context: Context,
  { device, product }: { readonly device: string; readonly product: string },
  nonce: string,
): Promise<Result<string>> {
  const director = await loadDirector(context.store, device);
  if (director === undefined) return fail('API_NOT_PUBLISHED', 'the director has no root yet');
  const image = await loadImage(context.store, product);
  if (image === undefined) return fail('API_NOT_PUBLISHED', `${product} has no root yet`);
  const directorOnline = onlineSigners(director.root, context.keyring);
  if (!directorOnline.ok) return directorOnline;
  const imageOnline = onlineSigners(image.root, context.keyring);
  if (!imageOnline.ok) return imageOnline;
  const signers = [...directorOnline.value.timestamp, ...imageOnline.value.timestamp];
  const answer = signTimeAnswer({ device, nonce, time: context.clock.now() }, signers);
  return ok(Buffer.from(answer).toString());
}
