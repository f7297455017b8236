/**
 * A thief, for tests: a company that goes on signing, with its own keys wherever no key was stolen.
 *
 * What the thief serves is complete and well formed, so that nothing but a signature can be what refuses it.
 */
import assert from 'node:assert/strict';
import type { Checked, TestDevice } from './device.ts';
import { newDevice } from './device.ts';
import { Company } from './repository.ts';
import { newSigner } from './signing.ts';

/** Keys that lie at the server. */
export const online = [
  'image/snapshot',
  'image/timestamp',
  'director/targets',
  'director/snapshot',
  'director/timestamp',
] as const;

export type OnlineRole = (typeof online)[number];

/** Release 12 is approved, assigned, and held by the device; roots and `quality` need two keys, as `targets` does. */
export function victim(): { company: Company; device: TestDevice } {
  const company = new Company();
  company.minimum = {
    classes: { C: { engineering: 1, quality: 2 } },
    markets: { us: { 'regulatory-us': 1 } },
  };
  const { root } = company.image;
  company.image = { ...company.image, root: [newSigner(), newSigner('p256')] };
  company.publishRoot(root);
  company.rekey('quality', [newSigner(), newSigner('p256')]);
  company.director = { ...company.director, root: [newSigner(), newSigner('p256')] };
  company.directorVersion.root = 0;
  company.publishDirectorRoot();
  company.policyChanges = {
    classes: { C: { engineering: 1, quality: 2 } },
    markets: { us: { 'regulatory-us': 1 } },
  };
  company.approveByAll(12);
  company.publish();
  company.assign('pump-1', 12);
  const device = newDevice(company, 'pump-1');
  assert.equal(installs(device.check()), 12);
  return { company, device };
}

/** From here on every online role is signed by the thief's own keys, except those stolen. */
export function takeOver(company: Company, stolen: readonly OnlineRole[]): void {
  const has = (role: OnlineRole) => stolen.includes(role);
  const { image, director } = company;
  company.image = {
    ...image,
    snapshot: has('image/snapshot') ? image.snapshot : [newSigner()],
    timestamp: has('image/timestamp') ? image.timestamp : [newSigner()],
  };
  company.director = {
    ...director,
    targets: has('director/targets') ? director.targets : [newSigner()],
    snapshot: has('director/snapshot') ? director.snapshot : [newSigner()],
    timestamp: has('director/timestamp') ? director.timestamp : [newSigner()],
  };
}

/** What the company serves now, to be served again after the attack. */
export function backupOf(company: Company): () => void {
  const image = new Map(company.imageFiles);
  const director = new Map(company.directorFiles);
  return () => {
    company.imageFiles = image;
    company.directorFiles = director;
  };
}

/** The release that the device would install now, or why it installs nothing. */
export function installs({ verdict, code }: Checked): number | string {
  return verdict?.kind === 'approved' ? verdict.manifest.version : code;
}
