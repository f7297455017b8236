/**
 * `npm run tidy`: documents, error tables and sources agree, and everything is tidy; exits 1 otherwise.
 * `npm run docs` (`--write`) first writes the pages that are made from code.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { report, repositoryRoot } from '../lib/repository.ts';
import { checkCommands } from './commands.ts';
import { checkDependencies } from './dependencies.ts';
import { checkErrorTables, readErrorTables } from './error-tables.ts';
import { checkErrorsPage, errorsPage, errorsPageText } from './errors-page.ts';
import { checkLinks } from './links.ts';
import { checkTidiness } from './tidy.ts';

const tables = await readErrorTables(repositoryRoot);
if (process.argv.includes('--write'))
  writeFileSync(path.join(repositoryRoot, errorsPage), errorsPageText(tables));

const problems = [
  ...checkTidiness(repositoryRoot),
  ...checkLinks(repositoryRoot),
  ...checkErrorTables(repositoryRoot, tables),
  ...checkErrorsPage(repositoryRoot, tables),
  ...checkDependencies(repositoryRoot),
  ...(await checkCommands(repositoryRoot)),
];
const codes = tables.reduce((sum, table) => sum + table.entries.length, 0);
report('tidy', problems, `documents agree with the code, ${codes} error codes`);
