/** Names and shapes that the helpers share. */
import type { Signer } from '@airlock/trust';
import type { Issued } from './certificates.ts';

export const product = 'infusion-pump';

export interface TestDevice {
  readonly id: string;
  readonly issued: Issued;
  readonly logKey: Signer;
  readonly record: string;
}
