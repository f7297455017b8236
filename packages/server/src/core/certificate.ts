/** A device's identity as its TLS certificate tells it. Pure; whether the certificate is trusted is TLS's. */
import { isDeviceId, sha256Hex } from '@airlock/trust';

const prefix = 'URI:urn:airlock:device:';

/**
 * The device that a subjectAltName, as Node prints it, names; undefined when it names none or more than one.
 * Node quotes any name that could be mistaken for two, so that splitting at commas is safe.
 */
export function certificateDevice(subjectAltName: string | undefined): string | undefined {
  const names = (subjectAltName ?? '').split(', ').filter((name) => name.startsWith(prefix));
  const [only] = names;
  if (only === undefined || names.length !== 1) return undefined;
  const device = only.slice(prefix.length);
  return isDeviceId(device) ? device : undefined;
}

/** How a registered certificate is recognised. */
export function certificateSha256(der: Uint8Array): string {
  return sha256Hex(der);
}
