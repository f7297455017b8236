/**
 * Runs dependency-cruiser over a repository with the rules of its law.
 *
 * It needs a TypeScript below 7, whose JavaScript interface it reads sources with: under TypeScript 7 it finds
 * no module, prints a tick and exits 0. So the number of modules cruised is part of the answer, and the caller
 * compares it with the number of files that git knows.
 */
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { repositoryFiles } from '../lib/repository.ts';
import type { Law } from './law.ts';
import { entriesOf } from './packages.ts';
import { rulesOf } from './rules.ts';

interface Violation {
  readonly rule: string;
  readonly from: string;
  readonly to: string;
}

export interface CruiseAnswer {
  readonly violations: readonly Violation[];
  /** Sources of packages that were really looked at. */
  readonly modules: readonly string[];
  readonly dependencies: number;
}

/** Cruises packages, testbench and tools below `root`. Paths in the answer are relative to it. */
export async function cruiseRepository(root: string, law: Law): Promise<CruiseAnswer> {
  const folders = [...law.map((own) => own.folder), 'tools'].filter((folder) =>
    existsSync(path.join(root, folder)),
  );
  const answer = await cruise(
    folders,
    {
      validate: true,
      baseDir: root,
      ruleSet: { forbidden: rulesOf(law, entriesOf(root, law)) },
      tsPreCompilationDeps: true,
      combinedDependencies: true,
      doNotFollow: { path: 'node_modules' },
      enhancedResolveOptions: {
        exportsFields: ['exports'],
        conditionNames: ['import', 'node', 'default', 'types'],
        extensions: ['.ts', '.js', '.mjs', '.cjs', '.json'],
      },
    },
    {},
    {},
  );
  if (typeof answer.output === 'string') throw new Error('dependency-cruiser answered text');
  return readAnswer(answer.output);
}

function readAnswer(output: ICruiseResult): CruiseAnswer {
  const violations = output.summary.violations.map(({ rule, from, to }) => ({ rule: rule.name, from, to }));
  const own = output.modules.filter((module) => !module.source.includes('node_modules/'));
  return {
    violations,
    modules: own.map((module) => module.source).filter((source) => source.endsWith('.ts')),
    dependencies: output.summary.totalDependenciesCruised ?? 0,
  };
}

/** TypeScript sources of the packages that git knows: each must have been cruised. */
export function expectedSources(root: string, law: Law): string[] {
  const folders = law.map((own) => `${own.folder}/src`);
  return repositoryFiles(root, ...folders).filter((name) => name.endsWith('.ts'));
}
