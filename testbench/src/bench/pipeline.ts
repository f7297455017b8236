/**
 * The reference: the fastest pipeline of standard tools that does the same work as the agent's install.
 *
 * curl over mutual TLS from the same server, hashed by openssl on the way and written by dd with a final fsync, then
 * read back from the medium (O_DIRECT) and hashed again. Both hashes must be the image's, or the time means nothing.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';

export interface PipelineOptions {
  readonly url: string;
  readonly authorityFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly sha256: string;
  readonly slotFile: string;
}

const script = `set -euo pipefail
curl --silent --show-error --fail --tlsv1.3 --cacert "$AUTHORITY" --cert "$CERTIFICATE" --key "$KEY" "$URL" |
  tee >(openssl dgst -sha256 -r > "$SLOT.sha256") |
  dd of="$SLOT" bs=1M iflag=fullblock conv=fsync status=none
dd if="$SLOT" bs=1M iflag=direct status=none | openssl dgst -sha256 -r
cat "$SLOT.sha256"
`;

/** Seconds it took. Throws when a tool is missing, fails, or a hash differs. */
export async function runPipeline(options: PipelineOptions): Promise<number> {
  rmSync(options.slotFile, { force: true });
  const started = performance.now();
  const output = await bash(script, {
    URL: options.url,
    AUTHORITY: options.authorityFile,
    CERTIFICATE: options.certificateFile,
    KEY: options.keyFile,
    SLOT: options.slotFile,
  });
  const seconds = (performance.now() - started) / 1000;
  const hashes = output.match(/[0-9a-f]{64}/g) ?? [];
  if (hashes.length !== 2 || hashes.some((hash) => hash !== options.sha256)) {
    throw new Error(`the pipeline's hashes are ${hashes.join(', ')}, expected ${options.sha256} twice`);
  }
  return seconds;
}

async function bash(text: string, env: Readonly<Record<string, string>>): Promise<string> {
  const child = spawn('bash', ['-c', text], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (piece: Buffer) => (output += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (errors += piece.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`the pipeline ended with ${code}: ${errors.trim()}`);
  return output;
}
