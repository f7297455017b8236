/**
 * Links in Markdown: every relative one names a file that git knows, and every anchor a heading that is there.
 *
 * Links to other hosts are not followed: the check needs no network.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readText, repositoryFiles } from '../lib/repository.ts';
import { declaredTests } from '../trace/titles.ts';

/** The text without fenced blocks, with as many lines. */
function withoutFences(text: string): string {
  return text.replaceAll(/^(```|~~~)[\s\S]*?^\1.*$/gm, (block) => block.replaceAll(/[^\n]/g, ''));
}

/** Anchors of a Markdown text, as its headings make them. */
export function anchorsOf(text: string): Set<string> {
  const headings = withoutFences(text).matchAll(/^#{1,6} +(.*)$/gm);
  const anchors = [...headings].map((match) =>
    (match[1] ?? '')
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );
  return new Set(anchors);
}

function checkLink(root: string, file: string, target: string): string | undefined {
  if (/^[a-z]+:/i.test(target)) return undefined;
  const [name = '', anchor] = target.split('#');
  const linked = name === '' ? file : path.posix.join(path.posix.dirname(file), decodeURI(name));
  if (!existsSync(path.join(root, linked))) return `links to ${target}, which is not there`;
  if (anchor === undefined || !linked.endsWith('.md')) return undefined;
  return anchorsOf(readText(root, linked)).has(anchor) ? undefined : `links to ${target}: no such heading`;
}

/** Broken links of one Markdown text. */
export function brokenLinks(root: string, file: string, text: string): string[] {
  const lines = withoutFences(text).split('\n');
  return lines.flatMap((line, index) =>
    [...line.matchAll(/\]\(([^()\s]+)\)/g)].flatMap((match) => {
      const problem = checkLink(root, file, match[1] ?? '');
      return problem === undefined ? [] : [`${file}:${index + 1}: ${problem}`];
    }),
  );
}

/** Paths in back quotes that look like files of the repository and are not there. */
export function lostPaths(root: string, file: string, text: string): string[] {
  const lines = withoutFences(text).split('\n');
  const shape = /`((?:packages|testbench|tools|docs|requirements)\/[\w./-]+?)(?:#(\w+))?`/g;
  return lines.flatMap((line, index) =>
    [...line.matchAll(shape)].flatMap((match) => {
      const [, name = '', member] = match;
      if (!existsSync(path.join(root, name)))
        return [`${file}:${index + 1}: names ${name}, which is not there`];
      const known = member === undefined || readText(root, name).includes(member);
      return known ? [] : [`${file}:${index + 1}: names ${name}#${member}, which is not there`];
    }),
  );
}

/** Numbers of tests in a text that no source of a test has as a title. */
export function lostTests(file: string, text: string, declared: ReadonlyMap<string, string>): string[] {
  const named = [...withoutFences(text).matchAll(/\bTEST-OTA-\d+/g)].map((match) => match[0]);
  return [...new Set(named)]
    .filter((test) => !declared.has(test))
    .map((test) => `${file}: names ${test}, no test is called so`);
}

export function checkLinks(root: string): string[] {
  const declared = declaredTests(root);
  const files = repositoryFiles(root).filter((name) => name.endsWith('.md'));
  return files.flatMap((file) => {
    const text = readText(root, file);
    return [
      ...brokenLinks(root, file, text),
      ...lostPaths(root, file, text),
      ...lostTests(file, text, declared),
    ];
  });
}
