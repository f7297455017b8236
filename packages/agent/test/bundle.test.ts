/** The one-file agent: runs alone, tells an old Node what is wanted, and takes exactly one replaced file. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bundleAgent, bundleClient } from '../scripts/bundle.ts';
import { runAgent, testDevice } from './support/provisioned.ts';

const diskFile = fileURLToPath(new URL('../src/adapters/node-disk.ts', import.meta.url));

test('TEST-OTA-309 REQ-OTA-APPLY-10: bundle, plain and with one file replaced: one file that runs alone, or an error when nothing was replaced', async () => {
  const device = await testDevice();
  try {
    const outFile = join(device.folder, 'out/airlock-agent.mjs');
    const { bytes } = await bundleAgent({ outFile });
    const code = await readFile(outFile, 'utf8');
    assert.equal(Buffer.byteLength(code), bytes);
    // Nothing but Node itself is imported, and the version is looked at before anything else runs.
    for (const [, name] of code.matchAll(/^(?:import|export) .*from ["']([^"']+)["'];?$/gm)) {
      assert.match(name ?? '', /^(node:)?[a-z_]+(\/[a-z]+)?$/);
    }
    assert.ok(code.indexOf('needs Node 26 or newer') < 1000);
    // The schemas of the wire are for servers; on a device they would only cost memory.
    assert.ok(!code.includes('node_modules/typebox'));
    assert.equal((await runAgent(device.provisionWords, outFile)).code, 0);
    const status = await runAgent(['status', '--config', device.config], outFile);
    assert.match(status.stdout, /confirmed +version 1 in group A/);

    const other = join(device.folder, 'other disk.ts');
    await writeFile(
      other,
      `export function nodeDisk() { throw new Error('another disk'); }\nexport const diskErrorFrom = nodeDisk;\n`,
    );
    await bundleAgent({ outFile, replace: { from: diskFile, to: other } });
    const replaced = await runAgent(['status', '--config', device.config], outFile);
    assert.match(replaced.stderr, /another disk/);
    assert.equal(replaced.code, 70);
    const from = join(device.folder, 'nobody-imports-this.ts');
    await assert.rejects(
      bundleAgent({ outFile, replace: { from, to: other } }),
      /nothing in the agent imports/,
    );
  } finally {
    await device.dispose();
  }
});

test('TEST-OTA-1134 REQ-OTA-POL-06: the client of the local sockets as one file: small, of Node alone, and a program that has nothing else connects with it, or is told why not', async () => {
  const device = await testDevice();
  try {
    const file = join(device.folder, 'airlock-agent-client.mjs');
    const { bytes } = await bundleClient(file);
    const code = await readFile(file, 'utf8');
    assert.ok(bytes === Buffer.byteLength(code) && bytes < 20_000, `${bytes} bytes`);
    const imported = [...code.matchAll(/^import .*from ["']([^"']+)["'];?$/gm)].map(([, name]) => name);
    assert.deepEqual(imported, ['node:net', 'node:path']);
    const script = join(device.folder, 'screen.mjs');
    await writeFile(
      script,
      `import { connectAgent } from './airlock-agent-client.mjs';\n` +
        `await connectAgent(${JSON.stringify(device.folder)}, 'status').catch((error) => console.log(error.name, error.code));\n`,
    );
    const { stdout } = await runAgent([], script);
    assert.equal(stdout, 'ServiceError ENOENT\n');
  } finally {
    await device.dispose();
  }
});
