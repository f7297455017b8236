/**
 * Titles of tests: `TEST-OTA-<number> REQ-OTA-<AREA-NN>[, REQ-OTA-...]: <subject>, <condition>: <outcome>`.
 *
 * The titles in the sources tell which tests there are, those in the results which ones ran. Titles put
 * together at run time are known from the results alone.
 */
import { readText, repositoryFiles } from '../lib/repository.ts';

export interface Title {
  /** `TEST-OTA-<number>`. */
  readonly test: string;
  readonly requirements: readonly string[];
}

const titlePattern = /^(TEST-OTA-\d+) ((?:REQ-OTA-[A-Z]+-\d\d)(?:, REQ-OTA-[A-Z]+-\d\d)*): \S.*: \S/s;

/** undefined where the name does not have the form. */
export function parseTitle(name: string): Title | undefined {
  const match = titlePattern.exec(name);
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { test: match[1], requirements: match[2].split(', ') };
}

/** Numbers that stand in the sources of tests as literal titles, with their files. */
export function declaredTests(root: string): Map<string, string> {
  const files = repositoryFiles(root).filter((name) => name.endsWith('.test.ts'));
  const found = files.flatMap((file) =>
    [...readText(root, file).matchAll(/^\s*(?:await )?(?:test|it)\(\s*['"`](TEST-OTA-\d+) /gm)].map(
      (match): [string, string] => [match[1] ?? '', file],
    ),
  );
  return new Map(found);
}
