/** What every act of the server works with: its ports, and the little that is kept in memory. */
import type { Signer, UtcSeconds } from '@airlock/trust';
import type { Locks } from '../core/locks.ts';
import type { Rates } from '../core/rates.ts';
import type { TimestampDesk } from '../core/timestamps.ts';
import type { BlobStore, Clock, Keyring } from '../ports/platform.ts';
import type { Store } from '../ports/store.ts';

export interface Context {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly keyring: Keyring;
  readonly clock: Clock;
  readonly timestamps: TimestampDesk;
  /** Signs checkpoints of the audit log: with the key that policies name, and the next one while keys change. */
  readonly auditSigners: () => readonly Signer[];
  readonly locks: Locks;
  readonly rates: {
    /** Of a device's set and a product's snapshot, signed anew because a device claims a newer one. */
    readonly deviceRewrites: Rates;
    readonly productRewrites: Rates;
    readonly reports: Rates;
    /** Tries to sign in: by address, by known name, by any other name. */
    readonly signInAddresses: Rates;
    readonly signInUsers: Rates;
    readonly signInStrangers: Rates;
    /** Entries of the audit log that a name is tried too often: one in a window. */
    readonly signInAlarms: Rates;
    /** Password hashes that wait. */
    readonly hashes: { waiting: number };
  };
  /** Devices seen since the last batch was written; losing these seconds is no loss. */
  readonly seen: Map<string, UtcSeconds>;
}
