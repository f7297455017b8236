/**
 * Guards the guard: a fixture with one planted violation per rule must give exactly those errors, a clean one
 * none, and the real repository must have been looked at completely.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cruiseRepository, expectedSources } from '../import-law/cruise.ts';
import { readLaw } from '../import-law/law.ts';
import { comparePackages, entriesOf } from '../import-law/packages.ts';
import { findImpurities, impuritiesOf } from '../import-law/purity.ts';
import { rulesOf } from '../import-law/rules.ts';
import { repositoryRoot } from '../lib/repository.ts';
import { planted, plantedFiles, removeFixture, writeLawFixture } from './support/law-fixture.ts';

test('TEST-OTA-700 REQ-OTA-BUILD-01: import law, a workspace that uses all it is allowed: no violation', async () => {
  const root = writeLawFixture();
  try {
    const law = readLaw(root);
    const answer = await cruiseRepository(root, law);
    assert.deepEqual(answer.violations, []);
    assert.deepEqual(
      expectedSources(root, law).filter((name) => !answer.modules.includes(name)),
      [],
    );
    assert.deepEqual(comparePackages(root, law), []);
    assert.deepEqual(findImpurities(root, law), []);
  } finally {
    removeFixture(root);
  }
});

test('TEST-OTA-701 REQ-OTA-BUILD-01: import law, one planted violation per rule: exactly those errors', async () => {
  const root = writeLawFixture(plantedFiles());
  try {
    const answer = await cruiseRepository(root, readLaw(root));
    const found = answer.violations.map(({ rule, from }) => `${rule} ${from}`);
    const expected = planted.map(({ rule, file }) => `${rule} ${file}`);
    assert.deepEqual(found.sort(), expected.sort());
  } finally {
    removeFixture(root);
  }
});

test('TEST-OTA-702 REQ-OTA-BUILD-01: import law, every rule of the real law: has a planted twin', () => {
  const law = readLaw(repositoryRoot);
  const kind = (name: string): string => (/^(?:layer|types-only|pure|core|deep)-/.exec(name) ?? [name])[0];
  const kinds = new Set(rulesOf(law, entriesOf(repositoryRoot, law)).map((rule) => kind(rule.name ?? '')));
  assert.deepEqual([...kinds].sort(), [...new Set(planted.map(({ rule }) => kind(rule)))].sort());
});

test('TEST-OTA-703 REQ-OTA-BUILD-01: import law, the real repository: every source of a package is cruised', async () => {
  const law = readLaw(repositoryRoot);
  const expected = expectedSources(repositoryRoot, law);
  const answer = await cruiseRepository(repositoryRoot, law);
  assert.ok(expected.length > 0);
  assert.ok(
    answer.modules.length >= expected.length,
    `${answer.modules.length} of ${expected.length} modules`,
  );
  assert.ok(answer.dependencies > answer.modules.length / 2, `only ${answer.dependencies} imports were seen`);
});

test('TEST-OTA-704 REQ-OTA-BUILD-01: import law, package.json with one dependency more and one less: both are told', () => {
  const text = JSON.stringify({
    name: '@airlock/server',
    exports: { '.': './src/index.ts' },
    dependencies: { '@airlock/trust': '1.0.0', '@airlock/agent': '1.0.0', declared: '1.0.0' },
  });
  const root = writeLawFixture({ 'packages/server/package.json': text });
  try {
    assert.deepEqual(comparePackages(root, readLaw(root)), [
      'packages/server/package.json: dependency @airlock/agent is not in the import law',
      'packages/server/package.json: the import law names @airlock/protocol, dependencies do not',
    ]);
  } finally {
    removeFixture(root);
  }
});

test('TEST-OTA-705 REQ-OTA-BUILD-01: pure folders, clock, randomness and I/O without an import: each is told', () => {
  const outside = [
    'export const a = Date.now();',
    'export const b = new Date();',
    'export const c = Math.random();',
    'export const d = process.env;',
    'export const e = (): unknown => fetch("x");',
    'export const f = setTimeout(() => 1, 1);',
    "import { randomBytes } from 'node:crypto';",
    "import { randomUUID as id } from 'node:crypto';",
    'export const g = [console];',
  ];
  for (const line of outside) assert.equal(impuritiesOf(`${line}\n`, 'x.ts').length, 1, line);
  const inside = [
    'export const a = new Date(0);',
    'export function b(process: string): string { return process; }',
    "import { createHash } from 'node:crypto';",
    'export interface C { readonly process: string }',
    'export const d = { console: 1 }.console;',
  ];
  for (const line of inside) assert.deepEqual(impuritiesOf(`${line}\n`, 'x.ts'), [], line);
});
