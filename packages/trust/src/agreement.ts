/**
 * Agreement: what the director names is installed only if every function demanded approved exactly that manifest.
 *
 * Keeps true: a release that this device has seen withdrawn stays refused; the manifest is believed by length and
 * hash only, and is for this product, under its own version; each function demanded has the threshold demanded, a
 * role that verifies now, and lists the same bytes as the director.
 * Leaves to others: whether the manifest suits this device's hardware, slots and floor (applicability.ts).
 */
import { checkOffered, computeDemand, type Demand } from './demand.ts';
import type { FunctionState, ImageSet } from './functions.ts';
import { parseManifest } from './manifest.ts';
import type { DirectorTargetsView, RootView } from './read.ts';
import type { Session } from './repository-session.ts';
import { loadTarget, type Steps, textOf } from './repository.ts';
import { fail, ok, type Failure, type Result } from './result.ts';
import type { DeviceRecord, Manifest } from './types.ts';

/** The director's one target. */
export type Assigned = NonNullable<DirectorTargetsView['assignment']>;

export interface Agreed extends Demand {
  readonly manifest: Manifest;
  readonly manifestText: string;
}

/**
 * Decides on the director's target. Fetches the manifest through the image repository, unless the held one is it.
 * Errors: `OTA_WITHDRAWN`, `OTA_NOT_APPROVED`, `OTA_AGREEMENT`, `OTA_WRONG_PRODUCT`, `OTA_MISSING_FILE`,
 * `OTA_HASH_MISMATCH`, those of `parseManifest` and of demand.ts, and those of a role that is demanded.
 */
export function* agree(input: {
  readonly session: Session;
  readonly set: ImageSet;
  readonly minimum: NonNullable<RootView['image']>['minimum'];
  readonly record: DeviceRecord;
  readonly assigned: Assigned;
  readonly withdrawn: readonly string[];
  readonly heldManifest: string | undefined;
}): Steps<Agreed> {
  const { session, set, minimum, record, assigned } = input;
  if (assigned.product !== record.product) {
    return fail(
      'OTA_WRONG_PRODUCT',
      `the director names a release of ${assigned.product}, this is ${record.product}`,
    );
  }
  if (input.withdrawn.includes(assigned.sha256)) {
    return fail(
      'OTA_WITHDRAWN',
      `release ${assigned.version} was withdrawn by a function that had approved it`,
    );
  }
  const lister = findLister(set, assigned);
  if (!lister.ok) return lister;
  const path = `targets/${lister.value}/${assigned.sha256}.${assigned.version}.json`;
  const bytes = yield* loadTarget(session, path, assigned, input.heldManifest);
  if (!bytes.ok) return bytes;
  const manifest = parseManifest(bytes.value);
  if (!manifest.ok) return manifest;
  const { product, version } = manifest.value;
  if (product !== assigned.product || version !== assigned.version) {
    return fail(
      'OTA_AGREEMENT',
      `the manifest is of ${product} ${version}, its paths say ${assigned.product} ${assigned.version}`,
      product === assigned.product ? 'version' : 'product',
    );
  }
  const demand = computeDemand({ minimum, policy: set.policy, record, manifest: manifest.value });
  if (!demand.ok) return demand;
  const approved = checkApprovals(demand.value, set.functions, assigned);
  if (!approved.ok) return approved;
  return ok({ ...demand.value, manifest: manifest.value, manifestText: textOf(bytes.value) });
}

/** A function that lists exactly what the director names; without one there is nothing to fetch and to demand. */
function findLister(set: ImageSet, assigned: Assigned): Result<string> {
  let failure: Failure | undefined;
  for (const [name, state] of set.functions) {
    const listed = listing(name, state, assigned);
    if (listed === undefined) return ok(name);
    // A role that could not be read says more than one that merely does not list the release.
    if (failure === undefined || failure.code === 'OTA_NOT_APPROVED') failure = listed;
  }
  if (failure !== undefined) return { ok: false, error: failure };
  return fail('OTA_NOT_APPROVED', `no function approves release ${assigned.version}`);
}

function checkApprovals(
  demand: Demand,
  functions: ReadonlyMap<string, FunctionState>,
  assigned: Assigned,
): Result<true> {
  const offered = checkOffered(demand.functions, functions);
  if (!offered.ok) return offered;
  for (const name of Object.keys(demand.functions)) {
    const state = functions.get(name);
    const error = state === undefined ? undefined : (state.failure ?? listing(name, state, assigned));
    if (error !== undefined) return { ok: false, error };
  }
  return ok(true);
}

/** Undefined when the function lists exactly the assigned manifest, otherwise why that is not so. */
function listing(name: string, state: FunctionState, assigned: Assigned): Failure | undefined {
  if (state.view === undefined) return state.failure;
  const release = state.view.releases.find(({ version }) => version === assigned.version);
  if (release === undefined) {
    const message = `function ${name} does not approve release ${assigned.version}`;
    return { code: 'OTA_NOT_APPROVED', message, field: name };
  }
  if (release.sha256 === assigned.sha256 && release.length === assigned.length) return undefined;
  const message = `function ${name} approves release ${assigned.version} with another content than the director names`;
  return { code: 'OTA_AGREEMENT', message, field: name };
}
