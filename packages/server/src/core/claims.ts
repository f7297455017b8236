/**
 * From what an identity provider claims of a person to what they are here, by the configuration's mapping.
 *
 * Keeps true: nothing is given that the mapping does not name; a claim of another form is no claim. Pure. Leaves to
 * others: that the claims are the provider's (adapters/oidc.ts), and whether the result is a grant (core/callers.ts).
 */
import type { Grant, UserRole } from '@airlock/protocol';
import { fail, ok, plainText, type Result } from '@airlock/trust';
import type { Identity } from '../ports/provider.ts';

export interface ClaimMapping {
  /** Claim that holds how the person is called, such as `preferred_username`. */
  readonly userClaim: string;
  readonly nameClaim: string;
  /** Claim that holds a text or a list of texts, such as `groups`. */
  readonly rolesClaim: string;
  readonly grants: readonly {
    readonly value: string;
    readonly roles: readonly UserRole[];
    readonly functions: readonly string[];
    readonly products: readonly string[];
  }[];
}

const userPattern = /^[a-z0-9][a-z0-9._@-]{0,63}$/;
const nameCharactersMax = 256;

function claimOf(claims: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/** Error: API_PROVIDER_ANSWER naming the claim. */
export function identityOf(
  claims: Readonly<Record<string, unknown>>,
  mapping: ClaimMapping,
): Result<Identity> {
  const issuer = claimOf(claims, 'iss');
  const subject = claimOf(claims, 'sub');
  const called = claimOf(claims, mapping.userClaim);
  const user = typeof called === 'string' ? called.toLowerCase() : '';
  const refused = (claim: string) =>
    fail('API_PROVIDER_ANSWER', `claim ${claim} is missing, or of another form than a user here`, claim);
  if (typeof issuer !== 'string') return refused('iss');
  if (typeof subject !== 'string' || subject === '') return refused('sub');
  if (!userPattern.test(user)) return refused(mapping.userClaim);
  const printed = claimOf(claims, mapping.nameClaim);
  const name = typeof printed === 'string' ? plainText(printed).trim().slice(0, nameCharactersMax) : '';
  if (name === '') return refused(mapping.nameClaim);
  return ok({ issuer, subject, user, name, grant: grantOf(claimOf(claims, mapping.rolesClaim), mapping) });
}

function grantOf(claim: unknown, { grants }: ClaimMapping): Grant {
  const values: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
  const given = grants.filter(({ value }) => values.includes(value));
  const union = <T>(lists: readonly (readonly T[])[]): T[] => [...new Set(lists.flat())];
  const products = union(given.map((grant) => grant.products));
  return {
    roles: union(given.map(({ roles }) => roles)),
    functions: union(given.map(({ functions }) => functions)),
    // Every product and some of them is every product.
    products: products.includes('*') ? ['*'] : products,
  };
}
