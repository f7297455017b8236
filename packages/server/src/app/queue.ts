/** The signing queue of a product: proposals, reservations, releases that wait for a function, roles to be renewed. */
import type { FunctionQueue, ReservationView, RoleTerm, KeyHolder } from '@airlock/protocol';
import {
  fail,
  formatInstant,
  type FunctionView,
  type Manifest,
  ok,
  parseManifest,
  parsePolicy,
  type Policy,
  type Result,
} from '@airlock/trust';
import { type ImageRepository, rootViewOf, viewOf } from '../core/files.ts';
import { askedFor, termsOf } from '../core/queue.ts';
import { imageOwner } from '../core/versions.ts';
import { wasWithdrawn } from '../core/withdrawals.ts';
import type { ReservationRow } from '../ports/store.ts';
import type { Context } from './context.ts';
import { listProposals } from './proposals.ts';
import type { RoleStatus } from './publishing.ts';
import { loadImage } from './repositories.ts';
import { keyHolder, keyHoldersOf } from './key-holders.ts';

/** Releases that are looked at, newest first: an older one that waits is told by what came after it. */
const releasesLookedAtMax = 50;

export interface Queue {
  readonly product: string;
  readonly functions: readonly (Omit<FunctionQueue, 'proposal'> & { readonly proposal?: RoleStatus })[];
  readonly proposals: readonly RoleStatus[];
  readonly terms: readonly RoleTerm[];
}

/** Error: API_NOT_FOUND. */
export async function queueOf(context: Context, product: string): Promise<Result<Queue>> {
  const published = await loadImage(context.store, product);
  const proposals = await listProposals(context, product);
  if (published === undefined) return fail('API_NOT_FOUND', `there is no product ${product}`, 'product');
  if (!proposals.ok) return proposals;
  const terms = termsOf(published, context.clock.now());
  const targets = published.roles.get('targets');
  const view = targets === undefined ? undefined : viewOf(targets.file);
  const parsed = published.policy === undefined ? undefined : parsePolicy(Buffer.from(published.policy.text));
  const own = (role: string) => role === 'root' || role === 'targets';
  const roots = {
    product,
    proposals: proposals.value.filter(({ role }) => own(role)),
    terms: terms.filter(({ role }) => own(role)),
  };
  if (targets === undefined || view?.kind !== 'targets' || parsed?.ok !== true)
    return ok({ ...roots, functions: [] });
  const now = context.clock.now();
  const reservations = (await context.store.reservations(product)).filter(({ until }) => until > now);
  const waiting = await newestReleases(context, published);
  const functions = [];
  for (const { name, threshold } of view.functions) {
    const proposal = proposals.value.find(({ role }) => role === name);
    const held = reservations.find(({ role }) => role === name);
    const term = terms.find(({ role }) => role === name);
    functions.push({
      function: name,
      threshold,
      holders: keyHoldersOf(name, [targets.file], published.policy),
      ...(proposal === undefined ? {} : { proposal }),
      ...(held === undefined ? {} : { reservation: reservationView(held, parsed.value) }),
      releases: waitingFor(name, published, parsed.value, waiting),
      ...(term === undefined ? {} : { term }),
    });
  }
  return ok({ ...roots, functions });
}

export function reservationView(
  { role, version, keyId, until }: ReservationRow,
  policy?: Policy,
): ReservationView {
  const by: KeyHolder = keyHolder(keyId, policy?.holders ?? []);
  return { role, version, by, until: formatInstant(until) };
}

interface Waiting {
  readonly version: number;
  readonly manifestSha256: string;
  readonly manifest: Manifest;
}

/** Those that nobody ever withdrew: approving such a one again is in vain for whoever saw it. */
async function newestReleases({ store }: Context, { product, roles }: ImageRepository): Promise<Waiting[]> {
  const rows = (await store.releases(product)).toSorted((a, b) => b.version - a.version);
  const found: Waiting[] = [];
  for (const { version, manifestSha256 } of rows.slice(0, releasesLookedAtMax)) {
    const text = await store.document(product, manifestSha256);
    const manifest = text === undefined ? undefined : parseManifest(Buffer.from(text));
    let withdrawn = false;
    for (const role of roles.keys()) {
      if (role === 'targets') continue;
      withdrawn ||= wasWithdrawn(await store.listings(imageOwner(product), role, manifestSha256));
    }
    if (manifest?.ok === true && !withdrawn)
      found.push({ version, manifestSha256, manifest: manifest.value });
  }
  return found;
}

/** What came after the newest release that the function approves: older ones were passed over. */
function waitingFor(
  name: string,
  { root, roles }: ImageRepository,
  policy: Policy,
  releases: readonly Waiting[],
): FunctionQueue['releases'] {
  const role = roles.get(name);
  const view = role === undefined ? undefined : viewOf(role.file);
  const listed: FunctionView['releases'] = view?.kind === 'function' ? view.releases : [];
  const newest = Math.max(0, ...listed.map(({ version }) => version));
  const minimum = rootViewOf(root.file).image?.minimum ?? { classes: {}, markets: {} };
  return releases
    .filter(({ version }) => version > newest)
    .map(({ version, manifest }) => ({
      version,
      name: manifest.name,
      emergency: manifest.emergency,
      askedFor: askedFor(name, manifest, { minimum, policy }),
    }))
    .filter((release) => release.askedFor.length > 0);
}
