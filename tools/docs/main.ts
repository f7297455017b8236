/**
 * `npm run tidy`: documents, error tables and sources agree, and everything is tidy; exits 1 otherwise.
 * `npm run docs` (`--write`) first writes the pages that are made from code.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { readJson, report, repositoryRoot } from '../lib/repository.ts';
import { checkCommands } from './commands.ts';
import { checkDependencies, incompleteLock } from './dependencies.ts';
import { checkErrorTables, readErrorTables } from './error-tables.ts';
import { checkLinks } from './links.ts';
import { checkPages, makePages } from './pages.ts';
import { checkTidiness } from './tidy.ts';

const tables = await readErrorTables(repositoryRoot);
const pages = await makePages(tables);
if (process.argv.includes('--write'))
  for (const { file, text } of pages) writeFileSync(path.join(repositoryRoot, file), text);

const problems = [
  ...checkTidiness(repositoryRoot),
  ...checkLinks(repositoryRoot),
  ...checkErrorTables(repositoryRoot, tables),
  ...checkPages(repositoryRoot, pages),
  ...checkDependencies(repositoryRoot),
  ...incompleteLock(readJson(repositoryRoot, 'package-lock.json')),
  ...(await checkCommands(repositoryRoot)),
];
const codes = tables.reduce((sum, table) => sum + table.entries.length, 0);
report('tidy', problems, `documents agree with the code, ${codes} error codes`);
