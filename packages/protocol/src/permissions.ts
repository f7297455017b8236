/**
 * What people and programs may be allowed to do at the server, and the roles of users that are made of it.
 *
 * Keeps true: a role of a user holds no more than one kind of work needs, and none holds everything; who manages users
 * may do nothing else by that. Leaves to others: which route needs which permission (the server's route table), and
 * everything that decides what a device installs: that is signatures, never a permission.
 */

/** Words for people; a session holds those of its user's roles, an API token a part of them. */
export const permissions = {
  'products:read': 'see products, published metadata, proposals and releases, and follow the audit log',
  'products:write': 'create products, upload policies and give the director its root',
  'proposals:write': 'present and take away signed roles of functions that the user stands in',
  'ceremonies:write': 'the same for roots, targets and every function, as ceremonies need it',
  'releases:write': 'upload images and manifests',
  'devices:read': 'see devices, assignments, reports and logs',
  'devices:write': 'register and revoke devices and replace their records',
  'assignments:write': 'assign releases to devices and take assignments back',
  'metrics:read': 'read the metrics',
  'audit:read': 'read the entries of the audit log',
  'recovery:write': 'hand back files that a restored server lost, or dismiss a suspicion',
  'users:read': 'see users, their roles and their API tokens',
  'users:write': 'make, change and remove users, end their sessions and revoke their API tokens',
} as const;
export type Permission = keyof typeof permissions;

/** A role of a user: a kind of work. It is no role of a repository, and approves nothing. */
export const userRoles = {
  administrator: { does: 'manages users', may: ['users:read', 'users:write'] },
  engineer: { does: 'makes releases', may: ['products:read', 'devices:read', 'releases:write'] },
  approver: {
    does: 'signs for the function that the user stands in',
    may: ['products:read', 'proposals:write'],
  },
  'key-holder': {
    does: 'makes products and runs ceremonies',
    may: [
      'products:read',
      'devices:read',
      'products:write',
      'proposals:write',
      'ceremonies:write',
      'recovery:write',
    ],
  },
  operator: {
    does: 'assigns releases and looks after the fleet and the server',
    may: ['products:read', 'devices:read', 'assignments:write', 'recovery:write', 'metrics:read'],
  },
  registrar: { does: 'registers devices', may: ['products:read', 'devices:read', 'devices:write'] },
  auditor: {
    does: 'reads everything, changes nothing',
    may: ['products:read', 'devices:read', 'audit:read', 'metrics:read', 'users:read'],
  },
  viewer: { does: 'sees products and devices', may: ['products:read', 'devices:read'] },
} as const satisfies Readonly<Record<string, { readonly does: string; readonly may: readonly Permission[] }>>;
export type UserRole = keyof typeof userRoles;

export function isPermission(name: string): name is Permission {
  return Object.hasOwn(permissions, name);
}

export function isUserRole(name: string): name is UserRole {
  return Object.hasOwn(userRoles, name);
}

/** What these roles hold together. */
export function permissionsOf(roles: readonly UserRole[]): ReadonlySet<Permission> {
  return new Set(roles.flatMap((role): readonly Permission[] => userRoles[role].may));
}

/** `*`: every product, also those that are made later. */
export const everyProduct = '*';

export function coversProduct(products: readonly string[], product: string): boolean {
  return products.includes(everyProduct) || products.includes(product);
}

/**
 * The function that a user stands in for a product; undefined for none. Functions are written `product/function`, or
 * for every product by `everyProduct`; nobody stands in two of one product.
 */
export function functionFor(functions: readonly string[], product: string): string | undefined {
  const found = functions
    .map((entry) => entry.split('/'))
    .find(([of]) => of === product || of === everyProduct);
  return found?.[1];
}
