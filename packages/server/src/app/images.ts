/** Which images a device may read: those of the release assigned to it, and of its confirmed one, for repair. */
import { fail, ok, parseManifest, type Result } from '@airlock/trust';
import type { Blob } from '../ports/platform.ts';
import type { Context } from './context.ts';

/** Error: API_NOT_FOUND, the same for an image that is not there and one that is not this device's. */
export async function openDeviceImage(
  context: Context,
  from: { readonly device: string; readonly product: string },
  sha256: string,
): Promise<Result<Blob>> {
  const missing = fail('API_NOT_FOUND', 'no image of this hash belongs to this device', 'sha256');
  if (!/^[0-9a-f]{64}$/.test(sha256)) return missing;
  const { store } = context;
  const manifests = [
    (await store.assignment(from.device))?.manifestSha256,
    (await store.latestReport(from.device))?.report.confirmed.manifestSha256,
  ];
  for (const manifest of manifests) {
    if (manifest === undefined) continue;
    if (!(await imagesOf(context, from.product, manifest)).has(sha256)) continue;
    const blob = await context.blobs.open(sha256);
    return blob === undefined ? missing : ok(blob);
  }
  return missing;
}

async function imagesOf(
  context: Context,
  product: string,
  manifestSha256: string,
): Promise<ReadonlySet<string>> {
  const text = await context.store.document(product, manifestSha256);
  const manifest = text === undefined ? undefined : parseManifest(Buffer.from(text));
  return new Set(manifest?.ok === true ? manifest.value.images.map(({ hash }) => hash) : []);
}
