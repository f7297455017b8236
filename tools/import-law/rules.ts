/**
 * Turns the import law into rules of dependency-cruiser.
 *
 * One planted violation breaks exactly one rule: the rules do not overlap, so that a test can demand the exact
 * list of errors. Paths are relative to the root.
 */
import type { IForbiddenRuleType } from 'dependency-cruiser';
import type { Law, PackageLaw } from './law.ts';

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}

/** Files of a package that its package.json exports: the only ones that others may import. */
export type Entries = ReadonlyMap<string, readonly string[]>;

function anyOf(paths: readonly string[]): string {
  return `(?:${paths.map(escape).join('|')})`;
}

function layerRule(law: Law, own: PackageLaw): IForbiddenRuleType {
  const allowed = law.filter((other) => other === own || own.imports.includes(other.name));
  const judged = law.filter((other) => !other.neverImported);
  return {
    name: `layer-${own.name}`,
    comment: `${own.name} may import: ${own.imports.join(', ') || 'no package'}. Put what is shared lower.`,
    severity: 'error',
    from: { path: `^${escape(own.folder)}/` },
    to: {
      path: `^${anyOf(judged.map((other) => other.folder))}/`,
      pathNot: `^${anyOf(allowed.map((other) => other.folder))}/`,
    },
  };
}

function typesOnlyRules(law: Law, own: PackageLaw): IForbiddenRuleType[] {
  return law
    .filter((other) => own.typesOnly.has(other.name))
    .map((other) => ({
      name: `types-only-${own.name}-${other.name}`,
      comment: `${own.name} runs in a browser: of ${other.name} it may import types only.`,
      severity: 'error',
      from: { path: `^${escape(own.folder)}/src/` },
      to: {
        path: `^${escape(other.folder)}/`,
        pathNot: `^${anyOf((own.typesOnly.get(other.name) ?? []).map((file) => `${other.folder}/${file}`))}$`,
        dependencyTypesNot: ['type-only'],
      },
    }));
}

function builtinRules(own: PackageLaw): IForbiddenRuleType[] {
  if (own.pure.length === 0) return [];
  const allowed = own.pureBuiltins.length > 0 ? { pathNot: `^(?:node:)?${anyOf(own.pureBuiltins)}$` } : {};
  return [
    {
      name: `pure-${own.name}`,
      comment: `${own.pure.join(', ')} of ${own.name} do no I/O; built-ins allowed: ${own.pureBuiltins.join(', ') || 'none'}.`,
      severity: 'error',
      from: { path: `^${anyOf(own.pure.map((folder) => `${own.folder}/${folder}`))}/` },
      // A type does nothing: only what exists at run time counts.
      to: { dependencyTypes: ['core'], dependencyTypesNot: ['type-only'], ...allowed },
    },
  ];
}

function coreRules(own: PackageLaw): IForbiddenRuleType[] {
  const pure = own.pure.filter((folder) => folder !== 'src').map((folder) => `${own.folder}/${folder}`);
  if (pure.length === 0) return [];
  const from = { path: `^${anyOf(pure)}/` };
  return [
    {
      name: `core-${own.name}`,
      comment: 'Core and ports import neither adapters nor what composes them.',
      severity: 'error',
      from,
      to: { path: `^${escape(own.folder)}/`, pathNot: `^${anyOf(pure)}/` },
    },
  ];
}

/** Everything but what a package exports; its tests may also run the contract tests that the law names. */
function deepImportRules(law: Law, entries: Entries): IForbiddenRuleType[] {
  return law.flatMap((own) => {
    const others = law.filter((other) => other !== own && own.imports.includes(other.name));
    const open = others.flatMap((other) =>
      (entries.get(other.name) ?? []).map((file) => `${other.folder}/${file}`),
    );
    const rule = (from: string, allowed: string[]): IForbiddenRuleType => ({
      name: `deep-${own.name}`,
      comment: 'Only what the other package exports may be imported.',
      severity: 'error',
      from: { path: from },
      to: {
        path: others.length > 0 ? `^${anyOf(others.map((other) => other.folder))}/` : '^$',
        ...(allowed.length > 0 ? { pathNot: allowed } : {}),
      },
    });
    const exported = open.length > 0 ? [`^${anyOf(open)}$`] : [];
    const folder = escape(own.folder);
    if (own.contracts.length === 0) return [rule(`^${folder}/`, exported)];
    return [
      rule(`^${folder}/(?!test/)`, exported),
      rule(`^${folder}/test/`, [...exported, `^${anyOf(own.contracts)}`]),
    ];
  });
}

function generalRules(law: Law): IForbiddenRuleType[] {
  const shipped = law.filter((own) => !own.neverImported).map((own) => own.folder);
  const closed = law.filter((own) => own.neverImported).map((own) => own.folder);
  return [
    {
      name: 'never-imported',
      comment: 'Nobody imports testbench or console.',
      severity: 'error',
      from: { pathNot: `^${anyOf(closed)}/` },
      to: { path: `^${anyOf(closed)}/` },
    },
    { name: 'no-cycle', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-dependency',
      comment: 'Shipped code may not lean on what is installed for development only.',
      severity: 'error',
      from: { path: `^${anyOf(shipped)}/src/` },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'type-only'] },
    },
    {
      name: 'no-undeclared',
      comment: 'A package that package.json does not name resolves only by chance.',
      severity: 'error',
      from: { path: `^${anyOf(shipped)}/` },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ];
}

/** All rules of a law. `entries` names the exported files of each package. */
export function rulesOf(law: Law, entries: Entries): IForbiddenRuleType[] {
  return [
    ...law.map((own) => layerRule(law, own)),
    ...law.flatMap((own) => typesOnlyRules(law, own)),
    ...law.flatMap((own) => builtinRules(own)),
    ...law.flatMap((own) => coreRules(own)),
    ...deepImportRules(law, entries),
    ...generalRules(law),
  ];
}
