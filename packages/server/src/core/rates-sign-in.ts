/** The counters of tries to sign in, with their limits from one place. */
import { peopleLimits } from '@airlock/protocol';
import { createRates } from './rates.ts';

export function signInRates() {
  const { signInsPerAddressMax, signInsPerUserMax, signInWindowSeconds: windowSeconds } = peopleLimits;
  const perUser = { perWindow: signInsPerUserMax, windowSeconds };
  return {
    signInAddresses: createRates({ perWindow: signInsPerAddressMax, windowSeconds }),
    signInUsers: createRates(perUser),
    signInStrangers: createRates(perUser),
    signInAlarms: createRates({ perWindow: 1, windowSeconds }),
    hashes: { waiting: 0 },
  };
}
