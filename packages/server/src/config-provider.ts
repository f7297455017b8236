/**
 * Makes the identity provider's adapter from the configuration, or nothing where none is named. Files are read at start,
 * so that a wrong one is told then; the provider itself is asked when somebody signs in.
 */
import { fail, ok, type Result } from '@airlock/trust';
import { createProviderFetch } from './adapters/oidc-fetch.ts';
import { createOidcProvider } from './adapters/oidc.ts';
import { readText, type ServerConfig } from './config.ts';
import { judgeGrant } from './core/callers.ts';
import type { Provider } from './ports/provider.ts';

const defaults = {
  scope: 'openid profile',
  userClaim: 'preferred_username',
  nameClaim: 'name',
  rolesClaim: 'groups',
} as const;

/** Error: API_CONFIG naming the field. */
export async function readProvider(config: ServerConfig): Promise<Result<Provider | undefined>> {
  const { identityProvider: named } = config;
  if (named === undefined) return ok(undefined);
  for (const [at, grant] of named.grants.entries()) {
    const fits = judgeGrant(grant);
    const field = `identityProvider.grants.${at}`;
    if (!fits.ok) return fail('API_CONFIG', `${field}: ${fits.error.message}`, field);
  }
  const secret = await optionalFile(named.clientSecretFile, 'identityProvider.clientSecretFile');
  if (!secret.ok) return secret;
  const authority = await optionalFile(named.authorityFile, 'identityProvider.authorityFile');
  if (!authority.ok) return authority;
  const { userClaim, nameClaim, rolesClaim, scope } = { ...defaults, ...named };
  return ok(
    createOidcProvider({
      issuer: named.issuer,
      clientId: named.clientId,
      clientSecret: secret.value?.trim(),
      redirectUrl: named.redirectUrl,
      scope,
      mapping: { userClaim, nameClaim, rolesClaim, grants: named.grants },
      fetch: createProviderFetch(authority.value),
    }),
  );
}

async function optionalFile(file: string | undefined, field: string): Promise<Result<string | undefined>> {
  return file === undefined ? ok(undefined) : await readText(file, field);
}
