/**
 * The state machine of an update: one function from (record, event, facts) to (record, effects), over one table.
 *
 * Pure: no I/O, no clock. Keeps true, by the order in which each arrow lists its effects: no effect that changes the
 * boot choice comes before the record that names it; a group is disarmed before it is written; the running group is
 * never a target; the floor rises only in `Confirming`. Carrying effects out, and turning their failure into events,
 * is the executor's. The rows stand in `transitions.ts`; docs draw the picture from the same rows.
 */
import type { AttemptState } from '@airlock/protocol';
import type { EventKind, Facts, MachineEvent, Move } from './effects.ts';
import type { DeviceState } from './record.ts';
import { ignored, transitions, type Transition } from './transitions.ts';

/**
 * Takes the one arrow that fits. Ignored pairs answer the same record and no effects.
 * Throws Error for a pair that no row names, or that two rows fit: a programmer's error.
 */
export function step(record: DeviceState, event: MachineEvent, facts: Facts): Move {
  const rows = fitting(record, event, facts);
  const [row] = rows;
  if (rows.length > 1) throw new Error(`two arrows for ${record.state} and ${event.kind}: ${names(rows)}`);
  if (row !== undefined) return { arrow: row.name, ...row.take(record, event, facts) };
  if (isIgnored(record.state, event.kind)) return { arrow: 'ignored', record, effects: [] };
  throw new Error(`no arrow for ${record.state} and ${event.kind}`);
}

/** The rows that fit; exactly one, or none for an ignored pair. */
export function fitting(record: DeviceState, event: MachineEvent, facts: Facts): readonly Transition[] {
  return transitions.filter(
    (row) => row.from === record.state && row.event === event.kind && row.when(record, facts),
  );
}

export function isIgnored(state: AttemptState, event: EventKind): boolean {
  return ignored.some((pair) => pair.state === state && pair.event === event);
}

/** The table as Mermaid text (`stateDiagram-v2`), the same for the same table: docs/architecture.md holds it. */
export function renderMermaid(): string {
  const lines = ['stateDiagram-v2', '  [*] --> Idle'];
  for (const row of transitions) lines.push(`  ${row.from} --> ${row.to}: ${row.name}`);
  return `${lines.join('\n')}\n`;
}

function names(rows: readonly Transition[]): string {
  return rows.map((row) => row.name).join(', ');
}
