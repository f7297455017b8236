/**
 * Makes the agent one file, `airlock-agent.mjs`, that runs under Node alone: images carry it, and a device runs it
 * from the booted group. And the client of its local sockets another one, for integrators.
 *
 * The agent's first act is to check Node's version, so that an old Node says what is wrong instead of failing
 * somewhere. Nothing is minified: service people and auditors can read what runs on the device.
 * `replace` exchanges one source file for another one while bundling. It exists for testbench, which puts its own
 * disk in the place of adapters/node-disk.ts to cut the power; the agent itself has no switch for that.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

export interface BundleOptions {
  /** Where the one file is written; its folder is made. */
  readonly outFile: string;
  /** Absolute paths: each import of `from` gives `to`. An error when nothing imports `from`. */
  readonly replace?: { readonly from: string; readonly to: string };
}

/** Major version of Node that the bundle needs; the same as in bin/airlock-agent.mjs. */
export const nodeMajorMin = 26;
/** The client runs in the device's own software, which may have an older Node. */
const clientNodeMajorMin = 22;

const source = dirname(dirname(fileURLToPath(import.meta.url)));

/** Bundles the agent of this work tree. Throws when a file is missing or does not parse. */
export async function bundleAgent(options: BundleOptions): Promise<{ bytes: number }> {
  const outFile = resolve(options.outFile);
  const { replace } = options;
  let replaced = 0;
  const plugin: Plugin = {
    name: 'replace-one-file',
    setup: (hooks) => {
      if (replace === undefined) return;
      const from = resolve(replace.from);
      const to = resolve(replace.to);
      const filter = new RegExp(`${escaped(basename(from))}$`);
      hooks.onResolve({ filter }, (found) => {
        if (resolve(found.resolveDir, found.path) !== from || found.importer === to) return undefined;
        replaced += 1;
        return { path: to };
      });
    },
  };
  const result = await build({
    stdin: {
      contents: entry,
      resolveDir: join(source, 'src'),
      sourcefile: 'airlock-agent-entry.ts',
      loader: 'ts',
    },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: `node${nodeMajorMin}`,
    charset: 'utf8',
    legalComments: 'inline',
    // CommonJS packages inside (tuf-js) ask for Node's own modules by `require`.
    banner: { js: banner },
    plugins: [plugin],
    logLevel: 'silent',
  });
  if (replace !== undefined && replaced === 0)
    throw new Error(`nothing in the agent imports ${replace.from}`);
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error('the bundler gave no file');
  await mkdir(dirname(outFile), { recursive: true });
  // Whoever runs the old file meanwhile keeps it whole.
  await writeFile(`${outFile}.new`, output.contents, { mode: 0o755 });
  await rename(`${outFile}.new`, outFile);
  return { bytes: output.contents.length };
}

/** Stands before all other code. Only imports of Node's own modules come earlier, and old versions have those too. */
const banner = `#!/usr/bin/env node
import { createRequire as airlockCreateRequire } from 'node:module';
if (Number.parseInt(process.versions.node, 10) < ${nodeMajorMin}) {
  process.stderr.write('airlock-agent: needs Node ${nodeMajorMin} or newer, found ' + process.versions.node + '\\n');
  process.exit(70);
}
const require = airlockCreateRequire(import.meta.url);`;

const entry = `import { startProgram } from './program.ts';
await startProgram();
`;

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** The client of the local sockets as one file, for integrators: nothing of it but Node's own modules is imported. */
export async function bundleClient(outFile: string): Promise<{ bytes: number }> {
  const result = await build({
    entryPoints: [join(source, 'src/client/index.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: `node${clientNodeMajorMin}`,
    charset: 'utf8',
    legalComments: 'inline',
    logLevel: 'silent',
  });
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error('the bundler gave no file');
  await mkdir(dirname(outFile), { recursive: true });
  await writeFile(`${outFile}.new`, output.contents, { mode: 0o644 });
  await rename(`${outFile}.new`, outFile);
  return { bytes: output.contents.length };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const outFile = process.argv[2] ?? join(process.cwd(), 'dist', 'airlock-agent.mjs');
  const clientFile = join(dirname(outFile), 'airlock-agent-client.mjs');
  const { bytes } = await bundleAgent({ outFile });
  const client = await bundleClient(clientFile);
  for (const [file, length] of [
    [outFile, bytes],
    [clientFile, client.bytes],
  ] as const)
    process.stdout.write(`${file}: ${Math.round(length / 1024)} KiB\n`);
}
