/**
 * Who may do what: tokens hold permissions, routes name the one they need. Nothing is allowed by default.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type Permission, permissions } from '@airlock/protocol';
import { fail, ok, type Result } from '@airlock/trust';
import type { TokenRow } from '../ports/store.ts';

/** Someone who showed a valid token. */
export interface Caller {
  /** Name of the token: stands beside every act. */
  readonly name: string;
  readonly permissions: ReadonlySet<string>;
}

/** `airlock_` and 256 random bits. The fixed beginning lets secret scanners find a token that leaked. */
const tokenPattern = /^airlock_[A-Za-z0-9_-]{43}$/;

export function tokenText(randomBytes: Uint8Array): string {
  return `airlock_${Buffer.from(randomBytes).toString('base64url')}`;
}

export function hashToken(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/**
 * The caller of an Authorization header. Every stored hash is compared in constant time, so that the time taken tells
 * nothing about how much of a guess was right. Error: API_UNAUTHORIZED, the same whatever was wrong.
 */
export function identify(header: string | undefined, tokens: readonly TokenRow[]): Result<Caller> {
  const token = header?.startsWith('Bearer ') === true ? header.slice('Bearer '.length) : '';
  const given = Buffer.from(hashToken(token), 'hex');
  let found: TokenRow | undefined;
  for (const row of tokens) if (timingSafeEqual(given, Buffer.from(row.sha256, 'hex'))) found = row;
  if (found === undefined || !tokenPattern.test(token)) {
    return fail(
      'API_UNAUTHORIZED',
      'needs a valid API token: Authorization: Bearer <token>',
      'authorization',
    );
  }
  return ok({ name: found.name, permissions: new Set(found.permissions) });
}

/** Error: API_FORBIDDEN naming the permission that is needed. */
export function demandPermission(caller: Caller, permission: Permission): Result<true> {
  if (caller.permissions.has(permission)) return ok(true);
  return fail('API_FORBIDDEN', `token ${caller.name} may not ${permissions[permission]} (${permission})`);
}

/** Reads a list such as `products:read,devices:read`. Error: API_CONFIG naming what is not known. */
export function parsePermissions(text: string): Result<Permission[]> {
  const names = text.split(',').map((name) => name.trim());
  const known = Object.keys(permissions).filter((name): name is Permission => names.includes(name));
  const stranger = names.find((name) => !Object.hasOwn(permissions, name));
  if (stranger === undefined) return ok(known);
  const list = Object.keys(permissions).join(', ');
  return fail('API_CONFIG', `unknown permission "${stranger}", expected some of: ${list}`, '--permissions');
}
