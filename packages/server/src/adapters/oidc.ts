/**
 * The identity provider by OpenID Connect: authorization code flow with PKCE, through `openid-client`.
 *
 * Keeps true: state, nonce, issuer (of the answer and of the token), audience, expiry and the ID token's signature are
 * checked by the library, the last one although the token came over TLS; errors carry the library's code, never a code
 * or token of the provider. Discovery is done when it is first needed and again when it failed.
 */
import { randomBytes } from 'node:crypto';
import { fail, ok, type Result } from '@airlock/trust';
import * as client from 'openid-client';
import { type ClaimMapping, identityOf } from '../core/claims.ts';
import { opaqueText, secretBytes } from '../core/secrets.ts';
import type { Identity, Provider } from '../ports/provider.ts';
import type { ProviderFetch } from './oidc-fetch.ts';

export interface OidcOptions {
  readonly issuer: string;
  readonly clientId: string;
  /** Undefined: a public client, which PKCE alone protects. */
  readonly clientSecret: string | undefined;
  /** Of this server's callback, as the provider knows it. */
  readonly redirectUrl: string;
  readonly scope: string;
  readonly mapping: ClaimMapping;
  readonly fetch: ProviderFetch;
}

/** Milliseconds after which the provider's description is fetched anew: it names its addresses and changes rarely. */
const discoveryMs = 3_600_000;

export function createOidcProvider(options: OidcOptions): Provider {
  let known: { readonly config: client.Configuration; readonly at: number } | undefined;
  const configuration = async (): Promise<client.Configuration> => {
    if (known !== undefined && performance.now() - known.at < discoveryMs) return known.config;
    const { clientSecret } = options;
    const how = clientSecret === undefined ? client.None() : client.ClientSecretBasic(clientSecret);
    const config = await client.discovery(new URL(options.issuer), options.clientId, {}, how, {
      [client.customFetch]: options.fetch,
      execute: [client.enableNonRepudiationChecks],
    });
    known = { config, at: performance.now() };
    return config;
  };
  return {
    async begin() {
      const found = await attempt(configuration);
      if (!found.ok) return found;
      const [state, nonce, verifier] = [random(), random(), random()];
      const address = client.buildAuthorizationUrl(found.value, {
        redirect_uri: options.redirectUrl,
        scope: options.scope,
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
      });
      return ok({ address: address.href, state, nonce, verifier });
    },
    async end(query, { state, nonce, verifier }) {
      const found = await attempt(configuration);
      if (!found.ok) return found;
      // The address that the provider was told, whatever name the browser used.
      const address = new URL(`${options.redirectUrl}?${query}`);
      return await exchange(found.value, address, { state, nonce, verifier }, options.mapping);
    },
  };
}

const random = (): string => opaqueText(randomBytes(secretBytes));

async function attempt<T>(act: () => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await act());
  } catch (error) {
    return fail('API_PROVIDER', `the identity provider cannot be asked (${reasonOf(error)})`);
  }
}

/** The library's code, such as `OAUTH_RESPONSE_IS_NOT_CONFORM`, or that of the connection; never a message. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const code: unknown = Reflect.get(error, 'code');
  if (typeof code === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(code)) return code;
  return error.cause instanceof Error ? reasonOf(error.cause) : error.name;
}

async function exchange(
  config: client.Configuration,
  address: URL,
  begun: { readonly state: string; readonly nonce: string; readonly verifier: string },
  mapping: ClaimMapping,
): Promise<Result<Identity>> {
  try {
    const tokens = await client.authorizationCodeGrant(config, address, {
      pkceCodeVerifier: begun.verifier,
      expectedState: begun.state,
      expectedNonce: begun.nonce,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    if (claims === undefined) return fail('API_PROVIDER_ANSWER', 'the identity provider sent no ID token');
    return identityOf(claims, mapping);
  } catch (error) {
    return fail('API_PROVIDER_ANSWER', `the identity provider's answer does not count (${reasonOf(error)})`);
  }
}
