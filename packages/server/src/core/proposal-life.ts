/**
 * How an open proposal ends without being published: by its time, or by a change of who may sign it. Pure.
 *
 * Keeps true: a proposal that ended takes its number with it, so that signatures which come late count for nothing.
 */
import { wireLimits } from '@airlock/protocol';
import { readRole, type TargetsView, type UtcSeconds } from '@airlock/trust';
import type { ProposalRow, RoleFile } from '../ports/store.ts';

export const proposalEtag = (row: Pick<ProposalRow, 'version' | 'revision'>): string =>
  `"${row.version}.${row.revision}"`;

export function endOf({ proposed }: Pick<ProposalRow, 'proposed'>): UtcSeconds {
  return proposed + wireLimits.proposalSecondsMax;
}

export function isOver(row: Pick<ProposalRow, 'proposed'>, now: UtcSeconds): boolean {
  return endOf(row) <= now;
}

/**
 * Open proposals of functions to which the new `targets` gives other keys or another threshold: who signed did so under
 * rules that are gone. Those that come into force together with it were signed for it.
 */
export function endedByTargets(
  before: RoleFile | undefined,
  changes: readonly RoleFile[],
  open: readonly ProposalRow[],
): ProposalRow[] {
  const next = targetsIn(changes.find(({ role }) => role === 'targets'));
  const held = targetsIn(before);
  if (next === undefined || held === undefined) return [];
  return open.filter(
    ({ role }) =>
      role !== 'root' &&
      role !== 'targets' &&
      !changes.some((change) => change.role === role) &&
      termsOf(held, role) !== termsOf(next, role),
  );
}

function targetsIn(file: RoleFile | undefined): TargetsView | undefined {
  const view = file === undefined ? undefined : readRole(Buffer.from(file.file));
  return view?.ok === true && view.value.kind === 'targets' ? view.value : undefined;
}

function termsOf({ functions }: TargetsView, name: string): string {
  const found = functions.find((entry) => entry.name === name);
  if (found === undefined) return 'none';
  const keys = found.keys.map(({ keyId }) => keyId).toSorted();
  return JSON.stringify([found.threshold, keys]);
}
