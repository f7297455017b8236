/** A device on the disk, as manufacture leaves it, and the program to run on it. */
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { bundleAgent } from '../../scripts/bundle.ts';
import { exampleConfig } from './example-config.ts';
import { type Factory, imageBytes, makeFactory } from './factory.ts';
import { scratchFolder } from './scratch.ts';
import { authority, deviceLeaf } from './tls-server.ts';

/** The program from its sources, and as one file: the latter starts four times as fast. */
export const programFile = fileURLToPath(new URL('../../bin/airlock-agent.mjs', import.meta.url));
const bundled = await scratchFolder();
export const bundleFile = join(bundled.folder, 'airlock-agent.mjs');
await bundleAgent({ outFile: bundleFile });
after(bundled.dispose);

/** A slot that holds the image of the installed release, as the factory left it. */
export function installedSlot(): Uint8Array {
  const slot = Buffer.alloc(8192);
  slot.set(imageBytes);
  return slot;
}

export interface TestDevice {
  readonly folder: string;
  readonly config: string;
  readonly factory: Factory;
  /** Arguments of a provisioning that succeeds. */
  readonly provisionWords: readonly string[];
  /** Writes the configuration with fields replaced. */
  configure(changes: Record<string, unknown>): Promise<void>;
  dispose(): Promise<void>;
}

export async function testDevice(url = 'https://localhost:1'): Promise<TestDevice> {
  const { folder, dispose } = await scratchFolder();
  const factory = makeFactory();
  const config = join(folder, 'agent.json');
  const { privateKey } = generateKeyPairSync('ed25519');
  await mkdir(join(folder, 'tls'));
  await mkdir(join(folder, 'slots'));
  const files: Record<string, string | Uint8Array> = {
    'tls/authority.pem': authority.certificate,
    'tls/device.pem': deviceLeaf.certificate,
    'tls/device.key.pem': deviceLeaf.key,
    'log.key.pem': privateKey.export({ format: 'pem', type: 'pkcs8' }),
    'image-root.json': factory.imageRoot,
    'director-root.json': factory.directorRoot,
    'record.json': factory.deviceRecord,
    'installed.json': factory.installed,
    'slots/a': installedSlot(),
    'slots/b': Buffer.alloc(8192),
    cmdline: 'quiet airlock.group=A',
    'boot-id': '0d9f1c66-3c1e-4e0a-9d38-1f7a1c7e9a11',
  };
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), content);
    if (name.endsWith('.key.pem')) await chmod(join(folder, name), 0o600);
  }
  const configure = async (changes: Record<string, unknown>): Promise<void> => {
    const own = {
      server: { ...exampleConfig.server, url },
      slots: { rootfs: { A: 'slots/a', B: 'slots/b' } },
      commandLineFile: 'cmdline',
      bootIdFile: 'boot-id',
    };
    await writeFile(config, JSON.stringify({ ...exampleConfig, ...own, ...changes }));
  };
  await configure({});
  const provisionWords = ['provision', '--config', config, '--group', 'A'];
  provisionWords.push('--image-root', join(folder, 'image-root.json'));
  provisionWords.push('--director-root', join(folder, 'director-root.json'));
  provisionWords.push('--device-record', join(folder, 'record.json'));
  provisionWords.push('--installed', join(folder, 'installed.json'));
  return { folder, config, factory, provisionWords, configure, dispose };
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program to its end. */
export async function runAgent(words: readonly string[], program: string = bundleFile): Promise<Ran> {
  return await new Promise((resolve) => {
    execFile(process.execPath, [program, ...words], { encoding: 'utf8' }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
    });
  });
}
