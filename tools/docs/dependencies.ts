/**
 * docs/dependencies.md has a row for each package that a package.json names, with the version that is pinned.
 */
import { isRecord, readJson, readText, repositoryFiles } from '../lib/repository.ts';

const dependenciesPage = 'docs/dependencies.md';

function namedIn(root: string, file: string): [string, string][] {
  const value = readJson(root, file);
  if (!isRecord(value)) return [];
  const groups = [value['dependencies'], value['devDependencies'], value['optionalDependencies']];
  return groups
    .filter((group) => isRecord(group))
    .flatMap((group) =>
      Object.entries(group).map(([name, version]): [string, string] => [name, String(version)]),
    )
    .filter(([name]) => !name.startsWith('@airlock/'));
}

export function checkDependencies(root: string): string[] {
  const files = repositoryFiles(root).filter((name) => /^(?:[^/]+\/){0,2}package\.json$/.test(name));
  const named = new Map(files.flatMap((file) => namedIn(root, file)));
  const page = readText(root, dependenciesPage);
  const rows = new Map(
    [...page.matchAll(/^\| `([^`]+)` \| ([^|]+) \|/gm)].map((m) => [m[1] ?? '', (m[2] ?? '').trim()]),
  );
  return [
    ...[...named].flatMap(([name, version]) => {
      const exact = version.replace(/^npm:.*@/, '');
      if (!/^\d/.test(exact)) return [`${name}: version ${version} is not pinned exactly`];
      const row = rows.get(name);
      if (row === undefined) return [`${dependenciesPage}: has no row for ${name}`];
      return row === exact ? [] : [`${dependenciesPage}: says ${name} ${row}, package.json says ${exact}`];
    }),
    ...[...rows.keys()]
      .filter((name) => !named.has(name))
      .map((name) => `${dependenciesPage}: nothing depends on ${name}`),
  ];
}

/**
 * Optional packages that the lock file names and has no entry for: `npm ci` refuses such a lock on every machine.
 * It comes about when a package for another platform could not be looked up while the lock was written.
 */
export function incompleteLock(lock: unknown): string[] {
  const packages = isRecord(lock) && isRecord(lock['packages']) ? lock['packages'] : {};
  return Object.entries(packages).flatMap(([place, entry]) => {
    const optional =
      isRecord(entry) && isRecord(entry['optionalDependencies']) ? entry['optionalDependencies'] : {};
    const missing = Object.keys(optional).filter(
      (name) => !(`node_modules/${name}` in packages) && !(`${place}/node_modules/${name}` in packages),
    );
    return missing.map((name) => `package-lock.json: has no entry for ${name}: npm ci would refuse it`);
  });
}
