/**
 * Compares each package.json with the law, both ways, and reads which files a package exports.
 *
 * npm hoists every workspace into the root, so that an undeclared import resolves all the same: the list in
 * package.json is kept exact here. It does not look into sources; `cruise.ts` does.
 */
import { isRecord, readJson } from '../lib/repository.ts';
import type { Law, PackageLaw } from './law.ts';
import type { Entries } from './rules.ts';

function dependenciesOf(root: string, own: PackageLaw): string[] {
  const value = readJson(root, `${own.folder}/package.json`);
  const groups = isRecord(value) ? [value['dependencies'], value['optionalDependencies']] : [];
  return groups.flatMap((group) => (isRecord(group) ? Object.keys(group) : []));
}

/** Differences between the law and every package.json, one line each. */
export function comparePackages(root: string, law: Law): string[] {
  return law.flatMap((own) => {
    const file = `${own.folder}/package.json`;
    const expected = [...own.imports, ...own.spawns].map((name) => `@airlock/${name}`).concat(own.npm);
    const actual = dependenciesOf(root, own);
    const extra = actual.filter((name) => !expected.includes(name));
    const missing = expected.filter((name) => !actual.includes(name));
    return [
      ...extra.map((name) => `${file}: dependency ${name} is not in the import law`),
      ...missing.map((name) => `${file}: the import law names ${name}, dependencies do not`),
    ];
  });
}

/** The files that each package exports, relative to its folder. */
export function entriesOf(root: string, law: Law): Entries {
  return new Map(
    law.map((own) => {
      const value = readJson(root, `${own.folder}/package.json`);
      const exported = isRecord(value) && isRecord(value['exports']) ? Object.values(value['exports']) : [];
      const files = exported.filter((target): target is string => typeof target === 'string');
      return [own.name, files.map((target) => target.replace(/^\.\//, ''))];
    }),
  );
}
