/**
 * What a command may touch besides files and the network: the two output streams, the terminal, the clock.
 *
 * Given as one value so that tests and the testbench run the same program without a process or a terminal.
 */
import type { UtcSeconds } from '@airlock/trust';

/** A person at a keyboard. */
export interface Terminal {
  /** One line, shown while it is typed. */
  ask(question: string): Promise<string>;
  /** One line that is not shown. */
  askSecret(question: string): Promise<string>;
}

export interface CliIo {
  /** Folder that relative paths are meant from. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Results: stdout. */
  out(text: string): void;
  /** Progress, questions and errors: stderr. */
  err(text: string): void;
  /** Whether stderr can redraw a line: bars instead of plain lines. */
  readonly bars: boolean;
  /** Absent when nobody can answer: then everything must come from options. */
  readonly terminal?: Terminal;
  now(): UtcSeconds;
}
