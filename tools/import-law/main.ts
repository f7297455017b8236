/**
 * `npm run law`: judges the imports of the whole repository by `law.json` and exits 1 on any violation.
 */
import { report, repositoryRoot } from '../lib/repository.ts';
import { cruiseRepository, expectedSources } from './cruise.ts';
import { readLaw } from './law.ts';
import { comparePackages } from './packages.ts';
import { findImpurities } from './purity.ts';

const law = readLaw(repositoryRoot);
const answer = await cruiseRepository(repositoryRoot, law);
const seen = new Set(answer.modules);
const unseen = expectedSources(repositoryRoot, law).filter((name) => !seen.has(name));
const problems = [
  ...answer.violations.map(({ rule, from, to }) => `${from}: ${rule}: ${to}`),
  // The guard of the guard: a checker that looked at nothing found nothing.
  ...unseen.map((name) => `${name}: was not cruised`),
  ...comparePackages(repositoryRoot, law),
  ...findImpurities(repositoryRoot, law),
];
report(
  'import law',
  problems,
  `${answer.modules.length} modules, ${answer.dependencies} imports, no violation`,
);
