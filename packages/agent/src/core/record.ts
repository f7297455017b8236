/**
 * The state record: everything that the agent must remember to go on after a crash at any moment.
 *
 * A plain value, replaced as a whole. Keeps true: it is small (one 4 KiB block) because every list in it is bounded;
 * the floor and the confirmed group stand in it once. How it becomes bytes is in `record-codec.ts`, how they become
 * durable in `durable/record-store.ts`, how it changes in `machine.ts`. The booted group is never in it: that is
 * the kernel's to say.
 */
import { plainText, type GroupLetter } from '@airlock/trust';
import type { AttemptState, DeviceCode, WrittenCode } from '@airlock/protocol';

/** What a group holds, as far as it was proven by reading it back; undefined: nothing is proven. */
export interface Installed {
  readonly version: number;
  readonly manifestSha256: string;
}

export interface Attempt {
  /** Random id made by the device: 32 hex digits. */
  readonly id: string;
  /** `update`: above the floor. `repair`: the very manifest that was confirmed, while running in fallback. */
  readonly kind: 'update' | 'repair';
  readonly manifestSha256: string;
  readonly version: number;
  /** Version that ran when the attempt began. */
  readonly fromVersion: number;
  /** The group that is written: never the running one. */
  readonly group: GroupLetter;
  /** Boot id of the kernel when `Pending` was recorded: another one means that a restart happened. */
  readonly pendingBootId?: string;
  /** Whether the server could be reached when the attempt was activated; if not, the built-in test is waived. */
  readonly serverReached?: boolean;
  /** True once all images were read back: from then on data may have been prepared. */
  readonly staged: boolean;
  /** The agent's own count of boots into the trial. */
  readonly trialBoots: number;
  /** How often it was armed and never tried. */
  readonly notTried: number;
  /** How often its staged images rotted and were written again. */
  readonly rotted: number;
}

/** Why an attempt failed: final once recorded. */
export interface FailReason {
  readonly code: WrittenCode;
  readonly reason: string;
}

export interface AttemptResult extends FailReason {
  readonly attempt: string;
  readonly version: number;
}

export interface DeviceState {
  readonly schema: 'airlock-record/1';
  readonly state: AttemptState;
  /** The group that boots when nothing is tried, with what was confirmed in it, kept even while it is rewritten. */
  readonly confirmed: Installed & { readonly group: GroupLetter };
  readonly groups: Readonly<Record<GroupLetter, Installed | undefined>>;
  /** The highest version ever confirmed here. */
  readonly floor: number;
  /** Value of the TPM's counter that the floor is sealed with; absent where there is none (`floor-seal.ts`). */
  readonly counter?: number;
  /** A restored disk: nothing is installed until a device record with a higher number names the floor. */
  readonly restored?: { readonly deviceRecord: number };
  /** Present in every state but `Idle`. */
  readonly attempt?: Attempt;
  /** Present in `Failing` only. */
  readonly failing?: FailReason;
  readonly lastResult?: AttemptResult;
  /** Failed attempts by manifest, newest last; under `wastedName`, attempts in a row that were no release's fault. */
  readonly failures: readonly { readonly manifestSha256: string; readonly count: number }[];
  /** Refusals already logged, newest last. */
  readonly refusals: readonly { readonly manifestSha256: string; readonly code: WrittenCode }[];
}

/** Releases whose failures are remembered. A director changes its mind a few times, not dozens. */
export const failuresMax = 8;
/** Refusals remembered: one that was forgotten is logged again, which is all that happens. */
export const refusalsMax = 8;
/**
 * Stands in `failures` for no manifest: nobody can make one with this hash. A field of its own would be a new format
 * of the record; an older agent keeps this entry and never asks for it.
 */
export const wastedName = 'f'.repeat(64);
/**
 * Wasted attempts in a row before the device takes its time with the next one. Whoever assigns the wrong release takes
 * it back once, and perhaps once more; whoever does it all day rewrites the slots until the flash is worn.
 */
export const wastedFree = 2;
/** Longest reason kept; longer ones are cut. */
export const reasonCharactersMax = 200;
/** Held where there is no trust state to say the number of the device record: none is higher. */
export const deviceRecordUnknown = Number.MAX_SAFE_INTEGER;
/** The manifest of a group whose manifest was lost with the state. */
export const manifestUnknown = '0'.repeat(64);

/** The first record, written by provisioning: one confirmed group, nothing else. */
export function newRecord(group: GroupLetter, installed: Installed): DeviceState {
  const groups = group === 'A' ? { A: installed, B: undefined } : { A: undefined, B: installed };
  return {
    schema: 'airlock-record/1',
    state: 'Idle',
    confirmed: { group, ...installed },
    groups,
    floor: installed.version,
    failures: [],
    refusals: [],
  };
}

/** Whether the booted group runs an attempt that is not confirmed: until confirm.c proves the group in the record. */
export function isInTrial({ attempt, groups }: DeviceState, bootedGroup: GroupLetter): boolean {
  return (
    attempt?.group === bootedGroup && attempt.pendingBootId !== undefined && groups[bootedGroup] === undefined
  );
}

export function otherGroup(group: GroupLetter): GroupLetter {
  return group === 'A' ? 'B' : 'A';
}

/** How often attempts for this manifest failed here. */
export function failuresOf(record: DeviceState, manifestSha256: string): number {
  return record.failures.find((entry) => entry.manifestSha256 === manifestSha256)?.count ?? 0;
}

/** Counts one more failure, newest last, the oldest forgotten. */
export function countFailure(record: DeviceState, manifestSha256: string): DeviceState['failures'] {
  const others = record.failures.filter((entry) => entry.manifestSha256 !== manifestSha256);
  const count = Math.min(failuresOf(record, manifestSha256) + 1, 1000);
  return [...others, { manifestSha256, count }].slice(-failuresMax);
}

/** Attempts in a row that ended without a confirmed release and by no fault of theirs. */
export function wastedOf(record: DeviceState): number {
  return failuresOf(record, wastedName);
}

/** One more of them, up to so many. */
export function countWasted(record: DeviceState, wastedMax: number): DeviceState['failures'] {
  return wastedOf(record) < wastedMax ? countFailure(record, wastedName) : record.failures;
}

/** A release was confirmed: the row is over. */
export function forgetWasted({ failures }: DeviceState): DeviceState['failures'] {
  return failures.filter(({ manifestSha256 }) => manifestSha256 !== wastedName);
}

export function wasRefused(record: DeviceState, manifestSha256: string, code: DeviceCode): boolean {
  return record.refusals.some((entry) => entry.manifestSha256 === manifestSha256 && entry.code === code);
}

export function rememberRefusal(
  record: DeviceState,
  manifestSha256: string,
  code: DeviceCode,
): DeviceState['refusals'] {
  return [...record.refusals, { manifestSha256, code }].slice(-refusalsMax);
}

/** A reason that fits the record: one line of bounded length. */
export function boundReason(reason: string): string {
  // Control characters could forge lines in a service technician's terminal.
  const line = plainText(reason).trim();
  const cut = line.length <= reasonCharactersMax ? line : `${line.slice(0, reasonCharactersMax - 1)}…`;
  // The cut, or whoever sent the text, may leave half a character, which canonical JSON cannot say.
  return cut.toWellFormed();
}
