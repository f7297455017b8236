/**
 * The one table of the management API: every route, the permission that it needs, and what of the server it touches.
 *
 * Keeps true: nothing is allowed that does not stand here. The listener refuses to start when a route is registered that
 * has no row, or a row has no route; docs/permissions.md is made from it, and a test walks it with every role. Leaves to
 * others: which role holds which permission (protocol), and how a caller is known (app/callers.ts).
 */
import type { Permission } from '@airlock/protocol';

/** `public`: nobody is asked who they are. `signed-in`: whoever is known, whatever they may do. */
export type Need = Permission | 'public' | 'signed-in';

/**
 * Of which product a request is; a caller who is let in for other products only gets the answer of what does not exist.
 *
 * - `product`: of the product in its path. `function`: the same, and the role in its path must be the function that the
 *   caller stands in, unless they may `ceremonies:write`. `device`: of the product of the device in its path.
 * - `body`: of the product that its body names. `list`: the answer holds only what is the caller's.
 * - `fleet`: of all; needs a caller for every product. `none`: of no product. `self`: of the caller alone.
 */
export type RouteScope = 'product' | 'function' | 'device' | 'body' | 'list' | 'fleet' | 'none' | 'self';

export interface RouteRule {
  readonly needs: Need;
  readonly of: RouteScope;
  /** Only a person's session: a stolen API token must not be able to make another one, or a user. */
  readonly person?: true;
  readonly does: string;
}

const sees = (of: RouteScope, does: string): RouteRule => ({ needs: 'products:read', of, does });
const watches = (of: RouteScope, does: string): RouteRule => ({ needs: 'devices:read', of, does });
const open = (does: string): RouteRule => ({ needs: 'public', of: 'none', does });
const manages = (does: string): RouteRule => ({ needs: 'users:write', of: 'fleet', person: true, does });

const devices = {
  'GET /api/v1/devices': watches('list', 'lists devices'),
  'GET /api/v1/devices/:device': watches('device', 'shows a device'),
  'POST /api/v1/devices': { needs: 'devices:write', of: 'body', does: 'registers a device' },
  'PUT /api/v1/devices/:device/record': {
    needs: 'devices:write',
    of: 'device',
    does: 'replaces a device record',
  },
  'DELETE /api/v1/devices/:device': { needs: 'devices:write', of: 'device', does: 'revokes a device' },
  'GET /api/v1/devices/:device/assignment': watches('device', 'shows what is assigned'),
  'PUT /api/v1/devices/:device/assignment': {
    needs: 'assignments:write',
    of: 'device',
    does: 'assigns a release',
  },
  'DELETE /api/v1/devices/:device/assignment': {
    needs: 'assignments:write',
    of: 'device',
    does: 'takes an assignment back',
  },
  'GET /api/v1/devices/:device/reports': watches('device', 'lists reports'),
  'GET /api/v1/devices/:device/log': watches('device', 'shows the log of a device'),
  'GET /api/v1/devices/:device/tuf/*': watches('device', 'gives files of a device in the layout of TUF'),
} as const satisfies Readonly<Record<string, RouteRule>>;

const products = {
  'GET /api/v1/products': sees('list', 'lists products'),
  'GET /api/v1/products/:product': sees('product', 'shows a product'),
  'POST /api/v1/products': { needs: 'products:write', of: 'body', does: 'creates a product' },
  'GET /api/v1/products/:product/releases': sees('product', 'lists releases'),
  'GET /api/v1/products/:product/releases/:version': sees('product', 'shows a release'),
  'POST /api/v1/products/:product/releases': {
    needs: 'releases:write',
    of: 'product',
    does: 'uploads a manifest',
  },
  'PUT /api/v1/images/:sha256': { needs: 'releases:write', of: 'none', does: 'uploads an image' },
  'GET /api/v1/images/:sha256': sees('none', 'says whether an image is here'),
  'PUT /api/v1/products/:product/policies/:sha256': {
    needs: 'products:write',
    of: 'product',
    does: 'uploads a policy',
  },
  'GET /api/v1/products/:product/proposals': sees('product', 'lists proposals'),
  'PUT /api/v1/products/:product/proposals/:role': {
    needs: 'proposals:write',
    of: 'function',
    does: 'presents a signed role',
  },
  'DELETE /api/v1/products/:product/proposals/:role': {
    needs: 'proposals:write',
    of: 'function',
    does: 'takes a proposal away',
  },
  'GET /api/v1/products/:product/queue': sees('product', 'shows what waits for whose signature'),
  'PUT /api/v1/products/:product/proposals/:role/reservation': {
    needs: 'proposals:write',
    of: 'function',
    does: 'reserves a number before it is signed',
  },
  'PUT /api/v1/products/:product/missing/:role': {
    needs: 'recovery:write',
    of: 'product',
    does: 'hands a lost file back',
  },
  'DELETE /api/v1/products/:product/missing/:role': {
    needs: 'recovery:write',
    of: 'product',
    does: 'dismisses what devices claim',
  },
  'GET /api/v1/products/:product/tuf/*': sees('product', 'gives files of a product in the layout of TUF'),
} as const satisfies Readonly<Record<string, RouteRule>>;

const fleet = {
  'GET /api/v1/director': sees('fleet', 'shows the director and what devices claim of it'),
  'POST /api/v1/director/root': {
    needs: 'products:write',
    of: 'fleet',
    does: 'gives the director a root',
  },
  'GET /api/v1/director/tuf/*': sees('none', "gives the director's roots"),
  'DELETE /api/v1/director/missing': {
    needs: 'recovery:write',
    of: 'fleet',
    does: 'dismisses what devices claim of the director',
  },
} as const satisfies Readonly<Record<string, RouteRule>>;

const audit = {
  'GET /api/v1/audit/checkpoint': sees('none', 'gives the newest checkpoint'),
  'GET /api/v1/audit/consistency': sees('none', 'proves that the log continues a checkpoint'),
  'GET /api/v1/audit/inclusion': sees('none', 'proves that an entry is in the log'),
  'GET /api/v1/audit/entries': { needs: 'audit:read', of: 'fleet', does: 'lists entries' },
  'GET /api/v1/products/:product/statements/:role/:version': sees('product', 'shows statements of a role'),
  'GET /api/v1/products/:product/releases/:version/statements': sees(
    'product',
    'shows statements about a release',
  ),
} as const satisfies Readonly<Record<string, RouteRule>>;

const people = {
  'GET /health': open('says that the server is there'),
  'GET /openapi.json': open('describes this interface'),
  'GET /metrics': { needs: 'metrics:read', of: 'fleet', does: 'gives the metrics' },
  'GET /api/v1/sign-in': open('says how people sign in'),
  'POST /api/v1/sign-in': open('signs in by password'),
  'POST /api/v1/sign-in/provider': open('begins a sign-in at the identity provider'),
  'GET /api/v1/sign-in/provider/callback': open('takes the browser back from the identity provider'),
  'GET /api/v1/sign-in/provider/finish': open('ends a sign-in of a browser'),
  'POST /api/v1/sign-in/provider/session': open('ends a sign-in of a program'),
  'GET /api/v1/session': { needs: 'signed-in', of: 'self', does: 'says who the caller is' },
  'DELETE /api/v1/session': { needs: 'signed-in', of: 'self', person: true, does: 'signs out' },
  'PUT /api/v1/session/password': {
    needs: 'signed-in',
    of: 'self',
    person: true,
    does: "changes the caller's password",
  },
  'GET /api/v1/tokens': { needs: 'signed-in', of: 'self', does: "lists the caller's API tokens" },
  'POST /api/v1/tokens': { needs: 'signed-in', of: 'self', person: true, does: 'makes an API token' },
  'DELETE /api/v1/tokens/:name': {
    needs: 'signed-in',
    of: 'self',
    person: true,
    does: "revokes an API token of the caller's",
  },
  'GET /api/v1/users': { needs: 'users:read', of: 'fleet', does: 'lists users' },
  'POST /api/v1/users': manages('makes a user'),
  'PUT /api/v1/users/:user/roles': manages('changes what a user may do'),
  'POST /api/v1/users/:user/secret': manages('gives a user a new one-time secret'),
  'DELETE /api/v1/users/:user/sessions': manages("ends a user's sessions"),
  'DELETE /api/v1/users/:user': manages('removes a user'),
  'GET /api/v1/users/:user/tokens': {
    needs: 'users:read',
    of: 'fleet',
    does: "lists a user's API tokens",
  },
  'DELETE /api/v1/users/:user/tokens/:name': manages("revokes a user's API token"),
} as const satisfies Readonly<Record<string, RouteRule>>;

export const routeTable: Readonly<Record<string, RouteRule>> = {
  ...people,
  ...products,
  ...fleet,
  ...devices,
  ...audit,
};

/** The row of a route as the router names it; undefined for none. */
export function ruleOf(method: string, url: string): RouteRule | undefined {
  const key = `${method} ${url}`;
  return Object.hasOwn(routeTable, key) ? routeTable[key] : undefined;
}
