/**
 * What a caller may do: permissions, functions and products, and whether that suffices for a route.
 *
 * Keeps true: nothing is allowed by default; an API token never holds more than its user holds at this moment; nobody
 * stands in two functions of one product. Pure. Leaves to others: who a caller is (app/callers.ts), and of which product
 * a request is (adapters/http/scope.ts).
 */
import {
  coversProduct,
  everyProduct,
  functionFor,
  type Grant,
  type Permission,
  permissions,
  permissionsOf,
} from '@airlock/protocol';
import { fail, isFunctionName, ok, type Result } from '@airlock/trust';
import type { ApiTokenRow, UserRow } from '../ports/people-store.ts';
import type { RouteRule } from './routes.ts';

/** Someone who showed a valid secret. */
export interface Caller {
  readonly user: string;
  /** Stands beside every act: the user, or `user/token` for one of their programs. */
  readonly name: string;
  readonly printedName: string;
  readonly by: 'session' | 'api-token';
  /** SHA-256 of the secret that was shown. */
  readonly sha256: string;
  /** It came in a cookie, which browsers send by themselves. */
  readonly cookie: boolean;
  readonly expires: number;
  readonly roles: Grant['roles'];
  readonly permissions: ReadonlySet<Permission>;
  readonly functions: readonly string[];
  readonly products: readonly string[];
  readonly apiToken?: string;
}

/** What both kinds of secret lead to. */
export interface Shown {
  readonly sha256: string;
  readonly cookie: boolean;
  readonly expires: number;
}

export function callerOfSession(user: UserRow, shown: Shown): Caller {
  return {
    ...shown,
    user: user.user,
    name: user.user,
    printedName: user.name,
    by: 'session',
    roles: [...user.roles],
    permissions: permissionsOf(user.roles),
    functions: user.functions,
    products: user.products,
  };
}

/** The token's permissions and products, as far as its user still holds them. */
export function callerOfApiToken(user: UserRow, token: ApiTokenRow, shown: Shown): Caller {
  const held = permissionsOf(user.roles);
  return {
    ...callerOfSession(user, shown),
    name: `${user.user}/${token.name}`,
    by: 'api-token',
    permissions: new Set(token.permissions.filter((permission) => held.has(permission))),
    products: narrower(token.products, user.products),
    apiToken: token.name,
  };
}

/** Products in both lists, where `*` is every one. */
function narrower(asked: readonly string[], held: readonly string[]): string[] {
  if (asked.includes(everyProduct)) return [...held];
  return asked.filter((product) => coversProduct(held, product));
}

/** Error: API_FORBIDDEN naming the permission, API_PERSON, or API_SCOPE for what is of the whole fleet. */
export function demandRule(caller: Caller, rule: RouteRule): Result<true> {
  const { needs } = rule;
  if (rule.person === true && caller.by !== 'session') {
    return fail('API_PERSON', `${caller.name} is an API token, and only a person who signed in may do this`);
  }
  if (needs !== 'public' && needs !== 'signed-in' && !caller.permissions.has(needs)) {
    return fail('API_FORBIDDEN', `${caller.name} may not ${permissions[needs]} (${needs})`);
  }
  if (rule.of === 'fleet' && !caller.products.includes(everyProduct)) {
    return fail('API_SCOPE', `${caller.name} is let in for some products only, and this is of all`);
  }
  return ok(true);
}

/** Error: API_SCOPE when the role is not the caller's to present. */
export function demandFunction(caller: Caller, product: string, role: string): Result<true> {
  if (caller.permissions.has('ceremonies:write')) return ok(true);
  const own = functionFor(caller.functions, product);
  if (own === role) return ok(true);
  const stands = own === undefined ? 'stands in no function' : `stands in ${own}`;
  return fail('API_SCOPE', `${caller.name} ${stands} of ${product}, and may not present ${role}`, 'role');
}

type HeldGrant = Pick<UserRow, keyof Grant>;

/** Whether two grants are one and the same: a row that was read before must not bring back what was taken since. */
export function sameGrant(one: HeldGrant, other: HeldGrant): boolean {
  const text = ({ roles, functions, products }: HeldGrant): string =>
    JSON.stringify({ roles, functions, products });
  return text(one) === text(other);
}

/** Whether a grant is one that a user may have. Error: API_GRANT naming the field. */
export function judgeGrant({ roles, functions, products }: Grant): Result<true> {
  const refused = (field: string, why: string) => fail('API_GRANT', `${field}: ${why}`, field);
  const parts = functions.map((entry) => entry.split('/'));
  const names = parts.map(([product = '']) => product);
  // REQ-OTA-POL-02: who stands in one function of a product stands in no other one.
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) return refused('functions', `names two functions for ${twice}`);
  if (names.length > 1 && names.includes(everyProduct)) {
    return refused('functions', `names a function for every product, and another one for one of them`);
  }
  const odd = parts.find(([, name = '']) => !isFunctionName(name));
  if (odd !== undefined) return refused('functions', `"${odd[1] ?? ''}" is no name of a function`);
  if (roles.includes('approver') && functions.length === 0) {
    return refused('functions', 'an approver stands in a function');
  }
  const beyond = names.find((name) => !coversProduct(products, name) && roles.length > 0);
  if (beyond !== undefined) {
    return refused('products', `the function of ${beyond} needs the product ${beyond}`);
  }
  if (products.length === 0 && roles.length > 0) {
    return refused('products', `needs at least one product, or ${everyProduct}`);
  }
  if (products.some((product) => product === everyProduct) && products.length > 1) {
    return refused('products', `${everyProduct} is every product; nothing stands beside it`);
  }
  return judgeFleetRoles(roles, products);
}

/** Roles whose work is of the whole fleet would be refused at every route. */
function judgeFleetRoles(roles: Grant['roles'], products: readonly string[]): Result<true> {
  const wide = roles.find((role) => role === 'administrator' || role === 'auditor');
  if (wide === undefined || products.includes(everyProduct)) return ok(true);
  return fail('API_GRANT', `products: ${wide} is a role for ${everyProduct}`, 'products');
}
