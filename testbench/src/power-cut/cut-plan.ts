/**
 * Cut plan: at which durable operation of the agent the power goes away.
 *
 * The plan is a small file in the scratch folder; the volatile disk reads it before each durable operation, counts
 * the operations that match and kills its own process at the one named. The virtual device writes it and removes it
 * once the cut has happened. This file leaves to others what then becomes of the unflushed bytes (`settle.ts`).
 */
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const cutOperations = ['create', 'write', 'flush', 'rename', 'remove', 'flush-folder'] as const;
export type CutOperation = (typeof cutOperations)[number];

export interface CutPlan {
  /** Absolute path of the file or folder that the operation touches; absent: any. */
  readonly path?: string;
  /** Absent: every operation counts. */
  readonly operation?: CutOperation;
  /** Only writes whose bytes hold this text count. */
  readonly contains?: string;
  /** Counting begins after a write, to any file, whose bytes hold this text. */
  readonly afterWriteOf?: string;
  /** Which of the matching operations, from 1. */
  readonly nth: number;
  /** Power goes before the operation has begun, or right after it returned to the cache. */
  readonly moment: 'before' | 'after';
}

/** One durable operation, as the volatile disk describes it to the plan. */
export interface Operation {
  readonly operation: CutOperation;
  readonly path: string;
  readonly bytes?: Uint8Array;
}

/** Environment variable by which the virtual device names the scratch folder to the agent's process. */
export const scratchVariable = 'AIRLOCK_TESTBENCH_SCRATCH';

const planName = 'cut-plan.json';

export function writeCutPlan(scratchFolder: string, plan: CutPlan): void {
  writeFileSync(join(scratchFolder, planName), JSON.stringify(plan));
}

export function removeCutPlan(scratchFolder: string): void {
  rmSync(join(scratchFolder, planName), { force: true });
}

/** Counts operations against the plan in `scratchFolder`, which may appear or change while the agent runs. */
export class CutTrigger {
  readonly #file: string;
  #stamp = '';
  #plan: CutPlan | undefined;
  #armed = false;
  #seen = 0;

  constructor(scratchFolder: string) {
    this.#file = join(scratchFolder, planName);
  }

  /** Call before the operation; the answer says when, relative to it, the power goes. */
  judge(operation: Operation): 'before' | 'after' | undefined {
    this.#reload();
    const plan = this.#plan;
    if (plan === undefined) return undefined;
    if (!this.#armed) {
      this.#armed = holds(operation, plan.afterWriteOf);
      return undefined;
    }
    if (plan.operation !== undefined && operation.operation !== plan.operation) return undefined;
    if (plan.path !== undefined && plan.path !== operation.path) return undefined;
    if (plan.contains !== undefined && !holds(operation, plan.contains)) return undefined;
    this.#seen += 1;
    return this.#seen === plan.nth ? plan.moment : undefined;
  }

  #reload(): void {
    const stat = statSync(this.#file, { throwIfNoEntry: false });
    const stamp = stat === undefined ? '' : `${stat.ino}:${stat.mtimeMs}`;
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    this.#plan = stat === undefined ? undefined : parseCutPlan(readFileSync(this.#file, 'utf8'));
    this.#armed = this.#plan?.afterWriteOf === undefined;
    this.#seen = 0;
  }
}

function holds(operation: Operation, text: string | undefined): boolean {
  return (
    operation.operation === 'write' &&
    operation.bytes !== undefined &&
    text !== undefined &&
    Buffer.from(operation.bytes.buffer, operation.bytes.byteOffset, operation.bytes.byteLength).includes(text)
  );
}

/** Testbench writes the plan itself: a wrong one is a programmer's error and throws. */
function parseCutPlan(text: string): CutPlan {
  const value = JSON.parse(text) as CutPlan;
  if (value.operation !== undefined && !cutOperations.includes(value.operation))
    throw new Error(`cut plan: operation ${value.operation}`);
  if (!Number.isInteger(value.nth) || value.nth < 1) throw new Error(`cut plan: nth ${value.nth}`);
  return value;
}
