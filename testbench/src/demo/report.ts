/**
 * What the demo shows: one line for each scenario, progress meanwhile, and the table at the end.
 *
 * Progress is one line that is redrawn on a terminal and left out elsewhere. Where a code was decided is looked up
 * in the one error table, never typed here.
 */
import { deviceCodes } from '@airlock/protocol';
import { trustErrors } from '@airlock/trust';

export interface Outcome {
  /** 1 to 14, as in the demo's list; `11b` for a part of one. */
  readonly number: string;
  readonly requirement: string;
  readonly done: string;
  /** What the device answered: a code of its own log, and the reason beside it. */
  readonly answer: string;
  readonly code: string;
  readonly passed: boolean;
  /** Where it was decided, when that is not the code's own place in the table. */
  readonly where?: string;
  /** Why it did not pass. */
  readonly fault?: string;
}

const table: Readonly<Record<string, { readonly decidedIn: string }>> = { ...trustErrors, ...deviceCodes };

/** `file#function` that decides a code. */
function decidedIn(code: string): string {
  return table[code]?.decidedIn ?? 'unknown code';
}

export class Report {
  readonly outcomes: Outcome[] = [];
  readonly #write: (text: string) => void;
  readonly #redraws: boolean;
  readonly #started = performance.now();
  #shown = '';

  constructor(stream: { write(text: string): unknown; isTTY?: boolean }) {
    this.#write = (text) => void stream.write(text);
    this.#redraws = stream.isTTY === true;
  }

  /** Where things stand. Without a terminal only whole steps are worth a line, and those are `step`. */
  progress(text: string): void {
    if (!this.#redraws) return;
    const line = `   … ${text}`.slice(0, 110);
    this.#write(`\r${line.padEnd(this.#shown.length)}`);
    this.#shown = line;
  }

  step(text: string): void {
    this.#clear();
    this.#write(`${this.#clock()} ${text}\n`);
  }

  begin(number: string): void {
    this.progress(`scenario ${number}`);
  }

  outcome(outcome: Outcome): void {
    this.outcomes.push(outcome);
    this.#clear();
    const mark = outcome.passed ? 'pass' : 'FAIL';
    this.#write(
      `${this.#clock()} ${mark} ${outcome.number.padStart(3)} ${outcome.requirement}: ${outcome.done}\n` +
        `              device: ${outcome.answer}\n` +
        `              decided in ${outcome.where ?? decidedIn(outcome.code)}\n` +
        (outcome.fault === undefined ? '' : `              fault: ${outcome.fault}\n`),
    );
  }

  table(): void {
    this.#clear();
    const rows = this.outcomes.toSorted((a, b) => order(a) - order(b));
    const width = Math.max(...rows.map((row) => row.code.length), 4);
    this.#write(`\n  no  requirement          ${'code'.padEnd(width)}  result  what\n`);
    for (const row of rows) {
      const result = row.passed ? 'pass' : 'FAIL';
      this.#write(
        `${row.number.padStart(4)}  ${row.requirement.padEnd(19)}  ${row.code.padEnd(width)}  ${result}    ${row.done}\n`,
      );
    }
    const failed = rows.filter((row) => !row.passed).length;
    const seconds = Math.round((performance.now() - this.#started) / 1000);
    this.#write(`\n${rows.length - failed} of ${rows.length} as they must be, in ${seconds} s.\n`);
  }

  #clear(): void {
    if (this.#shown === '') return;
    this.#write(`\r${' '.repeat(this.#shown.length)}\r`);
    this.#shown = '';
  }

  #clock(): string {
    const seconds = (performance.now() - this.#started) / 1000;
    return `${seconds.toFixed(1).padStart(6)} s`;
  }
}

function order(outcome: Outcome): number {
  const letter = outcome.number.match(/[a-z]$/)?.[0] ?? '';
  return Number.parseInt(outcome.number, 10) * 100 + (letter === '' ? 0 : letter.charCodeAt(0) - 96);
}
