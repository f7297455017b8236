/**
 * The signing queue: what each function is waited for, and which roles are to be renewed. Pure.
 *
 * For finding and showing; a signer's machine believes none of it.
 */
import { alarmOf, renewalDue, roleLifeSeconds, type RoleTerm } from '@airlock/protocol';
import {
  formatInstant,
  type FunctionThresholds,
  type Manifest,
  type Minimum,
  type Policy,
  type UtcSeconds,
} from '@airlock/trust';
import { type ImageRepository, rootViewOf, viewOf } from './files.ts';

/** When a role that people sign ends. `strict`: class C is known to the root. */
export function termOf(
  {
    role,
    version,
    expires,
  }: { readonly role: string; readonly version: number; readonly expires: UtcSeconds },
  strict: boolean,
  now: UtcSeconds,
): RoleTerm {
  const life = roleLifeSeconds(role, strict);
  const renewFrom = renewalDue(expires, life);
  const alarm = alarmOf(expires, life, now);
  return {
    role,
    version,
    expires: formatInstant(expires),
    renewFrom: formatInstant(renewFrom),
    due: renewFrom <= now,
    ...(alarm === undefined ? {} : { alarm }),
  };
}

/** Root, targets, and the functions that targets still names, as far as they are published. */
export function termsOf(repository: ImageRepository, now: UtcSeconds): RoleTerm[] {
  const strict = rootViewOf(repository.root.file).image?.minimum.classes.C !== undefined;
  const targets = repository.roles.get('targets');
  const view = targets === undefined ? undefined : viewOf(targets.file);
  const names = view?.kind === 'targets' ? view.functions.map(({ name }) => name) : [];
  const files = [targets, ...names.map((name) => repository.roles.get(name))];
  const present = [repository.root, ...files].flatMap((file) => (file === undefined ? [] : [file]));
  return present.map(({ role, version, file }) =>
    termOf({ role, version, expires: viewOf(file).expires }, strict, now),
  );
}

/** For what a function is asked: the classes and markets that name it, and the manifest's own demand. */
export function askedFor(
  name: string,
  { safetyClass, demand }: Pick<Manifest, 'safetyClass' | 'demand'>,
  { minimum, policy }: { readonly minimum: Minimum; readonly policy: Policy },
): string[] {
  const names = (set: FunctionThresholds | undefined) => set !== undefined && Object.hasOwn(set, name);
  const byClass = names(minimum.classes[safetyClass]) || names(policy.classes[safetyClass]);
  const markets = new Set(
    [...Object.entries(minimum.markets), ...Object.entries(policy.markets)].flatMap(([market, set]) =>
      names(set) ? [`market ${market}`] : [],
    ),
  );
  return [...(byClass ? [`class ${safetyClass}`] : []), ...markets, ...(names(demand) ? ['release'] : [])];
}
