/**
 * What people and programs see: tables, `--json`, progress, and one clear line per error.
 *
 * Results go to stdout, everything else to stderr. Text that came from a server or a file never reaches the terminal
 * with control, direction or zero-width characters in it: a release's name must neither redraw what a signer reads,
 * nor look like another one's.
 */
import type { UtcSeconds } from '@airlock/trust';
import type { CliIo } from './io.ts';

const unsafePattern = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;
/** Redrawing more often than this shows nothing more and costs time. */
const redrawMsMin = 100;
/** Plain lines come seldom: a log is read, not watched. */
const plainLineMsMin = 5_000;
const barCells = 24;

/** `2026-11-23T22:45:00Z`. */
export function instant(seconds: UtcSeconds): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

/** Text from outside, safe to print in one line. */
export function plain(text: string): string {
  return text.replaceAll(unsafePattern, '\u{fffd}');
}

/** Columns as wide as their widest cell; the last one is not padded. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows].map((row) => row.map(plain));
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map(
      (row) =>
        `${row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** `1.5 MB`, in powers of ten. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const step = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  return `${step === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[step] ?? ''}`;
}

/** `in 12 d`, `in 5 h`, `expired`. */
export function remainingText(seconds: number): string {
  if (seconds <= 0) return 'expired';
  if (seconds >= 2 * 86_400) return `in ${Math.floor(seconds / 86_400)} d`;
  if (seconds >= 2 * 3600) return `in ${Math.floor(seconds / 3600)} h`;
  return `in ${Math.ceil(seconds / 60)} min`;
}

/** The output of one command: either lines for people or one JSON document. */
export class Output {
  readonly json: boolean;
  readonly #io: CliIo;

  constructor(io: CliIo, json: boolean) {
    this.#io = io;
    this.json = json;
  }

  /** The result: `value` with `--json`, `lines` otherwise. */
  result(value: unknown, lines: string): void {
    this.#io.out(this.json ? `${JSON.stringify(value, undefined, 2)}\n` : lines);
  }

  /** A remark for people, on stderr; nothing with `--json`. */
  note(line: string): void {
    if (!this.json) this.#io.err(`${line}\n`);
  }

  /** Shown whatever the mode: what a signer must see before signing. */
  show(text: string): void {
    this.#io.err(text);
  }

  /** Progress of one piece of long work, `total` bytes. */
  progress(label: string, total: number): Progress {
    return new Progress(this.#io, label, total, this.json);
  }
}

/** A bar that is redrawn on a terminal, or a line every few seconds. */
export class Progress {
  readonly #io: CliIo;
  readonly #label: string;
  readonly #total: number;
  readonly #silent: boolean;
  #done = 0;
  #shownAt = 0;
  readonly #startedAt = performance.now();

  constructor(io: CliIo, label: string, total: number, silent: boolean) {
    this.#io = io;
    this.#label = label;
    this.#total = total;
    this.#silent = silent;
  }

  add(bytes: number): void {
    this.#done += bytes;
    const now = performance.now();
    const wait = this.#io.bars ? redrawMsMin : plainLineMsMin;
    const since = this.#shownAt === 0 ? this.#startedAt : this.#shownAt;
    if (now - since < wait) return;
    this.#shownAt = now;
    this.#draw(now, this.#io.bars ? '' : '\n');
  }

  /** The last state, and the end of the line. */
  end(): void {
    this.#draw(performance.now(), '\n');
  }

  #draw(now: number, ending: string): void {
    if (this.#silent) return;
    const share = this.#total === 0 ? 1 : Math.min(1, this.#done / this.#total);
    const cells = Math.round(share * barCells);
    const bar = this.#io.bars ? `[${'#'.repeat(cells)}${'-'.repeat(barCells - cells)}] ` : '';
    const rate = bytesText((this.#done / Math.max(1, now - this.#startedAt)) * 1000);
    const text = `${this.#label} ${bar}${Math.floor(share * 100)} % of ${bytesText(this.#total)}, ${rate}/s`;
    this.#io.err(`${this.#io.bars ? '\r\u001b[2K' : ''}${plain(text)}${ending}`);
  }
}
