/**
 * The import law as a value: which package may import what. `law.json` is its one home.
 *
 * Parses and checks the file; the rules that are computed from it stand in `rules.ts`.
 */
import { isRecord, readJson, stringList } from '../lib/repository.ts';

export interface PackageLaw {
  readonly name: string;
  readonly folder: string;
  /** Packages of the workspace that it may import. */
  readonly imports: readonly string[];
  /** Of these, packages of which only types may be imported, with the files that may be used at run time. */
  readonly typesOnly: ReadonlyMap<string, readonly string[]>;
  /** Packages whose program it starts: a dependency, never an import. */
  readonly spawns: readonly string[];
  readonly npm: readonly string[];
  /** Node built-ins that it may import anywhere; undefined: all. */
  readonly builtins: readonly string[] | undefined;
  /** Folders that do no I/O and take clock and randomness as arguments. */
  readonly pure: readonly string[];
  /** Node built-ins that the pure folders may import. */
  readonly pureBuiltins: readonly string[];
  /** Folders with contract tests of other packages' ports, which its own tests run on its own adapters. */
  readonly contracts: readonly string[];
  /** Nobody imports it (testbench, console). */
  readonly neverImported: boolean;
}

export type Law = readonly PackageLaw[];

function optionalList(value: unknown, where: string): string[] {
  return value === undefined ? [] : stringList(value, where);
}

function parsePackage(name: string, value: unknown): PackageLaw {
  if (!isRecord(value)) throw new Error(`law.json: packages.${name} must be an object`);
  if (typeof value['folder'] !== 'string') throw new Error(`law.json: packages.${name}.folder is missing`);
  const typesOnly = isRecord(value['typesOnly']) ? Object.entries(value['typesOnly']) : [];
  const builtins = value['builtins'] === undefined ? undefined : stringList(value['builtins'], name);
  return {
    name,
    folder: value['folder'],
    imports: stringList(value['imports'], `law.json: packages.${name}.imports`),
    typesOnly: new Map(typesOnly.map(([key, files]) => [key, stringList(files, `${name}.typesOnly.${key}`)])),
    spawns: optionalList(value['spawns'], `${name}.spawns`),
    npm: stringList(value['npm'], `law.json: packages.${name}.npm`),
    builtins,
    pure: optionalList(value['pure'], `${name}.pure`),
    pureBuiltins: builtins ?? optionalList(value['pureBuiltins'], `${name}.pureBuiltins`),
    contracts: optionalList(value['contracts'], `${name}.contracts`),
    neverImported: value['neverImported'] === true,
  };
}

/** Reads `tools/import-law/law.json` of a repository. Throws when it is not well formed. */
export function readLaw(root: string, file = 'tools/import-law/law.json'): Law {
  const value = readJson(root, file);
  if (!isRecord(value) || !isRecord(value['packages'])) throw new Error('law.json: packages is missing');
  return Object.entries(value['packages']).map(([name, entry]) => parsePackage(name, entry));
}
