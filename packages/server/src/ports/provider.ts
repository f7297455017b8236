/**
 * Port to the company's identity provider (OpenID Connect).
 *
 * Contract: `begin` answers where a browser must go, with fresh state, nonce and verifier (PKCE, S256). `end` judges the
 * answer that the browser brought back against exactly those, exchanges it, and verifies signature, issuer, audience,
 * nonce and expiry of the ID token before it answers who the person is. It never answers a token of the provider.
 */
import type { Grant } from '@airlock/protocol';
import type { Result } from '@airlock/trust';

export interface BegunAtProvider {
  readonly address: string;
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** A person as the provider names them. */
export interface Identity {
  readonly issuer: string;
  /** The provider's own id of the person, which is never given to another one. */
  readonly subject: string;
  /** As a user of this server is called. */
  readonly user: string;
  readonly name: string;
  /** By the configuration's mapping; without roles: nobody here. */
  readonly grant: Grant;
}

export interface Provider {
  /** Error: API_PROVIDER when it cannot be asked. */
  begin(): Promise<Result<BegunAtProvider>>;
  /** `query`: of the address that the browser came back to. Errors: API_PROVIDER, API_PROVIDER_ANSWER. */
  end(query: string, begun: Omit<BegunAtProvider, 'address'>): Promise<Result<Identity>>;
}
