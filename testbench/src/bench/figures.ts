/**
 * Figures of a bench: a value, what it is compared with, and whether the goal holds. One form for table and --json.
 */

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What the value is compared with, in the same unit. */
  readonly reference?: number;
  /** Value against reference, where more is better. */
  readonly ratio?: number;
  /** The goal in words, such as `ratio >= 0.8`. */
  readonly goal: string;
  readonly holds: boolean;
}

export function printFigures(figures: readonly Figure[], json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ figures })}\n`);
    return;
  }
  const rows = figures.map((figure) => [
    figure.name,
    `${round(figure.value)} ${figure.unit}`,
    figure.reference === undefined ? '' : `${round(figure.reference)} ${figure.unit}`,
    figure.ratio === undefined ? '' : figure.ratio.toFixed(2),
    figure.goal,
    figure.holds ? 'holds' : 'MISSED',
  ]);
  const head = ['figure', 'value', 'reference', 'ratio', 'goal', ''];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  for (const row of [head, ...rows]) {
    const cells = row.map((cell, column) => cell.padEnd(widths[column] ?? 0));
    process.stdout.write(`${cells.join('  ').trimEnd()}\n`);
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
