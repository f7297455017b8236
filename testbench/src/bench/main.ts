/**
 * `npm run bench -- install [--json]`: exit status 0 when every goal holds, 1 when one is missed, 2 for wrong usage.
 */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cleanUp, removeAtEnd } from '../processes.ts';
import { printFigures } from './figures.ts';
import { benchInstall } from './install.ts';

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { json: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  if (positionals.length !== 1 || positionals[0] !== 'install') {
    process.stderr.write('npm run bench -- install [--json]\n');
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'airlock-bench-'));
  removeAtEnd(folder);
  const figures = await benchInstall(folder, (words) => process.stderr.write(`${words}\n`));
  printFigures(figures, values.json);
  return figures.every(({ holds }) => holds) ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
} finally {
  cleanUp();
}
