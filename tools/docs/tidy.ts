/**
 * Tidiness that no compiler judges: length and header of sources, words that must not stand anywhere, synonyms
 * of the glossary's words. `tidy.json` is the list; it names no place of work, and the path of the folder that
 * the repository happens to lie in is found out at run time.
 *
 * `any` and switched-off types of expressions are the linter's business.
 */
import path from 'node:path';
import { isRecord, readJson, readText, repositoryFiles } from '../lib/repository.ts';

interface Rule {
  readonly pattern: RegExp;
  readonly says: string;
}

interface TidyRules {
  readonly fileLinesMax: number;
  readonly forbidden: readonly Rule[];
  readonly synonyms: readonly Rule[];
  readonly exempt: readonly string[];
}

const binary = /\.(?:png|jpg|gif|ico|woff2|tar|gz|zst)$/;
const prose = /\.(?:md|ts)$/;

function rulesOf(value: unknown, flags: string, says: (row: Record<string, unknown>) => string): Rule[] {
  if (!Array.isArray(value)) throw new Error('tidy.json: a list was expected');
  return value.map((row: unknown) => {
    if (!isRecord(row) || typeof row['pattern'] !== 'string')
      throw new Error('tidy.json: pattern is missing');
    return { pattern: new RegExp(row['pattern'], flags), says: says(row) };
  });
}

export function readTidyRules(root: string): TidyRules {
  const value = readJson(root, 'tools/docs/tidy.json');
  if (!isRecord(value) || typeof value['fileLinesMax'] !== 'number' || !Array.isArray(value['exempt']))
    throw new Error('tidy.json: fileLinesMax and exempt were expected');
  return {
    fileLinesMax: value['fileLinesMax'],
    forbidden: rulesOf(value['forbidden'], 'u', (row) => String(row['because'])),
    synonyms: rulesOf(
      value['synonyms'],
      'iu',
      (row) => `use the word of the glossary: ${String(row['use'])}`,
    ),
    exempt: value['exempt'].map(String),
  };
}

/** Problems of one file's text, with lines. */
export function tidyFile(name: string, text: string, rules: TidyRules): string[] {
  const lines = text.split('\n');
  const problems: string[] = [];
  const code = name.endsWith('.ts');
  if (code && lines.length - 1 > rules.fileLinesMax)
    problems.push(
      `${name}: ${lines.length - 1} lines, at most ${rules.fileLinesMax}: cut it where it has two jobs`,
    );
  if (code && !/^(?:#!.*\n)?\/\*\*/.test(text))
    problems.push(
      `${name}:1: does not say at its top what it is, what it keeps true and what it leaves to others`,
    );
  const judged = prose.test(name) ? [...rules.forbidden, ...rules.synonyms] : rules.forbidden;
  for (const [index, line] of lines.entries())
    for (const { pattern, says } of judged) {
      const found = pattern.exec(line)?.[0];
      if (found !== undefined) problems.push(`${name}:${index + 1}: ${found.trim()}: ${says}`);
    }
  return problems;
}

/** The folder above the repository is a place of work: its path stands in no file. */
function placeRule(root: string): Rule[] {
  const above = path.dirname(root);
  if (above.length < 2) return [];
  const escaped = `${above}/`.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const pattern = new RegExp(`(?<![A-Za-z0-9_.])${escaped}`, 'u');
  return above === '/tmp' ? [] : [{ pattern, says: 'no path of one machine belongs into the repository' }];
}

export function checkTidiness(root: string): string[] {
  const rules = readTidyRules(root);
  const all = { ...rules, forbidden: [...rules.forbidden, ...placeRule(root)] };
  return repositoryFiles(root)
    .filter((name) => !binary.test(name) && !rules.exempt.includes(name))
    .flatMap((name) => tidyFile(name, readText(root, name), all));
}
