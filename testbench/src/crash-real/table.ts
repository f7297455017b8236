/** The table at the end of a run: strikes by phase, attempts, results by code - one column for each lane. */
import { phases } from './moments.ts';
import type { LaneOutcome } from './lane.ts';

export function tableOf(lanes: readonly LaneOutcome[]): readonly string[] {
  const row = (name: string, of: (lane: LaneOutcome) => number | string): string =>
    `  ${name.padEnd(28)}${lanes.map((lane) => String(of(lane)).padStart(8)).join('')}`;
  const results = (lane: LaneOutcome): readonly string[] => lane.attempts.flatMap((one) => one.results);
  const codes = [...new Set(lanes.flatMap((lane) => [...results(lane)]))].toSorted();
  return [
    '',
    row('', ({ name }) => name),
    row('strikes', ({ strikes }) => strikes),
    ...phases.map((phase) => row(`  in ${phase}`, ({ byPhase }) => byPhase.get(phase) ?? 0)),
    row('runs of the agent', ({ runs }) => runs),
    row('boots', ({ boots }) => boots),
    row('checks', ({ checks }) => checks),
    row('attempts', ({ attempts }) => attempts.length),
    ...codes.map((code) => row(`  ${code}`, (lane) => results(lane).filter((one) => one === code).length)),
    row('newest release reached', ({ reached }) => reached ?? 'no'),
    row('boots to reach it', ({ bootsToEnd }) => bootsToEnd ?? '-'),
    row('violations', ({ violations }) => violations.length),
    '',
  ];
}
