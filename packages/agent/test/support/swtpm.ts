/** A software TPM (swtpm) behind a Unix socket, for tests; and why there is none, where there is none. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../../src/adapters/programs.ts';
import type { TpmFloorOptions } from '../../src/adapters/tpm-floor.ts';

const missing = ['swtpm', 'tpm2_nvincrement'].filter((program) => spawnSync(program, ['--version']).error);
/** For `skip` of a test: false when the tools are there. */
export const tpmMissing: string | false =
  missing.length === 0 ? false : `${missing.join(', ')} missing: apt-get install swtpm tpm2-tools`;

export interface Swtpm {
  readonly options: TpmFloorOptions;
  /** One tool of tpm2-tools beside the agent; rejects when it fails. */
  tool(...command: string[]): Promise<void>;
  /** Power off and on: what the TPM calls durable is there again. */
  restart(): Promise<void>;
  dispose(): Promise<void>;
}

export async function startSwtpm(): Promise<Swtpm> {
  // A path of its own, since the name of a Unix socket has 107 bytes at most.
  const folder = await mkdtemp(join(tmpdir(), 'airlock-tpm-'));
  const socket = join(folder, 'tpm.sock');
  const tcti = `swtpm:path=${socket}`;
  const start = async (): Promise<() => Promise<void>> => {
    const words = ['socket', '--tpm2', '--tpmstate', `dir=${folder}`];
    words.push('--server', `type=unixio,path=${socket}`, '--ctrl', `type=unixio,path=${socket}.ctrl`);
    words.push('--flags', 'not-need-init,startup-clear');
    const server = spawn('swtpm', words);
    // Until it answers, or the process that should answer is gone.
    while ((await ask(tcti, ['tpm2_getcap', 'properties-fixed'])) !== 0) {
      if (server.exitCode !== null) throw new Error(`swtpm ended with ${server.exitCode}`);
    }
    return async () => {
      const ended = once(server, 'exit');
      server.kill('SIGKILL');
      await ended;
    };
  };
  let stop = await start();
  return {
    options: { index: '0x01800010', tcti, timeLimitSeconds: 20 },
    async tool(...command) {
      if ((await ask(tcti, command)) !== 0) throw new Error(`${command.join(' ')} failed`);
    },
    async restart() {
      await stop();
      stop = await start();
    },
    async dispose() {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function ask(tcti: string, command: readonly string[]): Promise<number | string> {
  const outcome = await runProgram({ command, timeLimitSeconds: 20, variables: { TPM2TOOLS_TCTI: tcti } });
  return outcome.kind === 'exited' ? outcome.code : outcome.kind;
}
