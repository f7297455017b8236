/** An attacker with stolen keys, for tests: signs what no writer of the product would write, and has it published. */
import assert from 'node:assert/strict';
import type { Company } from './repository.ts';
import { forge, isJson, type Json, sha256, signedOf } from './signing.ts';

/** The signed part of the newest published `targets`. */
export function targetsOf(company: Company): Json {
  return signedOf(company.imageFiles.get(`${company.imageVersion.targets}.targets.json`));
}

export function forgeTargets(company: Company, changes: Json): void {
  const { targets } = company.imageVersion;
  const file = forge({ ...targetsOf(company), ...changes, version: targets + 1 }, company.image.targets);
  company.forged.set('targets', file);
  company.publish();
}

/** `quality` signs anything: its key is stolen. */
export function forgeQuality(company: Company, changes: Json): void {
  const { file, version, signers } = company.function('quality');
  company.forged.set('quality', forge({ ...signedOf(file), version: version + 1, ...changes }, signers));
  company.publish();
}

export function targetEntry(bytes: Uint8Array): Json {
  return { length: bytes.length, hashes: { sha256: sha256(bytes) } };
}

export function objectOf(value: unknown): Json {
  assert.ok(isJson(value));
  return value;
}

/** As `forgeQuality`, but the snapshot says what a snapshot may say, whatever stands in the role. */
export function forgeQualityRaw(company: Company, changes: Json): void {
  const { file, signers } = company.function('quality');
  const version = (company.imageVersion.snapshot += 1) + 1000;
  const forged = forge({ ...signedOf(file), version, ...changes }, signers);
  const roles: Record<string, Uint8Array | undefined> = { targets: company.imageFiles.get('1.targets.json') };
  for (const name of ['engineering', 'regulatory-us']) roles[name] = company.function(name).file;
  const meta: [string, Json][] = Object.entries(roles).map(([name, role]) => [
    `${name}.json`,
    { version: signedOf(role)['version'], ...targetEntry(role ?? forged) },
  ]);
  meta.push(['quality.json', { version, ...targetEntry(forged) }]);
  const like = signedOf(company.imageFiles.get('1.snapshot.json'));
  const entries: Json = Object.fromEntries(meta);
  const snapshot = { ...like, version: company.imageVersion.snapshot, meta: entries };
  company.imageFiles.set(`${version}.quality.json`, forged);
  company.imageFiles.set(
    `${company.imageVersion.snapshot}.snapshot.json`,
    forge(snapshot, company.image.snapshot),
  );
  company.publishTimestamp();
}
