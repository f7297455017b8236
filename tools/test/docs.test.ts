/**
 * The document checks, on small texts: each thing that must be told is told, and what is right is left alone.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { judgeCommand, shellLines, unknownScripts } from '../docs/commands.ts';
import { incompleteLock } from '../docs/dependencies.ts';
import { checkErrorTables, declarationsNamed, type ErrorTableFile } from '../docs/error-tables.ts';
import { anchorsOf, brokenLinks, lostPaths, lostTests } from '../docs/links.ts';
import { checkPages, errorsPage, statesPage } from '../docs/pages.ts';
import { readTidyRules, tidyFile } from '../docs/tidy.ts';
import { repositoryRoot } from '../lib/repository.ts';

/** A folder with files, removed after the work. */
function withFiles(files: Readonly<Record<string, string>>, work: (root: string) => void): void {
  const root = mkdtempSync(path.join(tmpdir(), 'airlock-docs-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      writeFileSync(path.join(root, name), text);
    }
    work(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test('TEST-OTA-730 REQ-OTA-BUILD-04: links, to files and headings that are there and not: the lost ones are told', () => {
  withFiles({ 'docs/b.md': '# The Key table, once\n', 'packages/x.ts': 'function decide() {}' }, (root) => {
    const good = '[b](b.md) [h](b.md#the-key-table-once) [web](https://example.org/) ```\n[x](y.md)\n```';
    assert.deepEqual(brokenLinks(root, 'docs/a.md', good.replace(' ```', '\n```')), []);
    assert.equal(brokenLinks(root, 'docs/a.md', '[c](c.md)').length, 1);
    assert.equal(brokenLinks(root, 'docs/a.md', '[b](b.md#gone)').length, 1);
    assert.deepEqual(lostPaths(root, 'docs/a.md', 'see `packages/x.ts#decide` and `packages/x.ts`'), []);
    assert.equal(lostPaths(root, 'docs/a.md', 'see `packages/y.ts` and `packages/x.ts#gone`').length, 2);
  });
  const declared = new Map([['TEST-OTA-1', 'a.test.ts']]);
  assert.equal(lostTests('a.md', 'TEST-OTA-1, TEST-OTA-2', declared).length, 1);
  assert.deepEqual([...anchorsOf('# A b\n## `c` (d)\n')], ['a-b', 'c-d']);
});

test('TEST-OTA-731 REQ-OTA-BUILD-04: scripts, named in text: those that package.json lacks are told', () => {
  const text = 'Run `npm ci && npm run demo`, then `npm test`, `npm start` or `npm run -s gone`.';
  assert.deepEqual(unknownScripts(text, ['demo', 'test', 'start']), ['gone']);
});

test('TEST-OTA-732 REQ-OTA-BUILD-04: commands, lines of shell blocks: programs, commands and options are judged by their help', async () => {
  const text =
    '```sh\n$ npx airlock release create \\\n  --from x # why\nA=1 airlock status && airlock log\n```\n`airlock none`\n';
  assert.deepEqual(shellLines(text), [
    'airlock release create    --from x',
    'airlock status',
    'airlock log',
    '',
  ]);
  const help: Readonly<Record<string, string>> = {
    airlock: 'Options:\n  --json\nCommands:\n  release  x\n',
    'airlock release': 'Commands:\n  create [options]  x\n',
    'airlock release create': 'Options:\n  --from <file>\n',
  };
  const ask = (program: string, command: readonly string[]): Promise<string | undefined> =>
    Promise.resolve(help[[program, ...command].join(' ')]);
  assert.equal(await judgeCommand('airlock release create --from x --json', ask), undefined);
  assert.equal(await judgeCommand('airlock release make', ask), 'airlock release has no command make');
  assert.equal(
    await judgeCommand('airlock release create --to x', ask),
    'airlock release create has no option --to',
  );
});

const entry = { summary: 's', remedy: 'r' };

test('TEST-OTA-733 REQ-OTA-BUILD-03: error tables, wrong place, unused and double codes: each is told', () => {
  const files = {
    'packages/a/src/errors.ts': 'OTA_A OTA_B OTA_C OTA_D',
    'packages/a/src/decide.ts':
      "function decide() { return 'OTA_A'; }\nfunction other() { return 'OTA_B'; }\n",
    '.git/HEAD': 'ref: refs/heads/x\n',
    '.git/objects/x': '',
    '.git/refs/x': '',
  };
  withFiles(files, (root) => {
    const at = (code: string, decidedIn: string): ErrorTableFile['entries'][number] => ({
      code,
      decidedIn,
      ...entry,
    });
    const table = {
      file: 'packages/a/src/errors.ts',
      title: 't',
      entries: [
        at('OTA_A', 'packages/a/src/decide.ts#decide'),
        at('OTA_B', 'packages/a/src/decide.ts#decide'),
        at('OTA_C', 'packages/a/src/gone.ts#decide'),
        at('OTA_D', 'packages/a/src/decide.ts#gone'),
      ],
    };
    const double = {
      file: 'packages/b/src/errors.ts',
      title: 'u',
      entries: [at('OTA_A', 'packages/a/src/decide.ts')],
    };
    assert.deepEqual(checkErrorTables(root, [table, double]), [
      'packages/a/src/errors.ts: OTA_B: packages/a/src/decide.ts#decide does not name the code',
      'packages/a/src/errors.ts: OTA_C: decided in packages/a/src/gone.ts, which is not there',
      'packages/a/src/errors.ts: OTA_D: decided in packages/a/src/decide.ts#gone: no such function',
      'packages/b/src/errors.ts: OTA_A: decidedIn must be path/file.ts#function: packages/a/src/decide.ts',
      'packages/b/src/errors.ts: OTA_A stands in another table too',
      'packages/a/src/errors.ts: OTA_C is used nowhere',
      'packages/a/src/errors.ts: OTA_D is used nowhere',
    ]);
  });
});

test('TEST-OTA-734 REQ-OTA-BUILD-03: error page, made from tables: a row for each code, with its place', () => {
  const decidedIn = 'packages/a/src/decide.ts#decide';
  const entries = [{ code: 'OTA_A', summary: 'a | b', remedy: 'r', decidedIn, httpStatus: 409 }];
  const page = errorsPage([{ file: 'packages/a/src/errors.ts', title: 'Title', entries }]).text;
  assert.ok(page.includes('## Title'));
  assert.ok(
    page.includes(
      String.raw`| \`OTA_A\` (HTTP 409) | a \| b | r | [decide](../packages/a/src/decide.ts) |`.replaceAll(
        '\\`',
        '`',
      ),
    ),
  );
});

test('TEST-OTA-735 REQ-OTA-BUILD-03: declarations, functions, methods and constants: found by name with their text', () => {
  const text =
    'export function* one() { "A"; }\nconst two = () => "B";\nclass K { three() { return "C"; } }\n';
  assert.deepEqual(
    ['one', 'two', 'three', 'four'].map((name) => declarationsNamed(text, name).length),
    [1, 1, 1, 0],
  );
  assert.ok(declarationsNamed(text, 'three')[0]?.includes('"C"'));
});

test('TEST-OTA-737 REQ-OTA-BUILD-04: made pages, as written, changed and lost: only the one as written is current', () => {
  const page = statesPage(
    'stateDiagram-v2',
    [{ name: 'begin', from: 'Idle', event: 'begin', to: 'Fetching' }],
    [],
  );
  assert.ok(page.text.includes('| Idle | begin | begin | Fetching |'));
  withFiles({ [page.file]: page.text }, (root) => {
    assert.deepEqual(checkPages(root, [page]), []);
    assert.equal(checkPages(root, [{ ...page, text: `${page.text}x` }]).length, 1);
    assert.equal(checkPages(root, [{ ...page, file: 'docs/gone.md' }]).length, 1);
  });
});

test('TEST-OTA-736 REQ-OTA-BUILD-04: tidiness, long or headless files, forbidden words and synonyms: are told with their line', () => {
  const rules = readTidyRules(repositoryRoot);
  const head = '/** What it is. */\n';
  assert.deepEqual(tidyFile('a.ts', `${head}const a = 1;\n`, rules), []);
  assert.deepEqual(tidyFile('a.ts', `#!/usr/bin/env node\n${head}`, rules), []);
  assert.equal(tidyFile('a.ts', 'const a = 1;\n', rules).length, 1);
  assert.equal(tidyFile('a.ts', head + 'x;\n'.repeat(rules.fileLinesMax), rules).length, 1);
  const words = [
    '// TODO later',
    '// a campaign for it',
    "test.only('x');",
    '// @ts-ignore',
    'see /home/someone/x',
  ];
  for (const word of words)
    assert.match(tidyFile('a.ts', `${head}${word}\n`, rules)[0] ?? '', /^a\.ts:2: /, word);
});

test('TEST-OTA-738 REQ-OTA-BUILD-05: lock file, an optional package without an entry: is told, for npm ci would refuse it', () => {
  const tool = { version: '1.0.0', optionalDependencies: { 'tool-linux': '1.0.0', 'tool-other': '1.0.0' } };
  const packages = { 'node_modules/tool': tool, 'node_modules/tool-linux': { version: '1.0.0' } };
  assert.match(incompleteLock({ packages }).join(), /^package-lock\.json: has no entry for tool-other:/);
  const whole = { ...packages, 'node_modules/tool/node_modules/tool-other': { version: '1.0.0' } };
  assert.deepEqual(incompleteLock({ packages: whole }), []);
});
