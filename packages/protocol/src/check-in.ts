/**
 * How a check-in is written into a URL's query, and read out of it: both sides in one file, so that they agree.
 *
 * The ETag is not part of it: it travels as If-None-Match. Parsing is strict: a field unknown, doubled, missing or
 * of another form is refused by name. Runs in a browser.
 */
import type { CheckInRequest } from './messages.ts';

/** What was wrong with a query: the field, and one sentence with what was expected. */
export interface CheckInFault {
  readonly field: string;
  readonly message: string;
}

const counts = [
  'imageRoot',
  'directorRoot',
  'imageSnapshot',
  'directorSnapshot',
  'directorTargets',
  'deviceRecord',
] as const;
const hashes = ['policy', 'manifest'] as const;
const known: ReadonlySet<string> = new Set([...counts, ...hashes, 'roles', 'timestamps']);

/** Versions are integers of TUF: 0 (nothing held) to 2^53 - 1. */
const countForm = /^(0|[1-9][0-9]{0,15})$/;
const hashForm = /^[0-9a-f]{64}$/;
const roleForm = /^[a-z][a-z0-9-]{0,31}$/;
/** A product has `targets` and a few dozen functions at most; a longer list is nonsense or an attack. */
const checkInRolesMax = 64;

/** The query (no `?`) of a check-in. The order is fixed, so that equal requests are equal texts. */
export function encodeCheckIn(request: CheckInRequest): string {
  const query = new URLSearchParams();
  for (const name of counts) query.set(name, String(request[name]));
  for (const name of hashes) {
    const value = request[name];
    if (value !== undefined) query.set(name, value);
  }
  const roles = Object.entries(request.imageRoles).sort(([a], [b]) => (a < b ? -1 : 1));
  query.set('roles', roles.map(([role, version]) => `${role}:${version}`).join(','));
  query.set('timestamps', request.timestamps ? '1' : '0');
  return query.toString();
}

/** Reads a query back, given as text or as the parsed pairs. Answers the request (without `etag`) or the fault. */
export function parseCheckIn(query: string): CheckInRequest | CheckInFault {
  const pairs = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!known.has(name)) return { field: name.slice(0, 40), message: 'is not a field of a check-in' };
    if (pairs.has(name)) return { field: name, message: 'is given twice' };
    pairs.set(name, value);
  }
  const versions: Record<(typeof counts)[number], number> = {
    imageRoot: 0,
    directorRoot: 0,
    imageSnapshot: 0,
    directorSnapshot: 0,
    directorTargets: 0,
    deviceRecord: 0,
  };
  for (const name of counts) {
    const version = parseCount(pairs.get(name));
    if (version === undefined) return { field: name, message: 'must be an integer from 0 to 2^53 - 1' };
    versions[name] = version;
  }
  for (const name of hashes) {
    const value = pairs.get(name);
    if (value !== undefined && !hashForm.test(value)) {
      return { field: name, message: 'must be 64 lower-case hex digits' };
    }
  }
  const imageRoles = parseRoles(pairs.get('roles'));
  if (imageRoles === undefined) {
    return {
      field: 'roles',
      message: `must be at most ${checkInRolesMax} different role:version, joined by commas`,
    };
  }
  const timestamps = pairs.get('timestamps');
  if (timestamps !== '0' && timestamps !== '1') return { field: 'timestamps', message: 'must be 0 or 1' };
  const policy = pairs.get('policy');
  const manifest = pairs.get('manifest');
  return {
    ...versions,
    imageRoles,
    timestamps: timestamps === '1',
    ...(policy === undefined ? {} : { policy }),
    ...(manifest === undefined ? {} : { manifest }),
  };
}

function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || !countForm.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function parseRoles(text: string | undefined): Record<string, number> | undefined {
  if (text === undefined) return undefined;
  if (text === '') return {};
  const roles = new Map<string, number>();
  const parts = text.split(',', checkInRolesMax + 1);
  if (parts.length > checkInRolesMax) return undefined;
  for (const part of parts) {
    const colon = part.indexOf(':');
    const role = part.slice(0, colon);
    const version = parseCount(part.slice(colon + 1));
    if (colon < 0 || !roleForm.test(role) || version === undefined || roles.has(role)) return undefined;
    roles.set(role, version);
  }
  return Object.fromEntries(roles);
}
