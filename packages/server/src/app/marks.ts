/**
 * What a release's manifest says that must be seen wherever the release is named: emergency, change control.
 *
 * Read from the manifest's bytes each time, and not from a column beside them: what people see is what is signed.
 */
import { type Manifest, parseManifest } from '@airlock/trust';
import type { StoreParts } from '../ports/store.ts';

const impactAreas = ['safety', 'effectiveness', 'cybersecurity', 'labelling'] as const;

/** undefined when the manifest is not here, which a restored server knows. */
async function manifestOf(
  store: Pick<StoreParts, 'document'>,
  product: string,
  sha256: string,
): Promise<Manifest | undefined> {
  const text = await store.document(product, sha256);
  const manifest = text === undefined ? undefined : parseManifest(Buffer.from(text));
  return manifest?.ok === true ? manifest.value : undefined;
}

/** Areas that the impact assessment says yes to. */
export function touchesOf({ change }: Pick<Manifest, 'change'>): string[] {
  return impactAreas.filter((area) => change.impact[area]);
}

/** For the view of a release; without fields when its manifest is not here. */
export async function releaseMarks(
  store: Pick<StoreParts, 'document'>,
  product: string,
  sha256: string,
): Promise<{
  readonly emergency?: boolean;
  readonly change?: { record: string; touches: string[]; regulatory: string };
}> {
  const manifest = await manifestOf(store, product, sha256);
  if (manifest === undefined) return {};
  const { emergency, change } = manifest;
  const { record, regulatory } = change;
  return {
    emergency,
    change: { record, touches: touchesOf(manifest), regulatory: regulatory.decision },
  };
}

/** Marks an assignment of an emergency release; no field for any other. */
export async function emergencyMark(
  store: Pick<StoreParts, 'document'>,
  { product, manifestSha256 }: { readonly product: string; readonly manifestSha256: string },
): Promise<{ readonly emergency?: true }> {
  const manifest = await manifestOf(store, product, manifestSha256);
  return manifest?.emergency === true ? { emergency: true } : {};
}
