/**
 * The counter that the floor is sealed with, in a TPM 2.0, through tpm2-tools (5.x).
 *
 * Keeps true: an NV index of type counter that the TPM itself increments, atomically and durably (it is not defined
 * `orderly`: such a one forgets increments when power is lost); arguments are lists, never a shell's; every call has a
 * time limit; whatever is not exactly eight bytes is no value. A missing tool, a hanging or a failing TPM is a
 * `FloorStoreError`, never a guess. Where the TPM is, the tools hear by `TPM2TOOLS_TCTI` from the configuration.
 */
import { FloorStoreError, type FloorCounter } from '../ports/platform.ts';
import { firstLine, runProgram } from './programs.ts';

export interface TpmFloorOptions {
  /** NV index, such as `0x01800010`. */
  readonly index: string;
  /** How the tools reach the TPM, such as `device:/dev/tpmrm0`. */
  readonly tcti: string;
  readonly timeLimitSeconds: number;
}

/**
 * `authread|authwrite`: with the index's own, empty, password, so that no owner password lies on the device; who may
 * open the TPM's device file is root anyway. `no_da`: somebody who guesses passwords must not lock the counter.
 */
const attributes = 'nt=counter|authread|authwrite|ownerread|no_da';
const counterBytes = 8;

export function tpmFloorStore(options: TpmFloorOptions): FloorCounter {
  const { index } = options;
  return {
    kind: 'tpm',
    read: async () =>
      counterOf(await tool(options, ['tpm2_nvread', '-C', index, '-s', `${counterBytes}`, index])),
    increment: async () => {
      await tool(options, ['tpm2_nvincrement', '-C', index, index]);
    },
  };
}

/**
 * At manufacture: defines the counter unless it is there, and proves by one increment that it counts; a counter has no
 * value before its first. Deleted and defined anew it goes on above its former value, which the TPM sees to. Owner
 * authorisation must be empty until then.
 */
export async function prepareTpmCounter(options: TpmFloorOptions): Promise<void> {
  const { index } = options;
  const define = ['tpm2_nvdefine', '-C', 'o', '-s', `${counterBytes}`, '-a', attributes, index];
  const refusal = await refusalOf(tool(options, define));
  const words = attributesOf(await tool(options, ['tpm2_nvreadpublic', index]).catch(() => ''));
  // No such index even now: what kept it from being defined is the reason.
  if (words.length === 0 && refusal !== undefined) throw refusal;
  if (!words.includes('nt=0x1') || words.includes('orderly')) {
    const found = words.length === 0 ? 'none' : words.join('|');
    throw new FloorStoreError(`NV index ${index}: expected a counter that is not orderly, found ${found}`);
  }
  await tpmFloorStore(options).increment();
}

/** That it is there already is a refusal as well, and harmless: what is there is looked at. */
async function refusalOf(call: Promise<unknown>): Promise<FloorStoreError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof FloorStoreError) return error;
    throw error;
  }
}

/** The line `friendly: authwrite|nt=0x1|...` among the attributes. */
function attributesOf(text: string): readonly string[] {
  const line = /attributes:\s*\n\s*friendly:\s*(\S+)/.exec(text)?.[1];
  return line === undefined ? [] : line.split('|');
}

/** Big-endian, as the TPM stores it. A counter grows by one for each confirmed release: 2^53 is never reached. */
function counterOf(output: string): number {
  const bytes = Buffer.from(output, 'latin1');
  const value = bytes.length === counterBytes ? bytes.readBigUInt64BE() : undefined;
  if (value === undefined || value >= BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new FloorStoreError(
      `tpm2_nvread: expected a counter of ${counterBytes} bytes, found another answer`,
    );
  }
  return Number(value);
}

async function tool(options: TpmFloorOptions, command: readonly string[]): Promise<string> {
  const { tcti, timeLimitSeconds } = options;
  const outcome = await runProgram({
    command,
    timeLimitSeconds,
    variables: { TPM2TOOLS_TCTI: tcti },
    outputEncoding: 'latin1',
  });
  const name = command[0] ?? '';
  if (outcome.kind === 'exited' && outcome.code === 0) return outcome.stdout;
  throw new FloorStoreError(`${name} ${reasonOf(outcome, timeLimitSeconds)}`);
}

function reasonOf(outcome: Awaited<ReturnType<typeof runProgram>>, timeLimitSeconds: number): string {
  if (outcome.kind === 'missing')
    return `could not be started (${firstLine(outcome.reason)}): is tpm2-tools there?`;
  if (outcome.kind === 'timed-out') return `did not end within ${timeLimitSeconds} s`;
  if (outcome.kind === 'crashed') return `was ended by ${outcome.signal}`;
  // The library's own lines, `WARNING:esys:...`, come first; the tool's line says it in words.
  const said = outcome.stderr.split('\n').find((line) => line.startsWith('ERROR: ')) ?? outcome.stderr;
  return `exit code ${outcome.code}: ${firstLine(said)}`;
}
