/**
 * A whole product for the bench of the trust check: three functions with so many releases each, one device.
 *
 * Everything is in memory, by the path that the check asks for. Not a test of anything: only something real to check.
 */
import type { TrustState, UtcSeconds } from '@airlock/trust';
import { PaperCompany } from '../paper-company.ts';

const product = 'infusion-pump';
const device = 'bench-1';

export interface TrustFixture {
  readonly identity: { readonly product: string; readonly device: string };
  readonly state: TrustState;
  readonly now: UtcSeconds;
  /** File by `<repository>/<path>`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Builds it all for `releases` releases in each function; the newest is the one assigned. */
export function makeTrustFixture(releases: number, now: UtcSeconds): TrustFixture {
  const functions = ['engineering', 'quality', 'regulatory-us'];
  const company = new PaperCompany({ product, device, functions, now });
  const state = company.trustState();
  for (let version = 2; version < releases + 2; version += 1) {
    const hash = version.toString(16).padStart(64, '0');
    company.release(version, { images: [{ component: 'rootfs', len: 1_000_000 + version, hash }] });
  }
  const files = Object.entries(company.publish(releases + 1));
  const encoder = new TextEncoder();
  return {
    identity: { product, device },
    state,
    now,
    files: new Map(files.map(([path, text]) => [path, encoder.encode(text)])),
  };
}
