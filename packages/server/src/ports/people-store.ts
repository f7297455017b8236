/**
 * People part of the store port: users, sessions, API tokens, and sign-ins that wait for the identity provider.
 *
 * Contract: no secret is stored, only its hash (a slow one for passwords, SHA-256 for what has 256 random bits); the
 * verifier and nonce of a waiting sign-in are the exception, which are worthless without the person and live for minutes.
 * A user's row is never deleted, so that no id is given twice.
 */
import type { Permission, UserRole } from '@airlock/protocol';
import type { UtcSeconds } from '@airlock/trust';

export interface UserRow {
  readonly user: string;
  /** Printed name. */
  readonly name: string;
  readonly roles: readonly UserRole[];
  readonly functions: readonly string[];
  readonly products: readonly string[];
  /** Who they are at the identity provider; absent for users of this server. */
  readonly provider?: { readonly issuer: string; readonly subject: string };
  /** As `hashPassword` makes it; absent for users of the identity provider. */
  readonly password?: string;
  /** The password is a one-time secret, until then. */
  readonly secretUntil?: UtcSeconds;
  readonly created: UtcSeconds;
  readonly lastSignIn?: UtcSeconds;
  readonly removed?: UtcSeconds;
}

export interface SessionRow {
  readonly sha256: string;
  readonly user: string;
  readonly created: UtcSeconds;
  readonly expires: UtcSeconds;
  readonly lastUsed: UtcSeconds;
}

export interface ApiTokenRow {
  readonly user: string;
  readonly name: string;
  readonly sha256: string;
  readonly permissions: readonly Permission[];
  readonly products: readonly string[];
  readonly created: UtcSeconds;
  readonly expires: UtcSeconds;
  readonly revoked?: UtcSeconds;
}

/** A sign-in that was begun; it becomes `proven` when the identity provider has named the person. */
export interface PendingRow {
  readonly stateSha256: string;
  readonly verifier: string;
  readonly nonce: string;
  readonly expires: UtcSeconds;
  /** Of a browser: SHA-256 of the secret in its cookie. */
  readonly bindingSha256?: string;
  /** Of a program: where it waits, and its challenge. */
  readonly port?: number;
  readonly challenge?: string;
  /** Of a program, once the person is known: SHA-256 of the code that it exchanges. */
  readonly proven?: { readonly user: string; readonly codeSha256: string };
}

export interface PeopleStore {
  user(user: string): Promise<UserRow | undefined>;
  userOfProvider(issuer: string, subject: string): Promise<UserRow | undefined>;
  users(): Promise<readonly UserRow[]>;
  /** Adds or replaces. */
  putUser(row: UserRow): Promise<void>;
  session(sha256: string): Promise<SessionRow | undefined>;
  addSession(row: SessionRow): Promise<void>;
  useSession(sha256: string, now: UtcSeconds): Promise<void>;
  /** False when it was not there. */
  removeSession(sha256: string): Promise<boolean>;
  /** All of a user but `except`; answers how many. */
  removeSessionsOf(user: string, except?: string): Promise<number>;
  /** Those that expired. */
  sweepSessions(now: UtcSeconds): Promise<void>;
  apiToken(sha256: string): Promise<ApiTokenRow | undefined>;
  apiTokensOf(user: string): Promise<readonly ApiTokenRow[]>;
  /** Adds or replaces the one of this user and name. */
  putApiToken(row: ApiTokenRow): Promise<void>;
  addPending(row: PendingRow): Promise<void>;
  pending(stateSha256: string): Promise<PendingRow | undefined>;
  pendingByCode(codeSha256: string): Promise<PendingRow | undefined>;
  countPending(): Promise<number>;
  /** False when it was not there: somebody else took it. */
  removePending(stateSha256: string): Promise<boolean>;
  provePending(stateSha256: string, proven: NonNullable<PendingRow['proven']>): Promise<void>;
  sweepPending(now: UtcSeconds): Promise<void>;
}
