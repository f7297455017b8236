/**
 * A small workspace with the layout of the real one, written into a temporary folder, and one planted violation
 * for each rule of the import law. The clean part alone breaks nothing.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

type Files = Readonly<Record<string, string>>;

const law = {
  packages: {
    trust: { folder: 'packages/trust', imports: [], npm: [], builtins: ['crypto'], pure: ['src'] },
    protocol: {
      folder: 'packages/protocol',
      imports: ['trust'],
      typesOnly: { trust: ['src/errors.ts'] },
      npm: [],
      builtins: [],
      pure: ['src'],
    },
    agent: {
      folder: 'packages/agent',
      imports: ['trust', 'protocol'],
      npm: [],
      pure: ['src/core', 'src/ports'],
      pureBuiltins: ['crypto'],
    },
    server: { folder: 'packages/server', imports: ['trust', 'protocol'], npm: ['declared'] },
    testbench: {
      folder: 'testbench',
      imports: ['agent', 'server'],
      npm: [],
      contracts: ['packages/agent/test/support/'],
      neverImported: true,
    },
  },
};

function packageJson(name: string, imports: readonly string[], npm: readonly string[] = []): string {
  const dependencies = Object.fromEntries(
    [...imports.map((one) => `@airlock/${one}`), ...npm].map((one) => [one, '1.0.0']),
  );
  const exported =
    name === 'trust' ? { '.': './src/index.ts', './errors': './src/errors.ts' } : './src/index.ts';
  const exports = typeof exported === 'string' ? { '.': exported } : exported;
  return JSON.stringify({
    name: `@airlock/${name}`,
    version: '1.0.0',
    type: 'module',
    exports,
    dependencies,
  });
}

/** Everything that the law allows, used once. */
const clean: Files = {
  'package.json': JSON.stringify({
    name: 'fixture',
    private: true,
    workspaces: ['packages/*', 'testbench'],
    devDependencies: { 'for-tests': '1.0.0' },
  }),
  'tools/import-law/law.json': JSON.stringify(law),
  'node_modules/for-tests/package.json': '{"name":"for-tests","version":"1.0.0","main":"index.js"}',
  'node_modules/for-tests/index.js': 'exports.x = 1;',
  'node_modules/declared/package.json': '{"name":"declared","version":"1.0.0","main":"index.js"}',
  'node_modules/declared/index.js': 'exports.x = 1;',
  'node_modules/undeclared/package.json': '{"name":"undeclared","version":"1.0.0","main":"index.js"}',
  'node_modules/undeclared/index.js': 'exports.x = 1;',
  'packages/trust/package.json': packageJson('trust', []),
  'packages/trust/src/index.ts': "export * from './errors.ts';\nexport type Verdict = { ok: boolean };\n",
  'packages/trust/src/errors.ts':
    "import { createHash } from 'node:crypto';\nexport const table = createHash;\n",
  'packages/protocol/package.json': packageJson('protocol', ['trust']),
  'packages/protocol/src/index.ts':
    "import type { Verdict } from '@airlock/trust';\nimport { table } from '@airlock/trust/errors';\n" +
    'export const codes = table;\nexport type Message = Verdict;\n',
  'packages/agent/package.json': packageJson('agent', ['trust', 'protocol']),
  'packages/agent/src/index.ts':
    "export { step } from './core/step.ts';\nexport { disk } from './adapters/disk.ts';\n",
  'packages/agent/src/core/step.ts':
    "import { createHash } from 'node:crypto';\nimport type { Disk } from '../ports/disk.ts';\n" +
    "import { codes } from '@airlock/protocol';\nexport const step = (disk: Disk): unknown => [disk, codes, createHash];\n",
  'packages/agent/src/ports/disk.ts':
    "import type { Stats } from 'node:fs';\nexport interface Disk { readonly path: string; readonly stats?: Stats }\n",
  'packages/agent/src/adapters/disk.ts':
    "import { open } from 'node:fs';\nimport type { Disk } from '../ports/disk.ts';\n" +
    'export const disk: Disk = { path: String(open) };\n',
  'packages/agent/test/step.test.ts':
    "import { x } from 'for-tests';\nimport { step } from '../src/core/step.ts';\nexport const used = [x, step];\n",
  'packages/server/package.json': packageJson('server', ['trust', 'protocol'], ['declared']),
  'packages/server/src/index.ts':
    "import { x } from 'declared';\nimport { table } from '@airlock/trust';\nexport const serve = [x, table];\n",
  'testbench/package.json': packageJson('testbench', ['agent', 'server']),
  'packages/agent/test/support/contract.ts': 'export const contract = 1;\n',
  'testbench/test/contract.test.ts':
    "import { contract } from '../../packages/agent/test/support/contract.ts';\nexport const used = contract;\n",
  'testbench/src/index.ts':
    "import { step } from '@airlock/agent';\nimport { serve } from '@airlock/server';\nexport const all = [step, serve];\n",
};

/** One violation for each rule: the file that breaks it. */
export const planted: readonly { readonly rule: string; readonly file: string; readonly text: string }[] = [
  {
    rule: 'layer-trust',
    file: 'packages/trust/src/upward.ts',
    text: "import { codes } from '@airlock/protocol';\nexport const upward = codes;\n",
  },
  {
    rule: 'layer-protocol',
    file: 'packages/protocol/src/sideways.ts',
    text: "import type { step } from '@airlock/agent';\nexport type Step = typeof step;\n",
  },
  {
    rule: 'layer-agent',
    file: 'packages/agent/src/adapters/server.ts',
    text: "import { serve } from '@airlock/server';\nexport const other = serve;\n",
  },
  {
    rule: 'layer-server',
    file: 'packages/server/src/agent.ts',
    text: "import { step } from '@airlock/agent';\nexport const other = step;\n",
  },
  {
    rule: 'types-only-protocol-trust',
    file: 'packages/protocol/src/runtime.ts',
    text: "import { table } from '@airlock/trust';\nexport const runtime = table;\n",
  },
  {
    rule: 'pure-trust',
    file: 'packages/trust/src/reader.ts',
    text: "import { readFileSync } from 'node:fs';\nexport const reader = readFileSync;\n",
  },
  {
    rule: 'pure-protocol',
    file: 'packages/protocol/src/hash.ts',
    text: "import { createHash } from 'node:crypto';\nexport const hash = createHash;\n",
  },
  {
    rule: 'pure-agent',
    file: 'packages/agent/src/core/reader.ts',
    text: "import { readFileSync } from 'node:fs';\nexport const reader = readFileSync;\n",
  },
  {
    rule: 'core-agent',
    file: 'packages/agent/src/core/adapter.ts',
    text: "import { disk } from '../adapters/disk.ts';\nexport const adapter = disk;\n",
  },
  {
    rule: 'deep-server',
    file: 'packages/server/src/deep.ts',
    text: "import { codes } from '../../protocol/src/inner.ts';\nexport const deep = codes;\n",
  },
  {
    rule: 'deep-testbench',
    file: 'testbench/src/deep.ts',
    text: "import { contract } from '../../packages/agent/test/support/contract.ts';\nexport const deep = contract;\n",
  },
  {
    rule: 'never-imported',
    file: 'packages/agent/src/adapters/bench.ts',
    text: "import { all } from '@airlock/testbench';\nexport const bench = all;\n",
  },
  {
    rule: 'no-cycle',
    file: 'packages/server/src/cycle-back.ts',
    text: "import { cycle } from './cycle.ts';\nexport const back = (): unknown => cycle;\n",
  },
  {
    rule: 'no-unresolvable',
    file: 'packages/server/src/lost.ts',
    text: "import { verdict } from '@airlock/trust/src/verdict.ts';\nexport const lost = verdict;\n",
  },
  {
    rule: 'no-dev-dependency',
    file: 'packages/agent/src/adapters/dev.ts',
    text: "import { x } from 'for-tests';\nexport const dev = x;\n",
  },
  {
    rule: 'no-undeclared',
    file: 'packages/server/src/undeclared.ts',
    text: "import { x } from 'undeclared';\nexport const undeclared = x;\n",
  },
];

/** Files that planted violations lean on and that break nothing themselves. */
const helpers: Files = {
  'packages/protocol/src/inner.ts': 'export const codes = 1;\n',
  'packages/server/src/cycle.ts':
    "import { back } from './cycle-back.ts';\nexport const cycle = (): unknown => back;\n",
};

/** Writes the fixture; with `files` added. The caller removes the folder that it answers. */
export function writeLawFixture(files: Files = {}): string {
  const root = mkdtempSync(path.join(tmpdir(), 'airlock-law-'));
  for (const [name, text] of Object.entries({ ...clean, ...files })) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), text);
  }
  mkdirSync(path.join(root, 'node_modules/@airlock'), { recursive: true });
  for (const name of ['trust', 'protocol', 'agent', 'server'])
    symlinkSync(`../../packages/${name}`, path.join(root, 'node_modules/@airlock', name));
  symlinkSync('../../testbench', path.join(root, 'node_modules/@airlock/testbench'));
  execFileSync('git', ['-C', root, 'init', '-q']);
  writeFileSync(path.join(root, '.gitignore'), 'node_modules/\n');
  return root;
}

export function plantedFiles(): Files {
  return { ...helpers, ...Object.fromEntries(planted.map(({ file, text }) => [file, text])) };
}

export function removeFixture(root: string): void {
  rmSync(root, { recursive: true, force: true });
}
