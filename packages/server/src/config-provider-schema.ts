/** The part of the configuration that names the company's identity provider: its form, and how its paths resolve. */
import { GrantSchema, strict } from '@airlock/protocol';
import { type Static, Type } from 'typebox';

const PathText = Type.String({ minLength: 1, maxLength: 4096 });
const Https = Type.String({ pattern: '^https://[^\\s?#]+$', maxLength: 2048 });
const ClaimName = Type.String({ pattern: '^[A-Za-z0-9_.:/-]{1,128}$' });

export const ProviderSchema = Type.Object(
  {
    /** Exactly as the provider writes it in its tokens. */
    issuer: Https,
    clientId: Type.String({ minLength: 1, maxLength: 256 }),
    /** Absent: a public client. */
    clientSecretFile: Type.Optional(PathText),
    /** PEM of the authority of the provider's certificate; absent: those that Node knows. */
    authorityFile: Type.Optional(PathText),
    /** As browsers reach this server: `https://<host>/api/v1/sign-in/provider/callback`. */
    redirectUrl: Type.String({
      pattern: '^https://[^\\s?#]+/api/v1/sign-in/provider/callback$',
      maxLength: 2048,
    }),
    scope: Type.Optional(Type.String({ pattern: '^openid(?: [\\x21-\\x7e]+)*$', maxLength: 512 })),
    userClaim: Type.Optional(ClaimName),
    nameClaim: Type.Optional(ClaimName),
    rolesClaim: Type.Optional(ClaimName),
    /** What a value of the roles claim gives. */
    grants: Type.Array(
      Type.Object(
        { value: Type.String({ minLength: 1, maxLength: 256 }), ...GrantSchema.properties },
        strict,
      ),
      { minItems: 1, maxItems: 256 },
    ),
  },
  strict,
);
export type ProviderConfig = Static<typeof ProviderSchema>;

export function resolveProvider(config: ProviderConfig, at: (name: string) => string): ProviderConfig {
  const { clientSecretFile: secret, authorityFile: authority } = config;
  return {
    ...config,
    ...(secret === undefined ? {} : { clientSecretFile: at(secret) }),
    ...(authority === undefined ? {} : { authorityFile: at(authority) }),
  };
}
