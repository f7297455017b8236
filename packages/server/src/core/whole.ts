/**
 * What a device judges over both repositories, or for one class and market, said early over the whole product.
 *
 * A rehearsal (publication.ts) checks the image repository alone. A device refuses more: a key that the director has as
 * well, a demand that nobody offers. Nobody would see that before the first device refuses, so it is refused here.
 * Pure; the rules are trust's own.
 */
import {
  checkFunctionSeparation,
  checkMinimumMet,
  checkOffered,
  checkRepositoriesApart,
  fail,
  type KeysAndThreshold,
  type Manifest,
  ok,
  parsePolicy,
  type Policy,
  type Result,
  type RootView,
} from '@airlock/trust';
import { type ImageRepository, rootViewOf, viewOf } from './files.ts';

interface Whole {
  readonly root: RootView;
  readonly functions: ReadonlyMap<string, KeysAndThreshold>;
  readonly policy: Policy;
}

/** Undefined while nothing but a root is there. */
function wholeOf({
  root,
  roles,
  policy,
}: Pick<ImageRepository, 'root' | 'roles' | 'policy'>): Whole | undefined {
  const targets = roles.get('targets');
  const view = targets === undefined ? undefined : viewOf(targets.file);
  const parsed = policy === undefined ? undefined : parsePolicy(Buffer.from(policy.text));
  if (view?.kind !== 'targets' || parsed?.ok !== true) return undefined;
  const functions = view.functions.map(({ name, ...offered }): [string, KeysAndThreshold] => [name, offered]);
  return { root: rootViewOf(root.file), functions: new Map(functions), policy: parsed.value };
}

/** Errors: `OTA_KEY_SHARED`, `OTA_POLICY`, `OTA_BELOW_MINIMUM`, `OTA_DEMAND_UNKNOWN`. */
export function checkWhole(
  repository: Pick<ImageRepository, 'root' | 'roles' | 'policy'>,
  directorRoot: string | undefined,
): Result<true> {
  const root = rootViewOf(repository.root.file);
  const whole = wholeOf(repository);
  if (directorRoot !== undefined) {
    const functions = whole?.functions ?? new Map<string, KeysAndThreshold>();
    const apart = checkRepositoriesApart(root.roles, functions, rootViewOf(directorRoot).roles);
    if (!apart.ok) return apart;
  }
  if (whole === undefined) return ok(true);
  const separate = checkFunctionSeparation(root.roles, whole.functions, whole.policy);
  if (!separate.ok) return separate;
  const minimum = root.image?.minimum;
  return minimum === undefined ? ok(true) : checkMinimumMet(minimum, whole.policy, whole.functions);
}

/**
 * Whether some device could ever find the release approved: its class is known, and what it demands itself is offered.
 * Errors: `OTA_DEMAND_UNKNOWN`, `OTA_BELOW_MINIMUM`.
 */
export function checkDemandKnown(
  repository: ImageRepository,
  { safetyClass, demand }: Pick<Manifest, 'safetyClass' | 'demand'>,
): Result<true> {
  const whole = wholeOf(repository);
  if (whole === undefined) return ok(true);
  const known =
    whole.root.image?.minimum.classes[safetyClass] !== undefined &&
    whole.policy.classes[safetyClass] !== undefined;
  if (!known) {
    const message = `class ${safetyClass} stands not in both the root's minimum and the policy: every device would refuse this release`;
    return fail('OTA_DEMAND_UNKNOWN', message, 'safetyClass');
  }
  const offered = checkOffered(demand, whole.functions);
  if (offered.ok) return offered;
  return fail(offered.error.code, `the manifest's demand: ${offered.error.message}`, 'demand');
}
