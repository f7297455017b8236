/**
 * A repository as the paths that a device asks for, built from what the store holds.
 *
 * Used for rehearsals (would a device accept this?) and for answers. Nothing here verifies.
 */
import { readRole, type RootView, type RoleView } from '@airlock/trust';
import type { RoleFile } from '../ports/store.ts';

/** A product's image repository at one moment. */
export interface ImageRepository {
  readonly product: string;
  /** Of the product when this was read; whoever writes compares it. */
  readonly revision: number;
  readonly root: RoleFile;
  /** `targets` and every function ever published. */
  readonly roles: ReadonlyMap<string, RoleFile>;
  readonly snapshot?: RoleFile;
  readonly policy?: Document;
}

/** A device's director metadata at one moment. */
export interface DirectorRepository {
  readonly device: string;
  readonly root: RoleFile;
  readonly targets?: RoleFile;
  readonly snapshot?: RoleFile;
}

export interface Document {
  readonly sha256: string;
  readonly text: string;
}

export const policyPath = (sha256: string): string => `targets/${sha256}.policy.json`;
export const manifestPath = (lister: string, sha256: string, version: number): string =>
  `targets/${lister}/${sha256}.${version}.json`;

export function imagePaths(repository: ImageRepository, timestamp: string): Map<string, string> {
  const { root, roles, snapshot, policy } = repository;
  const paths = new Map([
    [`${root.version}.root.json`, root.file],
    ['timestamp.json', timestamp],
  ]);
  for (const { role, version, file } of roles.values()) paths.set(`${version}.${role}.json`, file);
  if (snapshot !== undefined) paths.set(`${snapshot.version}.snapshot.json`, snapshot.file);
  if (policy !== undefined) paths.set(policyPath(policy.sha256), policy.text);
  return paths;
}

export function directorPaths(repository: DirectorRepository, timestamp: string): Map<string, string> {
  const { root, targets, snapshot } = repository;
  const paths = new Map([
    [`${root.version}.root.json`, root.file],
    ['timestamp.json', timestamp],
  ]);
  if (targets !== undefined) paths.set(`${targets.version}.targets.json`, targets.file);
  if (snapshot !== undefined) paths.set(`${snapshot.version}.snapshot.json`, snapshot.file);
  return paths;
}

/** The parsed view of a file that the server stored itself; a file that cannot be read is a damaged store. */
export function viewOf(file: string): RoleView {
  const view = readRole(Buffer.from(file));
  if (!view.ok) throw new Error(`a stored role file cannot be read: ${view.error.message}`);
  return view.value;
}

export function rootViewOf(file: string): RootView {
  const view = viewOf(file);
  if (view.kind !== 'root') throw new Error('a stored root is none');
  return view;
}

/** The first function, in the order of `targets`, whose role lists exactly this manifest, and all that do. */
export function listersOf(repository: ImageRepository, version: number, sha256: string): string[] {
  const targets = repository.roles.get('targets');
  if (targets === undefined) return [];
  const view = viewOf(targets.file);
  if (view.kind !== 'targets') return [];
  return view.functions
    .map(({ name }) => name)
    .filter((name) => {
      const role = repository.roles.get(name);
      const listed = role === undefined ? undefined : viewOf(role.file);
      if (listed?.kind !== 'function') return false;
      return listed.releases.some((release) => release.version === version && release.sha256 === sha256);
    });
}
